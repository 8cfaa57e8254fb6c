//! One `nix build` over all jobs of a plan.

use nixpy_nix::build::{self, BuildOptions, BuildRequest, BuildResult, Culprit};
use nixpy_nix::log::failures::FailureReason;
use nixpy_nix::{Nix, NixError, StorePath, System};
use serde::{Deserialize, Serialize};

use crate::event::{Event, OnEvent};
use crate::inputs::Inputs;
use crate::plan::{Job, Plan};

/// What became of the jobs.
#[derive(Debug, Default)]
pub struct Built {
    /// Why jobs failed; nothing failed if it is empty.
    pub failures: Vec<BuildFailure>,
}

/// A derivation that failed, and the platforms that lack an image because of it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BuildFailure {
    /// What failed.
    pub derivation: StorePath,
    /// Whose image is missing now.
    pub systems: Vec<System>,
    /// In one line.
    pub reason: String,
    /// What to do about it, where that is known.
    pub cure: Option<String>,
    /// Whether another machine could have built it.
    pub machine_cannot: bool,
    /// The last lines of its log.
    pub log_tail: Vec<String>,
    /// How long it ran, in seconds; `null` if it never did.
    pub seconds: Option<f64>,
    /// What shows the whole log.
    pub log_command: Option<String>,
}

/// Builds everything that is planned.
///
/// # Errors
/// Nix could not get as far as building. A build that fails is an outcome.
pub async fn build(
    nix: &Nix,
    inputs: &Inputs,
    plan: &Plan,
    on_event: &OnEvent<'_>,
) -> Result<Built, NixError> {
    let requests: Vec<BuildRequest> = plan.jobs.iter().map(request).collect();
    let options = BuildOptions {
        keep_going: inputs.keep_going,
        ..BuildOptions::default()
    };
    let outcome = build::build(nix, &requests, &options, |event| {
        on_event(Event::Nix(&event));
    })
    .await?;

    let mut failures: Vec<BuildFailure> = Vec::new();
    for (job, result) in plan.jobs.iter().zip(&outcome.results) {
        let BuildResult::Failed(failure) = result else {
            continue;
        };
        for culprit in &failure.culprits {
            match failures
                .iter_mut()
                .find(|known| known.derivation == culprit.derivation)
            {
                Some(known) => known.systems.push(job.system.clone()),
                None => failures.push(explain(job, culprit)),
            }
        }
    }
    for failure in &failures {
        on_event(Event::BuildFailed(failure));
    }
    Ok(Built { failures })
}

fn request(job: &Job) -> BuildRequest {
    BuildRequest {
        drv_path: job.derivation.clone(),
        output: job.output_name.clone(),
        out_path: job.output.clone(),
    }
}

fn explain(job: &Job, culprit: &Culprit) -> BuildFailure {
    BuildFailure {
        derivation: culprit.derivation.clone(),
        systems: vec![job.system.clone()],
        reason: culprit.reason.to_string(),
        cure: cure(&culprit.reason),
        machine_cannot: matches!(
            culprit.reason,
            FailureReason::NoBuilder { .. } | FailureReason::DiskFull
        ),
        log_tail: culprit.tail.clone(),
        seconds: culprit.duration.map(|duration| duration.as_secs_f64()),
        log_command: culprit.log_command(),
    }
}

fn cure(reason: &FailureReason) -> Option<String> {
    match reason {
        FailureReason::NoBuilder { system, .. } => Some(format!(
            "run `nixpy-ci setup`, or add --setup, to let this machine emulate {system}; \
             or add a builder for it to Nix's `builders`"
        )),
        _ => None,
    }
}
