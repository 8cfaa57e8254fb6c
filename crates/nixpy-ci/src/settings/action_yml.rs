//! The table of settings as the action's metadata. Compiled for tests only: one compares
//! `action.yml` with the table, and writes it anew when `UPDATE_DOCS` is set.
//!
//! A default stands in the description and not in `default:`. GitHub would hand that on as if
//! somebody had written it, and `nixpy-ci.yaml`, which an input outdoes, could no longer say
//! anything.

use std::fmt::Write as _;
use std::path::Path;

use super::table::{Kind, SETTINGS, Setting};
use crate::github::action::{COMMANDS, OUTPUTS};

const HEAD: &str = "\
# Written from the table of settings: UPDATE_DOCS=1 cargo test -p nixpy-ci --bins action_yml
name: Nix images for Python services
description: >-
  Builds a Python service from a Nix flake into one container image for every platform, publishes it, and tells
  the pull request what has changed
author: the nixpy-ci authors
branding:
  icon: package
  color: blue
";

const RUNS: &str = "\
runs:
  using: node24
  main: action/main.js
  post: action/post.js
";

/// What the launcher and the program take beside the settings: name, description, default.
const OTHERS: [(&str, &str, Option<&str>); 6] = [
    (
        "config",
        "The file of settings. Default: `nixpy-ci.yaml`, where there is one.",
        None,
    ),
    (
        "files",
        "For `index` and `report`: what other jobs have left, as files, or as folders that are searched for files \
         that end in .json. One a line. Default: `nixpy-ci-results`.",
        None,
    ),
    (
        "version",
        "For `release`: the version, as its git tag is called, v1.2.3. Default: the tag that the workflow runs for.",
        None,
    ),
    (
        "binary",
        "A nixpy-ci that is on the runner already, for machines that cannot fetch one. Nothing is downloaded then.",
        None,
    ),
    (
        "binary-sha256",
        "With `binary`: the SHA-256 that it must have.",
        None,
    ),
    (
        "github-token",
        "The token for GitHub's API, and for ghcr.io where no other login is given.",
        Some("${{ github.token }}"),
    ),
];

/// What somebody finds who gives no input, where that is not the setting's own default; nothing where the
/// setting's help says it.
const DEFAULTS: [(&str, &str); 7] = [
    (
        "repository",
        "`ghcr.io/OWNER/REPO`, of this repository, in lower case; none on another server than github.com",
    ),
    ("tag", ""),
    (
        "push",
        "`auto`; and where no tags are named, `never` for a branch that is not the default one",
    ),
    (
        "result",
        "a file under `RUNNER_TEMP`: see the output `result`",
    ),
    ("setup", "`true`"),
    (
        "cache",
        "`registry`, if there is a cache-key or cache-public-keys",
    ),
    (
        "report",
        "a file under `RUNNER_TEMP`: see the output `report`",
    ),
];

fn page() -> String {
    let mut page = String::from(HEAD);
    let commands = COMMANDS.map(|(name, what)| format!("`{name}` {what}"));
    let command = format!("What to do. {}.", commands.join("; "));
    page.push_str("inputs:\n");
    input(&mut page, "command", &command, Some("run"));
    for setting in SETTINGS {
        let others = OTHERS.iter().any(|(name, ..)| *name == setting.name);
        if let Some(name) = setting.action_input().filter(|_| !others) {
            input(&mut page, name, &description(setting), None);
        }
    }
    for (name, what, default) in OTHERS {
        input(&mut page, name, what, default);
    }
    page.push_str("outputs:\n");
    for (name, what) in OUTPUTS {
        let _ = writeln!(page, "  {name}:\n    description: {}", quoted(what));
    }
    page.push_str(RUNS);
    page
}

fn input(page: &mut String, name: &str, what: &str, default: Option<&str>) {
    let _ = writeln!(page, "  {name}:\n    description: {}", quoted(what));
    if let Some(default) = default {
        let _ = writeln!(page, "    default: {default}");
    }
}

fn description(setting: &Setting) -> String {
    let help = setting.help.replace("; may be repeated", "");
    let mut text = help.replace(" May be repeated.", "");
    match setting.kind {
        Kind::Switch => text.push_str(" `true` or `false`."),
        Kind::Choice(words) => {
            let _ = write!(text, " One of {}.", words.join(", "));
        }
        Kind::Words(_) => text.push_str(" Several are separated by blanks, commas or line ends."),
        Kind::Lines(_) => text.push_str(" Several are given one a line."),
        Kind::Pairs(value) => {
            let _ = write!(text, " {value}, one a line.");
        }
        Kind::One(_) | Kind::Secret => {}
    }
    let of_the_action = DEFAULTS.iter().find(|(name, _)| *name == setting.name);
    let default = of_the_action.map(|(_, default)| (*default).to_owned());
    let default = default.or_else(|| setting.marked_default());
    if let Some(default) = default.filter(|default| !default.is_empty()) {
        let _ = write!(text, " Default: {default}.");
    }
    text
}

/// JSON's strings are YAML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[test]
fn the_actions_metadata_is_the_table() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../action.yml");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, page()).expect("action.yml can be written");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page(),
        "action.yml is not what the table says: UPDATE_DOCS=1 cargo test -p nixpy-ci --bins action_yml"
    );
}

#[test]
fn every_input_is_read_under_the_name_that_it_has_there() {
    for setting in SETTINGS {
        let Some(name) = setting.action_input() else {
            continue;
        };
        let variable = format!("INPUT_{}", name.to_uppercase());
        assert!(setting.inputs().contains(&variable), "{variable}");
    }
}

#[test]
fn what_is_said_of_a_default_is_said_of_a_setting() {
    for (name, _) in DEFAULTS {
        assert!(
            SETTINGS.iter().any(|setting| setting.name == name),
            "{name}"
        );
    }
}

#[test]
fn what_is_said_of_a_default_is_marked_as_what_somebody_would_write() {
    let page = page();
    for line in page.lines().filter(|line| line.contains("Default: ")) {
        let (_, default) = line.split_once("Default: ").expect("it is there");
        let told = ["`", "a file under `", "the tag that the workflow runs for"];
        assert!(told.iter().any(|told| default.starts_with(told)), "{line}");
    }
    let of = |name: &str| {
        let (_, after) = page
            .split_once(&format!("\n  {name}:\n"))
            .expect("it is there");
        after.lines().next().unwrap_or_default().to_owned()
    };
    assert!(of("flake").ends_with(" Default: `.`.\""), "{}", of("flake"));
    // In a job tags come by rules, and what they are elsewhere is not said to be so there.
    let tags = of("tags");
    assert!(
        tags.contains("on GitHub, what the ref gives") && !tags.contains("Default"),
        "{tags}"
    );
    let level = of("compression-level");
    assert!(
        level.ends_with(" Default: `1`, or 2 for zstd.\""),
        "{level}"
    );
}

#[test]
fn the_metadata_is_yaml_and_no_input_is_there_twice() {
    let value: serde_json::Value = serde_saphyr::from_str(&page()).expect("it is YAML");
    assert_eq!(value["runs"]["using"], "node24");
    let inputs = value["inputs"].as_object().expect("there are inputs");
    assert!(inputs.len() > 60, "{}", inputs.len());
    assert_eq!(page().matches("\n  github-token:\n").count(), 1);
}

#[test]
fn the_launcher_looks_for_the_release_of_this_version() {
    let list = include_str!("../../../../action/checksums.txt");
    let head = format!("# nixpy-ci {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(list.lines().next(), Some(head.as_str()));
}
