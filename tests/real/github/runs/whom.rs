//! Who hears of a run, by its event.

use super::*;

#[test]
fn for_a_fork_nothing_is_tried_and_the_report_is_left() {
    let github = github();
    let scenario = Scenario::app();
    let payload = proposed_from("mallory/api");
    let run = job(
        &scenario,
        &["--report=report.json"],
        &github,
        "pull_request",
        &payload,
    );
    let ended = run
        .env("GITHUB_REF", "refs/pull/7/merge")
        .ended()
        .succeeded();
    ended.says("a fork's job may not comment");
    assert_eq!(github.requests().len(), 0);
    assert!(scenario.read("report.json").contains("\"version\": 1"));
}

#[test]
fn a_push_to_the_default_branch_has_a_check_run_and_no_comment() {
    let github = github();
    pushed(&Scenario::app(), &github, "main")
        .ended()
        .succeeded();
    assert_eq!((github.comments(7).len(), github.checks().len()), (0, 1));
    assert_eq!(github.count(Method::GET, "/pulls"), 0);
}

#[test]
fn a_push_to_a_branch_tells_its_pull_request_if_there_is_one() {
    let github = github();
    pushed(&Scenario::app(), &github, "feature")
        .ended()
        .succeeded();
    assert_eq!((github.comments(7).len(), github.checks().len()), (1, 1));
    pushed(&Scenario::app(), &github, "lonely")
        .ended()
        .succeeded();
    assert_eq!(github.comments(7).len(), 1);
    // A fork's branch of the same name is another.
    github.add_pull(pull("mallory/api", HEAD));
    let before = github.comments(7);
    let scenario = Scenario::app();
    let again = pushed(&scenario, &github, "feature").env("GITHUB_RUN_ID", "101");
    again.ended().succeeded();
    assert_eq!(github.comments(7), before);
}

#[test]
fn a_merge_queue_has_a_check_run_at_its_own_commit_and_no_comment() {
    let github = github();
    github.add_commit(NEXT, None, "of the queue");
    let queue = format!("refs/heads/gh-readonly-queue/main/pr-7-{HEAD}");
    let payload = json!({
        "action": "checks_requested",
        "merge_group": { "head_sha": NEXT, "head_ref": queue, "base_ref": "refs/heads/main" },
        "repository": { "full_name": "acme/api", "default_branch": "main" },
    });
    let scenario = Scenario::app();
    let run = job(&scenario, &[], &github, "merge_group", &payload).env("GITHUB_REF", &queue);
    run.env("GITHUB_SHA", NEXT).ended().succeeded();
    assert_eq!(github.comments(7).len(), 0);
    let check = &github.checks()[0];
    assert_eq!(check.head_sha, NEXT);
    // What a branch asks for before the queue is what it asks for in it.
    assert_eq!(check.body["name"], "nixpy-ci (CI / image) (pull_request)");
}

#[test]
fn a_pull_request_that_has_moved_on_is_not_told_of_the_commit_before() {
    let github = github();
    github.add_pull(pull("acme/api", NEXT));
    let scenario = Scenario::app();
    let ended = proposed(&scenario, &[], &github).ended().succeeded();
    ended.says("pull request #7 has another commit on top by now");
    assert_eq!(github.comments(7), []);
    // What is said of a commit stays true of it.
    assert_eq!(github.checks()[0].head_sha, HEAD);
}

#[test]
fn without_a_token_or_outside_of_github_nobody_is_asked() {
    let github = github();
    let scenario = Scenario::app();
    let without = proposed(&scenario, &[], &github).env("GITHUB_TOKEN", "");
    without
        .ended()
        .succeeded()
        .says("neither github-token nor GITHUB_TOKEN");
    let at_home = scenario.run([]).env("GITHUB_TOKEN", TOKEN);
    at_home
        .env("GITHUB_API_URL", github.api_url())
        .ended()
        .succeeded()
        .never_says("GitHub");
    assert_eq!(github.requests().len(), 0);
}
