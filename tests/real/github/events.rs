//! A push and a pull request tell of the same commit, and neither speaks for the other.

use nixpy_github::api::{Conclusion, NewCheckRun};
use nixpy_github::post::{Key, Posted, Run, post_check, post_comment};
use nixpy_testkit::github::Method;

use super::posting::{TO, check, marker, of_event, post, texts, words};
use super::{HEAD, NEXT, client, github, pull};

#[tokio::test]
async fn what_has_failed_for_one_event_is_not_hidden_by_what_is_green_for_another() {
    let github = github();
    let told =
        async |event, run, failed, text| post(&github, &of_event(event, run, failed), text).await;
    told("push", 10, true, "push is red").await;
    let green = told("pull_request", 11, false, "pull is green").await;
    assert_eq!(green, Posted::Superseded(Run { id: 10, attempt: 1 }));
    assert_eq!(texts(&github), ["push is red"]);
    told("push", 12, false, "push is green").await;
    assert_eq!(texts(&github), ["push is green"]);
    // And what is red later takes the place of what is green, whichever run began first.
    told("pull_request", 11, true, "pull is red").await;
    assert_eq!(texts(&github), ["pull is red"]);
    told("push", 13, false, "push is green again").await;
    assert_eq!(texts(&github), ["pull is red"]);
    // A new commit is another matter.
    github.add_pull(pull("acme/api", NEXT));
    post(&github, &marker(14, 1, NEXT), "push of the next").await;
    assert_eq!(texts(&github), ["push of the next"]);
    assert_eq!(github.count(Method::POST, "/comments"), 1);
}

#[tokio::test]
async fn of_two_events_that_have_failed_both_are_told_until_each_is_green() {
    let github = github();
    let told = async |event, run, failed, text| {
        post(&github, &of_event(event, run, failed), text).await;
        texts(&github).join("|")
    };
    told("push", 10, true, "push is red").await;
    let both = told("pull_request", 11, true, "pull is red").await;
    assert_eq!(both, "push 10.1 failed\npull is red");
    let one = told("pull_request", 12, false, "pull is green").await;
    assert_eq!(one, "push 10.1 failed\npull is green");
    let none = told("push", 13, false, "push is green").await;
    assert_eq!(none, "push is green");
    // The one that does not speak may be the first that is green.
    told("push", 14, true, "push is red").await;
    told("pull_request", 15, true, "pull is red").await;
    let other = told("push", 16, false, "push is green").await;
    assert_eq!(other, "pull is red");
    let none = told("pull_request", 17, false, "pull is green").await;
    assert_eq!(none, "pull is green");
}

#[tokio::test]
async fn comments_of_versions_that_knew_no_event_are_kept_up_to_date() {
    let github = github();
    let key = Key::of("CI", "image", "");
    for (verdict, next) in [("", 6), (" failed", 8)] {
        let run = next - 1;
        let old = format!("<!-- nixpy-ci {key} run={run}.1 head={HEAD}{verdict} -->\nold");
        let there = github.comments(7).pop();
        match there {
            None => {
                github.add_comment(7, "github-actions[bot]", &old);
            }
            Some(comment) => {
                let client = client(&github);
                client.update_comment(comment.id, &old).await.unwrap();
            }
        }
        let older = post(&github, &of_event("push", run - 1, false), "older").await;
        assert!(matches!(older, Posted::Superseded(_)), "{older:?}");
        let later = post(&github, &of_event("pull_request", next, false), "new").await;
        assert!(matches!(later, Posted::Updated(_)), "{later:?}");
        assert_eq!(texts(&github), ["new"]);
    }
}

#[tokio::test]
async fn of_two_events_that_come_at_once_the_one_that_has_failed_is_left() {
    for (red, green) in [(1, 2), (2, 1)] {
        for red_is_first in [true, false] {
            let github = github();
            let (one, two) = (client(&github), client(&github));
            let red = of_event("push", red, true);
            let green = of_event("pull_request", green, false);
            let red = post_comment(&one, &TO, &red, words("red"));
            let green = post_comment(&two, &TO, &green, words("green"));
            let (a, b) = match red_is_first {
                true => tokio::join!(red, green),
                false => tokio::join!(green, red),
            };
            let (a, b) = (a.unwrap(), b.unwrap());
            assert_eq!(texts(&github), ["red"], "{a:?} {b:?}");
        }
    }
}

#[tokio::test]
async fn a_check_run_for_another_event_is_another() {
    let github = github();
    let client = client(&github);
    let named = |event: &str, conclusion| NewCheckRun {
        name: format!("nixpy-ci (CI / image) ({event})"),
        conclusion,
        ..check(0)
    };
    let red = named("push", Conclusion::Failure);
    let red = post_check(&client, &of_event("push", 1, true), red).await;
    red.unwrap();
    let green = named("pull_request", Conclusion::Success);
    let green = post_check(&client, &of_event("pull_request", 2, false), green).await;
    green.unwrap();
    // Even if somebody has cut the names.
    let nightly = of_event("schedule", 3, false);
    let alike = post_check(&client, &nightly, named("push", Conclusion::Success));
    alike.await.unwrap();
    let checks = github.checks().into_iter();
    let verdicts: Vec<_> = checks.map(|it| it.body["conclusion"].clone()).collect();
    assert_eq!(verdicts, ["failure", "success", "success"]);
}
