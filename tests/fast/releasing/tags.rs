//! Which tags the image gets, and what that costs.

use nixpy_testkit::registry::{Fault, Method, Registry};
use serde_json::{Value, json};

use super::{COMMIT, OTHER, at, json, next, published, release, release_of, written};

#[test]
fn a_release_sends_four_tags_and_nothing_else() {
    let registry = Registry::start();
    let scenario = published(&registry, &["api"]);
    let digest = registry.tag("api", &format!("sha-{COMMIT}")).unwrap();
    let ended = release(&scenario, &registry, &["v1.2.3"]).succeeded();
    assert_eq!(
        written(&registry),
        ["1.2.3", "1.2", "1", "latest"].map(|tag| format!("PUT /v2/api/manifests/{tag}"))
    );
    for tag in ["1.2.3", "1.2", "1", "latest"] {
        assert_eq!(registry.tag("api", tag).as_ref(), Some(&digest), "{tag}");
    }
    ended
        .prints(&format!("v1.2.3 is {digest}\n"))
        .prints(&format!("{}:latest  set\n", at(&registry, "api")))
        .prints("linux/amd64")
        .prints("linux/arm64/v8");
}

#[test]
fn a_second_release_writes_nothing() {
    let registry = Registry::start();
    let scenario = published(&registry, &["api"]);
    release(&scenario, &registry, &["v1.2.3"]).succeeded();
    registry.reset_counts();
    let ended = release(&scenario, &registry, &["v1.2.3", "--json"]).succeeded();
    assert_eq!(written(&registry), [""; 0]);
    assert_eq!(json(&ended)["unchanged"], json!(true));
    let ended = release(&scenario, &registry, &["1.2.3"]).succeeded();
    ended.prints("nothing had to be changed");
}

#[test]
fn a_version_keeps_the_index_that_it_has_over_the_same_images() {
    let registry = Registry::start();
    let scenario = published(&registry, &["api"]);
    release(&scenario, &registry, &["v1.2.3"]).succeeded();
    let commit = format!("sha-{COMMIT}");
    let mut index = registry.manifest("api", &commit).unwrap();
    // As when the commit was pushed to another branch.
    index["annotations"] = json!({ "org.opencontainers.image.version": "next" });
    registry.put_manifest("api", &commit, &index);
    assert_ne!(registry.tag("api", &commit), registry.tag("api", "1.2.3"));
    registry.reset_counts();
    let ended = release(&scenario, &registry, &["v1.2.3"]).succeeded();
    ended.prints("nothing had to be changed");
    assert_eq!(written(&registry), [""; 0]);
}

#[test]
fn a_repository_that_comes_later_gets_the_index_that_is_released() {
    let registry = Registry::start();
    let scenario = published(&registry, &["api", "web"]);
    release(&scenario, &registry, &["v1.2.3"]).succeeded();
    let commit = format!("sha-{COMMIT}");
    let mut index = registry.manifest("web", &commit).unwrap();
    index["annotations"] = json!({ "org.opencontainers.image.version": "next" });
    registry.put_manifest("web", &commit, &index);
    let first = at(&registry, "web");
    let arguments = [
        "release",
        "v1.2.3",
        "--commit",
        COMMIT,
        "-r",
        &first,
        "-r",
        &at(&registry, "api"),
    ];
    scenario.nixpy(arguments).without_nix().ended().succeeded();
    for tag in ["1.2.3", "latest"] {
        assert_eq!(
            registry.tag("web", tag),
            registry.tag("api", "1.2.3"),
            "{tag}"
        );
    }
}

#[test]
fn a_pre_release_gets_its_own_tag_alone() {
    for (version, tag) in [("v2.0.0-rc.1", "2.0.0-rc.1"), ("2.0.0rc1", "2.0.0rc1")] {
        let registry = Registry::start();
        let scenario = published(&registry, &["api"]);
        release(&scenario, &registry, &[version]).succeeded();
        let commit = format!("sha-{COMMIT}");
        assert_eq!(registry.tags("api"), [tag, commit.as_str()]);
    }
}

#[test]
fn the_next_release_moves_tags_forward_and_one_of_an_old_line_leaves_them() {
    let registry = Registry::start();
    let mut scenario = published(&registry, &["api"]);
    let first = registry.tag("api", &format!("sha-{COMMIT}"));
    next(&mut scenario, &registry, "0.2.0");
    let second = registry.tag("api", &format!("sha-{OTHER}"));
    release_of(OTHER, &scenario, &registry, &["v1.3.0"]).succeeded();
    let ended = release(&scenario, &registry, &["v1.2.9"]).succeeded();
    ended
        .prints(":latest  stays: 1.3.0 is newer")
        .prints(":1  stays: 1.3.0 is newer")
        .prints(":1.2  set");
    for (tag, digest) in [
        ("1.2", &first),
        ("1.3", &second),
        ("1", &second),
        ("latest", &second),
    ] {
        assert_eq!(&registry.tag("api", tag), digest, "{tag}");
    }
    release_of(OTHER, &scenario, &registry, &["v1.2.10"])
        .succeeded()
        .prints(&format!(":1.2  moved here from {}", first.unwrap()));
    assert_eq!(registry.tag("api", "1.2"), second);
}

#[test]
fn what_changed_since_the_release_before_is_read_from_the_manifests() {
    let registry = Registry::start();
    let mut scenario = published(&registry, &["api"]);
    release(&scenario, &registry, &["v1.0.0"]).succeeded();
    next(&mut scenario, &registry, "0.2.0");
    let ended = release_of(OTHER, &scenario, &registry, &["v1.1.0", "--json"]).succeeded();
    let told = json(&ended);
    assert_eq!(told["previous"], json!("1.0.0"));
    let changes = told["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 2, "{changes:?}");
    let moved = changes[0]["python"].as_array().unwrap().iter();
    let mut moved = moved.chain(changes[0]["libraries"].as_array().unwrap());
    let app = moved.find(|one| one["name"] == "base-api").unwrap();
    assert_eq!(
        (&app["before"], &app["after"]),
        (&json!("0.1.0"), &json!("0.2.0"))
    );
}

#[test]
fn wheels_whose_names_do_not_tell_are_pythons_where_the_commits_lock_says_so() {
    let lock = "[[package]]\nname = 'base-api'\nversion = '0.2.0'\n";
    for (head, is_python) in [(OTHER, true), (COMMIT, false)] {
        let registry = Registry::start();
        let mut scenario = published(&registry, &["api"]).file("uv.lock", lock);
        release(&scenario, &registry, &["v1.0.0"]).succeeded();
        next(&mut scenario, &registry, "0.2.0");
        let scenario = scenario.program("git", &git(head, &[]));
        let ended = release_of(OTHER, &scenario, &registry, &["v1.1.0", "--json"]).succeeded();
        let told = json(&ended);
        let python = told["changes"][0]["python"].as_array().unwrap();
        let named = python.iter().any(|one| one["name"] == "base-api");
        assert_eq!(named, is_python, "{told}");
    }
}

#[test]
fn with_several_repositories_the_versions_tag_is_in_all_before_one_moves() {
    let registry = Registry::start();
    let scenario = published(&registry, &["api", "web"]);
    let web = at(&registry, "web");
    let both = ["v1.2.3", "-r", &web];
    registry.fail(Fault::status(403).on(Method::PUT, "/web/manifests/"));
    release(&scenario, &registry, &both)
        .with_code(4)
        .with_the_error(&["403", &web]);
    assert_eq!(registry.tag("api", "latest"), None);
    release(&scenario, &registry, &both).succeeded();
    for tag in ["1.2.3", "latest"] {
        assert_eq!(registry.tag("api", tag), registry.tag("web", tag));
    }
}

#[test]
fn a_release_that_was_stopped_anywhere_is_completed_by_the_next() {
    for stopped_at in 1..=8 {
        let registry = Registry::start();
        let scenario = published(&registry, &["api", "web"]);
        let both = ["v1.2.3", "-r", &at(&registry, "web")];
        let cut = Fault::status(403).on(Method::PUT, "/manifests/");
        registry.fail(cut.nth(stopped_at));
        release(&scenario, &registry, &both).with_code(4);
        let done = written(&registry).len() - 1;
        assert_eq!(done as u64, stopped_at - 1);
        registry.reset_counts();
        release(&scenario, &registry, &both).succeeded();
        assert_eq!(written(&registry).len(), 8 - done, "only what was left");
        let digest = registry.tag("api", &format!("sha-{COMMIT}"));
        for (name, tag) in ["api", "web"].iter().zip(["1.2.3", "1.2", "1", "latest"]) {
            assert_eq!(registry.tag(name, tag), digest, "{name}:{tag}");
        }
    }
}

#[test]
fn a_dry_run_says_what_would_be_done_and_writes_nothing() {
    let registry = Registry::start();
    let scenario = published(&registry, &["api"]);
    let ended = release(&scenario, &registry, &["v1.2.3", "--dry-run"]).succeeded();
    ended
        .prints(":1.2.3  would be set")
        .never_says("moved here");
    assert_eq!(written(&registry), [""; 0]);
    let ended = release_of(OTHER, &scenario, &registry, &["v1.2.3", "--dry-run"]).succeeded();
    ended
        .prints(&format!(
            "an image of commit {OTHER} would be built and published first"
        ))
        .says("has no image of this commit");
}

#[test]
fn the_image_can_be_named_by_tag_or_digest() {
    for by_digest in [false, true] {
        let registry = Registry::start();
        let scenario = published(&registry, &["api"]);
        let tag = format!("sha-{COMMIT}");
        let digest = registry.tag("api", &tag).unwrap();
        let named = if by_digest { digest.clone() } else { tag };
        let target = at(&registry, "api");
        let arguments = ["release", "v1.0.0", "-r", &target, "--from", &named];
        let run = scenario.nixpy(arguments).without_nix();
        run.ended().succeeded();
        assert_eq!(registry.tag("api", "1.0.0"), Some(digest));
    }
}

#[test]
fn in_a_job_for_a_tag_the_version_and_the_commit_are_the_jobs() {
    let registry = Registry::start();
    let scenario = published(&registry, &["api"]);
    let job = |reference: &str, arguments: &[&str]| {
        let target = at(&registry, "api");
        let settings = ["release", "-r", &target];
        let run = scenario.nixpy(settings.iter().chain(arguments).copied());
        let variables = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_REPOSITORY", "acme/api"),
            ("GITHUB_SHA", COMMIT),
        ];
        let run = run.envs(variables).env("GITHUB_REF", reference);
        run.without_nix().ended()
    };
    let lacking = job("refs/tags/v1.2.3", &[]).with_code(2);
    assert!(lacking.stderr.contains("contents: write"), "{lacking}");
    job("refs/heads/main", &["--no-github"])
        .with_code(2)
        .says("which version?");
    assert_eq!(written(&registry), [""; 0]);
    job("refs/tags/v1.2.3", &["--no-github"]).succeeded();
    assert!(registry.tag("api", "1.2.3").is_some());
}

#[test]
fn what_a_runs_report_has_as_well_is_called_as_it_is_there() {
    let registry = Registry::start();
    let scenario = published(&registry, &["api"]);
    let files = ["v1.2.3", "--report", "r.json", "--summary", "s.md"];
    release(&scenario, &registry, &files).succeeded();
    let told: Value = serde_json::from_str(&scenario.read("r.json")).unwrap();
    let target = at(&registry, "api");
    let digest = registry.tag("api", "1.2.3").unwrap();
    assert_eq!(told["destination"], json!(target));
    assert_eq!(told["index"]["digest"], json!(digest));
    assert_eq!(told["references"][3], json!(format!("{target}:latest")));
    assert_eq!(told["changed"], json!(true));
    assert_eq!(told["platforms"][1]["system"], json!("aarch64-linux"));
    assert!(told["platforms"][1]["compressedSize"].as_u64().unwrap() > 0);
    let summary = scenario.read("s.md");
    assert!(
        summary.starts_with("## `v1.2.3`\n") && summary.contains(&digest),
        "{summary}"
    );
}

/// A git whose checkout is of such a commit, and has these tags.
fn git(head: &str, tags: &[(&str, &str)]) -> String {
    let tags = tags.iter();
    let tags: String = tags
        .map(|(tag, commit)| format!("*'refs/tags/{tag}^'*) echo {commit} ;;\n"))
        .collect();
    format!("#!/bin/sh\ncase \"$*\" in\n{tags}*'HEAD^'*) echo {head} ;;\n*) exit 1 ;;\nesac\n")
}

#[test]
fn a_version_without_its_v_is_the_tag_that_has_one() {
    let registry = Registry::start();
    let scenario = published(&registry, &["api"]);
    let scenario = scenario.program("git", &git(OTHER, &[("v1.2.3", COMMIT)]));
    let target = at(&registry, "api");
    let arguments = ["release", "1.2.3", "-r", &target, "--json"];
    let ended = scenario.nixpy(arguments).without_nix().ended().succeeded();
    assert_eq!(json(&ended)["gitTag"], "v1.2.3");
    ended.says(&format!("commit {COMMIT}: the tag v1.2.3 here"));
}

#[test]
fn without_the_tag_it_is_said_that_the_checkout_is_released() {
    let registry = Registry::start();
    let scenario = published(&registry, &["api"]).program("git", &git(COMMIT, &[]));
    let target = at(&registry, "api");
    let arguments = ["release", "v1.2.3", "-r", &target, "--no-github"];
    let ended = scenario.nixpy(arguments).without_nix().ended().succeeded();
    ended.says(&format!(
        "commit {COMMIT}: what is checked out: there is no tag v1.2.3 here"
    ));
}
