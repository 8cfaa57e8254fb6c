//! What became of a cache that was to be filled.

use serde::{Deserialize, Serialize};

use crate::error::CacheError;

/// Of problems that repeat themselves the first few say it all.
const MOST_PROBLEMS: usize = 3;

/// What became of a cache that was to be filled.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Filled {
    /// As it was typed.
    pub cache: String,
    /// How it ended.
    pub end: End,
    /// Paths that were put there.
    pub pushed: u64,
    /// Paths that were there already.
    pub present: u64,
    /// Paths that could not be put there.
    pub failed: u64,
    /// Paths that were not tried, or are not known to be there.
    pub left: u64,
    /// Bytes that were sent.
    pub sent_size: u64,
    /// From the first path to the last, in seconds.
    pub seconds: f64,
    /// What went wrong: the first few of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// All paths were tried.
    Complete,
    /// The time to finish was over.
    Cut,
    /// It failed again and again, or is full.
    GivenUp,
    /// It lets nobody write who has what this run has.
    Refused,
    /// This run only reads.
    ReadOnly,
}

/// Something that went wrong, and what to do about it where that is known.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// What happened, and with what.
    pub what: String,
    /// What to do about it.
    pub cure: Option<String>,
}

impl Filled {
    /// Of a cache to which nothing has come yet.
    pub fn nothing(cache: &str) -> Self {
        Self {
            cache: cache.to_owned(),
            end: End::Complete,
            pushed: 0,
            present: 0,
            failed: 0,
            left: 0,
            sent_size: 0,
            seconds: 0.0,
            problems: Vec::new(),
        }
    }

    /// Of one that cannot be written from the start.
    pub fn closed(cache: &str, end: End, problem: Option<Problem>) -> Self {
        Self {
            end,
            problems: problem.into_iter().collect(),
            ..Self::nothing(cache)
        }
    }

    /// Whether everything that was to be there is.
    pub fn is_whole(&self) -> bool {
        self.end == End::Complete && self.failed == 0 && self.left == 0
    }

    /// Whether it lacks something, although it was to be written.
    pub fn is_short(&self) -> bool {
        self.end != End::ReadOnly && !self.is_whole()
    }

    pub(super) fn note(&mut self, error: &CacheError) {
        let problem = Problem::from(error);
        if self.problems.len() < MOST_PROBLEMS && !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}

impl From<&CacheError> for Problem {
    fn from(error: &CacheError) -> Self {
        Self {
            what: error.to_string(),
            cure: error.cure().map(str::to_owned),
        }
    }
}
