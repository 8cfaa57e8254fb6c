//! `nixpy-ci plan --matrix`: the jobs that the work is spread over.

use serde_json::{Value, json};

use crate::scenario::{Ended, Scenario};

#[test]
fn one_line_for_a_variable_of_the_workflow() {
    let ended = Scenario::app()
        .nixpy(["plan", "--matrix"])
        .ended()
        .succeeded();
    assert_eq!(ended.stdout.lines().count(), 1);
    let expected = json!({ "include": [
        {
            "systems": "aarch64-linux",
            "platforms": "linux/arm64",
            "runner": "ubuntu-24.04-arm",
            "name": "arm64",
        },
        {
            "systems": "x86_64-linux",
            "platforms": "linux/amd64",
            "runner": "ubuntu-24.04",
            "name": "amd64",
        },
    ] });
    assert_eq!(matrix(&ended), expected);
    assert_eq!(ended.calls("build"), 0);
    let page = include_str!("../../docs/MATRIX.md");
    assert!(
        page.contains(&ended.stdout),
        "docs/MATRIX.md shows another line"
    );
}

#[test]
fn runners_of_ones_own_are_named_by_flag_or_file() {
    let yaml = "runners:\n  aarch64-linux: self-hosted,arm64\n  x86_64-linux: big\n";
    let scenario = Scenario::app().file("nixpy-ci.yaml", yaml);
    let runners = |arguments: &[&str]| {
        let arguments = ["plan", "--matrix"].iter().chain(arguments).copied();
        let matrix = matrix(&scenario.nixpy(arguments).ended().succeeded());
        [0, 1].map(|leg: usize| matrix["include"][leg]["runner"].clone())
    };
    assert_eq!(
        runners(&[]),
        [json!(["self-hosted", "arm64"]), json!("big")]
    );
    let flag = ["--runner", "aarch64-linux=tiny"];
    assert_eq!(runners(&flag), [json!("tiny"), json!("ubuntu-24.04")]);
}

#[test]
fn a_runner_of_no_system_is_told() {
    let scenario = Scenario::app();
    let arguments = ["plan", "--matrix", "--runner", "arm=x", "--runner", "y"];
    let ended = scenario
        .nixpy(arguments)
        .ended()
        .with_code(2)
        .prints_nothing();
    assert_eq!(ended.errors().len(), 2, "{ended}");
    ended
        .says("'arm' is not a system")
        .says("is not SYSTEM=LABEL");
}

#[test]
fn what_only_the_planning_machine_has_is_built_by_the_others() {
    let scenario = Scenario::app().built();
    let matrix = matrix(&scenario.nixpy(["plan", "--matrix"]).ended().succeeded());
    assert_eq!(matrix["include"].as_array().unwrap().len(), 2);
}

#[test]
fn a_matrix_is_a_matter_of_plans() {
    let ended = Scenario::app().run(["--matrix"]).ended().with_code(2);
    ended.says("--matrix");
}

fn matrix(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("no matrix: {e}\n{ended}"))
}
