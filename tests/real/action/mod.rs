//! `uses: ./` in workflows that a real runner program runs.

mod cancelling;
mod events;
mod examples;
mod launcher;
mod lints;
mod matrix;
mod nothing_given;
mod releasing;

use serde_json::{Value, json};

/// What GitHub tells of a push to a branch.
fn pushed(branch: &str) -> Value {
    json!({ "ref": format!("refs/heads/{branch}"), "repository": repository() })
}

/// And of a repository.
fn repository() -> Value {
    json!({
        "full_name": "Acme/Service",
        "name": "Service",
        "owner": { "login": "Acme" },
        "default_branch": "main",
        "description": "A service",
        "html_url": "https://github.com/Acme/Service",
    })
}
