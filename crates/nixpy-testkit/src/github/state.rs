//! What the double remembers of its repository.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

/// Everything, by kind.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) pulls: Vec<Pull>,
    pub(super) comments: Vec<Comment>,
    pub(super) checks: Vec<Check>,
    pub(super) releases: Vec<Release>,
    /// Without `refs/`, as in `tags/v1`.
    pub(super) refs: BTreeMap<String, String>,
    /// Objects of annotated tags, and the commits that they point to.
    pub(super) tags: BTreeMap<String, String>,
    pub(super) commits: BTreeMap<String, Commit>,
    /// Whether public releases can be changed no more.
    pub(super) freezes: bool,
    last_id: u64,
}

/// A pull request.
#[derive(Clone, Debug)]
pub struct Pull {
    /// As in `#7`.
    pub number: u64,
    /// `owner/name` of where it comes from.
    pub head_repository: String,
    /// The branch there.
    pub head_ref: String,
    /// Its newest commit.
    pub head_sha: String,
    /// Whether it is open.
    pub open: bool,
}

/// A comment.
#[derive(Clone, Debug, PartialEq)]
pub struct Comment {
    /// Grows with time.
    pub id: u64,
    /// Of which issue or pull request.
    pub number: u64,
    /// Who wrote it.
    pub author: String,
    /// Markdown.
    pub body: String,
    /// When it was written.
    pub(super) created_at: Timestamp,
    /// When it was written or changed.
    pub(super) updated_at: Timestamp,
}

/// A check run.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Grows with time.
    pub id: u64,
    /// At which commit.
    pub head_sha: String,
    /// What was sent, later fields over earlier ones.
    pub body: Value,
    /// All that were sent.
    pub annotations: Vec<Value>,
}

/// A release.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// Grows with time.
    pub id: u64,
    /// What was sent, later fields over earlier ones.
    pub body: Value,
    /// Its files: identity, name and content.
    pub assets: Vec<(u64, String, Vec<u8>)>,
}

/// A commit.
#[derive(Clone, Debug, Default)]
pub(super) struct Commit {
    pub(super) parent: Option<String>,
    pub(super) message: String,
}

impl State {
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        // As large as GitHub's, which do not fit in 32 bits.
        5_000_000_000 + self.last_id
    }

    /// Lays what was sent over what was there; annotations are added up.
    pub(super) fn merge(known: &mut Value, sent: &Value) {
        if let (Some(known), Some(sent)) = (known.as_object_mut(), sent.as_object()) {
            known.extend(sent.clone());
        }
    }

    /// A commit and those before it, the newest first.
    pub(super) fn history(&self, sha: &str) -> Vec<String> {
        let mut history = Vec::new();
        let mut next = Some(sha.to_owned());
        while let Some(sha) = next {
            next = self
                .commits
                .get(&sha)
                .and_then(|commit| commit.parent.clone());
            history.push(sha);
        }
        history
    }

    /// The commit that a name leads to: a hash, a branch, a tag.
    pub(super) fn commit_of(&self, name: &str) -> Option<String> {
        let name = name.trim_start_matches("refs/");
        let found = ["", "heads/", "tags/"]
            .iter()
            .find_map(|kind| self.refs.get(&format!("{kind}{name}")));
        let sha = found.map_or(name, String::as_str);
        let sha = self.tags.get(sha).map_or(sha, String::as_str);
        self.commits.contains_key(sha).then(|| sha.to_owned())
    }
}
