//! The one who fills one cache.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use nixpy_nix::StorePath;
use nixpy_nix::path_info::PathInfo;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{End, Filled, Line, Queue, Stored, lock, wait};
use crate::error::{CacheError, CacheErrorKind};
use crate::store::Put;

/// Fills one cache.
pub(super) struct Worker<'a> {
    queue: &'a Queue<'a>,
    line: &'a Line,
    on_stored: &'a (dyn Fn(Stored<'_>) + Sync),
    state: Mutex<State>,
}

/// How far it has come; what is left of it when it is cut.
struct State {
    filled: Filled,
    begun: Option<Instant>,
    /// Taken out of the line, and neither there nor failed yet.
    in_hand: u64,
    /// What is there, as far as nothing that came later refers to it.
    tops: BTreeSet<StorePath>,
    /// What is not there, so that nothing may be that refers to it.
    failed: BTreeSet<StorePath>,
}

/// Nothing more is put there.
struct GivenUp;

impl<'a> Worker<'a> {
    pub(super) fn of(
        queue: &'a Queue<'a>,
        line: &'a Line,
        on_stored: &'a (dyn Fn(Stored<'_>) + Sync),
    ) -> Self {
        let state = State {
            filled: Filled::nothing(line.store.name()),
            begun: None,
            in_hand: 0,
            tops: BTreeSet::new(),
            failed: BTreeSet::new(),
        };
        Self {
            queue,
            line,
            on_stored,
            state: Mutex::new(state),
        }
    }

    /// Until there is nothing more to do, or no time.
    pub(super) async fn work(self) -> Filled {
        let is_cut = tokio::select! {
            // What is done at the very end is done.
            biased;
            () = self.work_off() => false,
            () = self.time_is_over() => true,
        };
        let waiting = lock(&self.line.waiting).len();
        let mut state = lock(&self.state);
        let unfinished = state.in_hand + waiting as u64;
        state.filled.left = unfinished;
        if is_cut {
            state.filled.end = End::Cut;
        }
        state.filled.seconds = state
            .begun
            .map_or(0.0, |begun| begun.elapsed().as_secs_f64());
        state.filled.clone()
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

    async fn work_off(&self) {
        while let Some(names) = self.next().await {
            lock(&self.state).begun.get_or_insert_with(Instant::now);
            if self.fill(&names).await.is_err() {
                self.count_only().await;
                return;
            }
        }
        let reached: Vec<StorePath> = lock(&self.state).tops.iter().cloned().collect();
        if reached.is_empty() {
            return;
        }
        let mut attempt = 0;
        while let Err(error) = self.line.store.close(&reached).await {
            attempt += 1;
            if !error.is_transient() || attempt >= self.queue.pace.attempts {
                self.give_up(&error);
                return;
            }
            sleep(wait(&self.queue.pace, attempt - 1, &error)).await;
        }
    }

    /// What has gathered; `None` when nothing more comes.
    async fn next(&self) -> Option<Vec<StorePath>> {
        loop {
            {
                let mut waiting = lock(&self.line.waiting);
                let count = waiting.len().min(self.queue.pace.paths);
                if count > 0 {
                    lock(&self.state).in_hand += count as u64;
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
            lock(&self.state).in_hand += more as u64;
            self.line.idle.store(true, Ordering::Relaxed);
            if self.queue.end.borrow().is_some() {
                return;
            }
            self.line.bell.notified().await;
        }
    }

    async fn fill(&self, names: &[StorePath]) -> Result<(), GivenUp> {
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
        let described = self.queue.shelf.describe(names).await;
        let (mut known, problem) = match described {
            Ok(infos) => (infos, "it is not in the store any more".to_owned()),
            Err(problem) => (Vec::new(), problem),
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
                return Err(self.give_up(&error));
            }
            tracing::debug!(%error, attempt, "asked again");
            sleep(wait(pace, attempt - 1, &error)).await;
        }
    }

    /// Puts these, as often as some of them fail for a passing reason.
    async fn put(&self, infos: &[PathInfo]) -> Result<(), GivenUp> {
        let pace = &self.queue.pace;
        let (mut left, mut fruitless, mut stored) = (infos.to_vec(), 0, false);
        loop {
            left = self.without_failed_references(left);
            if left.is_empty() {
                return Ok(());
            }
            let put = self.line.store.put(&left).await;
            let is_fruitful = !put.stored.is_empty();
            stored |= is_fruitful;
            let (again, error) = self.judge(left, put)?;
            let Some(error) = error else { return Ok(()) };
            fruitless = if is_fruitful { 0 } else { fruitless + 1 };
            if fruitless >= pace.attempts {
                if !stored {
                    return Err(self.give_up(&error));
                }
                // It takes others: it is these.
                again
                    .iter()
                    .for_each(|info| self.has_failed(&info.path, &error));
                return Ok(());
            }
            tracing::debug!(%error, paths = again.len(), fruitless, "put again");
            sleep(wait(pace, fruitless.saturating_sub(1), &error)).await;
            left = again;
        }
    }

    /// What is to be tried again, and why it failed. What refers to such a path failed
    /// because of it, whatever is said of it.
    fn judge(
        &self,
        tried: Vec<PathInfo>,
        put: Put,
    ) -> Result<(Vec<PathInfo>, Option<CacheError>), GivenUp> {
        let Put {
            stored,
            sent,
            failed,
        } = put;
        let (done, undone): (Vec<_>, Vec<_>) = tried
            .into_iter()
            .partition(|info| stored.contains(&info.path));
        lock(&self.state).filled.sent_size += sent;
        self.are_there(&done, |filled| &mut filled.pushed);
        if !done.is_empty() || sent > 0 {
            let waiting = lock(&self.line.waiting).len() + undone.len();
            (self.on_stored)(Stored {
                cache: self.line.store.name(),
                paths: done.len() as u64,
                bytes: sent,
                waiting: waiting as u64,
            });
        }
        let mut errors: BTreeMap<StorePath, CacheError> = failed.into_iter().collect();
        let ends = |error: &&CacheError| {
            use CacheErrorKind::{Full, Refused};
            matches!(error.kind, Refused { .. } | Full(_))
        };
        if let Some(error) = errors.values().find(ends) {
            return Err(self.give_up(error));
        }
        let mut passing: Option<CacheError> = None;
        let (mut again, mut names) = (Vec::new(), BTreeSet::new());
        for info in undone {
            let mut references = info.references.iter();
            let is_held_up = references.any(|path| *path != info.path && names.contains(path));
            match errors.remove(&info.path) {
                Some(error) if error.is_transient() => {
                    // Who asks for time is to be heard.
                    let asks = matches!(error.kind, CacheErrorKind::Throttled { .. });
                    if asks || passing.is_none() {
                        passing = Some(error);
                    }
                }
                _ if is_held_up => {}
                Some(error) => {
                    match self.lacks_a_reference(&info) {
                        // Why that is so has been told.
                        true => self.is_lost(&info.path),
                        false => self.has_failed(&info.path, &error),
                    }
                    continue;
                }
                None => {
                    let kind =
                        CacheErrorKind::Broken("it does not say what became of it".to_owned());
                    let act = format!("store {}", info.path);
                    let error = CacheError::new(self.line.store.name(), act, kind);
                    self.has_failed(&info.path, &error);
                    continue;
                }
            }
            names.insert(info.path.clone());
            again.push(info);
        }
        Ok((again, passing))
    }

    /// These come after what they refer to.
    fn without_failed_references(&self, infos: Vec<PathInfo>) -> Vec<PathInfo> {
        let mut left = Vec::new();
        for info in infos {
            match self.lacks_a_reference(&info) {
                false => left.push(info),
                true => self.is_lost(&info.path),
            }
        }
        left
    }

    fn lacks_a_reference(&self, info: &PathInfo) -> bool {
        let state = lock(&self.state);
        let mut references = info.references.iter();
        references.any(|path| state.failed.contains(path))
    }

    fn signed(&self, mut info: PathInfo) -> PathInfo {
        if let Some(key) = self.queue.key
            && !key.public().has_signed(&info)
        {
            info.signatures.push(key.sign(&info));
        }
        info
    }

    fn are_there(&self, infos: &[PathInfo], count: impl Fn(&mut Filled) -> &mut u64) {
        let mut state = lock(&self.state);
        for info in infos {
            for reference in info.references.iter().filter(|path| **path != info.path) {
                state.tops.remove(reference);
            }
            state.tops.insert(info.path.clone());
        }
        state.in_hand -= infos.len() as u64;
        *count(&mut state.filled) += infos.len() as u64;
    }

    fn has_failed(&self, path: &StorePath, error: &CacheError) {
        lock(&self.state).filled.note(error);
        self.is_lost(path);
    }

    fn is_lost(&self, path: &StorePath) {
        let mut state = lock(&self.state);
        state.in_hand -= 1;
        state.filled.failed += 1;
        state.failed.insert(path.clone());
    }

    fn here(&self, path: &StorePath, problem: String) -> CacheError {
        let act = format!("store {path}");
        CacheError::new(self.line.store.name(), act, CacheErrorKind::Here(problem))
    }

    fn give_up(&self, error: &CacheError) -> GivenUp {
        let mut state = lock(&self.state);
        state.filled.note(error);
        state.filled.end = end_of(error);
        GivenUp
    }
}

fn end_of(error: &CacheError) -> End {
    match error.kind {
        CacheErrorKind::Refused { .. } => End::Refused,
        _ => End::GivenUp,
    }
}

/// Of so many bytes each, or of one path.
fn portions(infos: &[PathInfo], bytes: u64) -> impl Iterator<Item = &[PathInfo]> {
    let mut rest = infos;
    std::iter::from_fn(move || {
        let mut sum = 0_u64;
        let fits = |info: &&PathInfo| {
            sum = sum.saturating_add(info.nar_size);
            sum <= bytes
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (some, more) = rest.split_at(count);
        rest = more;
        (!some.is_empty()).then_some(some)
    })
}
