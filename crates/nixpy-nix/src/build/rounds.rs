//! One call of Nix after another, until everything is built or has failed for good.
//!
//! Nearly always there is one round. Another follows when a builder has failed, or this
//! Nix gave up everything because of one system: what is still missing is built again, by
//! the builders that are left, or under emulation where none is left, or none that has the
//! features that are required, and that is allowed.
//! What failed by itself is not tried again. Every further round has a builder less, a
//! system more that is emulated, or fewer requests than the one before, so there is a last.

use std::collections::BTreeSet;

use super::attribution::BuildFailure;
use super::means::Unbuilt;
use super::{BuildRequest, Means};
use crate::builders::Address;
use crate::log::failures::FailureReason;
use crate::store_path::StorePath;

/// A round that did not succeed.
#[derive(Debug)]
pub(super) struct Round<'a> {
    /// How many requests it had.
    pub(super) open: usize,
    /// Those that were not met.
    pub(super) failed: Vec<(BuildRequest, BuildFailure)>,
    /// Builders that failed, by name.
    pub(super) fallen: &'a [String],
    /// Derivations that failed because their machine did.
    pub(super) faults: &'a BTreeSet<StorePath>,
    /// Whether Nix gave up what had nothing to do with a failure, and should not have.
    pub(super) spares: bool,
    /// What it built with.
    pub(super) means: Means,
}

/// What comes after a round.
#[derive(Debug)]
pub(super) struct Next {
    /// To be tried again; nothing if this was the last round.
    pub(super) again: Vec<BuildRequest>,
    /// With these.
    pub(super) means: Means,
    /// Those that failed for good.
    pub(super) failed: Vec<(BuildRequest, BuildFailure)>,
}

impl Round<'_> {
    /// Decides.
    pub(super) fn next(self) -> Next {
        let mut means = self.means;
        let mut has_dropped = false;
        for name in self.fallen {
            has_dropped |= means.drop_builder(name);
        }
        let culprits = self.failed.iter().flat_map(|(_, it)| &it.culprits);
        let unbuilt: Vec<Unbuilt<'_>> = culprits
            .filter_map(|culprit| nobody_for(&culprit.reason))
            .collect();
        let has_changed = means.fall_back(&unbuilt) || has_dropped;
        let has_fallen = |machine: &str| {
            let mut fallen = self
                .fallen
                .iter()
                .filter_map(|name| name.parse::<Address>().ok());
            fallen.any(|address| address.is_called(machine))
        };
        let may_do_better = |(_, failure): &(BuildRequest, BuildFailure)| {
            failure
                .culprits
                .iter()
                .all(|culprit| match &culprit.reason {
                    _ if has_changed && self.faults.contains(&culprit.derivation) => true,
                    FailureReason::NotAttempted => self.spares || has_changed,
                    // Old versions tell only one of several failures.
                    FailureReason::Unreported => {
                        has_dropped && culprit.machine.as_deref().is_some_and(has_fallen)
                    }
                    // Whoever could have built it failed before it came to that, or lacks
                    // what it requires.
                    reason => {
                        has_changed && nobody_for(reason).is_some_and(|it| means.may_build(&it))
                    }
                })
        };
        let (again, failed): (Vec<_>, Vec<_>) =
            self.failed.iter().cloned().partition(may_do_better);
        if again.len() == self.open && !has_changed {
            return Next {
                again: Vec::new(),
                means,
                failed: self.failed,
            };
        }
        Next {
            again: again.into_iter().map(|(request, _)| request).collect(),
            means,
            failed,
        }
    }
}

/// What nobody was found for.
fn nobody_for(reason: &FailureReason) -> Option<Unbuilt<'_>> {
    match reason {
        FailureReason::NoBuilder { system, features } => Some(Unbuilt { system, features }),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
