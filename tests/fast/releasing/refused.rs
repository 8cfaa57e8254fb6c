//! Releases that cannot be: nothing is changed by them.

use nixpy_testkit::registry::Registry;
use serde_json::{Value, json};

use super::{COMMIT, OTHER, at, next, published, release, release_of, written};
use crate::joining::service;
use crate::naming::job;
use crate::scenario::Ended;

/// Nothing was changed.
fn refused(registry: &Registry, ended: Ended, code: i32, because: &[&str]) {
    let ended = ended.with_code(code).prints_nothing();
    for text in because {
        assert!(ended.stderr.contains(text), "{text}\n{ended}");
    }
    assert_eq!(written(registry), [""; 0]);
}

#[test]
fn a_version_stays_what_it_is() {
    let registry = Registry::start();
    let mut scenario = published(&registry, &["api"]);
    release(&scenario, &registry, &["v1.2.3"]).succeeded();
    next(&mut scenario, &registry, "0.2.0");
    registry.reset_counts();
    let ended = release_of(OTHER, &scenario, &registry, &["v1.2.3"]);
    refused(
        &registry,
        ended,
        2,
        &["api:1.2.3 is sha256:", "under another number"],
    );
}

#[test]
fn an_image_of_which_something_is_gone_is_not_released() {
    let registry = Registry::start();
    let scenario = published(&registry, &["api"]);
    let index = registry.manifest("api", &format!("sha-{COMMIT}")).unwrap();
    let arm = index["manifests"][1]["digest"].as_str().unwrap();
    let image = registry.manifest("api", arm).unwrap();
    let layer = image["layers"][0]["digest"].as_str().unwrap();
    registry.forget_blob(layer);
    let ended = release(&scenario, &registry, &["v1.2.3"]);
    refused(&registry, ended, 4, &["is not whole", layer, "--remake"]);
}

#[test]
fn what_an_earlier_command_has_left_is_not_taken_for_this_ones() {
    let registry = Registry::start();
    let settings = "summary: summary.md\nreport: report.json\nhtml: page.html\n";
    let mut scenario = published(&registry, &["api"]).file("nixpy-ci.yaml", settings);
    let wrongs = [&["v1.2.3", "-s", "riscv64-linux"][..], &["no-version"]];
    for wrong in wrongs {
        for file in ["summary.md", "report.json", "page.html"] {
            scenario = scenario.file(file, "all is well");
        }
        let ended = release(&scenario, &registry, wrong);
        assert_ne!(ended.code, 0, "{ended}");
        let report: Value = serde_json::from_str(&scenario.read("report.json")).unwrap();
        assert_eq!(report["outcome"], "failure", "{ended}");
        let told = report["error"].as_str().unwrap();
        assert!(ended.stderr.contains(told), "{told}: {ended}");
        for file in ["summary.md", "page.html"] {
            let text = scenario.read(file);
            assert!(
                !text.contains("all is well") && !text.is_empty(),
                "{file}: {text}"
            );
        }
    }
}

#[test]
fn an_image_for_other_systems_is_not_released() {
    let registry = Registry::start();
    let scenario = published(&registry, &["api"]);
    let ended = release(&scenario, &registry, &["v1.2.3", "-s", "riscv64-linux"]);
    refused(
        &registry,
        ended,
        2,
        &["has no image for linux/riscv64", "--system"],
    );
    release(&scenario, &registry, &["v1.2.3", "-s", "aarch64-linux"]).succeeded();
}

#[test]
fn an_image_that_says_it_is_of_another_commit_is_not_released() {
    let registry = Registry::start();
    let scenario = published(&registry, &["api"]);
    let mut index: Value = registry.manifest("api", &format!("sha-{COMMIT}")).unwrap();
    index["annotations"] = json!({ "org.opencontainers.image.revision": COMMIT });
    registry.put_manifest("api", "sha-2f51844", &index);
    let ended = release_of(OTHER, &scenario, &registry, &["v1.2.3", "--no-build"]);
    let says = format!("says that it is of commit {COMMIT}");
    refused(&registry, ended, 2, &["sha-2f51844", &says, "--from"]);
    // As docker's action tags it.
    registry.put_manifest("api", "sha-1f51844", &index);
    release(&scenario, &registry, &["v1.2.3", "--from", "sha-1f51844"]).succeeded();
}

#[test]
fn what_is_no_index_is_not_released() {
    let registry = Registry::start();
    let scenario = published(&registry, &["api"]);
    let index = registry.manifest("api", &format!("sha-{COMMIT}")).unwrap();
    let image = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let ended = release(&scenario, &registry, &["v1.2.3", "--from", &image]);
    refused(&registry, ended, 2, &["is no index", "nixpy-ci run"]);
}

#[test]
fn two_images_of_one_commit_are_no_release() {
    let registry = Registry::start();
    let mut scenario = published(&registry, &["api"]);
    scenario.release("0.2.0");
    super::publish(&scenario, &registry, &["web"], COMMIT);
    let web = at(&registry, "web");
    let ended = release(&scenario, &registry, &["v1.2.3", "-r", &web]);
    refused(&registry, ended, 2, &["a release is one image"]);
}

#[test]
fn without_an_image_and_a_build_there_is_no_release() {
    let registry = Registry::start();
    let scenario = service();
    let ended = release(&scenario, &registry, &["v1.2.3", "--no-build"]);
    let looked = format!("sha-{COMMIT}, {}:sha-1f51844", at(&registry, "api"));
    refused(
        &registry,
        ended,
        4,
        &["has no image of this commit", &looked],
    );
}

#[test]
fn everything_that_is_wrong_with_the_settings_is_told() {
    let registry = Registry::start();
    let scenario = service();
    let ended = release_of(
        "main",
        &scenario,
        &registry,
        &["next", "--from", "a b", "-s", "x86_64-darwin"],
    );
    assert_eq!(ended.errors().len(), 4, "{ended}");
    refused(
        &registry,
        ended,
        2,
        &[
            "VERSION: \"next\" is no version",
            "--from:",
            "--commit:",
            "--system:",
        ],
    );
    let ended = scenario
        .nixpy(["release", "v1.0.0", "--commit", COMMIT])
        .ended();
    ended
        .with_code(2)
        .with_the_error(&["--repository: a release is of an image that is published"]);
    let ended = scenario
        .nixpy(["release", "v1.0.0", "-r", "ghcr.io/acme/api"])
        .ended();
    ended
        .with_code(2)
        .with_the_error(&["which commit", "--commit", "--from"]);
}

#[test]
fn what_is_only_proposed_is_not_released() {
    let registry = Registry::start();
    let scenario = published(&registry, &["api"]);
    let target = at(&registry, "api");
    let fork = json!({ "head_repository": { "full_name": "mallory/api" }, "event": "push" });
    for (event, payload) in [
        ("pull_request_review", json!({})),
        ("merge_group", json!({})),
        ("workflow_run", json!({ "workflow_run": fork })),
        (
            "issue_comment",
            json!({ "issue": { "pull_request": { "url": "x" } } }),
        ),
    ] {
        let words = [
            "release",
            "v1.2.3",
            "--commit",
            COMMIT,
            "-r",
            &target,
            "--no-github",
        ];
        let run = scenario.nixpy(words).without_nix();
        let ended = job(&scenario, run, (event, "refs/heads/main"), payload).ended();
        refused(&registry, ended, 2, &["what was decided on"]);
    }
}
