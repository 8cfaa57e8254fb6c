//! By what a run finds again what earlier runs have left: at the beginning of a comment
//! ([`super::line`]), and in a check run's `external_id`. Names of workflows and jobs are hashed,
//! so nothing in them can end either.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Stands behind a run that says that something went wrong.
pub(super) const FAILED: &str = "failed";
/// Before the name of an event.
pub(super) const EVENT: &str = "event=";
/// No event has a longer name.
const LONGEST_EVENT: usize = 40;

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

    /// As somebody has written it.
    pub(super) fn read(text: &str) -> Self {
        Self(text.to_owned())
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
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (id, attempt) = text.split_once('.')?;
        Some(Self {
            id: id.parse().ok()?,
            attempt: attempt.parse().ok()?,
        })
    }
}

/// What a run leaves, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Whose it is.
    pub key: Key,
    /// Which run has left it.
    pub run: Run,
    /// The commit that it is about.
    pub head: String,
    /// What it was run for, as in `push`: runs for different events build different things, and
    /// neither speaks for the other. Empty if nobody knows.
    pub event: String,
    /// Whether it says that something went wrong.
    pub failed: bool,
}

impl Marker {
    /// Which of two of the same event is to be seen: the later run's, and of the same run what
    /// failed. Jobs that nothing tells apart may share a place, and a green one does not hide a
    /// red one there.
    pub(super) fn rank(&self) -> (Run, bool) {
        (self.run, self.failed)
    }

    /// Whether both were run for the same, as far as is known.
    pub(super) fn is_of_event(&self, event: &str) -> bool {
        let (ours, theirs) = (event_word(&self.event), event_word(event));
        ours.is_empty() || theirs.is_empty() || ours == theirs
    }

    /// For the `external_id` of a check run.
    pub(super) fn external_id(&self) -> String {
        let Self { key, run, .. } = self;
        format!("nixpy-ci {key} {run}{}", self.verdict())
    }

    /// Of an `external_id`, at a commit.
    pub(super) fn read_external_id(text: &str, head: &str) -> Option<Self> {
        let mut words = text.strip_prefix("nixpy-ci ")?.split(' ');
        let marker = Self {
            key: Key::read(words.next()?),
            run: Run::parse(words.next()?)?,
            head: head.to_owned(),
            event: String::new(),
            failed: false,
        };
        Some(marker.with_verdict(words))
    }

    /// The words that follow run and commit.
    pub(super) fn verdict(&self) -> String {
        let failed = match self.failed {
            true => format!(" {FAILED}"),
            false => String::new(),
        };
        match event_word(&self.event).as_str() {
            "" => failed,
            event => format!("{failed} {EVENT}{event}"),
        }
    }

    /// As these words say; what other versions have written beside them counts for nothing.
    pub(super) fn with_verdict<'a>(mut self, words: impl Iterator<Item = &'a str>) -> Self {
        for word in words {
            match word.strip_prefix(EVENT) {
                Some(event) => self.event = event_word(event),
                None => self.failed |= word == FAILED,
            }
        }
        self
    }
}

/// An event's name and nothing else, whatever it was made of.
pub(super) fn event_word(event: &str) -> String {
    let known = |c: &char| c.is_ascii_lowercase() || *c == '_';
    event.chars().filter(known).take(LONGEST_EVENT).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_external_id_is_read_as_it_was_written() {
        for (event, failed) in [("push", false), ("push", true), ("", true), ("", false)] {
            let marker = Marker {
                key: Key::of("CI", "build", ""),
                run: Run { id: 12, attempt: 3 },
                head: "abc123".to_owned(),
                event: event.to_owned(),
                failed,
            };
            let id = marker.external_id();
            assert_eq!(Marker::read_external_id(&id, "abc123"), Some(marker));
        }
    }

    #[test]
    fn an_external_id_without_an_event_is_read() {
        let read = Marker::read_external_id("nixpy-ci 6f1e 12.3 failed", "abc123").unwrap();
        assert_eq!((read.failed, read.event.as_str()), (true, ""));
        assert_eq!(read.run, Run { id: 12, attempt: 3 });
    }

    #[test]
    fn runs_for_different_events_are_told_apart_where_both_are_known() {
        let of = |event: &str| {
            let id = format!("nixpy-ci 6f1e 12.3 event={event}");
            Marker::read_external_id(&id, "abc123").unwrap()
        };
        assert!(of("push").is_of_event("push") && !of("push").is_of_event("pull_request"));
        assert!(of("").is_of_event("push") && of("push").is_of_event(""));
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
