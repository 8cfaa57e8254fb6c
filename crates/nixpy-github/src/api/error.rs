//! What did not work, and the cure.

use std::time::Duration;

/// A request that came to nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot {act}: {kind}")]
pub struct ApiError {
    /// As in `comment on pull request #7 of acme/api`.
    pub act: String,
    /// Why not.
    pub kind: ApiErrorKind,
}

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiErrorKind {
    /// The token is not one, or not any more.
    #[error(
        "GitHub does not know the token (401): give the job's own by `GITHUB_TOKEN: ${{{{ github.token }}}}`, or a new one by `github-token`"
    )]
    Unauthorized,
    /// The token is good, but not for this.
    #[error(
        "the token may not (403, {message}{}): {}",
        accepting(accepted),
        cure(permission, accepted)
    )]
    NotPermitted {
        /// A line for the workflow.
        permission: &'static str,
        /// GitHub's own words.
        message: String,
        /// And its own names of what the token needs, as in `contents=write,workflows=write`.
        accepted: Option<String>,
    },
    /// Refused for another reason.
    #[error("GitHub refuses it ({status}): {message}")]
    Refused {
        /// Of HTTP.
        status: u16,
        /// GitHub's own words, and its reasons.
        message: String,
    },
    /// It is not there, or hidden from this token.
    #[error(
        "it is not there, or the token may not see it (404): a private repository needs `{permission}`"
    )]
    NotFound {
        /// A line for the workflow.
        permission: &'static str,
    },
    /// Too many requests, for longer than there is time.
    #[error("GitHub wants no more requests for {} s, which is longer than is waited: run it again later", after.as_secs())]
    RateLimited {
        /// How long.
        after: Duration,
    },
    /// GitHub is in trouble.
    #[error("GitHub is in trouble ({status}): see githubstatus.com, and run it again later")]
    Trouble {
        /// Of HTTP.
        status: u16,
    },
    /// There was no answer, or only a part of one.
    #[error("there was no answer ({0}): is the API's address reachable from here?")]
    Silence(String),
    /// An answer that cannot be read.
    #[error("the answer cannot be read ({0})")]
    Unreadable(String),
    /// The time that was given is over.
    #[error("it took longer than the {} s that GitHub is given in all", .0.as_secs())]
    OutOfTime(Duration),
    /// What was given cannot be asked for.
    #[error("{0}")]
    Address(String),
}

/// What GitHub says of permissions may be more than a workflow can grant.
fn accepting(accepted: &Option<String>) -> String {
    let accepted = accepted
        .as_deref()
        .map(|these| format!("; GitHub accepts {these}"));
    accepted.unwrap_or_default()
}

fn cure(permission: &str, accepted: &Option<String>) -> String {
    match accepted
        .as_deref()
        .is_some_and(|these| these.contains("workflows="))
    {
        true => format!(
            "it needs `{permission}`, and {WORKFLOWS_TOO}: give one of an app or a person by `github-token`"
        ),
        false => format!("add `{permission}` to the job's `permissions:`"),
    }
}

/// What no line in a workflow can cure.
pub const WORKFLOWS_TOO: &str = "for a commit with other workflows than the branches have `workflows: write` as well, which a job's own token never has";

impl ApiError {
    /// Whether it might work at another time.
    pub fn is_transient(&self) -> bool {
        use ApiErrorKind::{OutOfTime, RateLimited, Silence, Trouble};
        matches!(
            self.kind,
            RateLimited { .. } | Trouble { .. } | Silence(_) | OutOfTime(_)
        )
    }

    /// Whether the token may not do this.
    pub fn is_not_permitted(&self) -> bool {
        matches!(self.kind, ApiErrorKind::NotPermitted { .. })
    }

    /// Whether it is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self.kind, ApiErrorKind::NotFound { .. })
    }

    /// Whether GitHub will not, for whatever reason, also at another time.
    pub fn is_refusal(&self) -> bool {
        use ApiErrorKind::{NotFound, NotPermitted, Refused};
        matches!(
            self.kind,
            NotPermitted { .. } | NotFound { .. } | Refused { .. }
        )
    }

    /// What GitHub has said, without our cure.
    pub fn said(&self) -> String {
        match &self.kind {
            ApiErrorKind::NotPermitted {
                message, accepted, ..
            } => format!("403, {message}{}", accepting(accepted)),
            ApiErrorKind::Refused { status, message } => format!("{status}, {message}"),
            ApiErrorKind::NotFound { .. } => "404".to_owned(),
            other => other.to_string(),
        }
    }

    /// Whether GitHub holds what it was given for wrong.
    pub fn is_invalid(&self) -> bool {
        matches!(self.kind, ApiErrorKind::Refused { status: 422, .. })
    }
}
