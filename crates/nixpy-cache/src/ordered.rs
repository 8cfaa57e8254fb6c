//! Several paths sent at once, and seen in their order: a path appears in a cache after
//! everything among them that it refers to.
//!
//! Sending an archive makes nothing visible, so archives need no order; what makes a path
//! visible waits. A path that fails takes those with it that refer to it. Where the cache
//! refuses, is full or asks for time, or cannot be reached several times on end, what has not been begun
//! is not begun: it would only be told the same, thousands of times.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use nixpy_nix::StorePath;
use nixpy_nix::path_info::PathInfo;
use tokio::sync::{Semaphore, watch};

use crate::error::{CacheError, CacheErrorKind};
use crate::store::Put;

/// So many paths on end that a cache does not answer for are enough.
const SILENCES: usize = 3;

/// Sends each of these paths, at most so many at once, and publishes what `send` gave for
/// it once everything that it refers to is published. Both tell how many bytes they sent.
pub(crate) async fn put_in_order<'a, Sent, Sending, Publishing>(
    cache: &str,
    paths: &'a [PathInfo],
    at_once: usize,
    send: impl Fn(&'a PathInfo) -> Sending,
    publish: impl Fn(&'a PathInfo, Sent) -> Publishing,
) -> Put
where
    Sending: Future<Output = Result<(Sent, u64), CacheErrorKind>>,
    Publishing: Future<Output = Result<u64, CacheErrorKind>>,
{
    let states: BTreeMap<&StorePath, watch::Sender<State>> = paths
        .iter()
        .map(|info| (&info.path, watch::Sender::new(State::UnderWay)))
        .collect();
    let (sending, publishing) = (
        Semaphore::new(at_once.max(1)),
        Semaphore::new(at_once.max(1)),
    );
    let mood = Mood::default();
    let one = async |info: &'a PathInfo| -> Result<u64, CacheErrorKind> {
        let (sent, archive) = {
            // Neither is ever closed.
            let _slot = sending.acquire().await;
            mood.goes_on()?;
            references(&states, info)
                .try_for_each(|(path, state)| failed(path, &state.borrow()))?;
            mood.noted(send(info).await)?
        };
        for (path, state) in references(&states, info) {
            let mut state = state.subscribe();
            let ended = state.wait_for(|state| *state != State::UnderWay).await;
            // Its sender lives as long as this function.
            if let Ok(state) = ended {
                failed(path, &state)?;
            }
        }
        let _slot = publishing.acquire().await;
        mood.goes_on()?;
        Ok(archive + mood.noted(publish(info, sent).await)?)
    };
    let (one, states) = (&one, &states);
    let mut under_way: FuturesUnordered<_> = paths
        .iter()
        .map(|info| async move {
            let outcome = one(info).await;
            if let Some(state) = states.get(&info.path) {
                state.send_replace(State::of(&outcome));
            }
            (info, outcome)
        })
        .collect();
    let mut put = Put::default();
    while let Some((info, outcome)) = under_way.next().await {
        match outcome {
            Ok(sent) => {
                put.stored.insert(info.path.clone());
                put.sent += sent;
            }
            Err(kind) => {
                let error = CacheError::new(cache, format!("store {}", info.path), kind);
                put.failed.push((info.path.clone(), error));
            }
        }
    }
    put
}

/// Those of these paths that a cache lacks, each asked for by itself, so many at once.
pub(crate) async fn missing_of<'a, Asking>(
    paths: &'a [PathInfo],
    at_once: usize,
    has: impl Fn(&'a PathInfo) -> Asking,
) -> Result<BTreeSet<StorePath>, CacheErrorKind>
where
    Asking: Future<Output = Result<bool, CacheErrorKind>>,
{
    let asked = paths.iter().map(|info| {
        let asking = has(info);
        async move { asking.await.map(|is_there| (info, is_there)) }
    });
    let asked: Vec<_> = asked.collect();
    let mut answers = futures_util::stream::iter(asked).buffer_unordered(at_once.max(1));
    let mut missing = BTreeSet::new();
    while let Some(answer) = answers.next().await {
        let (info, is_there) = answer?;
        if !is_there {
            missing.insert(info.path.clone());
        }
    }
    Ok(missing)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    UnderWay,
    Stored,
    Failed { passing: bool },
}

impl State {
    fn of(outcome: &Result<u64, CacheErrorKind>) -> Self {
        match outcome {
            Ok(_) => Self::Stored,
            Err(kind) => Self::Failed {
                passing: kind.is_transient(),
            },
        }
    }
}

fn references<'s>(
    states: &'s BTreeMap<&StorePath, watch::Sender<State>>,
    info: &'s PathInfo,
) -> impl Iterator<Item = (&'s StorePath, &'s watch::Sender<State>)> {
    let others = info.references.iter().filter(|path| **path != info.path);
    others.filter_map(|path| Some((path, states.get(path)?)))
}

fn failed(path: &StorePath, state: &State) -> Result<(), CacheErrorKind> {
    let because = || format!("it refers to {path}, which is not there");
    match state {
        State::Failed { passing: true } => Err(CacheErrorKind::Unreachable(because())),
        State::Failed { passing: false } => Err(CacheErrorKind::Broken(because())),
        State::UnderWay | State::Stored => Ok(()),
    }
}

/// How a cache takes what it is given.
#[derive(Default)]
struct Mood(Mutex<(usize, Option<CacheErrorKind>)>);

impl Mood {
    fn noted<T>(&self, outcome: Result<T, CacheErrorKind>) -> Result<T, CacheErrorKind> {
        let mut mood = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (silences, told) = &mut *mood;
        match &outcome {
            Ok(_) => *silences = 0,
            Err(CacheErrorKind::Unreachable(_)) => *silences += 1,
            Err(_) => {}
        }
        if let Err(kind) = &outcome
            && told.is_none()
            && (kind.concerns_all() || *silences >= SILENCES)
        {
            *told = kind.again();
        }
        drop(mood);
        outcome
    }

    fn goes_on(&self) -> Result<(), CacheErrorKind> {
        let mood = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match mood.1.as_ref().and_then(CacheErrorKind::again) {
            Some(kind) => Err(kind),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
