//! The arrows between the crates, and what each of them never does. Read from
//! what cargo says, and from the sources as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// By crate: what it depends on to be built, and what its tests need beside that.
#[derive(Default)]
struct Needs {
    built: BTreeSet<String>,
    tested: BTreeSet<String>,
}

fn crates() -> BTreeMap<String, Needs> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let mut needs = Needs::default();
            for dependency in package["dependencies"].as_array().unwrap() {
                let name = text(&dependency["name"]);
                match dependency["kind"].as_str() {
                    Some("dev") => needs.tested.insert(name),
                    _ => needs.built.insert(name),
                };
            }
            (text(&package["name"]), needs)
        })
        .collect()
}

#[test]
fn dependencies_between_the_crates_go_one_way() {
    let crates = crates();
    let own = |name: &str| -> Vec<&str> {
        let built = crates[name].built.iter();
        built
            .map(String::as_str)
            .filter(|other| crates.contains_key(*other))
            .collect()
    };
    assert_eq!(
        own("nixpy-ci"),
        [
            "nixpy-cache",
            "nixpy-github",
            "nixpy-nix",
            "nixpy-oci",
            "nixpy-pipeline"
        ]
    );
    assert_eq!(
        own("nixpy-pipeline"),
        ["nixpy-cache", "nixpy-nix", "nixpy-oci"]
    );
    assert_eq!(own("nixpy-cache"), ["nixpy-nix", "nixpy-oci"]);
    for alone in ["nixpy-github", "nixpy-nix", "nixpy-oci", "nixpy-testkit"] {
        assert_eq!(own(alone), [""; 0], "{alone}");
    }
    assert_eq!(
        crates.len(),
        7,
        "a new crate has its place in docs/DECISIONS.md and here"
    );
}

/// `fuzz` has a lock file of its own, which nothing else would miss until it is used.
#[test]
fn the_lock_of_fuzz_knows_what_the_crates_need() {
    let lock = fs::read_to_string(root().join("fuzz/Cargo.lock")).unwrap();
    let mut known = 0;
    for (name, needs) in crates() {
        let mark = format!("name = \"{name}\"\n");
        let Some((_, package)) = lock.split_once(&mark) else {
            continue;
        };
        let package = package.split("[[package]]").next().unwrap();
        known += 1;
        for other in &needs.built {
            // Followed by its version where there are several.
            let listed = [format!("\n \"{other}\","), format!("\n \"{other} ")];
            assert!(
                listed.iter().any(|line| package.contains(line)),
                "{name} needs {other}: run `cargo check` in fuzz"
            );
        }
    }
    assert!(known >= 3, "the libraries are fuzzed");
}

#[test]
fn the_testkit_is_for_tests_and_knows_no_other_crate() {
    let crates = crates();
    assert!(
        crates
            .values()
            .all(|needs| !needs.built.contains("nixpy-testkit"))
    );
    let testkit = &crates["nixpy-testkit"];
    let known = testkit.built.union(&testkit.tested);
    assert_eq!(known.filter(|name| crates.contains_key(*name)).count(), 0);
}

#[test]
fn each_library_is_kept_from_what_it_need_not_know() {
    let crates = crates();
    for (name, never) in [
        (
            "nixpy-pipeline",
            &[
                "clap",
                "octocrab",
                "reqwest",
                "indicatif",
                "tracing-subscriber",
            ][..],
        ),
        (
            "nixpy-nix",
            &["clap", "octocrab", "oci-client", "oci-spec", "indicatif"],
        ),
        ("nixpy-oci", &["clap", "octocrab", "indicatif"]),
    ] {
        for other in never {
            assert!(
                !crates[name].built.contains(*other),
                "{name} depends on {other}"
            );
        }
    }
}

#[test]
fn the_registry_side_has_never_heard_of_nix() {
    for (file, source) in sources("crates/nixpy-oci/src") {
        let lower = source.to_lowercase();
        for word in ["nixpy_nix", "nix store", "nix build"] {
            assert!(!lower.contains(word), "{} says {word:?}", file.display());
        }
    }
}

#[test]
fn the_pipeline_neither_looks_around_nor_prints() {
    for (file, source) in sources("crates/nixpy-pipeline/src") {
        let never = [
            "std::env",
            "std::process",
            "std::net",
            "tokio::net",
            "tokio::process",
            "println!",
            "GITHUB_",
        ];
        for word in never {
            assert!(!source.contains(word), "{} says {word:?}", file.display());
        }
    }
}

#[test]
fn nobody_speaks_but_by_the_doors_that_take_secrets_out() {
    let doors = [
        // Standard output and the log of the libraries; lines; bars on a terminal.
        "main.rs",
        "render/plain.rs",
        "render/bars.rs",
        // Who looks whether there is a terminal, and asks who sits at it.
        "render/mod.rs",
        "init/mod.rs",
        // The runner is told what to hide. In a container nobody was given anything.
        "mask.rs",
        "smoke/mod.rs",
        "smoke/room/inside.rs",
    ];
    let front = root().join("crates/nixpy-ci/src");
    for (file, source) in sources("crates/nixpy-ci/src") {
        let speaks = ["stdout()", "stderr()", "MultiProgress"];
        let speaks = speaks.iter().any(|word| source.contains(word));
        let is_door = doors.iter().any(|door| file == front.join(door));
        assert!(!speaks || is_door, "{} is no door", file.display());
    }
}

#[test]
fn nothing_is_left_to_be_done() {
    let unfinished = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("FIX", "ME"),
    ];
    for (file, source) in ["crates", "tests"].into_iter().flat_map(sources) {
        for word in unfinished {
            assert!(!source.contains(word), "{} says {word:?}", file.display());
        }
    }
}

#[test]
fn every_module_begins_with_what_it_is_for() {
    for (file, source) in ["crates", "tests"].into_iter().flat_map(sources) {
        let is_test = file.to_string_lossy().contains("tests");
        let opens = source.trim_start().starts_with("//!");
        assert!(
            opens || is_test,
            "{} does not say what it is for",
            file.display()
        );
    }
}

/// Every Rust file below a directory of the workspace, with its text.
fn sources(directory: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(directory)];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{directory} has sources");
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
