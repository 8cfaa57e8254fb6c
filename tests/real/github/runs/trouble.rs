//! Where GitHub does not take what a run tells, or the run has nothing good to tell.

use super::*;

#[test]
fn without_the_permission_there_are_workflow_commands_and_a_line_to_add() {
    let github = github();
    github.fail(not_permitted("check-runs"));
    let scenario = failing();
    let ended = proposed(&scenario, &[], &github).ended().with_code(1);
    assert_eq!(
        ended.stderr.matches("add `checks: write`").count(),
        1,
        "{ended}"
    );
    ended
        .says("::notice::cannot")
        .says("::error file=app/main.py,line=3");
    assert_eq!(github.comments(7).len(), 1);
}

#[test]
fn without_the_permission_to_comment_the_run_is_green() {
    let github = github();
    github.fail(not_permitted("/comments"));
    let scenario = Scenario::app();
    let ended = proposed(&scenario, &[], &github).ended().succeeded();
    ended
        .says("::notice::cannot")
        .says("`pull-requests: write`");
    assert_eq!(github.checks().len(), 1);
}

#[test]
fn trouble_at_github_is_a_warning() {
    let github = github();
    github.fail(too_many_requests(3600).always());
    let scenario = Scenario::app();
    let ended = proposed(&scenario, &[], &github).ended().succeeded();
    ended
        .says("::warning::cannot")
        .says("GitHub wants no more requests for 3600 s");
}

#[test]
fn a_github_that_keeps_silent_is_not_waited_for_longer_than_twenty_seconds() {
    let github = github();
    github.fail(Fault::hang(Duration::from_secs(90)).always());
    let scenario = Scenario::app();
    let ended = proposed(&scenario, &[], &github).ended().succeeded();
    assert!(ended.took < Duration::from_secs(55), "{ended}");
    ended.says("::warning::cannot");
}

#[test]
fn trouble_that_passes_is_not_told() {
    let github = github();
    github.fail(Fault::status(502).times(2));
    github.fail(Fault::lose_answer().on(Method::POST, "/check-runs"));
    github.fail(Fault::lose_answer().on(Method::POST, "/comments"));
    let scenario = Scenario::app();
    proposed(&scenario, &[], &github)
        .ended()
        .succeeded()
        .never_says("::warning");
    assert_eq!((github.comments(7).len(), github.checks().len()), (1, 1));
}

#[test]
fn a_setting_that_is_wrong_reaches_the_pull_request_too() {
    let github = github();
    let scenario = Scenario::app();
    let run = proposed(&scenario, &["-r", "base-api"], &github);
    let ended = keeps_the_token(run.ended().with_code(2));
    let told = &github.comments(7)[0].body;
    assert!(told.contains("write HOST/NAME"), "{told}\n{ended}");
    assert_eq!(github.checks()[0].body["conclusion"], "failure");
}

#[test]
fn an_evaluation_error_reaches_the_pull_request_too() {
    let github = github();
    let scenario = Scenario::where_nix_says("attribute 'nothing' missing");
    let ended = proposed(&scenario, &[], &github).ended();
    assert_ne!(ended.code, 0);
    assert!(
        github.comments(7)[0]
            .body
            .contains("attribute 'nothing' missing"),
        "{ended}"
    );
    assert_eq!(github.checks()[0].body["conclusion"], "failure");
}
