//! actionlint and zizmor on the action, every workflow, every example and every template.

use std::fs;
use std::path::{Path, PathBuf};

use crate::world::act::project;
use crate::world::lints::{actionlint, workflows_in, zizmor_finds_nothing};

#[test]
fn actionlint_finds_nothing_in_workflows_examples_and_templates() {
    let found = actionlint(&workflows());
    assert!(found.is_empty(), "{found:#?}");
}

/// What people copy out of the documentation.
#[test]
fn actionlint_finds_nothing_in_the_workflows_of_matrix_md() {
    let page = fs::read_to_string(project().join("docs/MATRIX.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let blocks = page.split("```yaml\n").skip(1);
    let blocks = blocks.filter_map(|block| block.split("```").next());
    let workflows = blocks.filter(|block| block.contains("jobs:"));
    let files: Vec<PathBuf> = workflows
        .enumerate()
        .map(|(n, text)| {
            let file = dir.path().join(format!("{n}.yaml"));
            fs::write(&file, text).unwrap();
            file
        })
        .collect();
    assert_eq!(files.len(), 2, "the action's way, and the program's");
    let found = actionlint(&files);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn actionlint_is_not_asleep() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wrong.yaml");
    let text = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo ${{ github.nothing }}\n";
    fs::write(&file, text).unwrap();
    assert_eq!(actionlint(&[file]).len(), 1);
}

#[test]
fn zizmor_finds_nothing_in_the_action_the_workflows_the_examples_and_the_templates() {
    zizmor_finds_nothing(&[workflows(), vec![project().join("action.yml")]].concat());
}

#[test]
fn the_line_that_leaves_forks_to_their_own_workflow_can_be_put_in() {
    let dir = tempfile::tempdir().unwrap();
    let example = fs::read_to_string(project().join("examples/workflows/image.yaml")).unwrap();
    let with = example.replacen("    # if: github", "    if: github", 1);
    assert_ne!(with, example);
    let file = dir.path().join("image.yaml");
    fs::write(&file, with).unwrap();
    let found = actionlint(std::slice::from_ref(&file));
    assert!(found.is_empty(), "{found:#?}");
    zizmor_finds_nothing(&[file]);
}

#[test]
fn nothing_is_silenced_without_a_reason() {
    for file in workflows().iter().chain([&project().join("action.yml")]) {
        let text = fs::read_to_string(file).unwrap();
        for line in text.lines().filter(|line| line.contains("zizmor: ignore")) {
            let (_, rest) = line.split_once("zizmor: ignore").unwrap();
            let reason = rest.split_once(']').map_or("", |(_, reason)| reason.trim());
            assert!(reason.len() > 10, "{}: {line}", file.display());
        }
    }
}

/// Programs alone are no Nix: settings and the users who build are in a package of their own.
#[test]
fn a_job_that_builds_with_nix_installs_all_of_it() {
    let mut jobs = 0;
    for file in workflows() {
        let text = fs::read_to_string(&file).unwrap();
        let installs = text.matches(" nix-bin").count();
        let whole = text.matches("install --no-install-recommends nix-bin nix-setup-systemd\n");
        assert_eq!(whole.count(), installs, "{}", file.display());
        if text.contains("sudo nix ") {
            assert!(installs > 0 && text.contains("/etc/nix/nix.conf"), "{text}");
        }
        jobs += installs;
    }
    assert_eq!(
        jobs, 2,
        "that of the release, and that of the flake's checks"
    );
}

/// This repository's own, those that users copy, and those that a flake template brings.
fn workflows() -> Vec<PathBuf> {
    let templates = ["uv", "pdm", "poetry", "requirements"];
    let templates = templates.map(|kind| format!("templates/{kind}/.github/workflows"));
    let own = [".github/workflows", "examples/workflows"].map(str::to_owned);
    let folders = own.iter().chain(&templates);
    let files: Vec<PathBuf> = folders
        .flat_map(|folder| workflows_in(&project().join(folder)))
        .collect();
    let has = |name: &str| files.iter().any(|file| file.ends_with(Path::new(name)));
    for name in [
        "ci.yml",
        "release.yml",
        "workflows/matrix.yaml",
        "uv/.github/workflows/image.yaml",
    ] {
        assert!(has(name), "{files:?}");
    }
    files
}
