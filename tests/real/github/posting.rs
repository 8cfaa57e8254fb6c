//! One comment and one check run, whoever comes when.

use nixpy_github::api::{Annotation, AnnotationLevel, Conclusion, NewCheckRun};
use nixpy_github::post::{
    CheckPosted, Failed, Key, Marker, Posted, Run, ToPull, Words, post_check, post_comment,
};
use nixpy_testkit::github::{Github, Method, not_permitted};

use super::{HEAD, NEXT, client, github, pull};

pub fn marker(run: u64, attempt: u32, head: &str) -> Marker {
    Marker {
        key: Key::of("CI", "image", ""),
        run: Run { id: run, attempt },
        head: head.to_owned(),
        event: "push".to_owned(),
        failed: false,
    }
}

pub fn of_event(event: &str, run: u64, failed: bool) -> Marker {
    Marker {
        event: event.to_owned(),
        failed,
        ..marker(run, 1, HEAD)
    }
}

pub fn words(text: &str) -> Words<'_> {
    Words {
        text,
        also: &|Failed { event, run }| format!("{event} {run} failed\n"),
    }
}

pub const TO: ToPull = ToPull {
    number: 7,
    pull: None,
    wanted: true,
};
const NONE_WANTED: ToPull = ToPull {
    wanted: false,
    ..TO
};

pub async fn post(github: &Github, marker: &Marker, text: &str) -> Posted {
    let posted = post_comment(&client(github), &TO, marker, words(text)).await;
    posted.unwrap()
}

/// What stands in the comments, without what nobody sees.
pub fn texts(github: &Github) -> Vec<String> {
    let comments = github.comments(7).into_iter();
    let text = |body: String| match Marker::read(&body) {
        Some(_) => body.split_once('\n').unwrap().1.to_owned(),
        None => body,
    };
    comments.map(|comment| text(comment.body)).collect()
}

#[tokio::test]
async fn later_runs_say_it_in_the_same_comment() {
    let github = github();
    assert!(matches!(
        post(&github, &marker(1, 1, HEAD), "one").await,
        Posted::Created(_)
    ));
    github.add_pull(pull("acme/api", NEXT));
    assert!(matches!(
        post(&github, &marker(2, 1, NEXT), "two").await,
        Posted::Updated(_)
    ));
    assert!(matches!(
        post(&github, &marker(2, 2, NEXT), "three").await,
        Posted::Updated(_)
    ));
    assert_eq!(texts(&github), ["three"]);
    assert_eq!(github.count(Method::POST, "/comments"), 1);
}

#[tokio::test]
async fn nothing_is_sent_to_say_the_same_again() {
    let github = github();
    post(&github, &marker(1, 1, HEAD), "one").await;
    github.reset_counts();
    assert!(matches!(
        post(&github, &marker(1, 1, HEAD), "one").await,
        Posted::Unchanged(_)
    ));
    assert_eq!(github.count(Method::PATCH, ""), 0);
}

#[tokio::test]
async fn an_older_run_or_attempt_does_not_speak_over_a_later_one() {
    let github = github();
    post(&github, &marker(5, 2, HEAD), "later").await;
    for older in [marker(4, 9, HEAD), marker(5, 1, HEAD)] {
        let posted = post(&github, &older, "older").await;
        assert_eq!(posted, Posted::Superseded(Run { id: 5, attempt: 2 }));
    }
    assert_eq!(texts(&github), ["later"]);
}

/// A job that is like another in all that they are known by.
#[tokio::test]
async fn what_has_failed_is_not_hidden_by_a_job_of_the_same_run_that_has_not() {
    let github = github();
    let failed = Marker {
        failed: true,
        ..marker(5, 1, HEAD)
    };
    post(&github, &marker(5, 1, HEAD), "green").await;
    post(&github, &failed, "red").await;
    let green = post(&github, &marker(5, 1, HEAD), "green").await;
    assert_eq!(green, Posted::Superseded(Run { id: 5, attempt: 1 }));
    assert_eq!(texts(&github), ["red"]);

    let client = client(&github);
    let mut red = check(0);
    red.conclusion = Conclusion::Failure;
    post_check(&client, &failed, red).await.unwrap();
    let green = post_check(&client, &marker(5, 1, HEAD), check(0)).await;
    let green = green.unwrap();
    assert_eq!(green, CheckPosted::Superseded(Run { id: 5, attempt: 1 }));
    assert_eq!(github.checks()[0].body["conclusion"], "failure");
    // Run again it may have become green.
    post_check(&client, &marker(5, 2, HEAD), check(0))
        .await
        .unwrap();
    assert_eq!(github.checks()[0].body["conclusion"], "success");
}

#[tokio::test]
async fn after_a_force_push_the_run_of_the_commit_before_is_silent() {
    let github = github();
    github.add_pull(pull("acme/api", NEXT));
    assert_eq!(
        post(&github, &marker(1, 1, HEAD), "stale").await,
        Posted::Moved
    );
    assert_eq!(github.requests().len(), 1);
}

#[tokio::test]
async fn a_closed_pull_request_gets_no_new_comment_but_a_true_one() {
    let github = github();
    let mut closed = pull("acme/api", HEAD);
    closed.open = false;
    github.add_pull(closed.clone());
    assert_eq!(
        post(&github, &marker(1, 1, HEAD), "one").await,
        Posted::Nothing
    );
    github.add_pull(pull("acme/api", HEAD));
    post(&github, &marker(2, 1, HEAD), "two").await;
    github.add_pull(closed);
    assert!(matches!(
        post(&github, &marker(3, 1, HEAD), "three").await,
        Posted::Updated(_)
    ));
    assert_eq!(texts(&github), ["three"]);
}

#[tokio::test]
async fn other_workflows_jobs_and_parts_have_comments_of_their_own() {
    let github = github();
    for (n, key) in [
        Key::of("CI", "image", ""),
        Key::of("Nightly", "image", ""),
        Key::of("CI", "docs", ""),
        Key::of("CI", "image", ".#worker"),
    ]
    .into_iter()
    .enumerate()
    {
        let marker = Marker {
            key,
            ..marker(1, 1, HEAD)
        };
        post(&github, &marker, &n.to_string()).await;
    }
    assert_eq!(texts(&github), ["0", "1", "2", "3"]);
}

#[tokio::test]
async fn a_marker_in_the_comment_of_somebody_else_counts_for_nothing() {
    let github = github();
    let forged = marker(u64::MAX, u32::MAX, HEAD).on("forged", 1000);
    for author in ["mallory", "other[bot]"] {
        github.add_comment(7, author, &forged);
    }
    assert!(matches!(
        post(&github, &marker(1, 1, HEAD), "ours").await,
        Posted::Created(_)
    ));
    assert!(matches!(
        post(&github, &marker(2, 1, HEAD), "ours now").await,
        Posted::Updated(_)
    ));
    assert_eq!(texts(&github), ["forged", "forged", "ours now"]);
    // In our own words, but not at their beginning.
    let quoted = format!("> {forged}");
    github.add_comment(7, "github-actions[bot]", &quoted);
    assert!(matches!(
        post(&github, &marker(3, 1, HEAD), "still ours").await,
        Posted::Updated(_)
    ));
}

#[tokio::test]
async fn the_token_of_another_program_finds_its_own_comment() {
    let github = github();
    github.token_is_of("acme-ci[bot]");
    post(&github, &marker(1, 1, HEAD), "one").await;
    post(&github, &marker(2, 1, HEAD), "two").await;
    assert_eq!(texts(&github), ["two"]);
}

#[tokio::test]
async fn of_two_that_come_at_once_one_comment_is_left() {
    for (first, second) in [
        ((1, 1), (2, 1)),
        ((2, 1), (1, 1)),
        ((3, 1), (3, 1)),
        ((3, 1), (3, 2)),
    ] {
        let github = github();
        let (one, two) = (client(&github), client(&github));
        let of = |(run, attempt)| marker(run, attempt, HEAD);
        let (first, second) = (of(first), of(second));
        let (a, b) = tokio::join!(
            post_comment(&one, &TO, &first, words("one")),
            post_comment(&two, &TO, &second, words("two")),
        );
        let (a, b) = (a.unwrap(), b.unwrap());
        let left = texts(&github);
        assert_eq!(left.len(), 1, "{a:?} {b:?}");
        let expected = match first.run.cmp(&second.run) {
            std::cmp::Ordering::Less => "two",
            std::cmp::Ordering::Greater => "one",
            std::cmp::Ordering::Equal => continue,
        };
        assert_eq!(left, [expected], "{a:?} {b:?}");
    }
}

#[tokio::test]
async fn what_a_killed_run_has_doubled_is_taken_away() {
    let github = github();
    for n in [1, 2] {
        let body = marker(n, 1, HEAD).on("killed", 1000);
        github.add_comment(7, "github-actions[bot]", &body);
    }
    post(&github, &marker(3, 1, HEAD), "whole").await;
    assert_eq!(texts(&github), ["whole"]);
}

#[tokio::test]
async fn a_comment_that_is_not_wanted_any_more_goes() {
    let github = github();
    let posted = async |marker: &Marker| {
        let posted = post_comment(&client(&github), &NONE_WANTED, marker, words("green")).await;
        posted.unwrap()
    };
    assert_eq!(posted(&marker(1, 1, HEAD)).await, Posted::Nothing);
    post(&github, &of_event("push", 2, true), "red").await;
    // Neither an earlier run nor one for another event is the one to say so.
    for (event, run) in [("push", 1), ("pull_request", 3)] {
        let silent = posted(&of_event(event, run, false)).await;
        assert_eq!(silent, Posted::Superseded(Run { id: 2, attempt: 1 }));
    }
    assert_eq!(posted(&marker(2, 2, HEAD)).await, Posted::Removed);
    assert_eq!(github.comments(7), []);

    // Where the token may not take it away it says what is true, and so it does where it is all
    // that tells of another failure.
    post(&github, &of_event("push", 4, true), "red").await;
    github.fail(not_permitted("/issues/comments/").on(Method::DELETE, "/issues/comments/"));
    assert!(matches!(
        posted(&marker(4, 2, HEAD)).await,
        Posted::Updated(_)
    ));
    github.heal();
    assert_eq!(texts(&github), ["green"]);
    post(&github, &of_event("push", 5, true), "red").await;
    post(&github, &of_event("pull_request", 6, true), "red too").await;
    let green = posted(&of_event("pull_request", 7, false)).await;
    assert!(matches!(green, Posted::Updated(_)), "{green:?}");
    assert_eq!(texts(&github), ["push 5.1 failed\ngreen"]);
}

#[tokio::test]
async fn the_second_look_is_at_what_is_new_alone() {
    let github = github();
    for n in 0..300 {
        github.add_comment(7, "acme", &format!("comment {n}"));
    }
    post(&github, &marker(1, 1, HEAD), "one").await;
    // The pull request, three pages, the comment, and those beside it.
    assert_eq!(github.requests().len(), 6, "{:#?}", github.requests());
}

#[tokio::test]
async fn a_comment_is_no_longer_than_github_takes() {
    let github = github();
    post(&github, &marker(1, 1, HEAD), &"ü".repeat(100_000)).await;
    assert_eq!(github.comments(7)[0].body.chars().count(), 65_536);
}

pub fn check(annotations: usize) -> NewCheckRun {
    let annotation = Annotation {
        path: "app.py".to_owned(),
        start_line: 1,
        end_line: 1,
        annotation_level: AnnotationLevel::Warning,
        title: None,
        message: "look".to_owned(),
    };
    NewCheckRun {
        name: "nixpy-ci (CI / image)".to_owned(),
        head_sha: String::new(),
        external_id: String::new(),
        details_url: None,
        conclusion: Conclusion::Success,
        title: "fine".to_owned(),
        summary: "all is well".to_owned(),
        annotations: vec![annotation; annotations],
    }
}

#[tokio::test]
async fn a_run_that_is_repeated_updates_its_check_run() {
    let github = github();
    let client = client(&github);
    post_check(&client, &marker(1, 1, HEAD), check(0))
        .await
        .unwrap();
    let mut failed = check(3);
    failed.conclusion = Conclusion::Failure;
    post_check(&client, &marker(1, 2, HEAD), failed)
        .await
        .unwrap();
    let checks = github.checks();
    assert_eq!(checks.len(), 1);
    assert_eq!(
        (
            checks[0].body["conclusion"].as_str(),
            checks[0].annotations.len()
        ),
        (Some("failure"), 3)
    );
    let older = post_check(&client, &marker(1, 1, HEAD), check(0))
        .await
        .unwrap();
    assert_eq!(older, CheckPosted::Superseded(Run { id: 1, attempt: 2 }));
}

#[tokio::test]
async fn annotations_of_the_attempt_before_are_not_left_beside_a_new_verdict() {
    let github = github();
    let client = client(&github);
    post_check(&client, &marker(1, 1, HEAD), check(3))
        .await
        .unwrap();
    post_check(&client, &marker(1, 2, HEAD), check(0))
        .await
        .unwrap();
    // GitHub takes none away: it shows the newest check run of a name.
    let newest = github.checks().pop().unwrap();
    assert_eq!((github.checks().len(), newest.annotations.len()), (2, 0));
}
