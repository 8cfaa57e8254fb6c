//! What a run by digest leaves for another to join: which images it has put where,
//! without a tag, and of which source they are.
//!
//! It leaves the machine as versioned JSON and comes back from who knows where: so every
//! word of it is parsed into its type, and what could contradict itself is held against
//! itself. That an image is where the result says is asked of the registry, by
//! [`crate::join`].

use std::collections::BTreeSet;

use nixpy_nix::Source;
use nixpy_oci::image::Pushed;
use nixpy_oci::manifest::{Descriptor, media_type};
use nixpy_oci::name::Repository;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget::Budget;
use crate::changes::Changes;
use crate::platform::platform_of;
use crate::report::{PlatformReport, Report};
use crate::smoke::Verdict;
use crate::timeline::Counts;

/// A file that is longer is none; one of a hundred layers has some 30 kB for a platform.
pub const LARGEST: u64 = 4 << 20;
/// No registry takes a larger manifest.
const LARGEST_MANIFEST: u64 = 4 << 20;
const VERSION: u32 = 1;

/// The images of one run by digest. The JSON form is version 1: fields may be added.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RunResult {
    /// Of this form of JSON.
    pub version: u32,
    /// As it was given to Nix.
    pub flake: String,
    /// What was built.
    pub source: Source,
    /// Where the images are; in each of them all.
    pub repositories: Vec<Repository>,
    /// The images are nowhere: the run was a rehearsal, and so is what follows it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rehearsed: bool,
    /// The images, one a platform.
    pub platforms: Vec<Published>,
    /// What is different from the images before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Changes>,
    /// What every image was held against, and keeps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// How much Nix had to build, and to fetch.
    #[serde(default)]
    pub counts: Counts,
}

/// One platform's image, in place without a tag.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// Its entry in an index, as it will stand there.
    pub manifest: Descriptor,
    /// What the run has reported of it.
    #[serde(flatten)]
    pub report: PlatformReport,
}

/// A text that is no result.
#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    /// It is not JSON of this form.
    #[error("it is not the result of a `nixpy-ci run --by-digest`: {0}")]
    Form(String),
    /// Another nixpy-ci wrote it.
    #[error(
        "it is of version {0}, and this nixpy-ci reads version {VERSION}: let the same nixpy-ci run in all jobs"
    )]
    Version(u64),
    /// It contradicts itself.
    #[error("it is damaged: {0}; run its job again")]
    Damaged(String),
}

impl RunResult {
    /// Of what a run has published by digest, in the order of its report.
    pub fn of(
        report: &Report,
        source: Source,
        repositories: Vec<Repository>,
        pushed: &[Pushed],
    ) -> Self {
        let each = report.platforms.iter().zip(pushed);
        Self {
            version: VERSION,
            flake: report.flake.clone(),
            source,
            repositories,
            rehearsed: report.rehearsed,
            platforms: each
                .map(|(report, pushed)| Published {
                    manifest: pushed.manifest.clone(),
                    report: report.clone(),
                })
                .collect(),
            changes: report.changes.clone(),
            budgets: report.budgets.clone(),
            counts: report.counts,
        }
    }

    /// Reads what somebody says is a result.
    ///
    /// # Errors
    /// [`ResultError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ResultError> {
        // A later version may have anything in it but this.
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let form = |error: serde_json::Error| ResultError::Form(error.to_string());
        let Versioned { version } = serde_json::from_slice(bytes).map_err(form)?;
        if version != u64::from(VERSION) {
            return Err(ResultError::Version(version));
        }
        let value: Value = serde_json::from_slice(bytes).map_err(form)?;
        let is_harmless = !has_control_characters(&value);
        let result: Self = serde_json::from_value(value).map_err(form)?;
        if !is_harmless {
            let what = "a text in it has control characters".to_owned();
            return Err(ResultError::Damaged(what));
        }
        result.agrees_with_itself().map_err(ResultError::Damaged)?;
        Ok(result)
    }

    /// The JSON, for a file.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    fn agrees_with_itself(&self) -> Result<(), String> {
        if !self.source.is_known() {
            return Err("it does not say what was built".to_owned());
        }
        if self.repositories.is_empty() || self.platforms.is_empty() {
            return Err("it names no image, or no repository".to_owned());
        }
        let distinct: BTreeSet<&Repository> = self.repositories.iter().collect();
        if distinct.len() < self.repositories.len() {
            return Err("it names a repository twice".to_owned());
        }
        self.platforms.iter().try_for_each(Published::agrees)
    }
}

/// No text of a result has any, and whoever prints one must not be made to act by it. A
/// container's log may, but of an image that works there is none.
fn has_control_characters(value: &Value) -> bool {
    match value {
        Value::String(text) => text.chars().any(char::is_control),
        Value::Array(values) => values.iter().any(has_control_characters),
        Value::Object(map) => map.values().any(has_control_characters),
        _ => false,
    }
}

impl Published {
    fn agrees(&self) -> Result<(), String> {
        let Self { manifest, report } = self;
        let system = &report.system;
        if manifest.media_type != media_type::MANIFEST
            || !(1..=LARGEST_MANIFEST).contains(&manifest.size)
        {
            return Err(format!("what it has for {system} is not an image manifest"));
        }
        let platforms = [manifest.platform.as_ref(), Some(&report.platform)];
        let platform = platform_of(system);
        if platform.is_none() || platforms.iter().any(|one| *one != platform.as_ref()) {
            return Err(format!("what it has for {system} is for another platform"));
        }
        let verdict = report.smoke.as_ref().map(|tested| tested.verdict);
        if verdict == Some(Verdict::Failed) {
            return Err(format!("its image for {system} has failed its smoke test"));
        }
        if manifest.digest != report.digest {
            return Err(format!("it names two digests for {system}"));
        }
        Ok(())
    }
}
