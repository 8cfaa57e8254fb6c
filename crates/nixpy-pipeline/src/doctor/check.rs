//! What came of one check: told to people in a line and a cure, to machines as JSON.

use nixpy_nix::{NixError, NixErrorKind};
use serde::{Deserialize, Serialize};

/// All that was found. The JSON form is version 1: fields may be added.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// Of this form of JSON.
    pub version: u32,
    /// As it is given to Nix.
    pub flake: String,
    /// In the order in which a run needs what they are about.
    pub checks: Vec<Check>,
    /// How long it all took.
    pub seconds: f64,
}

/// What came of one check.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// The kind of thing: `nix`, `store`, `flake`, `system`, `builder`, `cache`, `push`,
    /// `destination`, `room`, `untracked`, `lock`.
    pub name: String,
    /// Which of that kind; empty where there is one only.
    pub subject: String,
    /// How it is.
    pub state: State,
    /// What was found, or why nothing was.
    pub found: String,
    /// What to do about it; several lines where there is something to type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
    /// Where the cure lies.
    pub concern: Concern,
}

/// How something is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As a run needs it.
    Fine,
    /// A run goes on, but not as well as it could, or not with what was meant.
    Warning,
    /// A run fails.
    Trouble,
    /// Nobody knows: it could not be tried, or need not be.
    NotChecked,
}

/// Where the cure of something lies; in the order of the exit codes 2, 3 and 4.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum Concern {
    /// With what was given: settings, the flake, its files.
    Inputs,
    /// On this machine.
    Machine,
    /// Elsewhere: with a registry, a cache, a builder.
    Remote,
}

impl Diagnosis {
    /// Whose trouble decides how a run would end; `None` if there is none.
    pub fn worst(&self) -> Option<Concern> {
        let troubles = self.checks.iter();
        let troubles = troubles.filter(|check| check.state == State::Trouble);
        troubles.map(|check| check.concern).min()
    }

    /// How many checks came to this.
    pub fn count(&self, state: State) -> usize {
        let checks = self.checks.iter();
        checks.filter(|check| check.state == state).count()
    }
}

/// A check before anything is known of it.
#[derive(Clone, Debug)]
pub(super) struct About {
    name: &'static str,
    subject: String,
    concern: Concern,
}

/// What a check is about.
pub(super) fn about(name: &'static str, subject: impl ToString, concern: Concern) -> About {
    let subject = subject.to_string();
    About {
        name,
        subject,
        concern,
    }
}

impl About {
    pub(super) fn is(&self, state: State, found: impl Into<String>, cure: Option<String>) -> Check {
        Check {
            name: self.name.to_owned(),
            subject: self.subject.clone(),
            state,
            found: found.into(),
            cure,
            concern: self.concern,
        }
    }

    pub(super) fn fine(&self, found: impl Into<String>) -> Check {
        self.is(State::Fine, found, None)
    }

    pub(super) fn warning(&self, found: impl Into<String>, cure: impl Into<String>) -> Check {
        self.is(State::Warning, found, Some(cure.into()))
    }

    pub(super) fn trouble(&self, found: impl Into<String>, cure: impl Into<String>) -> Check {
        self.is(State::Trouble, found, Some(cure.into()))
    }

    pub(super) fn not_checked(&self, why: impl Into<String>) -> Check {
        self.is(State::NotChecked, why, None)
    }

    /// The same, with the cure elsewhere.
    pub(super) fn concerning(&self, concern: Concern) -> Self {
        Self {
            concern,
            ..self.clone()
        }
    }
}

/// Where the cure of what Nix could not do lies.
pub(super) fn concern_of(error: &NixError) -> Concern {
    match *error.kind {
        NixErrorKind::Missing | NixErrorKind::Spawn | NixErrorKind::Store(_) => Concern::Machine,
        NixErrorKind::Fetch { .. } => Concern::Remote,
        _ => Concern::Inputs,
    }
}

/// As people read it: a tenth of a second is the least.
pub(super) fn seconds(time: std::time::Duration) -> String {
    format!("{:.1} s", time.as_secs_f64().max(0.1))
}
