//! How far a worker has come: what is there, what is not, and what is under way.

use std::collections::BTreeSet;

use nixpy_nix::StorePath;
use nixpy_nix::path_info::PathInfo;
use tokio::time::Instant;

use super::Filled;
use crate::error::CacheError;

/// How far a worker has come; what is left of it when it is cut.
pub(super) struct State {
    pub(super) filled: Filled,
    pub(super) begun: Option<Instant>,
    /// Taken out of the line, and neither there nor failed yet.
    in_hand: BTreeSet<StorePath>,
    /// So many came when nothing was put there any more.
    left_out: u64,
    /// What is there, as far as nothing that came later refers to it.
    tops: BTreeSet<StorePath>,
    /// What is not there, so that nothing may be that refers to it.
    failed: BTreeSet<StorePath>,
    /// Why it was let alone, if nothing has worked since.
    pub(super) trouble: Option<CacheError>,
    /// Whether it was let alone once for paths that failed while others did not.
    pub(super) has_rested_for_some: bool,
    /// Whether it was let alone once while the time to finish ran.
    pub(super) has_rested_in_the_end: bool,
}

impl State {
    pub(super) fn of(cache: &str) -> Self {
        Self {
            filled: Filled::nothing(cache),
            begun: None,
            in_hand: BTreeSet::new(),
            left_out: 0,
            tops: BTreeSet::new(),
            failed: BTreeSet::new(),
            trouble: None,
            has_rested_for_some: false,
            has_rested_in_the_end: false,
        }
    }

    pub(super) fn take(&mut self, names: &[StorePath]) {
        self.begun.get_or_insert_with(Instant::now);
        self.in_hand.extend(names.iter().cloned());
    }

    /// Those of these that are neither there nor failed, in their order; they are not in
    /// hand any more.
    pub(super) fn give_back(&mut self, mut names: Vec<StorePath>) -> Vec<StorePath> {
        names.retain(|name| self.in_hand.remove(name));
        names
    }

    pub(super) fn leave_out(&mut self, count: usize) {
        self.left_out += count as u64;
    }

    /// So many are neither there nor failed, of those that were taken.
    pub(super) fn open(&self) -> u64 {
        self.in_hand.len() as u64 + self.left_out
    }

    pub(super) fn are_there(&mut self, infos: &[PathInfo]) {
        for info in infos {
            for reference in info.references.iter().filter(|path| **path != info.path) {
                self.tops.remove(reference);
            }
            self.tops.insert(info.path.clone());
            self.in_hand.remove(&info.path);
        }
    }

    pub(super) fn is_lost(&mut self, path: &StorePath) {
        self.in_hand.remove(path);
        self.filled.failed += 1;
        self.failed.insert(path.clone());
    }

    pub(super) fn lacks_a_reference(&self, info: &PathInfo) -> bool {
        let mut references = info.references.iter();
        references.any(|path| self.failed.contains(path))
    }

    /// What the run has reached, with all that it refers to.
    pub(super) fn reached(&self) -> Vec<StorePath> {
        self.tops.iter().cloned().collect()
    }
}
