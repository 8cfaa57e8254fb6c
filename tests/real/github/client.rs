//! The client against a GitHub that is slow, in trouble, or has had enough.

use std::time::{Duration, Instant};

use nixpy_github::api::{
    Annotation, AnnotationLevel, ApiErrorKind, Client, Conclusion, NewCheckRun, NewRelease, Token,
};
use nixpy_testkit::github::{Fault, Method, TOKEN, not_permitted, too_many_requests};

use super::{HEAD, NEXT, OTHER, client, client_with, github};

fn check(annotations: usize) -> NewCheckRun {
    let annotation = |n: usize| Annotation {
        path: "app.py".to_owned(),
        start_line: n as u32 + 1,
        end_line: n as u32 + 1,
        annotation_level: AnnotationLevel::Failure,
        title: Some("wrong".to_owned()),
        message: "it is wrong".to_owned(),
    };
    NewCheckRun {
        name: "image".to_owned(),
        head_sha: HEAD.to_owned(),
        external_id: "ci/image".to_owned(),
        details_url: Some("https://github.com/acme/api/actions/runs/1".to_owned()),
        conclusion: Conclusion::Failure,
        title: "it failed".to_owned(),
        summary: "**it** failed".to_owned(),
        annotations: (0..annotations).map(annotation).collect(),
    }
}

#[tokio::test]
async fn a_comment_is_written_read_changed_and_taken_away() {
    let github = github();
    let client = client(&github);
    let made = client.create_comment(7, "one").await.unwrap();
    assert_eq!(made.user.as_ref().unwrap().login, "github-actions[bot]");
    client.update_comment(made.id, "two").await.unwrap();
    assert_eq!(
        client.comments(7).await.unwrap()[0].body.as_deref(),
        Some("two")
    );
    client.delete_comment(made.id).await.unwrap();
    client.delete_comment(made.id).await.unwrap();
    assert_eq!(github.comments(7), []);
}

#[tokio::test]
async fn comments_on_all_pages_are_read() {
    let github = github();
    github.pages_of(2);
    for n in 0..5 {
        github.add_comment(7, "acme", &n.to_string());
    }
    let comments = client(&github).comments(7).await.unwrap();
    let bodies: Vec<_> = comments
        .iter()
        .filter_map(|it| it.body.as_deref())
        .collect();
    assert_eq!(bodies, ["0", "1", "2", "3", "4"]);
    assert_eq!(github.count(Method::GET, "/comments"), 3);
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_no_second_comment() {
    for fault in [
        Fault::lose_answer(),
        Fault::cut_after(0),
        Fault::status(502),
    ] {
        let github = github();
        github.fail(fault.on(Method::POST, "/comments"));
        client(&github).create_comment(7, "once").await.unwrap();
        assert_eq!(github.comments(7).len(), 1);
    }
}

#[tokio::test]
async fn a_check_run_has_all_its_annotations_fifty_at_a_time() {
    let github = github();
    let client = client(&github);
    let made = client.create_check_run(&check(120)).await.unwrap();
    assert_eq!(made.output.annotations_count, 120);
    assert_eq!(github.requests().len(), 3);
    assert_eq!(
        client.check_runs(HEAD, "image").await.unwrap(),
        std::slice::from_ref(&made)
    );
    assert_eq!(client.check_runs(HEAD, "other").await.unwrap(), []);
    let updated = client.update_check_run(made.id, &check(0)).await.unwrap();
    assert_eq!(updated.id, made.id);
    assert_eq!(github.checks().len(), 1);
}

#[tokio::test]
async fn a_check_run_whose_answer_is_lost_is_found() {
    let github = github();
    github.fail(Fault::lose_answer().on(Method::POST, "/check-runs"));
    client(&github).create_check_run(&check(1)).await.unwrap();
    assert_eq!(github.checks().len(), 1);
}

#[tokio::test]
async fn what_github_asks_for_is_waited_for() {
    let github = github();
    github.fail(too_many_requests(1));
    github.fail(Fault::status(429).retry_after(1).nth(2));
    github.fail(Fault::status(503).nth(3));
    let begun = Instant::now();
    let pull = client(&github).pull_request(7).await.unwrap();
    assert_eq!((pull.head.sha.as_str(), pull.is_open()), (HEAD, true));
    assert_eq!(github.requests().len(), 4);
    assert!(begun.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn more_than_there_is_time_for_is_not_waited_for() {
    let github = github();
    github.fail(too_many_requests(3600).always());
    let begun = Instant::now();
    let error = client(&github).pull_request(7).await.unwrap_err();
    let after = Duration::from_secs(3600);
    assert_eq!(error.kind, ApiErrorKind::RateLimited { after });
    assert!(error.is_transient() && begun.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn all_requests_together_end_in_the_time_that_was_given() {
    for fault in [
        Fault::hang(Duration::from_secs(30)).always(),
        Fault::status(500).always(),
        Fault::stall_after(1).always(),
        Fault::cut_after(0).always(),
    ] {
        let github = github();
        github.fail(fault);
        let client = client_with(&github, Duration::from_secs(2));
        let begun = Instant::now();
        assert!(client.pull_request(7).await.unwrap_err().is_transient());
        assert!(
            client
                .create_comment(7, "x")
                .await
                .unwrap_err()
                .is_transient()
        );
        assert!(client.comments(7).await.is_err());
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{:?}",
            begun.elapsed()
        );
        github.heal();
    }
}

/// Each takes two seconds of the four that there are; one after the other all of them.
#[tokio::test]
async fn requests_at_the_same_time_use_the_time_up_once() {
    let github = github();
    github.fail(Fault::hang(Duration::from_secs(2)).times(2));
    let client = client_with(&github, Duration::from_secs(4));
    let (one, two) = tokio::join!(client.pull_request(7), client.comments(7));
    assert!(one.is_ok() && two.is_ok());
    assert!(client.pull_request(7).await.is_ok());
}

#[tokio::test]
async fn refusals_name_the_cure() {
    let github = github();
    let client = client(&github);
    let told = |e: nixpy_github::api::ApiError| e.to_string();

    github.fail(not_permitted("/comments"));
    assert_eq!(
        told(client.create_comment(7, "x").await.unwrap_err()),
        "cannot comment on pull request #7 of acme/api: the token may not (403, Resource not accessible by integration): \
         add `pull-requests: write` to the job's `permissions:`"
    );
    github.fail(not_permitted("/check-runs"));
    assert_eq!(
        told(client.create_check_run(&check(0)).await.unwrap_err()),
        "cannot leave the check run \"image\" of acme/api: the token may not (403, Resource not accessible by \
         integration): add `checks: write` to the job's `permissions:`"
    );
    assert_eq!(github.requests().len(), 2);
    github.heal();

    // GitHub says more exactly what it wants.
    github.accepts("checks=write");
    github.fail(not_permitted("/check-runs"));
    let error = told(client.create_check_run(&check(0)).await.unwrap_err());
    assert!(
        error.contains("integration; GitHub accepts checks=write): add `checks: write` to"),
        "{error}"
    );
    github.heal();
    github.accepts("contents=write; contents=write,workflows=write");
    github.fail(not_permitted("/git/refs"));
    let error = client.create_git_ref("tags/v1", HEAD).await.unwrap_err();
    assert!(error.is_refusal() && !error.is_transient(), "{error}");
    let error = told(error);
    assert!(
        error.contains(
            "workflows=write): it needs `contents: write`, and for a commit with other workflows"
        ) && !error.contains("to the job's `permissions:`"),
        "{error}"
    );
    github.heal();

    assert!(client.pull_request(8).await.unwrap_err().is_not_found());
    github.add_commit(HEAD, None, "it");
    let error = client.create_git_ref("tags/v1", OTHER).await.unwrap_err();
    assert!(error.is_invalid(), "{error}");
    assert!(
        error
            .to_string()
            .ends_with("GitHub refuses it (422): Object does not exist"),
        "{error}"
    );

    let http = nixpy_oci::registry::http_client(Duration::from_secs(5)).unwrap();
    let stranger = Token::new("ghs_stranger").unwrap();
    let stranger = Client::new(
        http,
        &github.api_url(),
        "acme/api",
        &stranger,
        Duration::from_secs(5),
    );
    let error = stranger.unwrap().pull_request(7).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Unauthorized);
}

#[tokio::test]
async fn nobody_there_is_an_error_in_time() {
    let http = nixpy_oci::registry::http_client(Duration::from_secs(5)).unwrap();
    let token = Token::new(TOKEN).unwrap();
    let client = Client::new(
        http,
        "http://127.0.0.1:1",
        "acme/api",
        &token,
        Duration::from_secs(1),
    )
    .unwrap();
    let begun = Instant::now();
    let error = client.pull_request(7).await.unwrap_err();
    assert!(matches!(error.kind, ApiErrorKind::Silence(_)), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn tags_are_made_and_moved_forward() {
    let github = github();
    github.add_commit(NEXT, Some(HEAD), "next");
    github.add_commit(OTHER, None, "other");
    github.set_annotated_tag("signed", "4444444444444444444444444444444444444444", HEAD);
    let client = client(&github);
    assert_eq!(client.git_ref("tags/v1").await.unwrap(), None);
    github.fail(Fault::lose_answer().on(Method::POST, "/git/refs"));
    client.create_git_ref("tags/v1", HEAD).await.unwrap();
    let moved = client.update_git_ref("tags/v1", NEXT, false).await.unwrap();
    assert_eq!(
        (moved.name.as_str(), moved.object.sha.as_str()),
        ("refs/tags/v1", NEXT)
    );
    assert!(
        client
            .update_git_ref("tags/v1", OTHER, false)
            .await
            .unwrap_err()
            .is_invalid()
    );
    client.update_git_ref("tags/v1", OTHER, true).await.unwrap();
    assert_eq!(github.git_ref("tags/v1").as_deref(), Some(OTHER));

    let signed = client.git_ref("tags/signed").await.unwrap().unwrap();
    assert_eq!(signed.object.kind, "tag");
    assert_eq!(
        client.tag_target(&signed.object.sha).await.unwrap().sha,
        HEAD
    );

    let ahead = client.compare(HEAD, NEXT).await.unwrap();
    assert_eq!(
        (ahead.status.as_str(), ahead.ahead_by, ahead.commits.len()),
        ("ahead", 1, 1)
    );
    assert_eq!(ahead.commits[0].commit.message, "next");
    assert_eq!(client.commit("refs/tags/none").await.unwrap(), None);
    assert_eq!(client.commit(NEXT).await.unwrap().unwrap().sha, NEXT);
}

#[tokio::test]
async fn a_release_is_drafted_filled_and_published() {
    let github = github();
    github.add_commit(HEAD, None, "it");
    let client = client(&github);
    let mut new = NewRelease {
        tag_name: "v1.2.3".to_owned(),
        target_commitish: Some(HEAD.to_owned()),
        name: "v1.2.3".to_owned(),
        body: "what is new".to_owned(),
        draft: true,
        prerelease: false,
        make_latest: None,
    };
    github.fail(Fault::lose_answer().on(Method::POST, "/releases"));
    let draft = client.create_release(&new).await.unwrap();
    assert_eq!(github.releases().len(), 1);
    assert_eq!(client.release_by_tag("v1.2.3").await.unwrap(), None);
    github.fail(Fault::lose_answer().on(Method::POST, "/assets"));
    let file = client
        .upload_asset(&draft, "list.txt", "text/plain", b"abc".as_slice())
        .await
        .unwrap();
    assert_eq!((file.size, file.name.as_str()), (3, "list.txt"));
    new.draft = false;
    client.update_release(draft.id, &new).await.unwrap();
    let there = client.release_by_tag("v1.2.3").await.unwrap().unwrap();
    assert_eq!(there.assets.len(), 1);
    assert_eq!(github.git_ref("tags/v1.2.3").as_deref(), Some(HEAD));
    assert!(client.create_release(&new).await.unwrap_err().is_invalid());
    client.delete_asset(file.id).await.unwrap();
    assert_eq!(client.assets(draft.id).await.unwrap(), []);
}
