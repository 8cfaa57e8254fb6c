//! `Source`: which tree a flake is, so that two machines can tell whether they have
//! built from the same one.
//!
//! Nix knows a clean checkout by its commit, and every tree by the hash of its archive.
//! The commit counts where both sides have one: versions of Nix differ in what they make
//! of `export-subst` and line ends, and so in the hash. A tree that differs from its
//! commit has no commit, only a hash.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::as_text::as_text;
use crate::nar_hash::NarHash;

/// What identifies the tree that a flake was read from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// The commit, if the tree is exactly that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// Of the whole tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nar_hash: Option<NarHash>,
    /// Where in the tree the flake is, if not at its top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
}

/// A commit: 40 or 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(String);

/// A text that is not the hash of a commit.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a commit: it would have 40 or 64 hexadecimal digits")]
pub struct RevisionError(pub String);

impl Source {
    /// As the `locked` of `nix flake metadata` has it; what is not understood is left out.
    pub(crate) fn of_locked(locked: &Value) -> Self {
        let text = |name: &str| locked.get(name).and_then(Value::as_str);
        Self {
            revision: text("rev").and_then(|text| text.parse().ok()),
            nar_hash: text("narHash").and_then(|text| text.parse().ok()),
            directory: text("dir").map(str::to_owned),
        }
    }

    /// Whether anything tells this tree from others.
    pub fn is_known(&self) -> bool {
        self.revision.is_some() || self.nar_hash.is_some()
    }

    /// Whether both are known to be the same flake of the same tree.
    pub fn is(&self, other: &Self) -> bool {
        let same_tree = match (&self.revision, &other.revision) {
            (Some(one), Some(other)) => one == other,
            _ => self.nar_hash.is_some() && self.nar_hash == other.nar_hash,
        };
        same_tree && self.directory == other.directory
    }
}

/// As a person would tell it from another.
impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.revision, &self.nar_hash) {
            (Some(revision), _) => write!(formatter, "commit {revision}")?,
            (None, Some(hash)) => write!(formatter, "a tree without a commit, {hash}")?,
            (None, None) => formatter.write_str("an unknown tree")?,
        }
        match &self.directory {
            Some(directory) => write!(formatter, " in its directory {directory:?}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Revision {
    type Err = RevisionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.bytes().all(|digit| digit.is_ascii_hexdigit());
        match digits && matches!(text.len(), 40 | 64) {
            true => Ok(Self(text.to_ascii_lowercase())),
            false => Err(RevisionError(text.to_owned())),
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

as_text!(Revision);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    const HASH: &str = "sha256-tgvHTFvF2ho9BKLNRn8mORqP/fe3o5kdzmF6BUhIWoo=";
    const OTHER_HASH: &str = "sha256-W3y6SFD6S/xuSo3gg66W1K82PIJOjkopEcYViMzoH/Y=";
    const COMMIT: &str = "1f518446f2de55ec5d6c0a8d6cad1d8918d3284d";

    fn locked(rev: Option<&str>, hash: Option<&str>) -> Source {
        Source::of_locked(&json!({ "type": "git", "rev": rev, "narHash": hash }))
    }

    #[test]
    fn a_clean_checkout_is_known_by_its_commit() {
        let one = locked(Some(COMMIT), Some(HASH));
        assert_eq!(one.to_string(), format!("commit {COMMIT}"));
        assert!(one.is(&locked(Some(COMMIT), Some(OTHER_HASH))));
        assert!(!one.is(&locked(Some(&"0".repeat(40)), Some(HASH))));
    }

    #[test]
    fn any_other_tree_is_known_by_its_hash() {
        let dirty = locked(None, Some(HASH));
        assert!(dirty.is(&locked(Some(COMMIT), Some(HASH))));
        assert!(!dirty.is(&locked(None, Some(OTHER_HASH))));
        let unknown = locked(Some("dirty"), None);
        assert!(!unknown.is_known() && !unknown.is(&unknown));
    }

    #[test]
    fn two_flakes_of_one_tree_are_two() {
        let inner = Source::of_locked(&json!({ "rev": COMMIT, "dir": "api" }));
        assert!(inner.is(&inner) && !inner.is(&locked(Some(COMMIT), None)));
    }
}
