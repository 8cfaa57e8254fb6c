//! What can go wrong while a machine is changed.

use std::io;
use std::path::PathBuf;

use super::Finished;

/// A change that did not come about: which, why, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{subject}: cannot {act}; {cure}")]
pub struct SetupError {
    /// What was being changed.
    pub subject: String,
    /// What was attempted.
    pub act: &'static str,
    /// What the reader can do.
    pub cure: String,
    /// The cause.
    #[source]
    pub kind: SetupErrorKind,
}

/// The causes.
#[derive(Debug, thiserror::Error)]
pub enum SetupErrorKind {
    /// A program that could not be started.
    #[error("`{line}` did not start")]
    Start {
        /// As one would type it.
        line: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program that failed.
    #[error("`{line}` ended with {}: {}", ending(.finished), .finished.tail())]
    Command {
        /// As one would type it.
        line: String,
        /// How it ended.
        finished: Finished,
    },
    /// A file that could not be read or written.
    #[error("{}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A download that broke off or was refused.
    #[error("the download failed")]
    Download(#[source] reqwest::Error),
    /// A download that is not what was asked for. Nothing of it was run.
    #[error("its SHA-256 is {found}, and {expected} was expected")]
    Hash {
        /// What was asked for.
        expected: String,
        /// What came.
        found: String,
    },
    /// The plan has obstacles.
    #[error("the plan names {0} obstacle(s), and nothing was changed")]
    Impossible(usize),
    /// All steps were done, and something is still missing.
    #[error("still missing: {}", .0.join("; "))]
    StillMissing(Vec<String>),
    /// No static qemu, although a package was to bring one.
    #[error("no statically linked qemu is there")]
    NoInterpreter,
}

impl SetupError {
    /// Whether trying again may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match &self.kind {
            SetupErrorKind::Download(error) => {
                error.status().is_none_or(|status| status.is_server_error())
            }
            _ => false,
        }
    }
}

fn ending(finished: &Finished) -> String {
    finished
        .code
        .map_or("a signal".to_owned(), |code| format!("exit code {code}"))
}
