//! Builds derivations: one `nix build` over all of them, and one answer for each.
//!
//! Nix's own account of several builds is all or nothing (its JSON is empty when
//! anything failed, and unordered on old versions), so it is not used: where the
//! outputs will be is known from the evaluation, success means that all are there,
//! and after a failure the store is asked which are. Nothing beyond the one call is
//! run as long as nothing fails.

mod attribution;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use attribution::End;
pub use attribution::{BuildFailure, Culprit};

use crate::error::{NixError, NixErrorKind};
use crate::evaluate::store_failure;
use crate::log::failures::{Failure, FailureReason};
use crate::log::{BuildWatch, DEFAULT_TAIL, LogEvent};
use crate::path_info::{derivation_closure, valid_paths};
use crate::program::Nix;
use crate::run::run;
use crate::store_path::StorePath;

/// One output of one derivation that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildRequest {
    /// The derivation, which must be in the store.
    pub drv_path: StorePath,
    /// The output: `out` mostly.
    pub output: String,
    /// Where that output will be.
    pub out_path: StorePath,
}

/// How to build.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// Go on with the others when one fails.
    pub keep_going: bool,
    /// How many derivations at a time; `None` leaves it to Nix's configuration.
    pub max_jobs: Option<u32>,
    /// Link the outputs from here (`PREFIX`, `PREFIX-1`, …), which keeps them from being collected.
    pub out_link: Option<PathBuf>,
    /// How many of the last lines of each log are kept.
    pub tail: usize,
    /// More arguments for `nix build`: `--rebuild`, `--print-build-logs`, …
    pub extra_arguments: Vec<String>,
}

/// What became of the requests.
#[derive(Debug)]
pub struct BuildOutcome {
    /// One for each request, in their order.
    pub results: Vec<BuildResult>,
    /// How long it all took.
    pub duration: Duration,
    /// What was built here or on a remote machine, successfully or not; empty when all was there already.
    pub watch: BuildWatch,
}

/// What became of one request.
#[derive(Debug, Clone)]
pub enum BuildResult {
    /// It is in the store.
    Built {
        /// Where.
        out_path: StorePath,
        /// How long its own derivation took; `None` if it was there or came from a cache.
        duration: Option<Duration>,
        /// The remote machine that built it.
        machine: Option<String>,
    },
    /// It is not.
    Failed(BuildFailure),
}

impl Default for BuildOptions {
    fn default() -> Self {
        let extra_arguments = Vec::new();
        Self {
            keep_going: true,
            max_jobs: None,
            out_link: None,
            tail: DEFAULT_TAIL,
            extra_arguments,
        }
    }
}

impl BuildOutcome {
    /// Whether every request was met.
    pub fn is_success(&self) -> bool {
        self.results
            .iter()
            .all(|result| matches!(result, BuildResult::Built { .. }))
    }
}

/// Builds what is requested. A build that fails is part of the outcome.
///
/// Versions that give up altogether when one system has no builder are called again
/// for the requests that do not need it, so that systems fail independently.
///
/// # Errors
/// When Nix could not get as far as building: no daemon, no permission, bad options.
pub async fn build(
    nix: &Nix,
    requests: &[BuildRequest],
    options: &BuildOptions,
    mut on_event: impl FnMut(LogEvent) + Send,
) -> Result<BuildOutcome, NixError> {
    let started = Instant::now();
    let mut watch = BuildWatch::new(options.tail);
    let mut heard = |event: LogEvent, watch: &mut BuildWatch| {
        watch.observe(&event, Instant::now());
        on_event(event);
    };
    let mut open: Vec<BuildRequest> = requests.to_vec();
    open.sort();
    open.dedup();
    let mut failures = Vec::new();
    while !open.is_empty() {
        let arguments = arguments(nix, &open, options).await?;
        let known = watch.failures().len();
        let ended = run(nix, &arguments, &mut |event| heard(event, &mut watch)).await?;
        if ended.success {
            break;
        }
        let given_up = watch.failures()[known..]
            .iter()
            .any(|failure| failure.reason.ends_the_call());
        let end = End {
            complaint: ended.complaint(),
            given_up,
        };
        let failed = judge(nix, &open, &watch, &end).await?;
        let retry = match end.given_up && options.keep_going {
            true => spared(&open, &failed),
            false => Vec::new(),
        };
        failures.extend(
            failed
                .into_iter()
                .filter(|(request, _)| !retry.contains(request)),
        );
        open = retry;
    }
    let result =
        |request: &BuildRequest| match failures.iter().find(|(failed, _)| failed == request) {
            Some((_, failure)) => BuildResult::Failed(failure.clone()),
            None => {
                let own = watch.builds().get(&request.drv_path);
                BuildResult::Built {
                    out_path: request.out_path.clone(),
                    duration: own.and_then(|build| build.duration()),
                    machine: own.and_then(|build| build.machine.clone()),
                }
            }
        };
    let results = requests.iter().map(result).collect();
    Ok(BuildOutcome {
        results,
        duration: started.elapsed(),
        watch,
    })
}

async fn arguments(
    nix: &Nix,
    requests: &[BuildRequest],
    options: &BuildOptions,
) -> Result<Vec<String>, NixError> {
    let caret = nix.version().await?.names_outputs_with_caret();
    let mut arguments = vec!["build".to_owned()];
    match &options.out_link {
        Some(prefix) => arguments.extend(["--out-link".to_owned(), prefix.display().to_string()]),
        None => arguments.push("--no-link".to_owned()),
    }
    arguments.extend(options.keep_going.then(|| "--keep-going".to_owned()));
    if let Some(jobs) = options.max_jobs {
        arguments.extend(["--max-jobs".to_owned(), jobs.to_string()]);
    }
    arguments.extend(options.extra_arguments.iter().cloned());
    let installable = |request: &BuildRequest| match caret {
        true => format!("{}^{}", request.drv_path, request.output),
        // All outputs: old versions have no way to name one.
        false => request.drv_path.to_string(),
    };
    let installables: BTreeSet<String> = requests.iter().map(installable).collect();
    arguments.extend(installables);
    Ok(arguments)
}

/// The requests that were not met, each with its failure.
async fn judge(
    nix: &Nix,
    requests: &[BuildRequest],
    watch: &BuildWatch,
    end: &End,
) -> Result<Vec<(BuildRequest, BuildFailure)>, NixError> {
    if let Some(kind) = store_failure(&end.complaint)
        .filter(|_| watch.failures().is_empty() && watch.builds().is_empty())
    {
        return Err(NixError::new("build with", nix.program().display(), kind));
    }
    let out_paths: Vec<StorePath> = requests
        .iter()
        .map(|request| request.out_path.clone())
        .collect();
    let valid = valid_paths(nix, &out_paths).await?;
    let unmet: Vec<&BuildRequest> = requests
        .iter()
        .filter(|request| !valid.contains(&request.out_path))
        .collect();
    if unmet.is_empty() {
        // Nix failed and yet all is there: what it failed at is none of the builds (a bad --out-link).
        let kind = NixErrorKind::Failed {
            message: end.complaint.clone(),
        };
        return Err(NixError::new("build with", nix.program().display(), kind));
    }
    let derivations: Vec<StorePath> = unmet
        .iter()
        .map(|request| request.drv_path.clone())
        .collect();
    let closure = derivation_closure(nix, &derivations).await?;
    let judged = |request: &BuildRequest| {
        let failure = attribution::attribute(&request.drv_path, &closure, watch, end);
        (request.clone(), failure)
    };
    Ok(unmet.into_iter().map(judged).collect())
}

/// What is worth another call: requests that were not come to, or stopped on the
/// way, because Nix gave up over another. None if that would be all of them again.
fn spared(open: &[BuildRequest], failed: &[(BuildRequest, BuildFailure)]) -> Vec<BuildRequest> {
    let is_spared = |failure: &BuildFailure| {
        failure
            .culprits
            .iter()
            .all(|culprit| culprit.reason == FailureReason::NotAttempted)
    };
    let spared = failed
        .iter()
        .filter(|(_, failure)| is_spared(failure))
        .map(|(request, _)| request.clone());
    let spared: Vec<BuildRequest> = spared.collect();
    if spared.len() < open.len() {
        spared
    } else {
        Vec::new()
    }
}

/// Whether a failure names this derivation.
fn names(failure: &Failure, derivation: &StorePath) -> bool {
    failure.derivation.as_ref() == Some(derivation)
}
