//! Matrices, made of plans alone.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use std::collections::BTreeMap;

use nixpy_pipeline::matrix::{Labels, Runners, matrix};
use nixpy_pipeline::plan::{Declined, Plan, Strategy};
use nixpy_pipeline::platform::platform_of;
use serde_json::{Value, json};

fn plan_for(systems: &[&str]) -> Plan {
    let jobs = systems.iter().map(|system| {
        let path = |name: &str| format!("/nix/store/{}-{name}", "0".repeat(32));
        json!({
            "system": system,
            "platform": platform_of(&system.parse().unwrap()).unwrap(),
            "attribute": "image",
            "form": "closure",
            "strategy": "configured",
            "derivation": path(&format!("{system}.drv")),
            "output": path(system),
            "outputName": "out",
            "name": "api",
            "mainProgram": null,
        })
    });
    let plan = json!({
        "version": 1,
        "flake": "github:acme/api",
        "jobs": jobs.collect::<Value>(),
        "destination": "ghcr.io/acme/api",
        "tags": [],
        "notes": [],
    });
    serde_json::from_value(plan).unwrap()
}

/// The legs of a plan for these systems, where the outputs of those are known.
fn legs(systems: &[&str], runners: &Runners, known: &[&str]) -> Value {
    let mut plan = plan_for(systems);
    for job in &mut plan.jobs {
        if known.contains(&job.system.as_str()) {
            job.strategy = Strategy::Cached;
        }
    }
    let matrix = matrix(&plan, runners);
    serde_json::to_value(matrix).unwrap()["include"].take()
}

/// Of each leg its runner and its systems.
fn shape(legs: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let legs = legs.as_array().unwrap().iter();
    legs.map(|leg| (text(&leg["runner"]), text(&leg["systems"])))
        .collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
    pairs.iter().map(owned).collect()
}

const BOTH: [&str; 2] = ["aarch64-linux", "x86_64-linux"];
const ARM: &str = "ubuntu-24.04-arm";
const INTEL: &str = "ubuntu-24.04";

#[test]
fn each_system_is_a_leg_on_a_runner_of_its_own() {
    let expected = json!([
        { "systems": "aarch64-linux", "platforms": "linux/arm64", "runner": ARM, "name": "arm64" },
        { "systems": "x86_64-linux", "platforms": "linux/amd64", "runner": INTEL, "name": "amd64" },
    ]);
    assert_eq!(legs(&BOTH, &Runners::default(), &[]), expected);
}

#[test]
fn a_system_that_no_runner_is_for_goes_to_the_machine_that_emulates_it() {
    let systems = [
        "aarch64-linux",
        "armv7l-linux",
        "riscv64-linux",
        "x86_64-linux",
    ];
    let legs = legs(&systems, &Runners::default(), &[]);
    let expected = [
        (ARM, "aarch64-linux armv7l-linux"),
        (INTEL, "riscv64-linux x86_64-linux"),
    ];
    assert_eq!(shape(&legs), pairs(&expected));
    assert_eq!(legs[0]["name"], "arm64-arm");
    assert_eq!(legs[0]["platforms"], "linux/arm64 linux/arm/v7");
}

#[test]
fn what_is_known_needs_no_leg_of_its_own() {
    let runners = Runners::default();
    for (known, expected) in [
        ("aarch64-linux", (INTEL, "aarch64-linux x86_64-linux")),
        ("x86_64-linux", (ARM, "aarch64-linux x86_64-linux")),
    ] {
        assert_eq!(shape(&legs(&BOTH, &runners, &[known])), pairs(&[expected]));
    }
    // Its own machine's leg, where there is one, rather than the first.
    let systems = ["aarch64-linux", "i686-linux", "x86_64-linux"];
    let expected = [(ARM, "aarch64-linux"), (INTEL, "i686-linux x86_64-linux")];
    let legs = legs(&systems, &runners, &["i686-linux"]);
    assert_eq!(shape(&legs), pairs(&expected));
}

#[test]
fn where_all_is_known_there_is_one_leg() {
    let legs = legs(&BOTH, &Runners::default(), &BOTH);
    assert_eq!(shape(&legs), pairs(&[(ARM, "aarch64-linux x86_64-linux")]));
}

#[test]
fn what_can_only_be_cross_compiled_goes_to_the_machine_that_does_it() {
    let mut plan = plan_for(&BOTH);
    let arm = &mut plan.jobs[0];
    arm.strategy = Strategy::Cross;
    arm.offered_for = Some("x86_64-linux".parse().unwrap());
    let legs = |plan: &Plan| {
        let matrix = matrix(plan, &Runners::default());
        shape(&serde_json::to_value(matrix).unwrap()["include"])
    };
    assert_eq!(legs(&plan), pairs(&[(INTEL, "aarch64-linux x86_64-linux")]));
    plan.jobs[0].declined.push(Declined {
        strategy: Strategy::Native,
        why: "this machine is x86_64-linux".to_owned(),
        cure: None,
    });
    let apart = [(ARM, "aarch64-linux"), (INTEL, "x86_64-linux")];
    assert_eq!(legs(&plan), pairs(&apart));
}

#[test]
fn runners_of_ones_own_come_before_githubs() {
    let own = [
        ("aarch64-linux", "self-hosted, arm64"),
        ("riscv64-linux", "risky"),
    ];
    let own = own.map(|(system, labels)| (system.parse().unwrap(), Labels::parse(labels).unwrap()));
    let runners = Runners::new(BTreeMap::from(own));
    let systems = ["aarch64-linux", "riscv64-linux", "x86_64-linux"];
    let legs = legs(&systems, &runners, &[]);
    assert_eq!(legs[0]["runner"], json!(["self-hosted", "arm64"]));
    assert_eq!(legs[1]["runner"], "risky");
    assert_eq!(legs[2]["runner"], INTEL);
}

#[test]
fn labels_are_at_least_one_and_none_is_empty() {
    for text in ["", "a,,b", " ", "a\nb"] {
        assert!(Labels::parse(text).is_err(), "{text:?}");
    }
}
