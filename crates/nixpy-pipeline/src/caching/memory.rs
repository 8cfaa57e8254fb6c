//! Which caches were found complete, remembered on this machine: a run that has nothing to
//! do need not ask them again.
//!
//! For some hours only. A cache may lose what it had, and what a run has reached is kept
//! there the longer the more recently that was told.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nixpy_cache::{CacheSettings, Place};
use nixpy_nix::StorePath;
use serde::{Deserialize, Serialize};

use crate::memo::Memo;
use crate::plan::Plan;

const HOURS: Duration = Duration::from_secs(6 * 3600);

/// What was found complete, and when.
pub(super) struct Memory<'a> {
    folder: PathBuf,
    question: Question<'a>,
    settings: &'a CacheSettings,
    now: SystemTime,
}

/// What has to be the same for a cache to be complete still.
#[derive(Serialize)]
struct Question<'a> {
    outputs: Vec<&'a StorePath>,
    derivations: Vec<&'a StorePath>,
    exclude: &'a [String],
    upstream: &'a [String],
    key: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Found {
    complete: SystemTime,
}

impl<'a> Memory<'a> {
    pub(super) fn of(
        state_dir: &Path,
        plan: &'a Plan,
        settings: &'a CacheSettings,
        now: SystemTime,
    ) -> Self {
        let key = settings.signing_key.as_ref();
        Self {
            folder: state_dir.join("caches"),
            question: Question {
                outputs: plan.jobs.iter().map(|job| &job.output).collect(),
                derivations: plan.jobs.iter().map(|job| &job.derivation).collect(),
                exclude: &settings.exclude,
                upstream: &settings.upstream,
                key: key.map(|key| key.public().to_string()),
            },
            settings,
            now,
        }
    }

    /// Whether this cache was complete a short time ago.
    pub(super) fn is_complete(&self, place: &Place) -> bool {
        let found: Option<Found> = self.memo(place).recall();
        let age = found.and_then(|found| self.now.duration_since(found.complete).ok());
        age.is_some_and(|age| age < HOURS)
    }

    /// It is complete now.
    pub(super) fn keep(&self, place: &Place) {
        let complete = self.now;
        self.memo(place).keep(&Found { complete });
    }

    fn memo(&self, place: &Place) -> Memo {
        // `registry` is another for every image.
        let cache = match self.settings.repository(place) {
            Some(repository) => format!("oci://{repository}"),
            None => place.to_string(),
        };
        Memo::of(&self.folder, &cache, &self.question)
    }
}
