//! Work that is spread over several machines: runs by digest, and the index that is
//! made of what they leave.

mod by_digest;
mod index;
mod refused;

use nixpy_pipeline::result::RunResult;
use nixpy_testkit::fake_nix::Replay;
use nixpy_testkit::registry::Registry;
use serde_json::{Value, json};

use crate::scenario::{Ended, Run, Scenario};

const COMMIT: &str = "1f518446f2de55ec5d6c0a8d6cad1d8918d3284d";
const OTHER: &str = "2f518446f2de55ec5d6c0a8d6cad1d8918d3284d";
pub const ARM: &str = "nixpy-ci-result-aarch64-linux.json";
pub const INTEL: &str = "nixpy-ci-result-x86_64-linux.json";

/// A checkout at a commit.
pub fn service() -> Scenario {
    Scenario::app().on(Replay::of(["flake", "metadata"]).stdout(metadata(Some(COMMIT))))
}

pub fn metadata(rev: Option<&str>) -> String {
    let hash = "sha256-tgvHTFvF2ho9BKLNRn8mORqP/fe3o5kdzmF6BUhIWoo=";
    json!({
        "locked": { "type": "git", "narHash": hash, "rev": rev },
        "locks": { "nodes": {} },
    })
    .to_string()
}

/// One job of a matrix, on a machine of its own.
pub fn publish(scenario: &Scenario, target: &str, system: &str) -> Ended {
    let run = scenario.run(["-r", target, "--by-digest", "-s", system]);
    new_machine(run).ended().succeeded()
}

pub fn joined(scenario: &Scenario, results: &[&str], settings: &[&str]) -> Ended {
    let arguments = ["index"].iter().chain(results).chain(settings).copied();
    scenario.nixpy(arguments).without_nix().ended()
}

pub fn result(scenario: &Scenario, file: &str) -> RunResult {
    RunResult::parse(scenario.read(file).as_bytes()).unwrap()
}

pub fn set_digest(result: &mut Value, digest: &str) {
    result["platforms"][0]["digest"] = json!(digest);
    result["platforms"][0]["manifest"]["digest"] = json!(digest);
}

pub fn at(registry: &Registry, name: &str) -> String {
    format!("{}/{name}", registry.host())
}

/// A machine that remembers nothing.
pub fn new_machine(run: Run<'_>) -> Run<'_> {
    run.env("XDG_STATE_HOME", "/dev/null/state")
}
