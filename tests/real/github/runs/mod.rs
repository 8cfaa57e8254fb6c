//! Whole runs in jobs of GitHub: what is told there, and what is not.

mod trouble;
mod whom;

use std::time::{Duration, Instant};

use nixpy_testkit::fake_nix::Replay;
use nixpy_testkit::github::{Fault, Github, Method, TOKEN, not_permitted, too_many_requests};
use nixpy_testkit::registry::Registry;
use serde_json::{Value, json};

use super::scenario::nix::{Offer, Version, built, error, failing_build, metadata, one_has_failed};
use super::scenario::{Ended, Run, Scenario};
use super::{HEAD, NEXT, OTHER, github, pull};

/// A job of the workflow `CI`, for such an event.
fn job<'a>(
    scenario: &'a Scenario,
    arguments: &[&'a str],
    github: &Github,
    event: &str,
    payload: &Value,
) -> Run<'a> {
    let file = scenario.temporary().join("event.json");
    std::fs::write(&file, payload.to_string()).unwrap();
    let api = github.api_url();
    let arguments: Vec<&str> = arguments.to_vec();
    scenario
        .run(arguments)
        .envs([
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_REPOSITORY", "acme/api"),
            ("GITHUB_EVENT_NAME", event),
            ("GITHUB_SHA", OTHER),
            ("GITHUB_WORKFLOW", "CI"),
            ("GITHUB_JOB", "image"),
            ("GITHUB_RUN_ID", "100"),
            ("GITHUB_RUN_ATTEMPT", "1"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_API_URL", &api),
            ("GITHUB_TOKEN", TOKEN),
        ])
        .env("GITHUB_EVENT_PATH", file)
}

fn proposed_from(repository: &str) -> Value {
    let side = |repository: &str, name: &str, sha: &str| json!({ "ref": name, "sha": sha, "repo": { "full_name": repository } });
    json!({
        "action": "synchronize",
        "number": 7,
        "pull_request": {
            "number": 7,
            "state": "open",
            "head": side(repository, "feature", HEAD),
            "base": side("acme/api", "main", NEXT),
        },
        "repository": { "full_name": "acme/api", "default_branch": "main" },
    })
}

fn proposed<'a>(scenario: &'a Scenario, arguments: &[&'a str], github: &Github) -> Run<'a> {
    let run = job(
        scenario,
        arguments,
        github,
        "pull_request",
        &proposed_from("acme/api"),
    );
    run.env("GITHUB_REF", "refs/pull/7/merge")
}

fn pushed<'a>(scenario: &'a Scenario, github: &Github, branch: &str) -> Run<'a> {
    let payload = json!({
        "ref": format!("refs/heads/{branch}"),
        "repository": { "full_name": "acme/api", "default_branch": "main" },
    });
    github.add_commit(HEAD, None, "it");
    let run = job(scenario, &[], github, "push", &payload);
    run.env("GITHUB_REF", format!("refs/heads/{branch}"))
        .env("GITHUB_SHA", HEAD)
}

const BROKEN: &str = "/nix/store/r5s4lx45nccwlks7ab5i534frw29w21b-broken.drv";
const OUT: &str = "/nix/store/l8s71q1sbqa8q6yd8zi3ak40kn1h9dhf-broken";

/// A test of the project fails in its builder.
fn failing() -> Scenario {
    let failed = error(&format!("builder for '{BROKEN}' failed with exit code 1"));
    let lines = [
        "Traceback (most recent call last):",
        "  File \"/build/source/app/main.py\", line 3, in <module>",
        "    import nothing",
        "ModuleNotFoundError: No module named 'nothing'",
    ];
    Scenario::app()
        .file("app/main.py", "import os\n\nimport nothing\n")
        .offering(vec![Offer::elsewhere("x86_64-linux", "app", BROKEN, OUT)])
        .on(failing_build(
            one_has_failed() + &built(BROKEN, &lines) + &failed,
        ))
        .on(Replay::of(["path-info", "--derivation"])
            .stdout(Version::Nix2_26.paths(&[(BROKEN, Some(&[]))])))
        .on(Replay::of(["path-info"]).stdout(Version::Nix2_26.paths(&[(OUT, None)])))
}

/// No run that tells GitHub something shows its token: the runner is told to hide it, and that
/// line is the only one that has it.
fn keeps_the_token(ended: Ended) -> Ended {
    let shown = ended.stderr.lines().chain(ended.stdout.lines());
    let mut shown = shown.filter(|line| !line.starts_with("::add-mask::"));
    assert!(!shown.any(|line| line.contains(TOKEN)), "{ended}");
    ended
}

#[test]
fn a_pull_request_hears_of_its_image_in_one_comment_and_one_check_run() {
    let github = github();
    let scenario = Scenario::app();
    let ended = keeps_the_token(proposed(&scenario, &[], &github).ended().succeeded());
    let comments = github.comments(7);
    assert_eq!(comments.len(), 1, "{ended}");
    assert!(
        comments[0].body.contains("\n## base-api: Image "),
        "{}",
        comments[0].body
    );
    assert!(
        comments[0]
            .body
            .contains("/acme/api/actions/runs/100/attempts/1)")
    );
    let checks = github.checks();
    assert_eq!(checks.len(), 1);
    assert_eq!(checks[0].head_sha, HEAD);
    assert_eq!(
        checks[0].body["name"],
        "nixpy-ci (CI / image) (pull_request)"
    );
    assert_eq!(checks[0].body["conclusion"], "success");
    assert!(github.requests().len() <= 8, "{:#?}", github.requests());
    ended.says("commented on pull request #7: https://github.com/acme/api/pull/7#issuecomment-");
}

#[test]
fn among_three_hundred_comments_a_run_asks_eight_times_at_most() {
    for event in ["pull_request", "push"] {
        let github = github();
        for n in 0..300 {
            github.add_comment(7, "acme", &format!("comment {n}"));
        }
        let scenario = Scenario::app();
        let run = match event {
            "push" => pushed(&scenario, &github, "feature"),
            _ => proposed(&scenario, &[], &github),
        };
        run.ended().succeeded();
        assert_eq!((github.comments(7).len(), github.checks().len()), (301, 1));
        assert!(github.requests().len() <= 8, "{:#?}", github.requests());
    }
}

#[test]
fn below_a_comment_stands_which_job_it_is_of() {
    let github = github();
    let scenario = Scenario::app().file("web.yaml", "systems: [x86_64-linux]\n");
    let leg = proposed(&scenario, &["--config", "web.yaml"], &github);
    leg.ended().succeeded();
    let comment = &github.comments(7)[0].body;
    let footer = comment.lines().last().unwrap();
    assert_eq!(
        footer,
        "<sub>`CI / image, web.yaml (pull_request)` at `111111111111`, \
         [run 100](https://github.com/acme/api/actions/runs/100/attempts/1)</sub>"
    );
}

/// With `on: [push, pull_request]` both tell of the same commit.
#[test]
fn a_push_that_failed_is_not_hidden_by_its_pull_request() {
    let github = github();
    let (red, green) = (failing(), Scenario::app());
    let push = |scenario, run: &str| {
        let pushed = pushed(scenario, &github, "feature");
        pushed.env("GITHUB_RUN_ID", run.to_owned()).ended()
    };
    push(&red, "100").with_code(1);
    let pull = proposed(&green, &[], &github).env("GITHUB_RUN_ID", "101");
    let stays = "the comment of run 100, attempt 1, on pull request #7 stays";
    pull.ended().succeeded().says(stays);
    let comments = github.comments(7);
    assert!(comments[0].body.contains("Build failed"), "{comments:#?}");
    let verdicts = || -> Vec<(Value, Value)> {
        let checks = github.checks().into_iter();
        let verdict = |name| move |it: &Value| it[name].clone();
        checks
            .map(|it| (verdict("name")(&it.body), verdict("conclusion")(&it.body)))
            .collect()
    };
    let names = ["push", "pull_request"].map(|event| format!("nixpy-ci (CI / image) ({event})"));
    let [of_push, of_pull] = names.map(Value::from);
    assert_eq!(
        verdicts(),
        [
            (of_push.clone(), json!("failure")),
            (of_pull.clone(), json!("success"))
        ]
    );

    // Both have failed, and one after the other is mended.
    let again = proposed(&red, &[], &github).env("GITHUB_RUN_ID", "102");
    again.ended().with_code(1);
    let both = &github.comments(7)[0].body;
    let also = "**At the same commit \
        [run 100](https://github.com/acme/api/actions/runs/100/attempts/1) for `push` has failed.**";
    assert!(
        both.contains(also) && both.contains("Build failed"),
        "{both}"
    );
    let again = proposed(&green, &[], &github).env("GITHUB_RUN_ID", "103");
    again.ended().succeeded();
    let one = &github.comments(7)[0].body;
    assert!(one.contains(also) && one.contains("Image built"), "{one}");
    push(&green, "104").succeeded();
    let comments = github.comments(7);
    assert_eq!(comments.len(), 1);
    assert!(!comments[0].body.contains("has failed"), "{comments:#?}");
    let newest = verdicts().into_iter().rev().find(|it| it.0 == of_push);
    assert_eq!(newest, Some((of_push, json!("success"))));
}

#[test]
fn the_comment_of_a_leg_that_failed_goes_when_it_succeeds() {
    let (github, registry) = (github(), Registry::start());
    let target = format!("{}/acme/api", registry.host());
    let leg = ["-r", &target, "--by-digest", "-s", "x86_64-linux"];
    let tree = || {
        let hash = "sha256-tgvHTFvF2ho9BKLNRn8mORqP/fe3o5kdzmF6BUhIWoo=";
        Replay::of(["flake", "metadata"]).stdout(metadata(hash).to_string())
    };
    let (red, green) = (failing().on(tree()), Scenario::app().on(tree()));
    proposed(&red, &leg, &github).ended().with_code(1);
    assert_eq!(github.comments(7).len(), 1);
    let again = proposed(&green, &leg, &github).env("GITHUB_RUN_ATTEMPT", "2");
    let ended = again.ended().succeeded();
    ended.says("took the comment on pull request #7 away");
    assert_eq!(github.comments(7), []);
    assert_eq!(
        github.checks().last().unwrap().body["conclusion"],
        "success"
    );
}

#[test]
fn where_a_runner_keeps_its_files_parts_no_jobs() {
    let github = github();
    let scenario = Scenario::app().file("web.yaml", "systems: [x86_64-linux]\n");
    let config = scenario.checkout().join("web.yaml");
    let (config, temporary) = (config.to_str().unwrap(), scenario.temporary());
    let image = temporary.join("image");
    let words = ["--config", config, "--layout", image.to_str().unwrap()];
    for (run, temporary) in [("100", temporary.to_owned()), ("101", "/nowhere".into())] {
        let run = proposed(&scenario, &words, &github).env("GITHUB_RUN_ID", run);
        run.env("RUNNER_TEMP", temporary).ended().succeeded();
    }
    assert_eq!((github.comments(7).len(), github.checks().len()), (1, 1));
    let name = github.checks()[0].body["name"].clone();
    assert_eq!(name, "nixpy-ci (CI / image, image web.yaml) (pull_request)");
}

#[test]
fn legs_of_a_matrix_that_differ_in_what_they_build_have_check_runs_of_their_own() {
    let github = github();
    let scenario = Scenario::app()
        .file("api.yaml", "systems: [x86_64-linux]\n")
        .file("web.yaml", "systems: [x86_64-linux]\n");
    for config in ["api.yaml", "web.yaml"] {
        let leg = proposed(&scenario, &["--config", config], &github);
        leg.ended().succeeded();
    }
    for system in ["x86_64-linux", "aarch64-linux"] {
        let leg = proposed(&scenario, &[], &github).env("NIXPY_SYSTEM", system);
        leg.ended().succeeded();
    }
    let checks = github.checks().into_iter();
    let names: Vec<_> = checks.map(|check| check.body["name"].clone()).collect();
    assert_eq!(
        names,
        ["api.yaml", "web.yaml", "x86_64-linux", "aarch64-linux"]
            .map(|part| format!("nixpy-ci (CI / image, {part}) (pull_request)"))
    );
    assert_eq!(github.comments(7).len(), 4);
}

#[test]
fn a_run_that_is_repeated_changes_what_is_there() {
    let github = github();
    let scenario = Scenario::app();
    proposed(&scenario, &[], &github).ended().succeeded();
    let again = proposed(&scenario, &[], &github).env("GITHUB_RUN_ATTEMPT", "2");
    again
        .ended()
        .succeeded()
        .says("updated the comment on pull request #7");
    assert_eq!((github.comments(7).len(), github.checks().len()), (1, 1));
    let stale = proposed(&scenario, &[], &github).ended().succeeded();
    stale
        .says("the comment of run 100, attempt 2, on pull request #7 stays")
        .says("the check run that run 100, attempt 2, has left stays");
}

/// The best of three: what else this machine does meanwhile is no matter of GitHub.
#[test]
fn telling_github_takes_less_than_two_seconds() {
    let scenario = Scenario::app();
    let untold = ["--comment=never", "--check=never"];
    let took = |settings: &[&str], github: &Github| {
        let begun = Instant::now();
        proposed(&scenario, settings, github).ended().succeeded();
        begun.elapsed()
    };
    // What is made once is not what telling costs.
    took(&untold, &github());
    let more = (0..3).map(|_| {
        let (silent, told) = (github(), github());
        let without = took(&untold, &silent);
        assert_eq!(silent.requests().len(), 0);
        let with = took(&[], &told);
        assert_ne!(told.requests().len(), 0);
        with.saturating_sub(without)
    });
    let more = more.min().unwrap();
    assert!(more < Duration::from_secs(2), "{more:?} more");
}

#[test]
fn a_failure_is_annotated_at_its_line_by_the_check_run_alone() {
    let github = github();
    let scenario = failing();
    let ended = keeps_the_token(proposed(&scenario, &[], &github).ended().with_code(1));
    let checks = github.checks();
    assert_eq!(checks.len(), 1, "{ended}");
    assert_eq!(checks[0].body["conclusion"], "failure");
    let annotation = &checks[0].annotations[0];
    assert_eq!(annotation["path"], "app/main.py", "{annotation}");
    assert_eq!(annotation["start_line"], 3);
    assert_eq!(annotation["annotation_level"], "failure");
    assert!(github.comments(7)[0].body.contains("Build failed"));
    ended.never_says("::error file=");
}
