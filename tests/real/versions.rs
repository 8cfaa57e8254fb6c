//! Versions of Nix that are years apart give the same plan and the same digests.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::world::example::example;
use crate::world::flake::Flake;
use crate::world::nixpy::{Workplace, binary};
use crate::world::program::{Ended, NIX_CONFIG, output_of, run};
use crate::world::store::Store;
use crate::world::versions::Root;

/// `nixpy-ci` by every version of Nix, each on an empty store: what it says of each.
fn by_every_version<T>(
    folders: &[&Path],
    mut ask: impl FnMut(&dyn Fn(&[&str]) -> Ended) -> T,
) -> Vec<(String, T)> {
    let start = |mut command: Command, arguments: &[&str], config: &str| {
        let here = Workplace::new();
        command.args(arguments);
        here.prepare(&mut command);
        run(command.env("NIX_CONFIG", config))
    };
    let store = Store::empty();
    let own = output_of("nix", ["--version"]);
    let own = own.rsplit(' ').next().unwrap().to_owned();
    let config = format!("{NIX_CONFIG}\nbuild-users-group =");
    let mut answers = vec![(
        own,
        ask(&|arguments| start(store.command(binary()), arguments, &config)),
    )];
    for root in Root::all() {
        let answer = ask(&|arguments| start(root.command(binary(), folders), arguments, ""));
        answers.push((root.version(), answer));
    }
    let versions: BTreeSet<&String> = answers.iter().map(|(version, _)| version).collect();
    assert!(versions.len() >= 2, "{versions:?}");
    answers
}

fn all_equal<T: PartialEq + std::fmt::Debug>(answers: &[(String, T)]) {
    for (version, answer) in &answers[1..] {
        assert_eq!(*answer, answers[0].1, "{version} and {}", answers[0].0);
    }
}

#[test]
fn every_version_gives_the_same_plan_and_builds_the_same_images() {
    let systems = ["x86_64-linux", "aarch64-linux"];
    let flake = Flake::for_systems(&systems, "echo building $stamp; cat $archive > $out");
    let image = flake.image();
    let answers = by_every_version(&[], |nixpy| {
        let plan = nixpy(&["plan", &image, "--json", "--layout", "out"]).succeeded();
        let report = nixpy(&["run", &image, "--json", "--layout", "out"]).succeeded();
        let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
        (plan["jobs"].clone(), report.json()["index"].clone())
    });
    let (jobs, index) = &answers[0].1;
    assert_eq!(jobs[0]["strategy"], "emulated", "{jobs:#}");
    assert_eq!(jobs[1]["strategy"], "native", "{jobs:#}");
    assert!(index["digest"].is_string());
    all_equal(&answers);
}

/// From a cache, so that it takes seconds: what is new here is how paths are described.
#[test]
fn every_version_publishes_the_same_closure_from_a_cache() {
    let place = tempfile::tempdir().unwrap();
    let cache = format!(
        "file://{}?compression=none",
        place.path().join("cache").display()
    );
    let app = |system: &str| example().package(system, "app").display().to_string();
    let [amd64, arm64] = ["x86_64-linux", "aarch64-linux"].map(app);
    output_of(
        "nix",
        ["copy", "--no-check-sigs", "--to", &cache, &amd64, &arm64],
    );
    let cache = format!("--nix-option=substituters={cache}");
    let flake = example().flake("app");
    let answers = by_every_version(&[example().folder()], |nixpy| {
        let options = [&cache, "--nix-option=require-sigs=false", "--json"];
        let report = nixpy(&[&["run", &flake, "--layout", "out"], &options[..]].concat());
        let report = report.succeeded().json();
        let strategies = report["platforms"].as_array().unwrap().iter();
        let strategies: Vec<Value> = strategies.map(|one| one["strategy"].clone()).collect();
        (report["index"].clone(), strategies)
    });
    assert_eq!(answers[0].1.1, ["cached", "native"]);
    all_equal(&answers);
}

#[test]
fn every_version_tells_the_same_of_a_build_that_fails() {
    let flake = Flake::built_by("echo the last words of $stamp; exit 3");
    let answers = by_every_version(&[], |nixpy| {
        let ended = nixpy(&["run", &flake.image(), "--json"]).ended_with(1);
        let report = ended.json();
        let failure = &report["failures"][0];
        let told = ["derivation", "reason", "logTail", "systems"];
        told.map(|what| failure[what].clone())
    });
    let words = format!("the last words of {}", flake.stamp());
    assert_eq!(answers[0].1[2][0], *words, "{answers:#?}");
    all_equal(&answers);
}
