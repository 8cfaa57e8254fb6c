//! From the results of several runs by digest to one index with its tags: what a matrix
//! of jobs ends in.
//!
//! Whether results belong together is decided first, from the results alone, and every
//! reason why not is told. Then each repository is asked for every manifest, and only
//! when all are there does the index go out: the one that a single run would have made,
//! bit for bit, because it is made of the same entries by the same function.

use std::collections::BTreeSet;
use std::time::Instant;

use futures_util::future::{join_all, try_join_all};
use nixpy_nix::{Source, System};
use nixpy_oci::destination::{Destination, DestinationError};
use nixpy_oci::digest::Digest;
use nixpy_oci::manifest::{Annotations, Descriptor};
use nixpy_oci::name::{Repository, Tag};
use nixpy_oci::platform::Platform;
use nixpy_oci::prior::Prior;

use crate::budget::Budget;
use crate::changes::Changes;
use crate::event::{Event, OnEvent, Stage};
use crate::index::index;
use crate::inputs::Target;
use crate::publish;
use crate::report::{Outcome, Report, told};
use crate::result::{Published, RunResult};
use crate::run::RunError;
use crate::timeline::Counts;

/// A result, and what a person calls it.
#[derive(Clone, Debug)]
pub struct Named {
    /// The file.
    pub name: String,
    /// What was in it.
    pub result: RunResult,
}

/// What the user says of an index beside its parts.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Where it is to go; where the results are if empty.
    pub repositories: Vec<Repository>,
    /// What it must be for; whatever there is if empty.
    pub systems: Vec<System>,
}

/// Results that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    /// As it was given to Nix, by the first of them.
    pub flake: String,
    /// Where the images are, and the index goes.
    pub repositories: Vec<Repository>,
    /// One a platform, sorted by system.
    pub images: Vec<Published>,
    /// What is different from the images before, in the same order.
    pub changes: Vec<Changes>,
    /// What all of them were held against.
    pub budgets: Vec<Budget>,
    /// How much Nix had to do for them.
    pub counts: Counts,
    /// One of them was made by a rehearsal: there is nothing to put an index over.
    pub rehearsed: bool,
}

/// Results do not belong together.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum JoinError {
    /// There is none.
    #[error("there is no result to join: name the files that `nixpy-ci run --by-digest` has left")]
    Nothing,
    /// Two images for one platform.
    #[error(
        "{one} and {other} have two images for {platform}, {} and {}: leave one of the files out", digests[0], digests[1]
    )]
    Doubled {
        /// Which.
        platform: Platform,
        /// A file.
        one: String,
        /// Another, or the same.
        other: String,
        /// In this order.
        digests: [Digest; 2],
    },
    /// A platform that was asked for.
    #[error(
        "no result has an image for {0}: name that of its job, or run `nixpy-ci run --by-digest --system {0}`"
    )]
    Missing(System),
    /// Different things were built.
    #[error(
        "{one} is of {}, and {other} of {}: run all jobs on one commit", sources[0], sources[1]
    )]
    Sources {
        /// A file.
        one: String,
        /// Another.
        other: String,
        /// In this order.
        sources: Box<[Source; 2]>,
    },
    /// Different programs were built.
    #[error("{one} is of `{}`, and {other} of `{}`: they are no one image", names[0], names[1])]
    Names {
        /// A file.
        one: String,
        /// Another.
        other: String,
        /// In this order.
        names: [String; 2],
    },
    /// The images are not where the index is to go.
    #[error(
        "{name} was published to {}, and the index is to go to {}: an index stands beside its images, \
         so let the same --repository be set everywhere",
        list(published),
        list(wanted)
    )]
    Repositories {
        /// A file.
        name: String,
        /// Where it says its images are.
        published: Vec<Repository>,
        /// Where the index is to go.
        wanted: Vec<Repository>,
    },
}

fn list(repositories: &[Repository]) -> String {
    let names: Vec<String> = repositories.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// Decides whether results belong together.
///
/// # Errors
/// Every reason why not.
pub fn join(results: &[Named], wishes: &Wishes) -> Result<Joined, Vec<JoinError>> {
    let Some(first) = results.first() else {
        return Err(vec![JoinError::Nothing]);
    };
    let repositories = match wishes.repositories.as_slice() {
        [] => first.result.repositories.clone(),
        wanted => wanted.to_vec(),
    };
    let mut problems = disagreements(results, first, &repositories);
    let images = each_once(results, &mut problems);
    let is_there = |system: &&System| images.iter().any(|(_, one)| one.report.system == **system);
    let missing = wishes.systems.iter().filter(|system| !is_there(system));
    problems.extend(missing.cloned().map(JoinError::Missing));
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut images: Vec<Published> = images.into_iter().map(|(_, image)| image.clone()).collect();
    images.sort_by(|a, b| a.report.system.cmp(&b.report.system));
    let known = |image: &Published| {
        let mut changes = results.iter().flat_map(|named| &named.result.changes);
        let platform = &image.report.platform;
        // Of another image nothing would be true.
        changes
            .find(|changes| changes.platform == *platform)
            .filter(|changes| changes.size == image.report.compressed_size)
            .cloned()
    };
    let changes = images.iter().filter_map(known).collect();
    let mut counts = Counts::default();
    let mut budgets: Vec<Budget> = Vec::new();
    for Named { result, .. } in results {
        counts.built = counts.built.saturating_add(result.counts.built);
        counts.fetched = counts.fetched.saturating_add(result.counts.fetched);
        let new = result.budgets.iter().filter(|one| !budgets.contains(one));
        budgets.extend(new.copied().collect::<Vec<_>>());
    }
    Ok(Joined {
        changes,
        budgets,
        counts,
        flake: first.result.flake.clone(),
        repositories,
        images,
        rehearsed: results.iter().any(|named| named.result.rehearsed),
    })
}

/// Results of another source than the first, or that are elsewhere than the index.
fn disagreements(results: &[Named], first: &Named, wanted: &[Repository]) -> Vec<JoinError> {
    let set = |names: &[Repository]| -> BTreeSet<Repository> { names.iter().cloned().collect() };
    let mut problems = Vec::new();
    for named in results {
        let Named { name, result } = named;
        if !result.source.is(&first.result.source) {
            problems.push(JoinError::Sources {
                one: first.name.clone(),
                other: name.clone(),
                sources: Box::new([first.result.source.clone(), result.source.clone()]),
            });
        }
        let names = [first, named].map(|it| it.result.platforms.first());
        if let [Some(ours), Some(theirs)] = names
            && ours.report.name != theirs.report.name
        {
            problems.push(JoinError::Names {
                one: first.name.clone(),
                other: name.clone(),
                names: [ours.report.name.clone(), theirs.report.name.clone()],
            });
        }
        if set(&result.repositories) != set(wanted) {
            problems.push(JoinError::Repositories {
                name: name.clone(),
                published: result.repositories.clone(),
                wanted: wanted.to_vec(),
            });
        }
    }
    problems
}

/// One image for each platform, and the file that it is from.
fn each_once<'a>(
    results: &'a [Named],
    problems: &mut Vec<JoinError>,
) -> Vec<(&'a str, &'a Published)> {
    let mut images: Vec<(&str, &Published)> = Vec::new();
    for Named { name, result } in results {
        for image in &result.platforms {
            let platform = &image.report.platform;
            let mut known = images.iter();
            match known.find(|(_, known)| known.report.platform.matches(platform)) {
                None => images.push((name, image)),
                // The same result twice, or a job that was run again and made the same.
                Some((_, known)) if known.manifest == image.manifest => {}
                Some((one, known)) => problems.push(JoinError::Doubled {
                    platform: platform.clone(),
                    one: (*one).to_owned(),
                    other: name.clone(),
                    digests: [known.manifest.digest, image.manifest.digest],
                }),
            }
        }
    }
    images
}

/// An image that is not where its result says.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "{repository} has no image {digest} for {system}, or does not show it to this user: it may have been \
     cleaned away, as what has no tag can be; run the job of {system} again"
)]
pub struct NotThere {
    /// Where it should be.
    pub repository: String,
    /// What it is for.
    pub system: System,
    /// Of its manifest.
    pub digest: Digest,
}

/// What an index is to be called and to say.
#[derive(Clone, Debug, Default)]
pub struct Called<'a> {
    /// What points to it.
    pub tags: &'a [Tag],
    /// What it says of itself.
    pub annotations: Annotations,
    /// It goes nowhere.
    pub rehearse: bool,
}

/// Puts the index of results that belong together to their repositories, and points the
/// tags at it. Whatever happens is in the report; the error is there beside it for its
/// kind.
pub async fn publish_joined(
    joined: &Joined,
    targets: &[Target],
    called: &Called<'_>,
    on_event: &OnEvent<'_>,
) -> (Report, Option<RunError>) {
    let begun = Instant::now();
    let mut report = report_of(joined);
    on_event(Event::Started(Stage::Publish));
    let error = put(joined, targets, called, &mut report, on_event)
        .await
        .err();
    if let Some(error) = &error {
        report.outcome = Outcome::Failure;
        report.error = Some(told(error));
    } else {
        on_event(Event::Finished(Stage::Publish));
    }
    report.timings.publish = begun.elapsed().as_secs_f64();
    report.timings.total = report.timings.publish;
    (report, error)
}

async fn put(
    joined: &Joined,
    targets: &[Target],
    called: &Called<'_>,
    report: &mut Report,
    on_event: &OnEvent<'_>,
) -> Result<(), RunError> {
    let places: Vec<Destination> = targets
        .iter()
        .map(publish::place)
        .collect::<Result<_, _>>()?;
    let manifests: Vec<Descriptor> = joined
        .images
        .iter()
        .map(|one| one.manifest.clone())
        .collect();
    report.rehearsed = called.rehearse || joined.rehearsed;
    if report.rehearsed {
        report.changed = report.is_new();
        report.index = Some(index(&manifests, &called.annotations).0);
        return Ok(());
    }
    let checks = places.iter().map(|place| lacking(place, &joined.images));
    let lacking: Vec<NotThere> = try_join_all(checks).await?.into_iter().flatten().collect();
    if !lacking.is_empty() {
        return Err(RunError::NotThere(lacking));
    }
    if let Some(first) = called.tags.first() {
        report.changed = match differ(&places, first, &manifests).await? {
            Some(differ) => differ,
            None => report.is_new(),
        };
    }
    let places: Vec<&Destination> = places.iter().collect();
    let references = &mut report.references;
    let (tags, annotations) = (called.tags, &called.annotations);
    let tagged = publish::tag(&places, &manifests, annotations, tags, |reference| {
        on_event(Event::Tagged(&reference));
        references.push(reference);
    });
    report.index = Some(tagged.await?);
    Ok(())
}

/// Whether a tag points to other images than these anywhere, or to none; nothing if it does
/// not point to any anywhere.
async fn differ(
    places: &[Destination],
    tag: &Tag,
    manifests: &[Descriptor],
) -> Result<Option<bool>, DestinationError> {
    let digests = |manifests: &[Descriptor]| -> BTreeSet<Digest> {
        manifests.iter().map(|manifest| manifest.digest).collect()
    };
    let ours = digests(manifests);
    let asked = places.iter().map(|place| Prior::read(place, tag, &[]));
    let priors = try_join_all(asked).await?;
    let is_same = |prior: &Prior| prior.tagged.as_deref().map(digests) == Some(ours.clone());
    let is_there = priors.iter().any(|prior| prior.tagged.is_some());
    Ok(is_there.then(|| !priors.iter().all(is_same)))
}

/// Which images a repository lacks, asked for all of them at once.
async fn lacking(
    place: &Destination,
    images: &[Published],
) -> Result<Vec<NotThere>, DestinationError> {
    let asked = images.iter().map(async |image| {
        let there = place.has_manifest(&image.manifest).await?;
        Ok::<_, DestinationError>((!there).then(|| NotThere {
            repository: place.to_string(),
            system: image.report.system.clone(),
            digest: image.manifest.digest,
        }))
    });
    let answers: Result<Vec<_>, _> = join_all(asked).await.into_iter().collect();
    Ok(answers?.into_iter().flatten().collect())
}

fn report_of(joined: &Joined) -> Report {
    let destinations: Vec<String> = joined
        .repositories
        .iter()
        .map(ToString::to_string)
        .collect();
    let images = joined.images.iter();
    Report {
        platforms: images.map(|image| image.report.clone()).collect(),
        changes: joined.changes.clone(),
        budgets: joined.budgets.clone(),
        counts: joined.counts,
        ..Report::to(&joined.flake, &destinations)
    }
}
