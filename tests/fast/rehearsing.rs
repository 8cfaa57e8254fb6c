//! A run that keeps nothing: what a pull request would publish, read, made and measured.

use nixpy_oci::image::How;
use nixpy_pipeline::report::{Outcome, PlatformReport};
use nixpy_testkit::registry::{Fault, Method, Registry};
use serde_json::{Value, json};

use crate::joining::service;
use crate::naming::{job, pull_request};
use crate::scenario::{Run, Scenario};

const PULL: (&str, &str) = ("pull_request", "refs/pull/7/merge");

fn at(registry: &Registry) -> String {
    format!("{}/api", registry.host())
}

fn in_pull_request<'a>(scenario: &'a Scenario, words: &[&'a str]) -> Run<'a> {
    let run = scenario.run(words.iter().copied());
    job(scenario, run, PULL, pull_request())
}

/// Nothing but questions.
fn was_only_read(registry: &Registry) {
    for request in registry.requests() {
        let asks = [Method::GET, Method::HEAD].contains(&request.method);
        assert!(asks, "{} {}", request.method, request.path);
    }
}

/// What the default branch has, and a service with a new version.
fn published() -> (Registry, Scenario, String) {
    let (registry, mut scenario) = (Registry::start(), Scenario::app());
    let target = at(&registry);
    let run = scenario.run(["-r", target.as_str()]);
    let run = job(&scenario, run, ("push", "refs/heads/main"), json!({}));
    run.ended().succeeded();
    scenario.release("0.2.0");
    registry.reset_counts();
    (registry, scenario, target)
}

#[test]
fn a_pull_request_is_measured_against_its_base_and_sends_nothing() {
    let (registry, scenario, target) = published();
    let before = registry.tags("api");
    let ended = in_pull_request(&scenario, &["-r", &target, "--json"]).ended();
    let ended = ended.succeeded().says("nothing is pushed and no tag moves");
    was_only_read(&registry);
    assert_eq!(registry.tags("api"), before);
    let report = ended.report();
    assert!(report.rehearsed && report.changed && report.index.is_some());
    assert!(report.references.is_empty());
    assert_eq!(report.outcome, Outcome::Success);
    for platform in &report.platforms {
        let count = |how| {
            platform
                .layers
                .iter()
                .filter(|layer| layer.how == how)
                .count()
        };
        assert_eq!(count(How::Sent), 1, "{:?}", platform.layers);
        assert!(count(How::Described) > 0 && platform.sent_size > 0);
    }
}

#[test]
fn a_pull_request_of_a_project_that_tags_versions_alone_is_measured_too() {
    let (registry, scenario, target) = published();
    let words = [
        "-r",
        &target,
        "--json",
        "-t",
        "type=semver,pattern={{version}}",
    ];
    let ended = in_pull_request(&scenario, &words).ended().succeeded();
    let ended =
        ended.says("none is needed where no tag moves, but no rule gives a tag for pull_request");
    let report = ended.report();
    assert!(report.rehearsed && report.index.is_some());
    let unchanged = |platform: &PlatformReport| {
        let mut layers = platform.layers.iter();
        layers.any(|layer| layer.how == How::Described)
    };
    assert!(
        report.platforms.iter().all(unchanged),
        "measured against main"
    );

    was_only_read(&registry);
}

#[test]
fn neither_a_leg_nor_a_rehearsed_join_needs_a_tag() {
    let registry = Registry::start();
    let (scenario, target) = (service(), at(&registry));
    let rule = ["-t", "type=semver,pattern={{version}}"];
    let leg = ["-r", &target, "--by-digest", "--result", "result.json"];
    let leg: Vec<&str> = leg.into_iter().chain(rule).collect();
    let ended = in_pull_request(&scenario, &leg).ended().succeeded();
    ended.says("none is needed where no tag moves");
    let join = ["index", "result.json", rule[0], rule[1]];
    let in_pull = job(&scenario, scenario.nixpy(join), PULL, pull_request());
    in_pull.without_nix().ended().succeeded();
    was_only_read(&registry);
    // Of a branch the leg needs none, and the index does.
    let pushed = |run| job(&scenario, run, ("push", "refs/heads/main"), json!({}));
    pushed(scenario.run(leg)).ended().succeeded();
    let ended = pushed(scenario.nixpy(join)).without_nix().ended();
    ended
        .with_code(2)
        .says("no rule gives a tag for push of refs/heads/main");
}

#[test]
fn what_it_says_is_what_the_push_then_sends() {
    let (registry, scenario, target) = published();
    let rehearsed = in_pull_request(&scenario, &["-r", &target, "--json"]).ended();
    let rehearsed = rehearsed.succeeded().report();
    let run = in_pull_request(&scenario, &["-r", &target, "--json", "--push", "always"]);
    let pushed = run.ended().succeeded().report();
    assert!(!pushed.rehearsed);
    assert_eq!(pushed.index, rehearsed.index);
    for (one, other) in rehearsed.platforms.iter().zip(&pushed.platforms) {
        assert_eq!(one.digest, other.digest);
        assert_eq!(one.sent_size, other.sent_size);
        assert_eq!(one.compressed_size, other.compressed_size);
    }
    assert!(registry.tags("api").contains(&"pr-7".to_owned()));
}

#[test]
fn people_read_what_was_not_pushed() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    let target = at(&registry);
    let ended = in_pull_request(&scenario, &["-r", &target])
        .ended()
        .succeeded();
    ended
        .prints(&format!("not pushed: {target}"))
        .prints("would be sent")
        .never_says("layers sent");
    was_only_read(&registry);
}

#[test]
fn a_registry_that_lets_nobody_in_tells_nothing_and_is_no_failure() {
    let (registry, scenario, target) = published();
    for status in [401, 403, 404] {
        registry.fail(Fault::status(status).on_path("/v2/").always());
        let ended = in_pull_request(&scenario, &["-r", &target, "--json"]).ended();
        let report = ended.succeeded().report();
        assert!(report.rehearsed && report.platforms.len() == 2);
        registry.heal();
    }
    was_only_read(&registry);
}

#[test]
fn a_registry_that_is_not_there_is_asked_once() {
    let (registry, scenario, target) = published();
    registry.fail(Fault::status(503).on_path("/v2/").always());
    let ended = in_pull_request(&scenario, &["-r", &target, "--json"]).ended();
    let report = ended.succeeded().says("layers that would be sent").report();
    assert!(report.notes[0].starts_with(&format!("what {target} has is not known")));
    let asked: Vec<_> = registry.requests();
    let first = asked.first().map(|request| request.path.clone());
    assert!(
        asked
            .iter()
            .all(|request| Some(&request.path) == first.as_ref()),
        "{asked:#?}"
    );
}

#[test]
fn without_github_it_has_to_be_asked_for() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    let target = at(&registry);
    let run = scenario.run(["-r", &target, "--push", "never", "--json"]);
    assert!(run.ended().succeeded().report().rehearsed);
    was_only_read(&registry);
    assert!(!scenario.home().join(".local/state/nixpy-ci").exists());
    let run = scenario.run(["-r", &target, "--json"]);
    assert!(!run.ended().succeeded().report().rehearsed);
}

/// A payload whose commits are in another repository.
fn of_a_fork() -> Value {
    let repo = |name: &str| json!({ "repo": { "full_name": name } });
    json!({
        "issue": { "number": 7, "pull_request": { "url": "x" } },
        "pull_request": { "number": 7, "head": repo("mallory/api"), "base": repo("acme/api") },
        "workflow_run": { "event": "push", "head_repository": { "full_name": "mallory/api" } },
    })
}

#[test]
fn a_strangers_build_is_pushed_by_no_event_unless_somebody_says_so() {
    for event in [
        "issue_comment",
        "workflow_run",
        "pull_request_target",
        "pull_request_review",
        "pull_request_review_comment",
    ] {
        let (registry, scenario) = (Registry::start(), Scenario::app());
        let target = at(&registry);
        // Jobs of the first three run as if they were for the default branch.
        let on = (event, "refs/heads/main");
        let run = scenario.run(["-r", &target, "--json"]);
        let ended = job(&scenario, run, on, of_a_fork()).ended();
        assert!(ended.succeeded().report().rehearsed, "{event}");
        was_only_read(&registry);
        let run = scenario.run(["-r", &target, "--json", "--push=always"]);
        let ended = job(&scenario, run, on, of_a_fork()).ended();
        assert!(!ended.succeeded().report().rehearsed, "{event}");
    }
}

#[test]
fn a_merge_queues_group_is_no_branch_yet() {
    let (registry, scenario, target) = published();
    let git_ref = "refs/heads/gh-readonly-queue/main/pr-7-0a1b2c";
    let run = scenario.run(["-r", &target, "--json"]);
    let run = job(&scenario, run, ("merge_group", git_ref), json!({}));
    let report = run.ended().succeeded().report();
    assert!(report.rehearsed);
    // What its base has is taken over as well.
    assert!(
        report.platforms[0]
            .layers
            .iter()
            .any(|layer| layer.how == How::Described)
    );
    was_only_read(&registry);
}

#[test]
fn a_layout_on_this_machine_is_written_all_the_same() {
    let scenario = Scenario::app();
    let report = in_pull_request(&scenario, &["--json"])
        .ended()
        .succeeded()
        .report();
    assert!(!report.rehearsed);
    assert!(scenario.layout().tags().contains(&"pr-7".to_owned()));
}

#[test]
fn what_several_jobs_have_rehearsed_is_joined_to_a_report_alone() {
    let registry = Registry::start();
    let scenario = crate::joining::service();
    let target = at(&registry);
    for system in ["aarch64-linux", "x86_64-linux"] {
        let words = ["-r", &target, "--by-digest", "-s", system];
        in_pull_request(&scenario, &words).ended().succeeded();
    }
    let files = [crate::joining::ARM, crate::joining::INTEL];
    let words = ["index", files[0], files[1], "--json"];
    let report = scenario
        .nixpy(words)
        .without_nix()
        .ended()
        .succeeded()
        .report();
    assert!(report.rehearsed && report.platforms.len() == 2);
    assert!(report.references.is_empty() && report.index.is_some());
    was_only_read(&registry);
}
