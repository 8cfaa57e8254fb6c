//! What rules are asked about: the ref, the commit, and the clock.

use std::time::SystemTime;

use jiff::Timestamp;

use crate::context::{Context, Event, GitRef};

/// How many digits of a commit people read.
const SHORT: usize = 7;

/// Everything that rules know. Each fact may be missing, and then is empty.
#[derive(Clone, Debug)]
pub struct Facts {
    /// `push`, `schedule`, …
    pub event_name: String,
    /// In full, as in `refs/heads/main`.
    pub git_ref: String,
    /// The commit.
    pub sha: String,
    /// The repository's.
    pub default_branch: Option<String>,
    /// The branch that a pull request is to be merged into, or a tag was made on.
    pub base_ref: String,
    /// When the run began.
    pub now: Timestamp,
    /// When the commit was made.
    pub commit_date: Option<Timestamp>,
}

impl Facts {
    /// Of a job on GitHub; of nothing but the clock without one.
    pub fn of(context: Option<&Context>, now: SystemTime) -> Self {
        let now = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
        let Some(context) = context else {
            return Self {
                event_name: String::new(),
                git_ref: String::new(),
                sha: String::new(),
                default_branch: None,
                base_ref: String::new(),
                now,
                commit_date: None,
            };
        };
        let commit_date = context.commit_date();
        Self {
            event_name: context.event_name.clone(),
            git_ref: git_ref(context),
            sha: context.sha.clone(),
            default_branch: context.default_branch(),
            base_ref: context.base_branch().unwrap_or_default(),
            now,
            commit_date: commit_date.and_then(|date| date.parse().ok()),
        }
    }

    /// The same, if somebody pushed to this branch.
    pub(super) fn on_branch(&self, branch: &str) -> Self {
        Self {
            event_name: "push".to_owned(),
            git_ref: format!("refs/heads/{branch}"),
            base_ref: String::new(),
            ..self.clone()
        }
    }

    /// How a person would say what the run is for.
    pub(super) fn what(&self) -> String {
        match (self.event_name.as_str(), self.git_ref.as_str()) {
            ("", "") => "a run outside of GitHub".to_owned(),
            ("", git_ref) => git_ref.to_owned(),
            (event, "") => event.to_owned(),
            (event, git_ref) => format!("{event} of {git_ref}"),
        }
    }

    pub(super) fn branch(&self) -> Option<&str> {
        let branch = self.git_ref.strip_prefix("refs/heads/")?;
        self.queued().is_none().then_some(branch)
    }

    pub(super) fn tag(&self) -> Option<&str> {
        self.git_ref.strip_prefix("refs/tags/")
    }

    /// `7` of `refs/pull/7/merge`.
    pub(super) fn pull(&self) -> Option<String> {
        let pull = self.git_ref.strip_prefix("refs/pull/")?;
        Some(pull.strip_suffix("/merge").unwrap_or(pull).to_owned())
    }

    /// The pull request's number, in a merge queue.
    pub(super) fn queued(&self) -> Option<u64> {
        match GitRef::parse(&self.git_ref) {
            GitRef::Queue { number, .. } => Some(number),
            _ => None,
        }
    }

    pub(super) fn is_scheduled(&self) -> bool {
        self.event_name.contains("schedule")
    }

    /// Some events are always about the default branch.
    pub(super) fn is_default_branch(&self) -> bool {
        let always = ["create", "discussion", "issues", "schedule"];
        let is_default = self.default_branch.as_deref().is_some_and(|default| {
            let branch = self.git_ref.strip_prefix("refs/heads/");
            branch == Some(default)
        });
        is_default || always.iter().any(|name| self.event_name.contains(name))
    }

    pub(super) fn short_sha(&self) -> String {
        self.sha.chars().take(SHORT).collect()
    }
}

/// Of a pull request that may push, or that is closed, GitHub names the base branch: what is
/// built is still the pull request's.
fn git_ref(context: &Context) -> String {
    match context.event() {
        Event::PullRequest(pull) => format!("refs/pull/{}/merge", pull.number),
        _ => context.git_ref.clone(),
    }
}
