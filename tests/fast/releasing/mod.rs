//! `nixpy-ci release`: the registry's side. GitHub's is in the real tier, where its own
//! description of its API can be had.

mod building;
mod refused;
mod tags;

use nixpy_testkit::registry::{Method, Registry};
use serde_json::Value;

use crate::joining::{at, new_machine, service};
use crate::scenario::{Ended, Scenario};

const COMMIT: &str = "1f518446f2de55ec5d6c0a8d6cad1d8918d3284d";
const OTHER: &str = "2f518446f2de55ec5d6c0a8d6cad1d8918d3284d";

/// A commit that was pushed to these repositories.
fn published(registry: &Registry, repositories: &[&str]) -> Scenario {
    let scenario = service();
    publish(&scenario, registry, repositories, COMMIT);
    scenario
}

fn publish(scenario: &Scenario, registry: &Registry, repositories: &[&str], commit: &str) {
    let tag = format!("sha-{commit}");
    let targets: Vec<String> = repositories.iter().map(|name| at(registry, name)).collect();
    let named = targets.iter().flat_map(|target| ["-r", target.as_str()]);
    let run = scenario.run(named.chain(["-t", &tag]));
    new_machine(run).ended().succeeded();
    registry.reset_counts();
}

/// The image of a later commit, with another app in it.
fn next(scenario: &mut Scenario, registry: &Registry, version: &str) {
    scenario.release(version);
    publish(scenario, registry, &["api"], OTHER);
}

/// `nixpy-ci release`, of the commit, to `api`, where there is no Nix.
fn release(scenario: &Scenario, registry: &Registry, arguments: &[&str]) -> Ended {
    release_of(COMMIT, scenario, registry, arguments)
}

fn release_of(commit: &str, scenario: &Scenario, registry: &Registry, arguments: &[&str]) -> Ended {
    let target = at(registry, "api");
    let settings = ["release", "--commit", commit, "-r", &target];
    let arguments = settings.iter().chain(arguments).copied();
    scenario.nixpy(arguments).without_nix().ended()
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap()
}

/// Everything that was asked for but to be read.
fn written(registry: &Registry) -> Vec<String> {
    let requests = registry.requests().into_iter();
    let writing = requests.filter(|request| ![Method::GET, Method::HEAD].contains(&request.method));
    writing
        .map(|request| format!("{} {}", request.method, request.path))
        .collect()
}
