#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;

/// A job of `acme/api` for this event.
fn context(name: &str, git_ref: &str, payload: &Value) -> Context {
    let variables = [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_REPOSITORY", "acme/api"),
        ("GITHUB_EVENT_NAME", name),
        ("GITHUB_REF", git_ref),
        ("GITHUB_SHA", "0123456789012345678901234567890123456789"),
    ];
    let variable = |wanted: &str| {
        let mut variables = variables.iter();
        let found = variables.find(|(name, _)| *name == wanted)?;
        Some(found.1.to_owned())
    };
    Context::read(&variable, Some(payload.to_string().as_bytes())).unwrap()
}

fn of(name: &str, payload: &Value) -> Event {
    context(name, "", payload).event()
}

#[test]
fn a_push_is_to_a_branch_or_a_tag_and_may_be_its_end() {
    let pushed = |git_ref: &str, payload: Value| match context("push", git_ref, &payload).event() {
        Event::Push(push) => push,
        other => panic!("{other:?}"),
    };
    let push = pushed("refs/heads/feat/x", json!({ "created": true }));
    assert_eq!(push.to, GitRef::Branch("feat/x".to_owned()));
    assert!(push.created && !push.deleted && !push.forced);
    let push = pushed("refs/tags/v1", json!({ "deleted": true, "forced": 1 }));
    assert_eq!(push.to, GitRef::Tag("v1".to_owned()));
    assert!(push.deleted && !push.forced, "1 is no answer");
}

#[test]
fn a_ref_is_taken_apart() {
    let queue = |base: &str, number| GitRef::Queue {
        base: base.to_owned(),
        number,
    };
    let cases = [
        ("refs/heads/main", GitRef::Branch("main".to_owned())),
        ("refs/pull/7/merge", GitRef::Pull(7)),
        ("refs/pull/x/merge", GitRef::Other),
        ("", GitRef::Other),
        ("main", GitRef::Other),
        (
            "refs/heads/gh-readonly-queue/main/pr-7-abc",
            queue("main", 7),
        ),
        (
            "refs/heads/gh-readonly-queue/release/2.x/pr-12-abc",
            queue("release/2.x", 12),
        ),
        (
            "refs/heads/gh-readonly-queue/main/mine",
            GitRef::Branch("gh-readonly-queue/main/mine".to_owned()),
        ),
    ];
    for (text, wanted) in cases {
        assert_eq!(GitRef::parse(text), wanted, "{text}");
    }
}

#[test]
fn a_pull_request_tells_both_sides_and_how_it_ended() {
    let payload = json!({
        "action": "closed",
        "pull_request": {
            "number": 7, "state": "closed", "merged": true, "draft": false,
            "head": { "ref": "fix", "sha": "aa", "repo": { "full_name": "mallory/api" } },
            "base": { "ref": "main", "sha": "bb", "repo": { "full_name": "acme/api" } },
        },
    });
    let Event::PullRequest(pull) = of("pull_request_target", &payload) else {
        panic!("no pull request");
    };
    assert_eq!((pull.number, pull.action.as_deref()), (7, Some("closed")));
    assert!(pull.closed && pull.merged && pull.from_fork && !pull.draft);
    assert_eq!(pull.head.repository.as_deref(), Some("mallory/api"));
    assert_eq!(
        (pull.head.sha.as_str(), pull.base.branch.as_str()),
        ("aa", "main")
    );
    // A payload that cannot be read leaves the ref.
    let Event::PullRequest(pull) =
        context("pull_request", "refs/pull/9/merge", &Value::Null).event()
    else {
        panic!("no pull request");
    };
    assert!(pull.number == 9 && pull.from_fork && !pull.closed);
}

#[test]
fn a_merge_group_is_known_by_its_payload_or_its_branch() {
    let git_ref = "refs/heads/gh-readonly-queue/main/pr-7-abc";
    let payload = json!({ "merge_group": { "base_ref": "refs/heads/main", "head_sha": "cc" } });
    let group = MergeGroup {
        base: "main".to_owned(),
        number: Some(7),
        sha: "cc".to_owned(),
    };
    let context = context("merge_group", git_ref, &payload);
    assert_eq!(context.event(), Event::MergeGroup(group));
    assert!(context.is_proposal() && !context.is_from_fork());
}

#[test]
fn a_pull_request_of_another_repository_or_of_none_is_from_a_fork() {
    let event = |head: Value| {
        let base = json!({ "repo": { "full_name": "acme/api" } });
        json!({ "pull_request": { "head": { "repo": head }, "base": base } })
    };
    let own = event(json!({ "full_name": "acme/api" }));
    let fork = event(json!({ "full_name": "mallory/api" }));
    assert!(!is_from_fork("pull_request", &own));
    assert!(is_from_fork("pull_request", &fork));
    assert!(is_from_fork("pull_request_review", &fork));
    assert!(
        is_from_fork("pull_request", &event(Value::Null)),
        "it is gone"
    );
    assert!(is_from_fork("pull_request", &Value::Null), "nobody knows");
    assert!(!is_from_fork("push", &Value::Null));
}

#[test]
fn what_follows_a_run_of_a_fork_is_from_it_too() {
    let event = |head: Value| {
        json!({
            "workflow_run": { "id": 3, "head_repository": head, "pull_requests": [{ "number": 4 }] },
            "repository": { "full_name": "acme/api" },
        })
    };
    let of_repository = |name: &str| of("workflow_run", &event(json!({ "full_name": name })));
    let Event::WorkflowRun(run) = of_repository("acme/api") else {
        panic!("no run");
    };
    assert_eq!(
        (run.id, run.pull_requests, run.from_fork),
        (3, vec![4], false)
    );
    assert!(matches!(of_repository("mallory/api"), Event::WorkflowRun(run) if run.from_fork));
    assert!(is_from_fork("workflow_run", &event(Value::Null)));
    assert!(is_from_fork("workflow_run", &json!({})));
}

#[test]
fn whatever_an_event_of_a_pull_request_is_called_it_proposes() {
    let is_proposal = |name: &str, payload: Value| context(name, "", &payload).is_proposal();
    for name in [
        "pull_request",
        "pull_request_target",
        "pull_request_review",
        "pull_request_review_comment",
        "merge_group",
    ] {
        assert!(is_proposal(name, json!({})), "{name}");
        let after = json!({ "workflow_run": { "event": name } });
        assert!(is_proposal("workflow_run", after), "after {name}");
    }
    assert!(is_proposal("workflow_run", json!({})), "nobody knows");
    for name in ["push", "schedule", "workflow_dispatch", "release"] {
        assert!(!is_proposal(name, json!({})), "{name}");
        let after = json!({ "workflow_run": { "event": name } });
        assert!(!is_proposal("workflow_run", after), "after {name}");
    }
}

#[test]
fn a_comment_on_a_pull_request_is_by_anybody_and_one_on_an_issue_is_about_no_commit() {
    let on_pull_request = json!({ "issue": { "pull_request": { "url": "x" } } });
    assert!(is_from_fork("issue_comment", &on_pull_request));
    assert!(is_from_fork("issue_comment", &Value::Null), "nobody knows");
    let on_issue = json!({ "issue": { "number": 1 } });
    assert!(!is_from_fork("issue_comment", &on_issue));
}

#[test]
fn a_repository_is_described_by_its_event_and_named_without_it() {
    let payload = json!({
        "repository": {
            "name": "api", "default_branch": "trunk", "description": "It serves.",
            "license": { "spdx_id": "MIT" }, "html_url": "https://git.example/acme/api",
            "topics": ["python", 1], "private": true,
        },
        "head_commit": { "timestamp": "2026-01-02T03:04:05Z" },
    });
    let told = context("push", "", &payload);
    let facts = told.facts();
    assert_eq!(facts.default_branch.as_deref(), Some("trunk"));
    assert_eq!(facts.license.as_deref(), Some("MIT"));
    assert_eq!(facts.topics, ["python"]);
    assert!(facts.private);
    assert_eq!(told.commit_date().as_deref(), Some("2026-01-02T03:04:05Z"));
    let facts = context(
        "schedule",
        "",
        &json!({ "repository": { "license": { "spdx_id": "NOASSERTION" } } }),
    )
    .facts();
    assert_eq!(facts.name, "api");
    assert_eq!(facts.html_url, "https://github.com/acme/api");
    assert_eq!((facts.license, facts.description), (None, None));
}

#[test]
fn a_payload_of_anything_is_no_reason_to_stop() {
    let names = [
        "push",
        "pull_request",
        "merge_group",
        "release",
        "workflow_run",
        "schedule",
        "fork",
        "",
    ];
    let odd = [
        json!(null),
        json!([]),
        json!("x"),
        json!({ "pull_request": [], "workflow_run": 1, "release": null, "ref": {}, "repository": "x" }),
    ];
    for name in names {
        for payload in &odd {
            let context = context(name, "refs/heads/main", payload);
            let _ = (context.event(), context.facts(), context.commit_date());
        }
    }
}
