//! The caches behind the server: which has a path, and which has given up.
//!
//! Every question has a time, and a cache that has failed [`PATIENCE`] times in a row is not
//! asked for [`PAUSE`], and then for twice as long: Nix asks about thousands of paths, and each
//! would wait. So it is with archives that do not come, whatever the cache says of paths.
//!
//! An archive that did not come to its end is not offered again for [`PAUSE`]. Nix, whose
//! `fallback` is set in a run, disables a cache after a download that has failed for good,
//! and versions up to 2.8 at least are ended by SIGABRT when they ask it once more; that a
//! file is not there is no such failure. So what Nix tries again has to end well, or with 404.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nixpy_nix::narinfo::NarInfo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Given;
use crate::error::{CacheError, CacheErrorKind};
use crate::source::Source;

/// For what a cache says of one path. Slower than this, building is no worse.
const FOR_AN_ANSWER: Duration = Duration::from_secs(10);
/// So many failures in a row.
const PATIENCE: u32 = 3;
/// So many archives in a row that did not come, or not to the end: of each, 20 s may be lost.
const PATIENCE_WITH_ARCHIVES: u32 = 2;
/// After either.
const PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// An archive that is unpacked needs as much memory as its window: half a megabyte at the
/// level that we write, up to 9 MB at the highest.
pub(super) const UNPACKED_AT_ONCE: usize = 10;
/// Less than Nix waits for the next byte (`stalled-download-timeout` in a run).
const FOR_A_SEAT: Duration = Duration::from_secs(25);
/// Of the troubles, so many are told in words.
const MOST_TOLD: usize = 20;
/// A path's hash that belongs to none: to wake a cache.
const NOBODYS: &str = "00000000000000000000000000000000";

/// What came of serving.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Narinfos that were given.
    pub hits: u64,
    /// Narinfos that no cache has.
    pub misses: u64,
    /// Of archives, as they were sent.
    pub bytes: u64,
    /// Questions that a cache did not answer, archives that broke off.
    pub troubles: u64,
    /// Some of them in words, each once.
    pub words: Vec<Trouble>,
}

/// What a cache did not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// As it was typed.
    pub cache: String,
    /// What it was.
    pub problem: String,
    /// What to do about it, where that is known.
    pub cure: Option<String>,
}

/// The caches, in their order.
#[derive(Debug)]
pub(super) struct Shelf {
    caches: Vec<Cache>,
    pub(super) given: Given,
    hits: AtomicU64,
    misses: AtomicU64,
    bytes: AtomicU64,
    troubles: AtomicU64,
    words: Mutex<Vec<Trouble>>,
    unpacking: Arc<Semaphore>,
}

#[derive(Debug)]
struct Cache {
    source: Arc<dyn Source>,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    /// Paths whose archives did not come, by hash part, and until when that counts.
    without: HashMap<String, Instant>,
    /// Questions in a row that were not answered.
    failures: u32,
    /// Archives in a row that did not come.
    lost: u32,
    pauses: u32,
    asleep_until: Option<Instant>,
}

/// What was found of a path, and where.
pub(super) struct Found {
    pub(super) info: NarInfo,
    pub(super) source: Arc<dyn Source>,
}

impl Shelf {
    pub(super) fn new(sources: Vec<Arc<dyn Source>>, given: Given) -> Self {
        let caches = sources.into_iter().map(|source| Cache {
            source,
            health: Mutex::default(),
        });
        Self {
            caches: caches.collect(),
            given,
            hits: AtomicU64::default(),
            misses: AtomicU64::default(),
            bytes: AtomicU64::default(),
            troubles: AtomicU64::default(),
            words: Mutex::default(),
            unpacking: Arc::new(Semaphore::new(UNPACKED_AT_ONCE)),
        }
    }

    /// Waits until another archive may be unpacked; but not for ever, since whoever reads the
    /// others may have been put to sleep.
    pub(super) async fn seat_to_unpack(&self) -> Option<OwnedSemaphorePermit> {
        let seat = Arc::clone(&self.unpacking).acquire_owned();
        tokio::time::timeout(FOR_A_SEAT, seat).await.ok()?.ok()
    }

    /// Has every cache read what it knows paths by, so that the first question need not.
    pub(super) async fn wake(self: Arc<Self>) {
        let asked = self.caches.iter().map(|cache| self.ask(cache, NOBODYS));
        futures_util::future::join_all(asked).await;
    }

    /// The first cache that has the path.
    pub(super) async fn find(&self, hash_part: &str) -> Option<Found> {
        for cache in &self.caches {
            if cache.is_without(hash_part) {
                continue;
            }
            if let Some(info) = self.ask(cache, hash_part).await {
                let source = Arc::clone(&cache.source);
                return Some(Found { info, source });
            }
        }
        None
    }

    /// What one cache says of the path; nothing if it does not say anything in time, or what
    /// is no use to anybody.
    async fn ask(&self, cache: &Cache, hash_part: &str) -> Option<NarInfo> {
        if cache.is_asleep() {
            return None;
        }
        let asked = cache.source.narinfo(hash_part);
        let answer = match tokio::time::timeout(FOR_AN_ANSWER, asked).await {
            Ok(answer) => answer,
            Err(_) => {
                let seconds = FOR_AN_ANSWER.as_secs();
                let silent = CacheErrorKind::Unreachable(format!("no answer in {seconds} s"));
                let act = format!("say what it has of {hash_part}");
                Err(CacheError::new(cache.source.name(), act, silent))
            }
        };
        match answer {
            Ok(found) => {
                cache.is_well();
                found.filter(|info| is_fit(info, hash_part))
            }
            Err(error) => {
                // One path that is damaged, or not to be believed, says nothing of the others.
                if !matches!(error.kind, CacheErrorKind::Broken(_)) {
                    cache.has_failed();
                }
                self.trouble(&error);
                None
            }
        }
    }

    pub(super) fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// An archive came to its end.
    pub(super) fn has_given(&self, cache: &str) {
        self.named(cache).for_each(Cache::has_given);
    }

    /// The archive of a path did not come, or not to its end.
    pub(super) fn has_lost(&self, hash_part: &str, error: &CacheError) {
        let caches = self.named(&error.cache);
        caches.for_each(|cache| cache.will_be_without(hash_part));
        if !matches!(error.kind, CacheErrorKind::Broken(_)) {
            self.named(&error.cache).for_each(Cache::has_lost);
        }
        self.trouble(error);
    }

    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Cache> {
        let caches = self.caches.iter();
        caches.filter(move |cache| cache.source.name() == name)
    }

    fn trouble(&self, error: &CacheError) {
        tracing::debug!(%error, "trouble with a cache");
        self.troubles.fetch_add(1, Ordering::Relaxed);
        let problem = match &error.kind {
            // Which path it is about matters.
            CacheErrorKind::Broken(problem) => format!("it cannot {}: {problem}", error.act),
            kind => kind.to_string(),
        };
        let trouble = Trouble {
            cache: error.cache.clone(),
            problem,
            cure: error.cure().map(str::to_owned),
        };
        if let Ok(mut words) = self.words.lock()
            && words.len() < MOST_TOLD
            && !words.contains(&trouble)
        {
            words.push(trouble);
        }
    }

    pub(super) fn told(&self) -> Told {
        for cache in &self.caches {
            for error in cache.source.troubles() {
                self.trouble(&error);
            }
        }
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let words = self.words.lock();
        Told {
            hits: count(&self.hits),
            misses: count(&self.misses),
            bytes: count(&self.bytes),
            troubles: count(&self.troubles),
            words: words.map(|words| words.clone()).unwrap_or_default(),
        }
    }
}

impl Cache {
    fn is_asleep(&self) -> bool {
        let health = self.health.lock();
        let until = health.ok().and_then(|health| health.asleep_until);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn is_well(&self) {
        if let Ok(mut health) = self.health.lock() {
            health.failures = 0;
        }
    }

    fn has_given(&self) {
        if let Ok(mut health) = self.health.lock() {
            (health.lost, health.pauses) = (0, 0);
        }
    }

    fn is_without(&self, hash_part: &str) -> bool {
        self.health.lock().is_ok_and(|health| {
            let until = health.without.get(hash_part);
            until.is_some_and(|until| *until > Instant::now())
        })
    }

    fn will_be_without(&self, hash_part: &str) {
        if let Ok(mut health) = self.health.lock() {
            let now = Instant::now();
            health.without.retain(|_, until| *until > now);
            health.without.insert(hash_part.to_owned(), now + PAUSE);
        }
    }

    fn has_failed(&self) {
        if let Ok(mut health) = self.health.lock() {
            health.failures += 1;
            health.rests();
        }
    }

    fn has_lost(&self) {
        if let Ok(mut health) = self.health.lock() {
            health.lost += 1;
            health.rests();
        }
    }
}

impl Health {
    /// After a pause it is asked once, and if that fails, left alone for longer.
    fn rests(&mut self) {
        if self.failures >= PATIENCE || self.lost >= PATIENCE_WITH_ARCHIVES {
            let pause = PAUSE.saturating_mul(1 << self.pauses.min(8));
            self.asleep_until = Some(Instant::now() + pause.min(LONGEST_PAUSE));
            self.pauses += 1;
        }
    }
}

/// Whether it is of the path that was asked for, of the store that is served, and signed: by
/// whom is for the cache to have seen, and for Nix to see again.
fn is_fit(info: &NarInfo, hash_part: &str) -> bool {
    let path = &info.info.path;
    let is_right = path.hash_part() == hash_part && path.store_dir() == super::answer::STORE_DIR;
    is_right && !info.info.signatures.is_empty()
}
