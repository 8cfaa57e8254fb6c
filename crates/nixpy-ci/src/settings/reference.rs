//! The table of settings as a page of the documentation. Compiled for tests
//! only: one compares the page with the table, and writes it anew when
//! `UPDATE_DOCS` is set.

use std::fmt::Write as _;
use std::path::Path;

use super::table::{Group, Kind, SETTINGS, Setting};

fn page() -> String {
    let mut page = String::from(
        "# Settings of `nixpy-ci run`, `plan` and `index`\n\n\
         Each setting can be given in four places. The first that says anything wins, whole: \
         lists are not merged.\n\n\
         1. the flag\n\
         2. `NIXPY_*` in the environment\n\
         3. `INPUT_*`, which is how GitHub passes an action's inputs: they are called as the key is, or, where that \
         has a dot, as the flag is\n\
         4. `nixpy-ci.yaml` in the current directory, or the file named by `--config`\n\n\
         In variables, lists are separated by blanks, commas or line ends; lists of words that may \
         contain blanks, and `KEY=VALUE`, by line ends. An empty variable says nothing.\n\n\
         This page is written from the table in `crates/nixpy-ci/src/settings/table.rs`.\n",
    );
    let mut group: Option<Group> = None;
    for setting in SETTINGS {
        if group != Some(setting.group) {
            group = Some(setting.group);
            let heading = setting.group.heading();
            let _ = write!(
                page,
                "\n## {heading}\n\n| flag | variable | key | default | |\n|---|---|---|---|---|\n"
            );
        }
        let _ = writeln!(page, "{}", row(setting));
    }
    page
}

fn row(setting: &Setting) -> String {
    let flag = match (setting.name, setting.kind) {
        ("flake", _) => "`FLAKE` (no flag)".to_owned(),
        (_, Kind::Secret) => "none: a secret".to_owned(),
        (name, kind) => {
            let short = setting
                .short
                .map_or(String::new(), |short| format!(", `-{short}`"));
            format!("`--{name}{}`{short}", value(kind))
        }
    };
    let key = match setting.kind {
        Kind::Secret => "none: a secret".to_owned(),
        _ => format!("`{}`", setting.path()),
    };
    let default = setting.marked_default().unwrap_or_default();
    let help = setting.help.replace('|', "\\|");
    format!(
        "| {flag} | `{}` | {key} | {default} | {help} |",
        setting.variable()
    )
}

fn value(kind: Kind) -> String {
    match kind {
        Kind::Switch | Kind::Secret => String::new(),
        Kind::Choice(words) => format!(" {}", words.join("\\|")),
        Kind::One(value) | Kind::Words(value) | Kind::Lines(value) | Kind::Pairs(value) => {
            format!(" {}", value.replace('|', "\\|"))
        }
    }
}

#[test]
fn the_page_of_settings_is_the_table() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/SETTINGS.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, page()).expect("docs/SETTINGS.md can be written");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page(),
        "docs/SETTINGS.md is not what the table says: UPDATE_DOCS=1 cargo test -p nixpy-ci"
    );
}

#[test]
fn no_two_settings_share_a_spelling() {
    let mut seen = std::collections::BTreeSet::new();
    for setting in SETTINGS {
        let key = format!("key {}", setting.path());
        for spelling in [vec![setting.variable(), key], setting.inputs()].concat() {
            assert!(seen.insert(spelling.clone()), "{spelling} is there twice");
        }
        if let Some(short) = setting.short {
            assert!(seen.insert(format!("-{short}")), "-{short} is there twice");
        }
    }
}

#[test]
fn the_help_names_the_attributes_that_are_looked_for() {
    let names = nixpy_pipeline::plan::CANDIDATES.join(", ");
    let told = SETTINGS.iter().any(|setting| setting.help.contains(&names));
    assert!(told, "no help text has: {names}");
}
