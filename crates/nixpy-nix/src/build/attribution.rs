//! Whose fault it was: from the failures that Nix reported and the graph of
//! derivations to the culprits of one request.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::names;
use crate::log::BuildWatch;
use crate::log::failures::FailureReason;
use crate::path_info::PathInfo;
use crate::store_path::StorePath;

/// Why a request was not met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildFailure {
    /// The derivation that was requested.
    pub requested: StorePath,
    /// The derivations that failed by themselves; at least one.
    pub culprits: Vec<Culprit>,
}

/// A derivation that failed by itself, not because of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Culprit {
    /// The derivation.
    pub derivation: StorePath,
    /// Why.
    pub reason: FailureReason,
    /// The last lines of its log, without colours; may be empty.
    pub tail: Vec<String>,
    /// How long it ran; `None` if it never did.
    pub duration: Option<Duration>,
    /// The remote machine it ran on.
    pub machine: Option<String>,
}

/// How a call of Nix ended that did not succeed.
#[derive(Debug, Default)]
pub(super) struct End {
    /// What Nix said.
    pub(super) complaint: String,
    /// Whether a failure made it give up everything, even what was running.
    pub(super) given_up: bool,
}

impl Culprit {
    /// What to type to see the whole log; `None` if there is none.
    pub fn log_command(&self) -> Option<String> {
        self.duration
            .map(|_| format!("nix log {}", self.derivation))
    }
}

impl fmt::Display for BuildFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, culprit) in self.culprits.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            let name = culprit.derivation.name().trim_end_matches(".drv");
            write!(formatter, "{separator}{name}: {}", culprit.reason)?;
        }
        Ok(())
    }
}

/// The failure of the request for `requested`; `closure` holds at least the
/// derivations it needs.
pub(super) fn attribute(
    requested: &StorePath,
    closure: &[PathInfo],
    watch: &BuildWatch,
    end: &End,
) -> BuildFailure {
    let needed = reachable(requested, closure);
    let own_fault = |derivation: &&StorePath| {
        let reason = watch
            .failures()
            .iter()
            .find(|failure| names(failure, derivation))
            .map(|failure| &failure.reason);
        reason.is_some_and(|reason| *reason != FailureReason::Dependency)
    };
    let reported = needed.iter().filter(own_fault).map(|derivation| {
        let failure = watch
            .failures()
            .iter()
            .find(|failure| names(failure, derivation));
        (
            derivation.clone(),
            failure.map_or(FailureReason::Unreported, |failure| failure.reason.clone()),
        )
    });
    let mut culprits: Vec<(StorePath, FailureReason)> = reported.collect();
    if culprits.is_empty() {
        culprits.push((requested.clone(), unreported(requested, watch, end)));
    }
    let culprits = culprits
        .into_iter()
        .map(|(derivation, reason)| describe(derivation, reason, watch))
        .collect();
    BuildFailure {
        requested: requested.clone(),
        culprits,
    }
}

/// What can be said when no failure was reported for anything the request needs.
fn unreported(requested: &StorePath, watch: &BuildWatch, end: &End) -> FailureReason {
    // Whatever was running when Nix gave up was stopped, not at fault.
    if end.given_up {
        return FailureReason::NotAttempted;
    }
    // Of failures at the top, old versions report only the first; one that ran and
    // left nothing has failed.
    if watch.builds().contains_key(requested) {
        return FailureReason::Unreported;
    }
    match watch.failures().is_empty() {
        true => FailureReason::Other(end.complaint.clone()),
        false => FailureReason::NotAttempted,
    }
}

fn describe(derivation: StorePath, reason: FailureReason, watch: &BuildWatch) -> Culprit {
    let build = watch.builds().get(&derivation);
    Culprit {
        tail: build
            .map(|build| build.tail.iter().cloned().collect())
            .unwrap_or_default(),
        duration: build.and_then(|build| build.duration()),
        machine: build.and_then(|build| build.machine.clone()),
        derivation,
        reason,
    }
}

/// The derivation and all that it refers to, directly or not.
fn reachable(from: &StorePath, closure: &[PathInfo]) -> BTreeSet<StorePath> {
    let references: BTreeMap<&StorePath, &[StorePath]> = closure
        .iter()
        .map(|info| (&info.path, info.references.as_slice()))
        .collect();
    let mut found = BTreeSet::from([from.clone()]);
    let mut waiting = vec![from];
    while let Some(path) = waiting.pop() {
        for reference in references.get(path).copied().unwrap_or_default() {
            if found.insert(reference.clone()) {
                waiting.push(reference);
            }
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
