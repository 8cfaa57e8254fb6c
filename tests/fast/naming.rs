//! What images are called and say of themselves, by what GitHub says that a job is for.

use nixpy_testkit::registry::Registry;
use serde_json::{Value, json};

use crate::scenario::{Image, Run, Scenario};

pub const SHA: &str = "860c1904a1ce19322e91ac35af1ab07466440c37";
const OCI: &str = "org.opencontainers.image.";

/// The same run, as a job on GitHub for this event.
pub fn job<'a>(
    scenario: &'a Scenario,
    run: Run<'a>,
    (event, git_ref): (&str, &str),
    more: Value,
) -> Run<'a> {
    let mut payload = json!({ "repository": {
        "name": "api", "full_name": "acme/api", "default_branch": "main",
        "description": "Serves requests.", "html_url": "https://github.com/acme/api",
        "license": { "spdx_id": "MIT" },
    } });
    if let Value::Object(more) = more {
        payload.as_object_mut().unwrap().extend(more);
    }
    let file = scenario.home().join("event.json");
    std::fs::write(&file, payload.to_string()).unwrap();
    run.env("GITHUB_EVENT_PATH", file)
        .env("XDG_STATE_HOME", "/dev/null/state")
        .envs([
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_REPOSITORY", "acme/api"),
            ("GITHUB_EVENT_NAME", event),
            ("GITHUB_REF", git_ref),
            ("GITHUB_SHA", SHA),
        ])
}

pub fn pull_request() -> Value {
    let side = |branch: &str| {
        let repo = json!({ "full_name": "acme/api" });
        json!({ "ref": branch, "sha": SHA, "repo": repo })
    };
    json!({ "number": 7, "pull_request": {
        "number": 7, "state": "open", "head": side("fix"), "base": side("main"),
    } })
}

fn commit(timestamp: &str) -> Value {
    json!({ "head_commit": { "timestamp": timestamp } })
}

fn at(registry: &Registry) -> String {
    format!("{}/api", registry.host())
}

fn sorted(mut tags: Vec<String>) -> String {
    tags.sort();
    tags.join(" ")
}

/// The tags that a push of this leaves.
fn pushed(git_ref: &str, settings: &[&str]) -> String {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    let target = at(&registry);
    let mut words = vec!["-r", target.as_str(), "-s", "x86_64-linux"];
    words.extend(settings);
    let run = job(&scenario, scenario.run(words), ("push", git_ref), json!({}));
    run.ended().succeeded();
    sorted(registry.tags("api")).replace(SHA, "SHA")
}

#[test]
fn a_job_that_names_no_tag_is_given_those_of_its_ref() {
    assert_eq!(pushed("refs/heads/main", &[]), "latest main sha-SHA");
    assert_eq!(pushed("refs/tags/v1.2.3", &[]), "1.2 1.2.3 latest sha-SHA");
    // As in the workflows of projects with releases, and in those of projects without.
    for (flavor, tags) in [("false", "main sha-SHA"), ("auto", "latest main sha-SHA")] {
        let flavor = format!("latest={flavor}");
        assert_eq!(pushed("refs/heads/main", &["--flavor", &flavor]), tags);
    }
    assert_eq!(
        pushed("refs/heads/feat/x", &["--flavor", "suffix=-slim"]),
        "feat-x-slim sha-SHA-slim"
    );
}

#[test]
fn rules_and_words_stand_beside_each_other() {
    let settings = [
        "-t",
        "type=ref,event=branch,prefix=b-",
        "-t",
        "stable",
        "-t",
        "edge",
        "-t",
        "type=sha",
    ];
    assert_eq!(
        pushed("refs/heads/main", &settings),
        "b-main edge sha-860c190 stable"
    );
}

#[test]
fn a_rule_that_is_none_and_rules_that_give_nothing_are_told_before_anything_is_done() {
    let scenario = Scenario::app();
    let run = scenario.run(["-t", "type=semver,patern={{version}}"]);
    run.ended()
        .with_the_error(&["--tag", "type=semver,patern={{version}}"]);
    let run = scenario.run(["-t", "type=ref,event=tag", "-t", "type=ref,event=pr"]);
    let run = job(&scenario, run, ("push", "refs/heads/main"), json!({}));
    let ended = run.ended().with_code(2);
    let ended = ended.says("no rule gives a tag for push of refs/heads/main");
    ended.says("`type=ref,event=tag` (the ref is no tag)");
    let run = scenario.run(["--annotation", "layer:x=y"]);
    run.ended()
        .with_the_error(&["--annotation", "index:KEY=VALUE"]);
}

#[test]
fn a_commit_that_changes_nothing_leaves_every_manifest_and_tells_itself_on_the_index() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    let target = at(&registry);
    let push = |sha: &str, timestamp: &str| {
        let run = scenario.run(["-r", &target, "--json"]);
        let run = job(
            &scenario,
            run,
            ("push", "refs/heads/main"),
            commit(timestamp),
        );
        run.env("GITHUB_SHA", sha).ended().succeeded().report()
    };
    let first = push(SHA, "2026-01-02T03:04:05Z");
    let index = registry.manifest("api", "main").unwrap();
    let of = |document: &Value, name: &str| document["annotations"][format!("{OCI}{name}")].clone();
    assert_eq!(of(&index, "revision"), SHA);
    assert_eq!(of(&index, "created"), "2026-01-02T03:04:05Z");
    assert_eq!(of(&index, "version"), "main");
    assert_eq!(of(&index, "description"), "Serves requests.");

    let other = SHA.replace('8', "9");
    let second = push(&other, "2026-01-03T03:04:05Z");
    let again = registry.manifest("api", "main").unwrap();
    assert_eq!(of(&again, "revision"), other.as_str());
    assert_eq!(again["manifests"], index["manifests"]);
    assert!(first.changed && !second.changed);
    assert_ne!(first.index, second.index);
    // Each commit's image is found again.
    let tags = registry.tags("api");
    assert!(tags.contains(&format!("sha-{SHA}")) && tags.contains(&format!("sha-{other}")));

    for entry in index["manifests"].as_array().unwrap() {
        let manifest = registry
            .manifest("api", entry["digest"].as_str().unwrap())
            .unwrap();
        assert_eq!(of(&manifest, "title"), "api");
        assert_eq!(of(&manifest, "source"), "https://github.com/acme/api");
        for name in ["revision", "created", "version"] {
            assert_eq!(of(&manifest, name), Value::Null, "{name}");
        }
    }
    let image = Image::in_registry(&registry, "api", "main", "amd64");
    let labels = image.configured("Labels");
    assert!(
        labels.contains("licenses") && !labels.contains("revision"),
        "{labels}"
    );
}

#[test]
fn labels_and_annotations_that_are_given_win() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    let target = at(&registry);
    let title = format!("{OCI}title");
    let words = [
        "-r".to_owned(),
        target,
        "--label".to_owned(),
        format!("{title}=Mine"),
        "--annotation".to_owned(),
        format!("index:{title}=On the index"),
        "--annotation".to_owned(),
        "made-on={{branch}}".to_owned(),
    ];
    let run = scenario.run(words.iter().map(String::as_str));
    let run = job(&scenario, run, ("push", "refs/heads/main"), json!({}));
    run.ended().succeeded();
    let index = registry.manifest("api", "main").unwrap();
    assert_eq!(index["annotations"][&title], "On the index");
    assert_eq!(index["annotations"]["made-on"], "main");
    let digest = index["manifests"][0]["digest"].as_str().unwrap();
    let manifest = registry.manifest("api", digest).unwrap();
    assert_eq!(manifest["annotations"][&title], "api");
    assert_eq!(manifest["annotations"]["made-on"], "main");
    let image = Image::in_registry(&registry, "api", "main", "amd64");
    assert_eq!(image.config["config"]["Labels"][&title], "Mine");
}

#[test]
fn a_workflows_input_is_lines_of_rules_and_words_and_remarks() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    let tags = "type=ref,event=branch\n\n# for people\nstable, edge\ntype=sha # and a commit\n";
    let run = scenario.run(["-s", "x86_64-linux"]).envs([
        ("INPUT_TAG", tags),
        ("INPUT_FLAVOR", "latest=true\nprefix=py-,onlatest=true"),
        ("INPUT_REPOSITORY", &at(&registry)),
    ]);
    let run = job(&scenario, run, ("push", "refs/heads/main"), json!({}));
    run.ended().succeeded();
    assert_eq!(
        sorted(registry.tags("api")),
        "py-edge py-latest py-main py-stable sha-860c190"
    );
}

#[test]
fn a_file_of_settings_has_rules_as_a_list_or_as_text() {
    for yaml in [
        "tags: ['type=ref,event=branch', stable]\n",
        "tags: |\n  type=ref,event=branch\n  stable\n",
    ] {
        let scenario = Scenario::app().file("nixpy-ci.yaml", yaml);
        let run = job(
            &scenario,
            scenario.run([]),
            ("push", "refs/heads/main"),
            json!({}),
        );
        run.ended().succeeded();
        assert_eq!(sorted(scenario.layout().tags()), "main stable");
    }
}

#[test]
fn gitlabs_variables_tell_branch_and_commit_too() {
    let scenario = Scenario::app();
    let run = scenario.run(["-t", "type=ref,event=branch", "-t", "type=sha"]);
    let run = run.envs([("CI_COMMIT_BRANCH", "main"), ("CI_COMMIT_SHA", SHA)]);
    run.ended().succeeded();
    assert_eq!(sorted(scenario.layout().tags()), "main sha-860c190");
}

#[test]
fn outside_of_github_nothing_is_said_that_was_not_given() {
    let scenario = Scenario::app();
    scenario.run([]).ended().succeeded();
    assert_eq!(scenario.layout().tags(), ["latest"]);
    let image = scenario.layout().image("amd64");
    assert!(!image.configured("Labels").contains(OCI));
}

#[test]
fn what_a_rule_did_not_match_is_told() {
    let scenario = Scenario::app();
    let rule = "type=semver,pattern={{version}},match=api/v(.*)";
    let run = scenario.run(["-t", rule, "--label", "on={{tag}}"]);
    let run = job(&scenario, run, ("push", "refs/tags/v1.0.0"), json!({}));
    run.ended()
        .succeeded()
        .says("\"v1.0.0\" is not matched by api/v(.*)");
    assert_eq!(sorted(scenario.layout().tags()), "1.0.0 latest");
    let image = scenario.layout().images("1.0.0").remove(0);
    assert_eq!(image.config["config"]["Labels"]["on"], "v1.0.0");
}

#[test]
fn the_page_on_tags_shows_the_rules_there_are() {
    let page = include_str!("../../docs/TAGS.md");
    let block = page.split("```").nth(3).unwrap();
    let lines = block
        .lines()
        .map(|line| line.split('#').next().unwrap().trim());
    let shown: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    assert_eq!(shown, nixpy_github::tags::Rules::OF_GITHUB);
}

#[test]
fn when_a_commit_was_made_is_asked_of_git_where_the_event_does_not_tell() {
    let git = "#!/bin/sh\ncase \"$*\" in *%cI*) echo 2026-02-03T04:05:06+01:00 ;; esac\n";
    let (registry, scenario) = (Registry::start(), Scenario::app().program("git", git));
    let target = at(&registry);
    let run = scenario.run([
        "-r",
        &target,
        "-t",
        "type=raw,value={{commit_date 'YYYYMMDD-HH'}}",
    ]);
    let run = job(
        &scenario,
        run,
        ("workflow_dispatch", "refs/heads/main"),
        json!({}),
    );
    run.ended().succeeded();
    let index = registry.manifest("api", "20260203-03").unwrap();
    let created = &index["annotations"][format!("{OCI}created")];
    assert_eq!(created, "2026-02-03T03:05:06Z");
}
