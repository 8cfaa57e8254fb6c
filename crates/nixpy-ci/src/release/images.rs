//! What is released, as facts: the image's platforms, and what changed since the version
//! before it.

use nixpy_nix::System;
use nixpy_oci::digest::Digest;
use nixpy_oci::name::{Repository, Tag};
use nixpy_oci::platform::Platform;
use nixpy_oci::registry::{Registry, RemoteError};
use nixpy_pipeline::changes::{self, Changes};
use nixpy_pipeline::lockfile::LockFile;
use nixpy_pipeline::platform::system_of;
use nixpy_pipeline::release::{
    ReleasePlan, ReleasedPlatform, Seen, Version, Wanted, images_of, previous,
};
use serde::Serialize;

use crate::redact::{Secrets, Tell};

/// The file that is attached to a release, in version 1: fields may be added.
#[derive(Clone, Debug, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Images {
    /// Of this form of JSON.
    #[serde(rename = "version")]
    pub form: u32,
    /// What is released.
    pub release: Version,
    /// Whether it only leads to one.
    pub pre_release: bool,
    /// Of which commit, if that is known.
    pub commit: Option<String>,
    /// Of the index.
    pub digest: Digest,
    /// Where it is.
    pub repositories: Vec<Repository>,
    /// The version's own tag.
    pub tag: Option<Tag>,
    /// Its images.
    pub platforms: Vec<One>,
    /// The release before it.
    pub previous: Option<Version>,
    /// What is different from that.
    pub changes: Vec<Changes>,
}

impl Tell for Images {
    fn without(mut self, secrets: &Secrets) -> Self {
        secrets.clean_changes(&mut self.changes);
        self
    }
}

/// One platform's image.
#[derive(Clone, Debug, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct One {
    /// What it runs on.
    pub platform: Platform,
    /// What Nix calls that.
    pub system: Option<System>,
    /// Of its manifest.
    pub digest: Digest,
    /// What a client downloads that has none of it, in bytes.
    pub compressed_size: u64,
}

impl Images {
    /// Of what was decided; the version before is read where the first image is. The commit's
    /// lock file, where it is at hand, tells Python's packages from others.
    ///
    /// # Errors
    /// The registry cannot be read.
    pub async fn of(
        registries: &[Registry],
        seen: &[Seen],
        plan: &ReleasePlan,
        wanted: &Wanted,
        lock: Option<&LockFile>,
    ) -> Result<Self, RemoteError> {
        let image = seen.first().and_then(|place| place.image.as_ref());
        let platforms = image.map_or(&[][..], |image| &image.platforms);
        let stated = image.and_then(|image| image.revision.clone());
        let mut images = Self {
            form: 1,
            release: plan.version.clone(),
            pre_release: plan.version.is_pre_release(),
            commit: match &wanted.commit {
                Some(commit) => Some(commit.to_string()),
                None => stated.filter(|text| is_commit(text)),
            },
            digest: plan.digest,
            repositories: plan
                .places
                .iter()
                .map(|place| place.repository.clone())
                .collect(),
            tag: plan.version.tag(),
            platforms: platforms
                .iter()
                .map(|image| One {
                    platform: image.platform.clone(),
                    system: system_of(&image.platform.architecture),
                    digest: image.digest,
                    compressed_size: image.size,
                })
                .collect(),
            previous: None,
            changes: Vec::new(),
        };
        let before = seen
            .first()
            .and_then(|place| previous(&place.tags, &plan.version));
        if let (Some(registry), Some((version, tag))) = (registries.first(), before)
            && let Some(before) = images_of(registry, &tag).await?
        {
            let baseline = format!("{}:{tag}", registry.repository());
            images.changes = changed(&baseline, &before, platforms, lock);
            images.previous = Some(version);
        }
        Ok(images)
    }
}

fn changed(
    baseline: &str,
    before: &[ReleasedPlatform],
    now: &[ReleasedPlatform],
    lock: Option<&LockFile>,
) -> Vec<Changes> {
    let seen = |one: &ReleasedPlatform| one.digest;
    let pairs = now.iter().filter_map(|now| {
        let mut before = before.iter();
        Some((before.find(|one| one.platform.matches(&now.platform))?, now))
    });
    let changes = pairs.map(|(before, now)| {
        changes::between(
            &now.platform,
            baseline,
            changes::Seen::of(seen(before), &before.manifest),
            changes::Seen::of(seen(now), &now.manifest),
            lock,
        )
    });
    changes.collect()
}

fn is_commit(text: &str) -> bool {
    text.parse::<nixpy_nix::Revision>().is_ok()
}
