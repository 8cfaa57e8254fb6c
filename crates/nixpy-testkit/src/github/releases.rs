//! Releases and their files.

use serde_json::{Value, json};

use super::answer::{Answer, Asked, asset, not_found, refusal, release};
use super::state::{Release, State};

pub(super) fn answer(state: &mut State, asked: &Asked<'_>, method: &str, path: &str) -> Answer {
    match (method, path) {
        ("GET", "releases") => {
            let all = state.releases.iter().rev();
            (
                200,
                all.map(|it| release(it, asked, asked.item(200))).collect(),
            )
        }
        ("POST", "releases") => create(state, asked),
        ("GET", "releases/tags/{tag}") => {
            let is_it = |it: &&Release| {
                it.body["tag_name"] == asked.path("tag") && it.body["draft"] != true
            };
            let found = state.releases.iter().find(is_it);
            found.map_or_else(not_found, |it| (200, release(it, asked, asked.item(200))))
        }
        ("DELETE", "releases/assets/{asset_id}") => {
            let id = asked.number("asset_id");
            for release in &mut state.releases {
                if let Some(n) = release.assets.iter().position(|file| file.0 == id) {
                    release.assets.remove(n);
                    return (204, Value::Null);
                }
            }
            not_found()
        }
        _ => of_one(state, asked, method, path),
    }
}

fn create(state: &mut State, asked: &Asked<'_>) -> Answer {
    let tag = asked.body["tag_name"].as_str().unwrap_or_default();
    let is_draft = asked.body["draft"] == true;
    let published = |it: &Release| it.body["tag_name"] == tag && it.body["draft"] != true;
    if !is_draft && state.releases.iter().any(published) {
        let mut refusal = refusal("Validation Failed");
        refusal["errors"] =
            json!([{ "resource": "Release", "field": "tag_name", "code": "already_exists" }]);
        return (422, refusal);
    }
    let new = Release {
        id: state.next_id(),
        body: asked.body.clone(),
        assets: Vec::new(),
    };
    make_tag(state, &new);
    state.releases.push(new.clone());
    (201, release(&new, asked, asked.item(201)))
}

/// A release that is seen has a tag.
fn make_tag(state: &mut State, release: &Release) {
    let target = release.body["target_commitish"].as_str().unwrap_or("main");
    let tag = format!(
        "tags/{}",
        release.body["tag_name"].as_str().unwrap_or_default()
    );
    if release.body["draft"] != true
        && !state.refs.contains_key(&tag)
        && let Some(sha) = state.commit_of(target)
    {
        state.refs.insert(tag, sha);
    }
}

fn of_one(state: &mut State, asked: &Asked<'_>, method: &str, path: &str) -> Answer {
    let id = asked.number("release_id");
    let new = state.next_id();
    let Some(n) = state.releases.iter().position(|it| it.id == id) else {
        return not_found();
    };
    let tag = state.releases[n].body["tag_name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let known = &mut state.releases[n];
    match (method, path) {
        ("PATCH", "releases/{release_id}") => {
            State::merge(&mut known.body, &asked.body);
            let known = known.clone();
            make_tag(state, &known);
            (200, release(&known, asked, asked.item(200)))
        }
        ("GET", "releases/{release_id}") => (200, release(known, asked, asked.item(200))),
        ("GET", "releases/{release_id}/assets") => {
            let files = known.assets.iter();
            (
                200,
                files
                    .map(|it| asset(it, &tag, asked, asked.item(200)))
                    .collect(),
            )
        }
        ("POST", "releases/{release_id}/assets") => {
            let name = asked.query("name").unwrap_or_default().to_owned();
            if known.assets.iter().any(|file| file.1 == name) {
                // Its form is not described.
                return (422, Value::Null);
            }
            let file = (new, name, asked.bytes.to_vec());
            known.assets.push(file.clone());
            (201, asset(&file, &tag, asked, asked.item(201)))
        }
        _ => not_found(),
    }
}
