//! What is wrong, at its place in the project: read from what Nix and the builders said.
//!
//! [`Collector`] hears a run's events and keeps what it recognises of each log, bounded, whatever a builder
//! writes. In the end [`Project`] tells which of the files that were named are the
//! project's; of what is not, only the derivation's failure is told. An evaluation that
//! fails is [`evaluation::of_error`].

mod backend;
mod clue;
mod collector;
pub mod evaluation;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod lint;
mod log;
mod mismatch;
mod project;
mod pytest;
mod traceback;

pub use collector::Collector;
pub use project::Project;

use nixpy_nix::StorePath;
use serde::{Deserialize, Serialize};

/// One thing that somebody has to look at.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// One line.
    pub title: String,
    /// What is wrong and what to do, in as many lines as it takes.
    pub message: String,
    /// Where it is, if that is in the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Whose log told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derivation: Option<StorePath>,
}

/// How bad a finding is, the worst first.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It made the run fail.
    Error,
    /// It should be looked at.
    Warning,
    /// It is worth knowing.
    Notice,
}

/// Some lines of a file of the project.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// From the top of the repository, with slashes.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The last of them, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_line: Option<u32>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
