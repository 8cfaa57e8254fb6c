//! A plan as jobs for several machines: what GitHub's `strategy.matrix` takes. Each leg
//! runs `nixpy-ci run --by-digest` for its systems, and [`crate::join`] makes one index
//! of what they leave.
//!
//! A system is built on a runner of its own. One that no runner is for goes to the leg of
//! a machine that emulates it; and one whose outputs are known needs no machine at all,
//! only somebody who publishes it, so it goes along with another leg. GitHub refuses a
//! matrix without a leg, so there is always one.

use std::collections::BTreeMap;

use nixpy_nix::System;
use nixpy_oci::platform::Platform;
use serde::{Deserialize, Serialize};

use crate::plan::{Job, Plan, Strategy};

/// GitHub's own runners: on any of these systems a leg can run.
const HOSTED: [(&str, &str); 2] = [
    ("x86_64-linux", "ubuntu-24.04"),
    ("aarch64-linux", "ubuntu-24.04-arm"),
];

/// Which runner is for which system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runners(BTreeMap<System, Labels>);

/// What a job says of the machine that it wants: all of these labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Labels {
    /// The usual case.
    One(String),
    /// As self-hosted runners have them.
    All(Vec<String>),
}

/// What `strategy.matrix` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matrix {
    /// At least one.
    pub include: Vec<Leg>,
}

/// One job of the matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// What it builds and publishes, for `--system`: `aarch64-linux armv7l-linux`.
    pub systems: String,
    /// The same as clients call it: `linux/arm64 linux/arm/v7`.
    pub platforms: String,
    /// For `runs-on`.
    pub runner: Labels,
    /// In no other leg, and fit for the name of a job or an artifact: `arm64`.
    pub name: String,
}

/// A machine, by its own system.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Runner<'a> {
    machine: &'a System,
    labels: &'a Labels,
}

impl Runners {
    /// GitHub's own, but for systems that have one of the user's.
    pub fn new(own: BTreeMap<System, Labels>) -> Self {
        let hosted = HOSTED.into_iter().filter_map(|(system, label)| {
            Some((system.parse().ok()?, Labels::One(label.to_owned())))
        });
        let mut runners: BTreeMap<System, Labels> = hosted.collect();
        runners.extend(own);
        Self(runners)
    }

    /// The machine that a system is built on.
    fn of(&self, system: &System) -> Option<Runner<'_>> {
        let own = self.0.get_key_value(system);
        // Many machines run 32-bit programs of their own kind without an emulator.
        let near = match system.cpu() {
            "armv7l" => "aarch64-linux",
            _ => "x86_64-linux",
        };
        let found = own.or_else(|| self.0.get_key_value(&near.parse().ok()?));
        found.map(|(machine, labels)| Runner { machine, labels })
    }
}

impl Labels {
    /// Reads `LABEL[,LABEL…]`.
    ///
    /// # Errors
    /// There is none, or one of them is empty or could not be written in a workflow.
    pub fn parse(text: &str) -> Result<Self, String> {
        let labels: Vec<String> = text
            .split(',')
            .map(|label| label.trim().to_owned())
            .collect();
        let odd = |label: &String| label.is_empty() || label.chars().any(char::is_control);
        match labels.as_slice() {
            labels if labels.iter().any(odd) => Err(format!(
                "{text:?} are no labels: write them as in ubuntu-24.04-arm or self-hosted,arm64"
            )),
            [one] => Ok(Self::One(one.clone())),
            _ => Ok(Self::All(labels)),
        }
    }
}

impl Default for Runners {
    fn default() -> Self {
        Self::new(BTreeMap::new())
    }
}

/// The legs of a plan that was made for any machine.
pub fn matrix(plan: &Plan, runners: &Runners) -> Matrix {
    let is_known = |job: &Job| job.strategy == Strategy::Cached;
    let jobs = plan.jobs.iter();
    let placed = jobs.filter_map(|job| Some((job, runners.of(home_of(job))?)));
    let placed: Vec<(&Job, Runner<'_>)> = placed.collect();
    let mut wanted: Vec<Runner<'_>> = Vec::new();
    for (job, runner) in &placed {
        if !is_known(job) && !wanted.contains(runner) {
            wanted.push(*runner);
        }
    }
    if wanted.is_empty() {
        // Nothing is to be built: any machine will do.
        wanted.extend(placed.first().map(|(_, runner)| *runner));
    }
    let mut legs: Vec<Vec<&Job>> = vec![Vec::new(); wanted.len()];
    for (job, runner) in &placed {
        let own = wanted.iter().position(|leg| leg == runner);
        if let Some(jobs) = legs.get_mut(own.unwrap_or(0)) {
            jobs.push(job);
        }
    }
    let legs = wanted.iter().zip(&legs);
    Matrix {
        include: legs
            .map(|(runner, jobs)| leg(runner.labels, jobs))
            .collect(),
    }
}

/// The system of the machine that a job is for. What is only offered to be cross-compiled
/// needs the one that it is cross-compiled on; what is offered for its own system as well
/// is built there more simply.
fn home_of(job: &Job) -> &System {
    let is_native_somewhere = job
        .declined
        .iter()
        .any(|declined| declined.strategy == Strategy::Native);
    match (job.strategy, &job.built_on, &job.offered_for) {
        (Strategy::Cross, Some(on), _) | (Strategy::Cross, None, Some(on))
            if !is_native_somewhere =>
        {
            on
        }
        _ => &job.system,
    }
}

fn leg(runner: &Labels, jobs: &[&Job]) -> Leg {
    let joined = |text: fn(&Job) -> String, by: &str| {
        let texts: Vec<String> = jobs.iter().map(|job| text(job)).collect();
        texts.join(by)
    };
    Leg {
        systems: joined(|job| job.system.to_string(), " "),
        platforms: joined(|job| short(&job.platform), " "),
        runner: runner.clone(),
        name: joined(|job| job.platform.architecture.clone(), "-"),
    }
}

/// As clients write it: of arm64 there is only one.
fn short(platform: &Platform) -> String {
    let Platform {
        os, architecture, ..
    } = platform;
    match architecture.as_str() {
        "arm64" => format!("{os}/{architecture}"),
        _ => platform.to_string(),
    }
}
