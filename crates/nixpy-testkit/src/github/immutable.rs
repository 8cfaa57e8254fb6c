//! Releases of a repository whose owner has set that they cannot be changed once they are
//! public: their files stay, and so does their tag. Their text can still be written.

use serde_json::{Value, json};

use super::answer::{Answer, Asked, refusal};
use super::releases;
use super::state::{Release, State};

pub(super) fn answer(state: &mut State, asked: &Asked<'_>, method: &str, path: &str) -> Answer {
    if state.freezes && is_refused(state, asked, method, path) {
        return (422, refusal("Cannot change an immutable release"));
    }
    let (status, mut told) = releases::answer(state, asked, method, path);
    if state.freezes {
        match &mut told {
            Value::Array(items) => items.iter_mut().for_each(say),
            item => say(item),
        }
    }
    (status, told)
}

fn is_public(release: &Release) -> bool {
    release.body["draft"] != true
}

fn is_refused(state: &State, asked: &Asked<'_>, method: &str, path: &str) -> bool {
    let mut public = state.releases.iter().filter(|it| is_public(it));
    match (method, path) {
        ("POST", "releases/{release_id}/assets") => {
            let id = asked.number("release_id");
            public.any(|release| release.id == id)
        }
        ("DELETE", "releases/assets/{asset_id}") => {
            let id = asked.number("asset_id");
            public.any(|release| release.assets.iter().any(|file| file.0 == id))
        }
        ("PATCH", "releases/{release_id}") => {
            let id = asked.number("release_id");
            let tag = &asked.body["tag_name"];
            let moves = |release: &Release| !tag.is_null() && release.body["tag_name"] != *tag;
            public.any(|release| release.id == id && moves(release))
        }
        _ => false,
    }
}

/// Of what is a release, whether it can be changed.
fn say(told: &mut Value) {
    if told.get("tag_name").is_some() {
        told["immutable"] = json!(told["draft"] != true);
    }
}
