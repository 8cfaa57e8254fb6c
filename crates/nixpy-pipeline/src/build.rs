//! One `nix build` over all jobs of a plan, here and on other machines.

use std::collections::BTreeMap;

use nixpy_nix::build::{self, BuildEvent, BuildOptions, BuildRequest, BuildResult, Culprit, Means};
use nixpy_nix::builders::Trouble;
use nixpy_nix::cache::fetch;
use nixpy_nix::log::failures::FailureReason;
use nixpy_nix::{Nix, NixError, StorePath, System};
use serde::{Deserialize, Serialize};

use crate::event::{Event, OnEvent};
use crate::fetches::Fetches;
use crate::inputs::Inputs;
use crate::look::Asked;
use crate::plan::{Host, Job, Plan, Strategy};

/// What became of the jobs.
#[derive(Debug, Default)]
pub struct Built {
    /// Why jobs failed; nothing failed if it is empty.
    pub failures: Vec<BuildFailure>,
    /// Builders that were not used, or not to the end.
    pub troubles: Vec<BuilderFell>,
    /// Of outputs that were built just now on another machine, on which.
    pub machines: BTreeMap<StorePath, String>,
}

/// A builder that is not used, or not any more.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BuilderFell {
    /// What people call it.
    pub builder: String,
    /// What happened, with its own words.
    pub what: String,
    /// What to do about it, where that is known.
    pub cure: Option<String>,
}

impl BuilderFell {
    fn new(builder: &str, trouble: &Trouble) -> Self {
        Self {
            builder: builder.to_owned(),
            what: trouble.to_string(),
            cure: trouble.cure(),
        }
    }
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

/// Builds everything that is planned, on this machine and on the builders that were asked.
///
/// # Errors
/// Nix could not get as far as building. A build that fails is an outcome.
pub async fn build(
    nix: &Nix,
    inputs: &Inputs,
    plan: &Plan,
    host: &Host,
    asked: Option<&Asked>,
    on_event: &OnEvent<'_>,
) -> Result<Built, NixError> {
    let mut troubles = Vec::new();
    for (builder, answer) in asked.iter().flat_map(|asked| &asked.answers) {
        if let Err(trouble) = answer {
            let fell = BuilderFell::new(&builder.name(), trouble);
            on_event(Event::BuilderFell(&fell));
            troubles.push(fell);
        }
    }
    let is_emulated = |job: &Job| job.strategy == Strategy::Emulated;
    let falls_back = |job: &Job| job.fallback == Some(Strategy::Emulated);
    // What is to be emulated though there may be builders, and what may be where none is left.
    let emulated = systems_of(plan, is_emulated);
    let emulate = systems_of(plan, |job| is_emulated(job) || falls_back(job));
    let (nix, means) = match asked {
        None => (nix.clone(), Means::here(host.platforms.clone(), emulate)),
        Some(Asked { builders, answers }) => (
            builders.nix(nix),
            builders.means(answers, &emulated, emulate),
        ),
    };
    let requests: Vec<BuildRequest> = plan.jobs.iter().map(request).collect();
    let options = BuildOptions {
        keep_going: inputs.keep_going,
        means,
        ..BuildOptions::default()
    };
    let mut fetches = Fetches::new(&inputs.caches.ready.addresses);
    if !inputs.caches.ready.addresses.is_empty() {
        let mut on_fetch = |event| on_event(Event::Nix(&fetches.hear(&event)));
        fetch(&nix, &requests, &mut on_fetch).await?;
    }
    let outcome = build::build(&nix, &requests, &options, |event| match event {
        BuildEvent::Said(event) => on_event(Event::Nix(&fetches.hear(event))),
        BuildEvent::Fallen(fallen) => {
            let fell = BuilderFell::new(&fallen.builder, &fallen.trouble);
            on_event(Event::BuilderFell(&fell));
        }
    })
    .await?;
    let fallen = outcome.troubles.iter();
    troubles.extend(fallen.map(|fallen| BuilderFell::new(&fallen.builder, &fallen.trouble)));

    let mut machines = BTreeMap::new();
    let mut failures: Vec<BuildFailure> = Vec::new();
    for (job, result) in plan.jobs.iter().zip(&outcome.results) {
        let failure = match result {
            BuildResult::Failed(failure) => failure,
            BuildResult::Built { machine, .. } => {
                machines.extend(machine.clone().map(|machine| (job.output.clone(), machine)));
                continue;
            }
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
    Ok(Built {
        failures,
        troubles,
        machines,
    })
}

/// The systems that have to build these jobs.
fn systems_of(plan: &Plan, are_these: impl Fn(&Job) -> bool) -> Vec<System> {
    let jobs = plan.jobs.iter().filter(|job| are_these(job));
    jobs.map(|job| job.builds_on().clone()).collect()
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
             or name a machine that builds it, in `builders`: 'ssh-ng://root@HOST {system}', with its key in \
             NIXPY_BUILDER_SSH_KEY and its host key in `builder-known-hosts`"
        )),
        _ => None,
    }
}
