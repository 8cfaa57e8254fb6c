//! What can go wrong between this program and `nix`, told as subject, act and cure.
//!
//! A build that fails is no error of this kind: it is an outcome, and lives in
//! [`crate::build`]. Here is what keeps us from an answer at all.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use crate::store_path::StorePath;
use crate::system::System;

/// An invocation of Nix, or what was to be given to it, that came to nothing.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} {subject}: {kind}")]
pub struct NixError {
    /// What was tried: "evaluate", "run", "describe".
    pub act: &'static str,
    /// On what: a flake, a program, a path.
    pub subject: String,
    /// Why it failed, with the cure where there is one.
    pub kind: Box<NixErrorKind>,
    /// The cause below, when there is one. Its text is not part of this one's.
    #[source]
    pub cause: Option<Box<dyn Error + Send + Sync>>,
}

/// The reasons a caller may want to tell apart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NixErrorKind {
    /// There is no such program.
    #[error("there is no such program; `nixpy-ci setup` installs Nix")]
    Missing,
    /// The program is there and did not start.
    #[error("the program could not be started; check that it is executable")]
    Spawn,
    /// The text is not the reference of a flake.
    #[error("{0}")]
    BadReference(String),
    /// A local directory without a flake.
    #[error("no flake.nix in {}: run it where the flake is, name it, or let `nixpy-ci init` write one", .0.display())]
    NotAFlake(PathBuf),
    /// The flake evaluates and has no `packages`.
    #[error(
        "the flake has no `packages`; images and programs are taken from packages.<system>.<name>"
    )]
    NoPackages,
    /// A file is on the disk and git does not track it, so Nix does not see it.
    #[error("{} exists, but git does not track it, and Nix sees only what git tracks; run `git add {}`", .0.display(), .0.display())]
    Untracked(PathBuf),
    /// The flake's own code failed.
    #[error("{0}")]
    Evaluation(EvaluationFailure),
    /// The attribute is there and is something else.
    #[error("packages.{system}.{attribute} is of type {found}, and only a derivation can be built")]
    NotADerivation {
        /// The system under which it was looked up.
        system: System,
        /// The attribute below the system.
        attribute: String,
        /// What it is, in Nix's word: `int`, `set`, `lambda`.
        found: String,
    },
    /// Something a flake needs could not be fetched.
    #[error("{message}{}", fetch_cure(.message, *.transient))]
    Fetch {
        /// Nix's own words, with the address.
        message: String,
        /// Whether trying again may help (network, overload), as opposed to "not found" or "forbidden".
        transient: bool,
    },
    /// The Nix daemon or the store is not there, or not for this user.
    #[error(
        "{0}; check that the Nix daemon runs and that this user may use it and its store, or run `nixpy-ci setup`"
    )]
    Store(String),
    /// These paths are not in the store.
    #[error("not in the store: {}", list(.0))]
    InvalidPaths(Vec<StorePath>),
    /// The flake uses something this crate cannot handle.
    #[error("{0}")]
    Unsupported(String),
    /// Nix answered in a form not known here.
    #[error("{program} answered in a form not known here; please report it: {head}")]
    Unparseable {
        /// Name and version of the program, as far as it is known.
        program: String,
        /// The first 200 characters of the answer.
        head: String,
    },
    /// Nix failed in a way that no other kind names.
    #[error("{message}")]
    Failed {
        /// Nix's own words, without colours.
        message: String,
    },
}

/// What Nix said about code that failed to evaluate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationFailure {
    /// Nix's message without colours and without the trace.
    pub message: String,
    /// Where, when Nix told: the innermost place in the flake, or else the innermost at all.
    pub position: Option<Position>,
    /// The lines of the trace that say something ("… while evaluating the attribute 'x'"), outermost first.
    pub trace: Vec<String>,
}

/// A place in a Nix file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Relative to the root of the flake's source tree if `in_flake`, else as Nix wrote it.
    pub file: String,
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1.
    pub column: u32,
    /// Whether the file belongs to the flake itself, not to one of its inputs.
    pub in_flake: bool,
}

impl NixError {
    /// Whether the same call may succeed a little later.
    pub fn is_transient(&self) -> bool {
        matches!(
            *self.kind,
            NixErrorKind::Fetch {
                transient: true,
                ..
            }
        )
    }

    pub(crate) fn new(act: &'static str, subject: impl fmt::Display, kind: NixErrorKind) -> Self {
        Self {
            act,
            subject: subject.to_string(),
            kind: Box::new(kind),
            cause: None,
        }
    }

    pub(crate) fn caused_by(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }

    pub(crate) fn unparseable(
        act: &'static str,
        subject: impl fmt::Display,
        program: String,
        answer: &str,
    ) -> Self {
        let head = answer.chars().take(200).collect();
        Self::new(act, subject, NixErrorKind::Unparseable { program, head })
    }
}

impl fmt::Display for EvaluationFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        match &self.position {
            Some(position) => write!(formatter, " (at {position})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}", self.file, self.line, self.column)
    }
}

fn list(paths: &[StorePath]) -> String {
    paths
        .iter()
        .map(StorePath::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

fn fetch_cure(message: &str, transient: bool) -> &'static str {
    if message.contains("rate limit")
        || message.contains("error 403")
        || message.contains("error 429")
    {
        "; a token in Nix's `access-tokens` option lifts GitHub's limits for anonymous use"
    } else if message.contains("error 401") || message.contains("error 404") {
        "; check the address, and `access-tokens` if it is private"
    } else if transient {
        "; check the network and try again"
    } else {
        ""
    }
}
