//! What an event tells of the repository and of the commit.

use serde_json::Value;

use super::{Context, GitRef};

/// The repository, as far as the event describes it: that of a schedule says less than
/// that of a push.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repository {
    /// Without its owner.
    pub name: String,
    /// `main`
    pub default_branch: Option<String>,
    /// One sentence.
    pub description: Option<String>,
    /// The SPDX identifier of the licence that GitHub has recognised.
    pub license: Option<String>,
    /// Its page.
    pub html_url: String,
    /// Words that it is found by.
    pub topics: Vec<String>,
    /// Not everybody sees it.
    pub private: bool,
}

impl Context {
    /// The repository's facts.
    pub fn facts(&self) -> Repository {
        let text = |name: &str| self.text(&format!("/repository/{name}"));
        let name = self.repository.rsplit('/').next().unwrap_or_default();
        let topics = self.payload.pointer("/repository/topics");
        let topics = topics.and_then(Value::as_array).into_iter().flatten();
        let page = || format!("{}/{}", self.server_url, self.repository);
        // What GitHub cannot name says nothing to others.
        let license = text("license/spdx_id").filter(|license| license != "NOASSERTION");
        Repository {
            name: text("name").unwrap_or_else(|| name.to_owned()),
            default_branch: self.default_branch(),
            description: text("description"),
            license,
            html_url: text("html_url").unwrap_or_else(page),
            topics: topics
                .filter_map(|topic| Some(topic.as_str()?.to_owned()))
                .collect(),
            private: self.payload.pointer("/repository/private") == Some(&Value::Bool(true)),
        }
    }

    /// The branch that people see first.
    pub fn default_branch(&self) -> Option<String> {
        self.text("/repository/default_branch")
    }

    /// The branch that what is built is to be merged into; that a tag was pushed with, if
    /// GitHub says so.
    pub fn base_branch(&self) -> Option<String> {
        let plain = |name: String| name.trim_start_matches("refs/heads/").to_owned();
        match self.place() {
            GitRef::Queue { base, .. } => Some(base),
            GitRef::Tag(_) => self.text("/base_ref").map(plain),
            GitRef::Branch(_) => None,
            GitRef::Pull(_) | GitRef::Other => self
                .text("/pull_request/base/ref")
                .or_else(|| self.base_ref.clone()),
        }
    }

    /// When the commit was made, in RFC 3339, if the event tells: a pull request's and a
    /// started workflow's do not.
    pub fn commit_date(&self) -> Option<String> {
        let places = match self.event_name.as_str() {
            "push" => "/head_commit/timestamp",
            "merge_group" => "/merge_group/head_commit/timestamp",
            _ => return None,
        };
        self.text(places)
    }
}
