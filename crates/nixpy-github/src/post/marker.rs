//! By what a run finds again what earlier runs have left.
//!
//! A comment begins with an HTML comment, which nobody sees:
//!
//! ```text
//! <!-- nixpy-ci 6f1e… run=1234.1 head=9f86… -->
//! <!-- nixpy-ci 6f1e… run=1234.1 head=9f86… failed -->
//! ```
//!
//! It counts at the very beginning only, in comments of the token's own identity: anybody can
//! write such a line into a comment of theirs, or have it written by a package's name. Names of
//! workflows and jobs are hashed, so nothing in them can end the line.

use std::fmt;

use sha2::{Digest as _, Sha256};

const BEGIN: &str = "<!-- nixpy-ci ";
const END: &str = " -->\n";

/// Whose place it is: a workflow's and a job's, and that of a part of the job where there are
/// several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// Of a workflow, its job, and what tells parts of it from one another.
    pub fn of(workflow: &str, job: &str, part: &str) -> Self {
        let mut hash = Sha256::new();
        for text in [workflow, job, part] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        Self(hex::encode(&hash.finalize()[..16]))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A run of a workflow; a later one is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// Grows with time.
    pub id: u64,
    /// From 1; one more when it is run again.
    pub attempt: u32,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.id, self.attempt)
    }
}

impl Run {
    fn parse(text: &str) -> Option<Self> {
        let (id, attempt) = text.split_once('.')?;
        Some(Self {
            id: id.parse().ok()?,
            attempt: attempt.parse().ok()?,
        })
    }
}

/// What stands at the beginning of a comment, and in a check run's `external_id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Whose it is.
    pub key: Key,
    /// Which run has left it.
    pub run: Run,
    /// The commit that it is about.
    pub head: String,
    /// Whether it says that something went wrong.
    pub failed: bool,
}

const FAILED: &str = "failed";

impl Marker {
    /// Which of two is to be seen: the later run's, and of the same run what failed. Jobs that
    /// nothing tells apart may share a place, and a green one does not hide a red one there.
    pub(super) fn rank(&self) -> (Run, bool) {
        (self.run, self.failed)
    }

    /// At the beginning of what follows, which is cut where GitHub would refuse it.
    pub fn on(&self, body: &str, most: usize) -> String {
        let Self { key, run, head, .. } = self;
        // A hash and nothing else, whatever it was made of.
        let head: String = head
            .chars()
            .filter(char::is_ascii_hexdigit)
            .take(64)
            .collect();
        let failed = self.failed_word();
        let marker = format!("{BEGIN}{key} run={run} head={head}{failed}{END}");
        let left = most.saturating_sub(marker.chars().count());
        marker + &body.chars().take(left).collect::<String>()
    }

    /// The one that a comment begins with.
    pub fn read(body: &str) -> Option<Self> {
        let line = body.strip_prefix(BEGIN)?;
        // GitHub may give other line ends than it was given.
        let (line, _) = line.split_once('\n')?;
        let mut words = line
            .trim_end()
            .strip_suffix("-->")?
            .split_ascii_whitespace();
        Some(Self {
            key: Key(words.next()?.to_owned()),
            run: Run::parse(words.next()?.strip_prefix("run=")?)?,
            head: words.next()?.strip_prefix("head=")?.to_owned(),
            failed: words.next() == Some(FAILED),
        })
    }

    fn failed_word(&self) -> String {
        match self.failed {
            true => format!(" {FAILED}"),
            false => String::new(),
        }
    }

    /// For the `external_id` of a check run.
    pub(super) fn external_id(&self) -> String {
        format!("nixpy-ci {} {}{}", self.key, self.run, self.failed_word())
    }

    /// Of an `external_id`, at a commit.
    pub(super) fn read_external_id(text: &str, head: &str) -> Option<Self> {
        let mut words = text.strip_prefix("nixpy-ci ")?.split(' ');
        Some(Self {
            key: Key(words.next()?.to_owned()),
            run: Run::parse(words.next()?)?,
            head: head.to_owned(),
            failed: words.next() == Some(FAILED),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn marker() -> Marker {
        Marker {
            key: Key::of("CI -->", "build", ""),
            run: Run { id: 12, attempt: 3 },
            head: "abc123".to_owned(),
            failed: false,
        }
    }

    #[test]
    fn a_marker_is_read_as_it_was_written() {
        let body = marker().on("text", 1000);
        assert_eq!(Marker::read(&body), Some(marker()));
        assert_eq!(Marker::read(&body.replace('\n', "\r\n")), Some(marker()));
        assert!(body.ends_with("-->\ntext"));
        let failed = Marker {
            failed: true,
            ..marker()
        };
        assert_eq!(Marker::read(&failed.on("text", 1000)), Some(failed.clone()));
        for marker in [marker(), failed] {
            let id = marker.external_id();
            assert_eq!(Marker::read_external_id(&id, "abc123"), Some(marker));
        }
    }

    #[test]
    fn a_marker_counts_at_the_beginning_only() {
        let body = marker().on("text", 1000);
        for before in [" ", "> ", "`", "\n"] {
            assert_eq!(Marker::read(&format!("{before}{body}")), None);
        }
        for wrong in [
            "",
            "<!-- nixpy-ci -->\n",
            "<!-- nixpy-ci a run=b head=c -->\n",
            "<!-- nixpy-ci a run=1.1 head=c",
        ] {
            assert_eq!(Marker::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_would_be_refused_is_cut_and_the_marker_stays() {
        let body = marker().on(&"ü".repeat(70_000), 65_536);
        assert_eq!(body.chars().count(), 65_536);
        assert_eq!(Marker::read(&body), Some(marker()));
    }

    #[test]
    fn names_cannot_be_shifted_from_one_to_the_next() {
        assert_ne!(Key::of("a", "bc", ""), Key::of("ab", "c", ""));
        assert_ne!(Key::of("a", "b", "c"), Key::of("a", "bc", ""));
    }

    #[test]
    fn later_runs_and_attempts_are_greater() {
        let run = |id, attempt| Run { id, attempt };
        assert!(run(2, 1) > run(1, 9) && run(1, 2) > run(1, 1));
    }
}
