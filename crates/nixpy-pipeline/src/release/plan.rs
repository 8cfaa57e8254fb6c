//! Decides what becomes of every tag, from what was seen alone.

use std::collections::BTreeSet;

use nixpy_oci::digest::Digest;
use nixpy_oci::name::{Repository, Tag};
use serde::Serialize;

use super::look::{ReleasedImage, Seen, Wanted};
use super::problem::ReleaseProblem;
use super::version::Version;

/// What a release is going to do, in every repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleasePlan {
    /// As which.
    pub version: Version,
    /// The index that is released, the same everywhere.
    pub digest: Digest,
    /// One for each repository.
    pub places: Vec<PlacePlan>,
}

/// What it is going to do in one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlacePlan {
    /// Which.
    pub repository: Repository,
    /// The version's own tag first.
    pub tags: Vec<TagStep>,
}

/// One tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TagStep {
    /// Its name.
    pub tag: Tag,
    /// What becomes of it.
    #[serde(flatten)]
    pub step: Step,
}

/// What becomes of a tag, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "camelCase")]
pub enum Step {
    /// It points there already.
    Already,
    /// It is new.
    Set,
    /// It goes on from an older image.
    Move {
        /// What it points to now.
        from: Digest,
    },
    /// It stays, since it would go back.
    Held {
        /// The release that it belongs to.
        newer: Version,
    },
}

impl Step {
    /// Whether there is something to do.
    pub fn is_change(&self) -> bool {
        matches!(self, Self::Set | Self::Move { .. })
    }
}

impl ReleasePlan {
    /// Whether no tag has to be set.
    pub fn is_done(&self) -> bool {
        let mut steps = self.places.iter().flat_map(|place| &place.tags);
        !steps.any(|step| step.step.is_change())
    }
}

/// Decides about a release.
///
/// # Errors
/// Every reason why it cannot be made.
pub fn decide(wanted: &Wanted, seen: &[Seen]) -> Result<ReleasePlan, Vec<ReleaseProblem>> {
    let mut problems = Vec::new();
    let mut images: Vec<(&Seen, &ReleasedImage)> = Vec::new();
    for place in seen {
        match &place.image {
            Some(image) => {
                problems.extend(wrong(wanted, image));
                images.push((place, image));
            }
            None => problems.push(not_there(place, seen)),
        }
    }
    if let Some(((_, first), others)) = images.split_first() {
        let digest = |image: &ReleasedImage| image.stored.descriptor.digest;
        let other = others.iter().map(|(_, image)| *image);
        let others = other.filter(|image| digest(image) != digest(first));
        problems.extend(others.map(|other| ReleaseProblem::Differ {
            one: first.reference.clone(),
            other: other.reference.clone(),
            digests: [digest(first), digest(other)],
        }));
    }
    let mut places = Vec::new();
    for (place, image) in &images {
        let digest = image.stored.descriptor.digest;
        match steps(wanted, place, digest) {
            Ok(tags) => places.push(PlacePlan {
                repository: place.repository.clone(),
                tags,
            }),
            Err(problem) => problems.push(problem),
        }
    }
    match images.first() {
        Some((_, image)) if problems.is_empty() => Ok(ReleasePlan {
            version: wanted.version.clone(),
            digest: image.stored.descriptor.digest,
            places,
        }),
        _ => Err(problems),
    }
}

/// A build is the cure only where no repository has an image of the commit.
fn not_there(place: &Seen, seen: &[Seen]) -> ReleaseProblem {
    let repository = place.repository.clone();
    let looked_for = place.looked_for.clone();
    let there = seen.iter().find_map(|place| place.image.as_ref());
    match (there, looked_for.first()) {
        (Some(image), Some(to)) => ReleaseProblem::NotEverywhere {
            repository,
            to: to.clone(),
            there: image.reference.clone(),
        },
        _ => ReleaseProblem::NotThere {
            repository,
            looked_for,
        },
    }
}

/// What is wrong with an image that was found.
fn wrong(wanted: &Wanted, image: &ReleasedImage) -> Vec<ReleaseProblem> {
    let reference = || image.reference.clone();
    let mut problems = Vec::new();
    if let (Some(says), Some(commit)) = (&image.revision, &wanted.commit)
        && *says != commit.to_string()
    {
        problems.push(ReleaseProblem::OtherCommit {
            reference: reference(),
            says: says.chars().filter(|c| !c.is_control()).take(80).collect(),
            commit: commit.to_string(),
        });
    }
    if !image.lacks.is_empty() {
        problems.push(ReleaseProblem::NotWhole {
            reference: reference(),
            lacks: image.lacks.clone(),
        });
    } else if image.platforms.is_empty() {
        problems.push(ReleaseProblem::NoIndex {
            reference: reference(),
        });
        return problems;
    }
    for platform in &wanted.platforms {
        let has = image
            .platforms
            .iter()
            .any(|one| one.platform.matches(platform));
        let lacks = image
            .lacks
            .iter()
            .any(|lack| lack.platform.matches(platform));
        if !has && !lacks {
            problems.push(ReleaseProblem::NoPlatform {
                reference: reference(),
                platform: platform.clone(),
            });
        }
    }
    problems
}

/// What becomes of each tag of one repository.
fn steps(wanted: &Wanted, place: &Seen, digest: Digest) -> Result<Vec<TagStep>, ReleaseProblem> {
    let version = &wanted.version;
    let mut steps = Vec::new();
    if let Some(tag) = version.tag() {
        let step = match place.pointed.get(&tag) {
            None => Step::Set,
            Some(pointed) if pointed.digest == digest => Step::Already,
            Some(pointed) => {
                return Err(ReleaseProblem::Taken {
                    reference: format!("{}:{tag}", place.repository),
                    has: pointed.digest,
                    wanted: digest,
                    version: Box::new(version.clone()),
                });
            }
        };
        steps.push(TagStep { tag, step });
    }
    let released = released(&place.tags, version);
    for (tag, line) in version.moving() {
        let pointed = place.pointed.get(&tag);
        // Tags of old versions may have been cleaned away: the image says what it is, too.
        let says = pointed.and_then(|pointed| pointed.version.as_ref());
        let says = says.filter(|says| !says.is_pre_release());
        let known = released.iter().filter(|other| version.shares(line, other));
        let newer = known
            .chain(says)
            .filter(|other| other.is_newer_than(version));
        let newer = newer.max_by(|one, other| one.precedence(other));
        let step = match (pointed, newer) {
            (Some(pointed), _) if pointed.digest == digest => Step::Already,
            (_, Some(newer)) => Step::Held {
                newer: newer.clone(),
            },
            (Some(pointed), None) => Step::Move {
                from: pointed.digest,
            },
            (None, None) => Step::Set,
        };
        steps.push(TagStep { tag, step });
    }
    Ok(steps)
}

/// The versions that tags tell of, no pre-releases. A tag such as `1.2`, which moves, tells
/// of a release that is at least that; a single number may be anything, a date or a commit.
pub fn released(tags: &BTreeSet<Tag>, version: &Version) -> Vec<Version> {
    let least = version.numbers().min(2);
    let versions = tags.iter().filter_map(|tag| tag.as_ref().parse().ok());
    let released =
        versions.filter(|other: &Version| !other.is_pre_release() && other.numbers() >= least);
    released.collect()
}

/// The release before this one, by the tags of a repository: the newest that is older. For
/// a version that is no pre-release, pre-releases do not count.
pub fn previous(tags: &BTreeSet<Tag>, version: &Version) -> Option<(Version, Tag)> {
    let least = version.numbers().min(3);
    let versions = tags
        .iter()
        .filter_map(|tag| Some((tag.as_ref().parse::<Version>().ok()?, tag.clone())));
    let before = versions.filter(|(other, _)| {
        version.is_newer_than(other)
            && other.numbers() >= least
            && (version.is_pre_release() || !other.is_pre_release())
    });
    before.max_by(|(one, _), (other, _)| one.precedence(other))
}
