//! Putting paths into one cache, and judging what became of them.

use std::collections::{BTreeMap, BTreeSet};

use nixpy_nix::StorePath;
use nixpy_nix::path_info::PathInfo;
use tokio::time::sleep;

use super::worker::{GivenUp, Worker};
use super::{Stored, lock, wait};
use crate::error::{CacheError, CacheErrorKind};
use crate::store::Put;

impl Worker<'_> {
    /// Puts these, as often as some of them fail for a passing reason.
    pub(super) async fn put(&self, infos: &[PathInfo]) -> Result<(), GivenUp> {
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
                    return Err(self.give_up(error));
                }
                let has_rested =
                    std::mem::replace(&mut lock(&self.state).has_rested_for_some, true);
                if !has_rested && self.rest().await {
                    (left, fruitless) = (again, pace.attempts.saturating_sub(1));
                    continue;
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
            self.end_with(error);
            return Err(GivenUp::ForGood);
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
        lock(&self.state).lacks_a_reference(info)
    }

    pub(super) fn signed(&self, mut info: PathInfo) -> PathInfo {
        if let Some(key) = self.queue.key
            && !key.public().has_signed(&info)
        {
            info.signatures.push(key.sign(&info));
        }
        info
    }
}

/// Of so many bytes each, or of one path.
pub(super) fn portions(infos: &[PathInfo], bytes: u64) -> impl Iterator<Item = &[PathInfo]> {
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
