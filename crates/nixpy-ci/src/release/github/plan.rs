//! Decides what becomes of the release on GitHub, from what was seen alone.

use nixpy_github::api::{Asset, NewRelease, Release};
use nixpy_oci::digest::Digest;
use nixpy_pipeline::release::Version;
use serde::Serialize;

use super::super::images::Images;
use super::facts::{Facts, Floating};
use super::notes;
use crate::redact::Clean;
use crate::report;

/// The report, as programs read it.
const REPORT: &str = "nixpy-ci-release.json";
/// One line a name: what people compare.
const DIGESTS: &str = "digests.txt";

/// What is going to be done on GitHub.
#[derive(Clone, Debug, PartialEq)]
pub struct GithubPlan {
    /// What becomes of the release.
    pub step: ReleaseStep,
    /// As it is to be in the end.
    pub release: NewRelease,
    /// What it has to have with it.
    pub files: Vec<FilePlan>,
    /// Git tags that move along.
    pub floating: Vec<RefPlan>,
}

/// What becomes of the release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ReleaseStep {
    /// It says everything already.
    Already,
    /// There is none.
    Create,
    /// There is a draft.
    Publish,
    /// It is public, and does not tell of the image.
    Update,
}

/// A file of the release.
#[derive(Clone, Debug, PartialEq)]
pub struct FilePlan {
    /// As it is downloaded.
    pub name: &'static str,
    /// What it is.
    pub media_type: &'static str,
    /// All of it.
    pub content: Clean<String>,
    /// What becomes of it.
    pub step: FileStep,
}

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FileStep {
    /// It is there.
    Already,
    /// It is not.
    Attach,
    /// It is not, and cannot be: somebody else has made a release that is immutable.
    Left,
    /// Another is there under its name, or a part of it.
    Replace {
        /// The other.
        #[serde(skip)]
        id: u64,
    },
}

/// A git tag that moves along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefPlan {
    /// As in `v1`.
    pub name: String,
    /// What it is to be.
    pub commit: String,
    /// What becomes of it.
    #[serde(flatten)]
    pub step: RefStep,
}

/// What becomes of a git tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "camelCase")]
pub enum RefStep {
    /// It is this commit.
    Already,
    /// It is new.
    Create,
    /// It goes on.
    Move {
        /// From this commit.
        from: String,
    },
    /// It stays, since it would go back.
    Held {
        /// The release that it belongs to.
        newer: Version,
    },
    /// GitHub does not let it go there.
    Refused {
        /// GitHub's own words.
        why: String,
    },
}

/// What at GitHub is in the way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GithubProblem {
    /// The version is another commit.
    #[error(
        "the tag {tag} is commit {has}, and the image is of {wanted}: release it under the tag that is its commit"
    )]
    Elsewhere {
        /// Of git.
        tag: String,
        /// What it is.
        has: String,
        /// What is released.
        wanted: String,
    },
    /// Nobody knows of which commit the image is.
    #[error(
        "there is no tag {tag} yet, and of which commit the image is it does not say: push the tag, or name the commit by --commit"
    )]
    NoCommit {
        /// Of git.
        tag: String,
    },
    /// It can be changed no more.
    #[error(
        "the release {tag} cannot be changed any more (it is immutable), and {what}: release this image under another version"
    )]
    Immutable {
        /// Of git.
        tag: String,
        /// How it is different.
        what: String,
    },
}

impl ReleaseStep {
    /// Whether the release is written.
    pub fn is_change(self) -> bool {
        self != Self::Already
    }
}

impl FileStep {
    /// Whether the file is written.
    pub fn is_change(self) -> bool {
        matches!(self, Self::Attach | Self::Replace { .. })
    }
}

impl GithubPlan {
    /// Whether there is nothing to do.
    pub fn is_done(&self) -> bool {
        let floating = |one: &RefPlan| matches!(one.step, RefStep::Already | RefStep::Held { .. });
        !self.step.is_change()
            && !self.files.iter().any(|file| file.step.is_change())
            && self.floating.iter().all(floating)
    }
}

/// Decides about the release under this git tag.
///
/// # Errors
/// Every reason why it cannot be made.
pub fn decide(
    tag: &str,
    images: &Clean<Images>,
    facts: &Facts,
) -> Result<GithubPlan, Vec<GithubProblem>> {
    let mut problems = Vec::new();
    let commit = match (&facts.tag_commit, &images.commit) {
        (Some(has), Some(commit)) if has != commit => {
            problems.push(GithubProblem::Elsewhere {
                tag: tag.to_owned(),
                has: has.clone(),
                wanted: commit.clone(),
            });
            None
        }
        (Some(commit), _) | (None, Some(commit)) => Some(commit.clone()),
        (None, None) => {
            problems.push(GithubProblem::NoCommit {
                tag: tag.to_owned(),
            });
            None
        }
    };
    let there = facts.release.as_ref();
    let public = there.filter(|release| !release.draft);
    let files = files(images, there, public.is_some());
    problems.extend(public.and_then(|release| frozen(release, &files)));
    let step = match there {
        None => ReleaseStep::Create,
        Some(release) if release.draft => ReleaseStep::Publish,
        Some(release) if notes::tells(release, images) => ReleaseStep::Already,
        Some(_) => ReleaseStep::Update,
    };
    let Some(commit) = commit.filter(|_| problems.is_empty()) else {
        return Err(problems);
    };
    let block = notes::block(images, facts.comparison.as_ref());
    let body = there.and_then(|release| release.body.as_deref());
    let is_latest = !images.pre_release
        && !facts
            .released
            .iter()
            .any(|other| other.is_newer_than(&images.release));
    let name = there.and_then(|release| release.name.clone());
    let release = NewRelease {
        tag_name: tag.to_owned(),
        target_commitish: facts.tag_commit.is_none().then(|| commit.clone()),
        name: name
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| tag.to_owned()),
        body: notes::merged(body.unwrap_or_default(), &block),
        draft: false,
        // What people have said of a public one stays said.
        prerelease: public.map_or(images.pre_release, |one| one.prerelease),
        make_latest: public.is_none().then(|| is_latest.to_string()),
    };
    let floating = facts.floating.iter();
    Ok(GithubPlan {
        step,
        release,
        files,
        floating: floating
            .map(|one| follows(one, &images.release, facts, &commit))
            .collect(),
    })
}

/// What becomes of a tag such as `v1`.
fn follows(floating: &Floating, version: &Version, facts: &Facts, commit: &str) -> RefPlan {
    let newer = facts
        .released
        .iter()
        .filter(|other| version.shares(floating.line, other) && other.is_newer_than(version))
        .max_by(|one, other| one.precedence(other));
    let step = match (&floating.at, newer) {
        (Some(at), _) if at == commit => RefStep::Already,
        (_, Some(newer)) => RefStep::Held {
            newer: newer.clone(),
        },
        (Some(at), None) => RefStep::Move { from: at.clone() },
        (None, None) => RefStep::Create,
    };
    RefPlan {
        name: floating.name.clone(),
        commit: commit.to_owned(),
        step,
    }
}

fn files(images: &Clean<Images>, there: Option<&Release>, is_public: bool) -> Vec<FilePlan> {
    let files = [
        (DIGESTS, "text/plain", images.made(digests)),
        (REPORT, "application/json", report::json(images)),
    ];
    let planned = files.map(|(name, media_type, content)| {
        let mut assets = there.into_iter().flat_map(|release| &release.assets);
        let step = match assets.find(|asset| asset.name == name) {
            None if there.is_some_and(|release| release.immutable == Some(true)) => FileStep::Left,
            None => FileStep::Attach,
            // What was told to everybody stays told, also when the release before it is
            // another by now; the digests say whether it is the same image.
            Some(asset) if is_public && name == REPORT && is_whole(asset) => FileStep::Already,
            Some(asset) if is_whole(asset) && holds(asset, &content) => FileStep::Already,
            Some(asset) => FileStep::Replace { id: asset.id },
        };
        FilePlan {
            name,
            media_type,
            content,
            step,
        }
    });
    planned.into()
}

fn is_whole(asset: &Asset) -> bool {
    asset.state == "uploaded"
}

fn holds(asset: &Asset, content: &str) -> bool {
    match &asset.digest {
        Some(digest) => *digest == Digest::of(content.as_bytes()).to_string(),
        None => asset.size == content.len() as u64,
    }
}

/// Of a release whose files can be changed no more: what would have to be.
fn frozen(release: &Release, files: &[FilePlan]) -> Option<GithubProblem> {
    if release.immutable != Some(true) {
        return None;
    }
    let mut files = files.iter();
    let other = files.find(|file| matches!(file.step, FileStep::Replace { .. }))?;
    Some(GithubProblem::Immutable {
        tag: release.tag_name.clone(),
        what: format!("its {} is another", other.name),
    })
}

/// `DIGEST  NAME`, as checksum files have it.
fn digests(images: &Images) -> String {
    let mut text = String::new();
    for repository in &images.repositories {
        if let Some(tag) = &images.tag {
            text.push_str(&format!("{}  {repository}:{tag}\n", images.digest));
        }
        for one in &images.platforms {
            text.push_str(&format!(
                "{}  {repository}@{} {}\n",
                one.digest, one.digest, one.platform
            ));
        }
    }
    text
}
