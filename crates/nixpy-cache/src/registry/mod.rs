//! The cache that is a repository of a registry: who may push the image has a cache, and
//! nothing else to set up.
//!
//! | module | subject |
//! |---|---|
//! | `documents` | what lies there, and under which tags |
//! | `index`, `known`, `load` | the same in memory; how recent it is; reading it |
//! | `units`, `making`, `push` | what goes into which blob; archives of paths; putting them there, references first |
//! | `taking` | reading an archive out of a blob |
//! | `closing` | what a run has reached, and the catalog |
//! | `collect`, `plan` | removing what no recent run has reached |
//! | `trouble` | what did not work |
//!
//! **Packs.** A manifest a path, and a blob for each, would be five requests for each of
//! thousands of small paths. So what is pushed together is one manifest, a *pack*: its config
//! holds the narinfos, its layers the archives, small ones one after another in one blob. A
//! pack is visible with its tag and whole by then, because a registry takes no manifest whose
//! blobs it lacks; and packs are tagged in order, references before referrers. So what a
//! reader sees is closed at any moment, and an interrupted push leaves blobs that the next one
//! finds.
//!
//! **The list of tags is the truth.** Nothing is ever written over but the *catalog*, which
//! only spares readers to read each pack: who finds a pack in the list that the catalog lacks
//! reads it, and what the catalog holds of packs that are not listed does not count. Two that
//! write at once lose nothing.
//!
//! **Deleting while others write.** Who deletes says before, by a tag, which packs leave, and
//! looks at the list again after that; who pushes tags his pack before he looks for such a tag.
//! So at least one of the two sees the other: the one keeps what is needed, or the other puts
//! it there again (`closing`, `collect`).

mod closing;
mod collect;
mod documents;
mod index;
mod known;
mod load;
mod making;
mod plan;
mod push;
mod taking;
#[cfg(test)]
mod tests;
mod trouble;
mod units;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use futures_util::future::BoxFuture;
use nixpy_nix::StorePath;
use nixpy_nix::narinfo::NarInfo;
use nixpy_nix::path_info::PathInfo;
use nixpy_nix::signing::PublicKey;
use nixpy_oci::name::Tag;
use nixpy_oci::registry::{Registry, RemoteError};
use tokio::sync::{RwLock, Semaphore};

pub use collect::{CollectEvent, Collected, Keep, collect};

use crate::error::{CacheError, CacheErrorKind};
use crate::settings::CacheSettings;
use crate::source::{Nar, Source};
use crate::store::{Put, Store};
use index::{Found, Index};
use known::{Since, State};

/// More is not remembered to be told.
const MOST_TROUBLES: usize = 100;

/// A cache in a repository of a registry.
#[derive(Debug, Clone)]
pub struct RegistryCache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    registry: Registry,
    trusted: Vec<PublicKey>,
    read_only: bool,
    /// Blobs under way, and archives being made.
    uploads: Semaphore,
    making: Semaphore,
    place: PathBuf,
    clock: fn() -> SystemTime,
    state: RwLock<State>,
    /// Packs that this run has put there.
    written: Mutex<Vec<Tag>>,
    troubles: Mutex<Vec<CacheError>>,
}

impl RegistryCache {
    /// The cache of this repository, called as it was typed. What is in it counts only with a
    /// signature by one of these keys; without any it is empty, and nothing can be put there.
    pub fn new(
        name: String,
        registry: Registry,
        trusted: Vec<PublicKey>,
        settings: &CacheSettings,
    ) -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Self(Arc::new(Inner {
            name,
            registry,
            trusted,
            read_only: settings.read_only,
            uploads: Semaphore::new(settings.uploads.max(1)),
            // One that reads and one that compresses for each.
            making: Semaphore::new((2 * processors).min(6)),
            place: settings.place.clone(),
            clock: SystemTime::now,
            state: RwLock::default(),
            written: Mutex::default(),
            troubles: Mutex::default(),
        }))
    }

    /// The registry that it is in.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// What did not count or could not be used since this was asked last: by path or document.
    pub fn troubles(&self) -> Vec<CacheError> {
        std::mem::take(
            &mut *self
                .0
                .troubles
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// By another clock.
    #[cfg(test)]
    fn at(self, clock: fn() -> SystemTime) -> Self {
        let inner = Arc::into_inner(self.0).map(|inner| Inner { clock, ..inner });
        Self(Arc::new(inner.expect("nobody else has it yet")))
    }
}

impl Inner {
    fn now(&self) -> SystemTime {
        (self.clock)()
    }

    fn error(&self, act: impl Into<String>, kind: CacheErrorKind) -> CacheError {
        CacheError::new(&self.name, act, kind)
    }

    fn remote(&self, act: impl Into<String>, error: &RemoteError) -> CacheError {
        self.error(act, trouble::kind_of(error))
    }

    fn note(&self, error: CacheError) {
        tracing::warn!(%error);
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        if troubles.len() < MOST_TROUBLES {
            troubles.push(error);
        }
    }

    fn has_written(&self, pack: Tag) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.push(pack);
    }

    /// The path with this hash part, if it is there and counts.
    fn find(&self, index: &Index, hash: &str) -> Option<Found> {
        let (found, refused) = index.find(hash, &self.trusted);
        for refused in refused {
            let act = format!("serve {}", refused.what);
            self.note(self.error(act, CacheErrorKind::Broken(refused.why)));
        }
        found
    }

    async fn missing(
        self: &Arc<Self>,
        paths: &[PathInfo],
    ) -> Result<BTreeSet<StorePath>, CacheError> {
        let index = self.index(Since::LatelyOrAgain).await?;
        let missing = paths
            .iter()
            .filter(|info| self.find(&index, info.path.hash_part()).is_none())
            .map(|info| info.path.clone());
        Ok(missing.collect())
    }

    async fn narinfo(self: &Arc<Self>, hash: &str) -> Result<Option<NarInfo>, CacheError> {
        let found = {
            let index = self.index(Since::Ever).await?;
            self.find(&index, hash)
        };
        if let Some(found) = found {
            return Ok(Some(found.narinfo));
        }
        // Somebody else may have put it there meanwhile.
        let index = self.index(Since::Lately).await?;
        Ok(self.find(&index, hash).map(|found| found.narinfo))
    }
}

impl Store for RegistryCache {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn missing<'a>(
        &'a self,
        paths: &'a [PathInfo],
    ) -> BoxFuture<'a, Result<BTreeSet<StorePath>, CacheError>> {
        Box::pin(self.0.missing(paths))
    }

    fn put<'a>(&'a self, paths: &'a [PathInfo]) -> BoxFuture<'a, Put> {
        Box::pin(push::put(&self.0, paths))
    }

    fn close<'a>(&'a self, reached: &'a [StorePath]) -> BoxFuture<'a, Result<(), CacheError>> {
        Box::pin(closing::close(&self.0, reached))
    }
}

impl Source for RegistryCache {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn narinfo<'a>(
        &'a self,
        hash_part: &'a str,
    ) -> BoxFuture<'a, Result<Option<NarInfo>, CacheError>> {
        Box::pin(self.0.narinfo(hash_part))
    }

    fn nar<'a>(
        &'a self,
        url: &'a str,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Option<Nar>, CacheError>> {
        Box::pin(taking::nar(&self.0, url, range))
    }

    fn troubles(&self) -> Vec<CacheError> {
        RegistryCache::troubles(self)
    }
}
