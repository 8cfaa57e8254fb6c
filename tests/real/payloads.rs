//! What GitHub sends: every example of every event that its own collection has.

use std::collections::BTreeMap;
use std::path::Path;

use nixpy_github::context::{Context, Event, GitRef};
use nixpy_github::tags::{Facts, Rules};
use serde_json::Value;

/// All examples, by the name of the event.
fn examples() -> BTreeMap<String, Vec<Value>> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools");
    let file = tools.join("npm/@octokit/webhooks-examples/api.github.com/index.json");
    let bytes = std::fs::read(&file)
        .unwrap_or_else(|e| panic!("{}: {e}: `make test-deps` installs it", file.display()));
    let events: Vec<Value> = serde_json::from_slice(&bytes).unwrap();
    let of = |event: Value| {
        let name = event["name"].as_str().unwrap().to_owned();
        (name, event["examples"].as_array().unwrap().clone())
    };
    events.into_iter().map(of).collect()
}

/// A job that an example has started. GitHub derives the ref from the payload.
fn context(name: &str, payload: &Value) -> Context {
    let text = |place: &str| payload.pointer(place).and_then(Value::as_str);
    let number = payload["pull_request"]["number"].as_u64();
    let git_ref = match (name, number) {
        ("push", _) => text("/ref").map(str::to_owned),
        ("merge_group", _) => text("/merge_group/head_ref").map(str::to_owned),
        ("release", _) => text("/release/tag_name").map(|tag| format!("refs/tags/{tag}")),
        (_, Some(number)) => Some(format!("refs/pull/{number}/merge")),
        _ => text("/repository/default_branch").map(|branch| format!("refs/heads/{branch}")),
    };
    let repository = text("/repository/full_name").unwrap_or("acme/api");
    let variable = |wanted: &str| {
        let value = match wanted {
            "GITHUB_ACTIONS" => "true",
            "GITHUB_REPOSITORY" => repository,
            "GITHUB_EVENT_NAME" => name,
            "GITHUB_REF" => git_ref.as_deref()?,
            "GITHUB_SHA" => "860c1904a1ce19322e91ac35af1ab07466440c37",
            _ => return None,
        };
        Some(value.to_owned())
    };
    Context::read(&variable, Some(payload.to_string().as_bytes())).unwrap()
}

#[test]
fn every_event_that_github_sends_is_read_and_gives_a_tag() {
    let rules = Rules::of_github([]).unwrap();
    let mut count = 0;
    for (name, payloads) in examples() {
        for payload in &payloads {
            let context = context(&name, payload);
            let facts = context.facts();
            assert!(!facts.name.is_empty() && facts.html_url.starts_with("http"));
            let _ = (
                context.event(),
                context.is_from_fork(),
                context.base_branch(),
            );
            let facts = Facts::of(Some(&context), std::time::SystemTime::UNIX_EPOCH);
            let tagged = rules.tags(&facts).unwrap();
            let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            assert!(
                tagged.tags.iter().all(|tag| tag.chars().all(fits)),
                "{tagged:?}"
            );
            count += 1;
        }
    }
    assert!(count > 250, "{count} examples");
}

#[test]
fn a_push_says_where_to_and_who_it_is() {
    let pushes = &examples()["push"];
    assert!(pushes.len() >= 5);
    let mut seen = (false, false, false);
    for payload in pushes {
        let context = context("push", payload);
        let Event::Push(push) = context.event() else {
            panic!("{:?}", context.event());
        };
        let is_tag = payload["ref"].as_str().unwrap().starts_with("refs/tags/");
        assert_eq!(matches!(push.to, GitRef::Tag(_)), is_tag);
        assert_eq!(Value::Bool(push.deleted), payload["deleted"]);
        assert!(context.default_branch().is_some() && !context.is_from_fork());
        let commit = payload["head_commit"]["timestamp"].as_str();
        assert_eq!(context.commit_date().as_deref(), commit);
        seen.0 |= is_tag;
        seen.1 |= push.deleted;
        seen.2 |= commit.is_some();
    }
    assert_eq!(seen, (true, true, true), "a tag, an end, and a commit");
}

#[test]
fn a_pull_request_has_a_number_two_sides_and_an_end() {
    let (mut closed, mut reviews) = (0, 0);
    for (name, payloads) in examples() {
        for payload in payloads.iter().filter(|_| name.starts_with("pull_request")) {
            let context = context(&name, payload);
            let Event::PullRequest(pull) = context.event() else {
                panic!("{name}: {:?}", context.event());
            };
            assert_eq!(payload["pull_request"]["number"], pull.number);
            assert_eq!(
                payload["pull_request"]["base"]["ref"],
                pull.base.branch.as_str()
            );
            assert_eq!(pull.head.sha.len(), 40, "{name}");
            let repository = |side: &str| &payload["pull_request"][side]["repo"]["full_name"];
            let same = repository("head") == repository("base") && repository("head").is_string();
            assert_eq!(pull.from_fork, !same, "{name}");
            assert_eq!(context.base_branch(), Some(pull.base.branch.clone()));
            closed += usize::from(pull.closed);
            reviews += usize::from(name != "pull_request");
        }
    }
    assert!(
        closed > 0 && reviews > 0,
        "{closed} closed, {reviews} of reviews"
    );
}

#[test]
fn queues_releases_and_runs_of_other_workflows_are_told_apart() {
    let examples = examples();
    for payload in &examples["merge_group"] {
        let context = context("merge_group", payload);
        let Event::MergeGroup(group) = context.event() else {
            panic!("{:?}", context.event());
        };
        let base = payload["merge_group"]["base_ref"].as_str().unwrap();
        assert_eq!(base.trim_start_matches("refs/heads/"), group.base);
        assert_eq!(payload["merge_group"]["head_sha"], group.sha.as_str());
        assert!(context.is_proposal());
    }
    for payload in &examples["release"] {
        let Event::Release(release) = context("release", payload).event() else {
            panic!("no release");
        };
        assert_eq!(payload["release"]["tag_name"], release.tag.as_str());
        assert_eq!(
            payload["release"]["prerelease"],
            Value::Bool(release.prerelease)
        );
    }
    for payload in &examples["workflow_run"] {
        let Event::WorkflowRun(run) = context("workflow_run", payload).event() else {
            panic!("no run");
        };
        assert_eq!(payload["workflow_run"]["id"], run.id);
        assert_eq!(payload["workflow_run"]["head_sha"], run.head_sha.as_str());
        assert_eq!(
            payload["workflow_run"]["conclusion"].as_str(),
            run.conclusion.as_deref()
        );
    }
    assert_eq!(
        context("workflow_dispatch", &Value::Null).event(),
        Event::WorkflowDispatch
    );
}
