//! Builds derivations: one `nix build` over all of them, and one answer for each.
//!
//! Nix's own account of several builds is all or nothing (its JSON is empty when
//! anything failed, and unordered on old versions), so it is not used: where the
//! outputs will be is known from the evaluation, success means that all are there,
//! and after a failure the store is asked which are. Nothing beyond the one call is
//! run as long as nothing fails; what follows when a builder does is decided in `rounds`.

mod attribution;
mod call;
mod connections;
mod machines;
mod means;
mod rounds;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use attribution::End;
pub use attribution::{BuildFailure, Culprit};
use call::{Hearing, Stop, call, lock};
pub use machines::BuilderTrouble;
use machines::Machines;
pub use means::Means;
use rounds::Round;

use crate::error::{NixError, NixErrorKind};
use crate::evaluate::store_failure;
use crate::log::failures::Failure;
use crate::log::{BuildWatch, DEFAULT_TAIL, LogEvent};
use crate::path_info::{derivation_closure, valid_paths};
use crate::program::Nix;
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
    /// Which builders, and what may be emulated.
    pub means: Means,
}

/// What is told while it goes on.
#[derive(Debug)]
pub enum BuildEvent<'a> {
    /// Nix said something.
    Said(&'a LogEvent),
    /// A builder is not used any more.
    Fallen(&'a BuilderTrouble),
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
    /// Builders that failed meanwhile.
    pub troubles: Vec<BuilderTrouble>,
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
            means: Means::none(),
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
/// Nix is called again for what a failed builder has left undone; and by versions that
/// give up altogether when one system has no builder, for the requests that do not need
/// it, so that systems fail independently.
///
/// # Errors
/// When Nix could not get as far as building: no daemon, no permission, bad options.
pub async fn build(
    nix: &Nix,
    requests: &[BuildRequest],
    options: &BuildOptions,
    on_event: impl FnMut(BuildEvent<'_>) + Send,
) -> Result<BuildOutcome, NixError> {
    let started = Instant::now();
    let hearing = Mutex::new(Hearing {
        watch: BuildWatch::new(options.tail),
        machines: Machines::new(&[], started),
        troubles: Vec::new(),
        on_event,
    });
    let mut means = options.means.clone();
    let mut nix = nix.clone();
    let mut open: Vec<BuildRequest> = requests.to_vec();
    open.sort();
    open.dedup();
    let mut failures = Vec::new();
    while !open.is_empty() {
        let arguments = arguments(&nix, &open, options, &means).await?;
        lock(&hearing).machines = Machines::new(&means.builders, Instant::now());
        let Some(Stop { complaint, aborted }) = call(&nix, &arguments, &means, &hearing).await?
        else {
            break;
        };
        // With `fallback`, versions up to 2.8 at least abort when they ask a cache once more
        // from which a download has failed for good: what is left is built without caches.
        if aborted && nix.has_further_caches() {
            nix = nix.without_further_caches();
            lock(&hearing).watch.begin_again();
            continue;
        }
        let watch = {
            let mut hearing = lock(&hearing);
            if means.through_daemon && means.say {
                hearing.overlooked();
            }
            hearing.watch.clone()
        };
        let given_up = watch
            .failures()
            .iter()
            .any(|failure| failure.reason.ends_the_call());
        let end = End {
            complaint,
            given_up,
        };
        let failed = judge(&nix, &open, &watch, &end).await?;
        let next = {
            let machines = &lock(&hearing).machines;
            let round = Round {
                open: open.len(),
                failed,
                fallen: &machines.fallen(),
                faults: machines.faults(),
                spares: given_up && options.keep_going,
                means,
            };
            round.next()
        };
        failures.extend(next.failed);
        (open, means) = (next.again, next.means);
        if !open.is_empty() {
            lock(&hearing).watch.begin_again();
        }
    }
    let Hearing {
        watch, troubles, ..
    } = hearing.into_inner().unwrap_or_else(PoisonError::into_inner);
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
        troubles,
    })
}

async fn arguments(
    nix: &Nix,
    requests: &[BuildRequest],
    options: &BuildOptions,
    means: &Means,
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
    arguments.extend(means.arguments());
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

/// Whether a failure names this derivation.
fn names(failure: &Failure, derivation: &StorePath) -> bool {
    failure.derivation.as_ref() == Some(derivation)
}
