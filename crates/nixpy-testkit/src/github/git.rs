//! Branches, tags and commits.

use serde_json::{Value, json};

use super::answer::{Answer, Asked, not_found, refusal};
use super::state::State;

pub(super) fn answer(state: &mut State, asked: &Asked<'_>, method: &str, path: &str) -> Answer {
    match (method, path) {
        ("GET", "git/ref/{ref}") => {
            let name = asked.path("ref");
            let found = state.refs.get(name);
            found.map_or_else(not_found, |sha| {
                (200, git_ref(state, name, sha, asked.item(200)))
            })
        }
        ("GET", "git/matching-refs/{ref}") => {
            let wanted = asked.path("ref");
            let fitting = state
                .refs
                .iter()
                .filter(|(name, _)| name.starts_with(wanted));
            let told = fitting.map(|(name, sha)| git_ref(state, name, sha, asked.item(200)));
            (200, told.collect())
        }
        ("POST", "git/refs") => {
            let name = asked.body["ref"].as_str().unwrap_or_default();
            let name = name.trim_start_matches("refs/").to_owned();
            if state.refs.contains_key(&name) {
                return (422, refusal("Reference already exists"));
            }
            set(state, asked, &name, 201)
        }
        ("PATCH", "git/refs/{ref}") => {
            let name = asked.path("ref").to_owned();
            let Some(before) = state.refs.get(&name).cloned() else {
                return (422, refusal("Reference does not exist"));
            };
            let sha = asked.body["sha"].as_str().unwrap_or_default();
            let forward = state.history(sha).contains(&before);
            if !forward && asked.body["force"] != true {
                return (422, refusal("Update is not a fast forward"));
            }
            set(state, asked, &name, 200)
        }
        ("GET", "git/tags/{tag_sha}") => {
            let sha = asked.path("tag_sha");
            let Some(commit) = state.tags.get(sha) else {
                return not_found();
            };
            let mut told = asked.item(200);
            told["sha"] = json!(sha);
            told["object"]["sha"] = json!(commit);
            (200, told)
        }
        ("GET", "commits/{ref}") => match state.commit_of(asked.path("ref")) {
            Some(sha) => (200, commit(state, &sha, asked.item(200))),
            None => (422, refusal("No commit found for SHA")),
        },
        ("GET", "compare/{basehead}") => compare(state, asked),
        _ => (501, refusal("the double does not have this operation")),
    }
}

fn set(state: &mut State, asked: &Asked<'_>, name: &str, status: u16) -> Answer {
    let sha = asked.body["sha"].as_str().unwrap_or_default().to_owned();
    if !state.commits.contains_key(&sha) && !state.tags.contains_key(&sha) {
        return (422, refusal("Object does not exist"));
    }
    state.refs.insert(name.to_owned(), sha.clone());
    (status, git_ref(state, name, &sha, asked.item(status)))
}

fn git_ref(state: &State, name: &str, sha: &str, mut told: Value) -> Value {
    let kind = if state.tags.contains_key(sha) {
        "tag"
    } else {
        "commit"
    };
    told["ref"] = json!(format!("refs/{name}"));
    told["object"]["sha"] = json!(sha);
    told["object"]["type"] = json!(kind);
    told
}

fn commit(state: &State, sha: &str, mut told: Value) -> Value {
    let known = state.commits.get(sha).cloned().unwrap_or_default();
    // Of the example's files not everything is told that has to be.
    told["files"] = json!([]);
    told["sha"] = json!(sha);
    told["commit"]["message"] = json!(known.message);
    told
}

fn compare(state: &State, asked: &Asked<'_>) -> Answer {
    let Some((base, head)) = asked.path("basehead").split_once("...") else {
        return not_found();
    };
    let (Some(base), Some(head)) = (state.commit_of(base), state.commit_of(head)) else {
        return not_found();
    };
    let (of_base, of_head) = (state.history(&base), state.history(&head));
    let ahead: Vec<&String> = of_head
        .iter()
        .filter(|sha| !of_base.contains(sha))
        .collect();
    let behind = of_base.iter().filter(|sha| !of_head.contains(sha)).count();
    let status = match (ahead.len(), behind) {
        (0, 0) => "identical",
        (_, 0) => "ahead",
        (0, _) => "behind",
        _ => "diverged",
    };
    let mut told = asked.item(200);
    let example = told["base_commit"].clone();
    told["status"] = json!(status);
    told["ahead_by"] = json!(ahead.len());
    told["behind_by"] = json!(behind);
    told["total_commits"] = json!(ahead.len());
    told["base_commit"] = commit(state, &base, example.clone());
    let commits = ahead.iter().rev();
    told["commits"] = commits
        .map(|sha| commit(state, sha, example.clone()))
        .collect();
    (200, told)
}
