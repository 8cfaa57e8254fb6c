//! `nixpy-ci init` in small projects: what it writes, what it leaves alone, and what it says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const MAIN: &str = "from fastapi import FastAPI\n\napp = FastAPI()\n";
const WRITTEN: [&str; 4] = [
    "flake.nix",
    "nixpy-ci.yaml",
    ".github/workflows/image.yaml",
    ".github/workflows/release.yaml",
];

/// A folder with these files.
fn project(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let place = dir.path().join(name);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, text).unwrap();
    }
    dir
}

fn fastapi() -> TempDir {
    project(&[
        ("requirements.txt", "fastapi\nuvicorn\n"),
        ("app/main.py", MAIN),
    ])
}

fn init(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nixpy-ci"))
        .arg("init")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[track_caller]
fn succeeded(output: Output) -> String {
    let told = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        (output.status.code(), stderr.as_str()),
        (Some(0), ""),
        "{told}"
    );
    told
}

/// Every file below a folder, with its text.
fn everything(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(place) = open.pop() {
        for entry in fs::read_dir(place).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => {
                    let name = path.strip_prefix(folder).unwrap().display().to_string();
                    found.push((name, fs::read_to_string(path).unwrap()));
                }
            }
        }
    }
    found.sort();
    found
}

#[test]
fn four_files_are_written_and_a_second_run_changes_nothing() {
    let dir = fastapi();
    let told = succeeded(init(dir.path(), &[]));
    for word in [
        "a project of requirements (there is a requirements.txt)",
        "app/main.py has a FastAPI application",
    ] {
        assert!(told.contains(word), "{told}");
    }
    for name in WRITTEN {
        assert!(told.contains(&format!("written {name}\n")), "{told}");
    }
    let flake = fs::read_to_string(dir.path().join("flake.nix")).unwrap();
    assert!(
        flake.contains(
            r#"command = [ "uvicorn" "app.main:app" "--host" "0.0.0.0" "--port" "8000" ];"#
        ),
        "{flake}"
    );
    let settings = fs::read_to_string(dir.path().join("nixpy-ci.yaml")).unwrap();
    assert!(
        settings.contains("\nsmoke: { http: /openapi.json, port: 8000 }"),
        "{settings}"
    );

    let before = everything(dir.path());
    let told = succeeded(init(dir.path(), &[]));
    assert_eq!(
        told.matches("is there already, just so").count(),
        4,
        "{told}"
    );
    assert_eq!(everything(dir.path()), before);
}

#[test]
fn the_settings_that_are_written_are_settings() {
    let dir = fastapi();
    succeeded(init(dir.path(), &[]));
    // What is wrong with the settings is told before a flake is looked for.
    let plan = Command::new(env!("CARGO_BIN_EXE_nixpy-ci"))
        .args(["plan", "--nix", "/no/such/nix"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&plan.stderr);
    assert_eq!(plan.status.code(), Some(3), "{told}");
    assert!(!told.contains("nixpy-ci.yaml"), "{told}");
}

#[test]
fn a_file_that_is_there_stays_as_it_is_and_the_others_are_written() {
    let dir = fastapi();
    fs::write(dir.path().join("flake.nix"), "{ outputs = _: { }; }\n").unwrap();
    let told = succeeded(init(dir.path(), &[]));
    assert!(
        told.contains("flake.nix is there, and stays as it is: --force overwrites it"),
        "{told}"
    );
    assert_eq!(
        fs::read_to_string(dir.path().join("flake.nix")).unwrap(),
        "{ outputs = _: { }; }\n"
    );
    assert!(dir.path().join(".github/workflows/image.yaml").exists());

    let told = succeeded(init(dir.path(), &["--force"]));
    assert!(told.contains("overwritten flake.nix"), "{told}");
    assert!(
        fs::read_to_string(dir.path().join("flake.nix"))
            .unwrap()
            .contains("pyproject-nix")
    );
}

#[test]
fn a_dry_run_prints_the_files_and_writes_none() {
    let dir = fastapi();
    let before = everything(dir.path());
    let told = succeeded(init(dir.path(), &["--dry-run"]));
    for name in WRITTEN {
        assert!(told.contains(&format!("would write {name}\n")), "{told}");
        assert!(told.contains(&format!("\n--- {name}\n")), "{told}");
    }
    assert_eq!(everything(dir.path()), before);
}

#[test]
fn json_says_the_same_to_programs() {
    let dir = fastapi();
    fs::write(dir.path().join("nixpy-ci.yaml"), "tags: [v1]\n").unwrap();
    let told: Value =
        serde_json::from_str(&succeeded(init(dir.path(), &["--json", "--port", "9000"]))).unwrap();
    assert_eq!(
        (&told["version"], &told["kind"], &told["port"]),
        (&1.into(), &"requirements".into(), &9000.into())
    );
    assert_eq!(
        told["starts"],
        "uvicorn app.main:app --host 0.0.0.0 --port 9000"
    );
    let became: Vec<&str> = told["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["is"].as_str().unwrap())
        .collect();
    assert_eq!(became, ["written", "kept", "written", "written"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_left_as_it_was() {
    let dir = fastapi();
    // No folder can be made in the place of a file.
    fs::write(dir.path().join(".github"), "not a folder\n").unwrap();
    let before = everything(dir.path());
    let output = init(dir.path(), &[]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(
        told.contains("error: .github/workflows/image.yaml cannot be written, so nothing was: "),
        "{told}"
    );
    assert_eq!(everything(dir.path()), before);
}

#[test]
fn what_is_no_project_is_wrong_input() {
    let dir = project(&[("README.md", "x")]);
    let output = init(dir.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.starts_with("error: no Python project is here"),
        "{told}"
    );
    assert_eq!(everything(dir.path()).len(), 1);
}

#[test]
fn the_way_out_of_poetry2nix_is_told_and_its_flake_stays() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/base_api");
    let read = |name: &str| fs::read_to_string(examples.join(name)).unwrap();
    let (pyproject, flake) = (
        read("poetry2nix/pyproject.toml"),
        read("poetry2nix/flake.nix"),
    );
    let dir = project(&[
        ("pyproject.toml", &pyproject),
        ("flake.nix", &flake),
        ("poetry.lock", ""),
        ("src/base_api/main.py", &read("src/base_api/main.py")),
    ]);
    let told = succeeded(init(dir.path(), &[]));
    assert!(
        told.contains(
            "from poetry2nix, which is no longer maintained, to uv2nix:\n  1. uvx migrate-to-uv"
        ),
        "{told}"
    );
    assert!(told.contains("the old flake overrides h11"), "{told}");
    assert_eq!(
        fs::read_to_string(dir.path().join("flake.nix")).unwrap(),
        flake
    );
}

#[test]
fn a_project_below_the_top_of_a_repository_has_its_workflow_there() {
    let dir = project(&[
        (".git/HEAD", "ref: refs/heads/master\n"),
        (
            ".git/config",
            "[remote \"origin\"]\n\turl = git@github.com:Acme/Mono.git\n",
        ),
        ("services/api/requirements.txt", "fastapi\nuvicorn\n"),
        ("services/api/main.py", MAIN),
    ]);
    succeeded(init(dir.path(), &["services/api"]));
    let workflow = fs::read_to_string(dir.path().join(".github/workflows/image-api.yaml")).unwrap();
    for line in [
        "name: image of api",
        "branches: [master]",
        "flake: ./services/api",
        "repository: ghcr.io/acme/mono/api",
        "smoke-http: /openapi.json",
        "flavor: latest=false # leaves `latest` to release-api.yaml",
    ] {
        assert!(workflow.contains(line), "{line}: {workflow}");
    }
    let release =
        fs::read_to_string(dir.path().join(".github/workflows/release-api.yaml")).unwrap();
    for line in [
        "name: release of api",
        "command: release",
        "flake: ./services/api",
        "repository: ghcr.io/acme/mono/api",
        "smoke-http: /openapi.json",
        // Another service's release has the same tag.
        "no-github: true",
    ] {
        assert!(release.contains(line), "{line}: {release}");
    }
    assert!(dir.path().join("services/api/flake.nix").exists());
    assert!(!dir.path().join("services/api/.github").exists());
}

#[test]
fn a_project_that_no_workflow_can_name_gets_nothing() {
    let files = [
        (".git/HEAD", "ref: refs/heads/main\n"),
        ("services/my api/requirements.txt", "fastapi\nuvicorn\n"),
        ("services/my api/main.py", MAIN),
    ];
    let dir = project(&files);
    let before = everything(dir.path());
    let output = init(dir.path(), &["services/my api"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.starts_with("error: services/my api is below the top of a repository"),
        "{told}"
    );
    assert_eq!(everything(dir.path()), before);

    // At the top, and without a repository, nothing has to be named.
    let dir = project(&[
        ("my api/requirements.txt", "fastapi\nuvicorn\n"),
        ("my api/main.py", MAIN),
    ]);
    let told = succeeded(init(dir.path(), &["my api"]));
    assert!(told.contains("\n  cd 'my api'\n"), "{told}");
    assert!(
        dir.path()
            .join("my api/.github/workflows/image.yaml")
            .exists()
    );
}

#[test]
fn words_of_a_project_are_words_and_neither_nix_nor_commands_of_a_terminal() {
    let pyproject = "[project]\nname = \"a${builtins.abort \\\"x\\\"}\\u001b[31m\"\n\
                     description = \"\\\"; ${builtins.abort \\\"y\\\"} @@name@@ \\\\\"\n\
                     dependencies = ['fastapi', 'uvicorn']\n";
    let dir = project(&[
        ("pyproject.toml", pyproject),
        ("main.py", MAIN),
        ("x';boom.py", MAIN),
    ]);
    let told = succeeded(init(dir.path(), &[]));
    assert!(!told.contains('\u{1b}'), "{told}");
    let flake = fs::read_to_string(dir.path().join("flake.nix")).unwrap();
    assert!(
        flake.contains(r#"name = "abuiltins-abortx31m";"#),
        "{flake}"
    );
    assert!(
        flake.contains(r#"description = "\"; \${builtins.abort \"y\"} @@name@@ \\";"#),
        "{flake}"
    );
}

/// The examples, and what the flake templates have.
fn folders_of_workflows() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let kinds = ["uv", "pdm", "poetry", "requirements"];
    let templates = kinds.map(|kind| root.join(format!("templates/{kind}/.github/workflows")));
    let mut folders = vec![root.join("examples/workflows")];
    folders.extend(templates);
    folders
}

#[test]
fn beside_a_release_workflow_no_other_moves_latest() {
    for folder in folders_of_workflows() {
        let all = everything(&folder);
        let pushing = all
            .iter()
            .filter(|(_, text)| text.contains("\n    branches: ["));
        let pushing: Vec<_> = pushing.collect();
        assert!(!pushing.is_empty(), "{}", folder.display());
        for (name, text) in pushing {
            let set = text
                .matches("\n          flavor: latest=false # leaves `latest` to release.yaml\n");
            assert_eq!(set.count(), 1, "{name}: {text}");
            let (head, _) = text.split_once("\nname: ").unwrap();
            assert!(head.contains("`latest=auto`"), "{name}: {head}");
        }
        let (_, release) = all.iter().find(|(name, _)| name == "release.yaml").unwrap();
        let (head, _) = release.split_once("\nname: ").unwrap();
        let head = head.replace("\n# ", " ");
        assert!(
            head.contains("none should move `latest`: image.yaml"),
            "{head}"
        );
    }
}

#[test]
fn a_merge_queue_does_not_wait_for_ever() {
    for folder in folders_of_workflows() {
        for (name, text) in everything(&folder) {
            // What builds a pull request builds it in the queue as well; forks have none there.
            let builds = text.contains("\n  pull_request:\n") && name != "fork-build.yaml";
            assert_eq!(
                builds,
                text.contains("\n  merge_group:\n"),
                "{name}: {text}"
            );
        }
    }
}

#[test]
fn a_versions_tag_starts_releases_alone() {
    for folder in folders_of_workflows() {
        let started: Vec<_> = everything(&folder)
            .into_iter()
            .filter(|(_, text)| text.contains("\n    tags: ["))
            .collect();
        let names: Vec<_> = started.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["release.yaml"], "{}", folder.display());
        assert!(
            started[0].1.contains("\n          command: release\n"),
            "{}",
            started[0].1
        );
    }
}
