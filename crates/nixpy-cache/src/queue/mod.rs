//! Paths on their way into caches, while Nix builds and after.
//!
//! Each cache has a line of its own, so that a slow one keeps no other waiting. What waits
//! are names, references before referrers; what is known of a path is asked when its turn
//! comes, so that memory does not grow with a closure. A worker takes what has gathered,
//! asks the cache once what of it is missing, signs that and puts it. What fails for a
//! passing reason is tried again, after the time that the cache asks for; a cache that
//! fails again and again is let alone for a minute. One that refuses or is full is given up
//! for this run. When nothing more comes, there is a set time to finish: then a cache that
//! fails is given up too, after one more such wait if it has taken something in this run.
//! When that time is over, it is cut.
//!
//! Nothing here fails: what became of each cache is told ([`Filled`]), and whether that
//! matters is decided by others.

mod filled;
mod putting;
mod state;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use nixpy_nix::path_info::PathInfo;
use nixpy_nix::signing::SecretKey;
use nixpy_nix::{Nix, StorePath};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::error::CacheError;
use crate::store::Store;
pub use filled::{End, Filled, Problem};
use worker::Worker;

/// Paths on their way into caches.
pub struct Queue<'a> {
    lines: Vec<Line>,
    shelf: &'a dyn Shelf,
    key: Option<&'a SecretKey>,
    pace: Pace,
    /// Until when what waits is worked off, once nothing more comes.
    end: watch::Sender<Option<Instant>>,
}

/// Where what is known of paths can be asked.
pub trait Shelf: Send + Sync {
    /// What is known of those of these paths that are there.
    fn describe<'a>(
        &'a self,
        paths: &'a [StorePath],
    ) -> BoxFuture<'a, Result<Vec<PathInfo>, String>>;
}

/// How much at once, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// So many paths are asked for at once.
    pub paths: usize,
    /// So many bytes of archives are put at once, or one path.
    pub bytes: u64,
    /// So often a cache is tried that does not take a single path, before it is let alone.
    pub attempts: u32,
    /// The wait before it is tried again; it doubles from there.
    pub first_wait: Duration,
    /// No cache is waited for longer than this, whatever it asks for.
    pub longest_wait: Duration,
    /// For a cache to say what it lacks.
    pub patience: Duration,
    /// One that fails again and again is let alone for so long.
    pub rest: Duration,
    /// For one that was cut to take note of what the run has reached.
    pub last_word: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            paths: 500,
            bytes: 1 << 30,
            attempts: 5,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(60),
            patience: Duration::from_secs(60),
            rest: Duration::from_secs(60),
            last_word: Duration::from_secs(10),
        }
    }
}

/// Paths are there now that were not before.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// Where.
    pub cache: &'a str,
    /// So many.
    pub paths: u64,
    /// So many bytes were sent for them.
    pub bytes: u64,
    /// So many wait still.
    pub waiting: u64,
}

/// A cache, and what waits for it.
struct Line {
    store: Box<dyn Store>,
    waiting: Mutex<VecDeque<StorePath>>,
    /// Rung when something has come, or nothing more will.
    bell: Notify,
    /// Whether nothing waits, and nothing is being stored.
    idle: AtomicBool,
}

impl<'a> Queue<'a> {
    /// Of these caches, with nothing in it.
    pub fn to(
        stores: Vec<Box<dyn Store>>,
        shelf: &'a dyn Shelf,
        key: Option<&'a SecretKey>,
        pace: Pace,
    ) -> Self {
        let line = |store| Line {
            store,
            waiting: Mutex::default(),
            bell: Notify::new(),
            idle: AtomicBool::new(true),
        };
        Self {
            lines: stores.into_iter().map(line).collect(),
            shelf,
            key,
            pace,
            end: watch::Sender::new(None),
        }
    }

    /// Takes these paths, each of them once in the life of a queue. What one refers to comes
    /// before it, came before, or is in a cache upstream.
    pub fn hand(&self, paths: &[StorePath]) {
        for line in &self.lines {
            lock(&line.waiting).extend(paths.iter().cloned());
            line.idle
                .store(paths.is_empty() && line.is_idle(), Ordering::Relaxed);
            line.bell.notify_one();
        }
    }

    /// Whether there is nothing to do at the moment.
    pub fn is_idle(&self) -> bool {
        self.lines.iter().all(Line::is_idle)
    }

    /// Nothing more comes; what waits may be worked off until then.
    pub fn close(&self, end: Instant) {
        self.end.send_replace(Some(end));
        self.lines.iter().for_each(|line| line.bell.notify_one());
    }

    /// Works until the queue is closed and empty, or its time is over.
    pub async fn work(&self, on_stored: &(dyn Fn(Stored<'_>) + Sync)) -> Vec<Filled> {
        let workers = self
            .lines
            .iter()
            .map(|line| Worker::of(self, line, on_stored));
        join_all(workers.map(Worker::work)).await
    }
}

impl Line {
    fn is_idle(&self) -> bool {
        self.idle.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Queue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines.iter();
        let waiting = lines.map(|line| (line.store.name(), lock(&line.waiting).len()));
        f.debug_map().entries(waiting).finish()
    }
}

/// The store of this machine.
impl Shelf for Nix {
    fn describe<'a>(
        &'a self,
        paths: &'a [StorePath],
    ) -> BoxFuture<'a, Result<Vec<PathInfo>, String>> {
        Box::pin(async move {
            let known = nixpy_nix::path_info::known(self, paths).await;
            known.map_err(|error| error.to_string())
        })
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The wait before another attempt: what is asked for, or twice the wait before.
fn wait(pace: &Pace, attempt: u32, error: &CacheError) -> Duration {
    let asked = match error.kind {
        crate::CacheErrorKind::Throttled { retry_after } => retry_after,
        _ => None,
    };
    let wait = asked.unwrap_or_else(|| doubled(pace, attempt));
    wait.min(pace.longest_wait)
}

fn doubled(pace: &Pace, attempt: u32) -> Duration {
    let doubled = pace.first_wait.saturating_mul(1 << attempt.min(16));
    doubled.min(pace.longest_wait)
}
