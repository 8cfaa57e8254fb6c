//! The one who fills one cache.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use nixpy_nix::StorePath;
use nixpy_nix::path_info::PathInfo;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::putting::portions;
use super::state::State;
use super::{End, Filled, Line, Queue, Stored, doubled, lock, wait};
use crate::error::{CacheError, CacheErrorKind};

/// Fills one cache.
pub(super) struct Worker<'a> {
    pub(super) queue: &'a Queue<'a>,
    pub(super) line: &'a Line,
    pub(super) on_stored: &'a (dyn Fn(Stored<'_>) + Sync),
    pub(super) state: Mutex<State>,
}

/// Nothing more is put there.
pub(super) enum GivenUp {
    /// What hinders may pass.
    ForNow(CacheError),
    ForGood,
}

impl<'a> Worker<'a> {
    pub(super) fn of(
        queue: &'a Queue<'a>,
        line: &'a Line,
        on_stored: &'a (dyn Fn(Stored<'_>) + Sync),
    ) -> Self {
        let state = State::of(line.store.name());
        Self {
            queue,
            line,
            on_stored,
            state: Mutex::new(state),
        }
    }

    /// Until there is nothing more to do, or no time.
    pub(super) async fn work(self) -> Filled {
        let worked = tokio::select! {
            // What is done at the very end is done.
            biased;
            has_told = self.work_off() => Some(has_told),
            () = self.time_is_over() => None,
        };
        let waiting = lock(&self.line.waiting).len();
        {
            let mut state = lock(&self.state);
            state.filled.left = state.open() + waiting as u64;
            if worked.is_none() {
                state.filled.end = End::Cut;
                if let Some(error) = state.trouble.take() {
                    state.filled.note(&error);
                }
            }
            state.filled.seconds = state
                .begun
                .map_or(0.0, |begun| begun.elapsed().as_secs_f64());
        }
        if worked != Some(true) {
            self.tell_in_the_end().await;
        }
        lock(&self.state).filled.clone()
    }

    async fn time_is_over(&self) {
        let mut end = self.queue.end.subscribe();
        // Its sender lives as long as the queue.
        let end = end
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|end| *end);
        match end {
            Some(end) => sleep_until(end).await,
            None => std::future::pending().await,
        }
    }

    /// Until there is nothing more to do; whether the cache knows what was reached, or was
    /// asked to often enough.
    async fn work_off(&self) -> bool {
        while let Some(names) = self.next().await {
            let Err(given_up) = self.fill(&names).await else {
                lock(&self.state).trouble = None;
                continue;
            };
            if !self.is_tried_again(given_up, names).await {
                self.count_only().await;
                return false;
            }
        }
        let reached = lock(&self.state).reached();
        if reached.is_empty() {
            return true;
        }
        let mut attempt = 0;
        while let Err(error) = self.line.store.close(&reached).await {
            attempt += 1;
            if !error.is_transient() || attempt >= self.queue.pace.attempts {
                self.end_with(&error);
                return true;
            }
            sleep(wait(&self.queue.pace, attempt - 1, &error)).await;
        }
        true
    }

    /// What is there is kept the longer, though not everything is.
    async fn tell_in_the_end(&self) {
        let (reached, end) = {
            let state = lock(&self.state);
            (state.reached(), state.filled.end)
        };
        if reached.is_empty() || end == End::Refused {
            return;
        }
        let told = timeout(self.queue.pace.last_word, self.line.store.close(&reached)).await;
        tracing::debug!(?told, "what was reached, in the end");
    }

    /// Lets the cache alone for a while if what hinders may pass. These names are first in
    /// the line then, as far as they are not there.
    async fn is_tried_again(&self, given_up: GivenUp, names: Vec<StorePath>) -> bool {
        let GivenUp::ForNow(error) = given_up else {
            return false;
        };
        {
            let mut state = lock(&self.state);
            let mut waiting = lock(&self.line.waiting);
            for name in state.give_back(names).into_iter().rev() {
                waiting.push_front(name);
            }
            state.trouble = Some(error);
        }
        if self.rest().await {
            return true;
        }
        let error = lock(&self.state).trouble.take();
        if let Some(error) = error {
            self.end_with(&error);
        }
        false
    }

    /// A while, or until nothing more comes; whether the cache is to be tried once more.
    /// When nothing more comes, only one that has taken something is worth another wait.
    pub(super) async fn rest(&self) -> bool {
        let mut closed = self.queue.end.subscribe();
        let end = *closed.borrow_and_update();
        let rest = self.queue.pace.rest;
        let Some(end) = end else {
            let _ = timeout(rest, closed.wait_for(Option::is_some)).await;
            return true;
        };
        {
            let mut state = lock(&self.state);
            if state.filled.pushed == 0 || state.has_rested_in_the_end {
                return false;
            }
            state.has_rested_in_the_end = true;
        }
        sleep(rest.min(end.duration_since(Instant::now()) / 2)).await;
        true
    }

    /// What has gathered; `None` when nothing more comes.
    async fn next(&self) -> Option<Vec<StorePath>> {
        loop {
            {
                let mut waiting = lock(&self.line.waiting);
                let count = waiting.len().min(self.queue.pace.paths);
                if count > 0 {
                    return Some(waiting.drain(..count).collect());
                }
                self.line.idle.store(true, Ordering::Relaxed);
                if self.queue.end.borrow().is_some() {
                    return None;
                }
            }
            self.line.bell.notified().await;
        }
    }

    /// What comes for a cache that was given up is counted, and not kept.
    async fn count_only(&self) {
        loop {
            let more = std::mem::take(&mut *lock(&self.line.waiting)).len();
            lock(&self.state).leave_out(more);
            self.line.idle.store(true, Ordering::Relaxed);
            if self.queue.end.borrow().is_some() {
                return;
            }
            self.line.bell.notified().await;
        }
    }

    async fn fill(&self, names: &[StorePath]) -> Result<(), GivenUp> {
        lock(&self.state).take(names);
        let infos = self.describe(names).await;
        if infos.is_empty() {
            return Ok(());
        }
        let missing = self.missing(&infos).await?;
        let (lacking, present): (Vec<PathInfo>, Vec<PathInfo>) = infos
            .into_iter()
            .partition(|info| missing.contains(&info.path));
        self.are_there(&present, |filled| &mut filled.present);
        let lacking: Vec<PathInfo> = lacking.into_iter().map(|info| self.signed(info)).collect();
        for some in portions(&lacking, self.queue.pace.bytes) {
            self.put(some).await?;
        }
        Ok(())
    }

    /// What is known of these, in their order. What is not there any more cannot be put.
    async fn describe(&self, names: &[StorePath]) -> Vec<PathInfo> {
        let pace = &self.queue.pace;
        let mut attempt = 0;
        let (mut known, problem) = loop {
            let problem = match self.queue.shelf.describe(names).await {
                Ok(infos) => break (infos, "it is not in the store any more".to_owned()),
                Err(problem) => problem,
            };
            attempt += 1;
            if attempt >= pace.attempts {
                break (Vec::new(), problem);
            }
            tracing::debug!(problem, attempt, "described again");
            sleep(doubled(pace, attempt - 1)).await;
        };
        let mut known: BTreeMap<StorePath, PathInfo> = known
            .drain(..)
            .map(|info| (info.path.clone(), info))
            .collect();
        let mut found = Vec::new();
        for name in names {
            match known.remove(name) {
                Some(info) => found.push(info),
                None => self.has_failed(name, &self.here(name, problem.clone())),
            }
        }
        found
    }

    async fn missing(&self, infos: &[PathInfo]) -> Result<BTreeSet<StorePath>, GivenUp> {
        let pace = &self.queue.pace;
        let mut attempt = 0;
        loop {
            let asked = timeout(pace.patience, self.line.store.missing(infos)).await;
            let error = match asked {
                Ok(Ok(missing)) => return Ok(missing),
                Ok(Err(error)) => error,
                Err(_) => {
                    let what = format!("no answer within {} s", pace.patience.as_secs());
                    let kind = CacheErrorKind::Unreachable(what);
                    CacheError::new(self.line.store.name(), "say what it lacks", kind)
                }
            };
            attempt += 1;
            if !error.is_transient() || attempt >= pace.attempts {
                return Err(self.give_up(error));
            }
            tracing::debug!(%error, attempt, "asked again");
            sleep(wait(pace, attempt - 1, &error)).await;
        }
    }

    pub(super) fn are_there(&self, infos: &[PathInfo], count: impl Fn(&mut Filled) -> &mut u64) {
        let mut state = lock(&self.state);
        state.are_there(infos);
        *count(&mut state.filled) += infos.len() as u64;
    }

    pub(super) fn has_failed(&self, path: &StorePath, error: &CacheError) {
        lock(&self.state).filled.note(error);
        self.is_lost(path);
    }

    pub(super) fn is_lost(&self, path: &StorePath) {
        lock(&self.state).is_lost(path);
    }

    fn here(&self, path: &StorePath, problem: String) -> CacheError {
        let act = format!("store {path}");
        CacheError::new(self.line.store.name(), act, CacheErrorKind::Here(problem))
    }

    pub(super) fn give_up(&self, error: CacheError) -> GivenUp {
        if error.is_transient() {
            return GivenUp::ForNow(error);
        }
        self.end_with(&error);
        GivenUp::ForGood
    }

    pub(super) fn end_with(&self, error: &CacheError) {
        let mut state = lock(&self.state);
        state.filled.note(error);
        state.filled.end = end_of(error);
    }
}

fn end_of(error: &CacheError) -> End {
    match error.kind {
        CacheErrorKind::Refused { .. } => End::Refused,
        _ => End::GivenUp,
    }
}
