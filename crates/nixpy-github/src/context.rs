//! What a job is run for: the variables and the event's payload, read once
//! (<https://docs.github.com/actions/reference/variables-reference>).

mod event;
mod repository;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use event::{
    Event, GitRef, MergeGroup, PullRequest, Push, Release, Side, WorkflowRun, is_from_fork,
};
pub use repository::Repository;

/// A job of a workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    /// `owner/name`, as GitHub spells it.
    pub repository: String,
    /// `push`, `pull_request`, `merge_group`, …
    pub event_name: String,
    /// The payload; `null` if it could not be read.
    pub payload: Value,
    /// The commit that is built: of a pull request, the merge of it and its base.
    pub sha: String,
    /// In full, as in `refs/heads/main`, `refs/pull/7/merge`.
    pub git_ref: String,
    /// Of a pull request: the branch it is to be merged into.
    pub base_ref: Option<String>,
    /// Of a pull request: the branch it comes from.
    pub head_ref: Option<String>,
    /// The workflow's name, or its file.
    pub workflow: String,
    /// The job's key in it.
    pub job: String,
    /// Of this run; the same when it is run again.
    pub run_id: u64,
    /// From 1; one more when it is run again.
    pub run_attempt: u32,
    /// Who caused it.
    pub actor: String,
    /// `https://github.com`
    pub server_url: String,
    /// `https://api.github.com`
    pub api_url: String,
}

impl Context {
    /// Of this job; `None` outside of one.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>, payload: Option<&[u8]>) -> Option<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).unwrap_or_default();
        set("GITHUB_ACTIONS")?;
        let payload = payload.and_then(|bytes| serde_json::from_slice(bytes).ok());
        Some(Self {
            repository: set("GITHUB_REPOSITORY")?,
            event_name: text("GITHUB_EVENT_NAME"),
            payload: payload.unwrap_or(Value::Null),
            sha: text("GITHUB_SHA"),
            git_ref: text("GITHUB_REF"),
            base_ref: set("GITHUB_BASE_REF"),
            head_ref: set("GITHUB_HEAD_REF"),
            workflow: text("GITHUB_WORKFLOW"),
            job: text("GITHUB_JOB"),
            run_id: text("GITHUB_RUN_ID").parse().unwrap_or_default(),
            run_attempt: text("GITHUB_RUN_ATTEMPT").parse().unwrap_or(1),
            actor: text("GITHUB_ACTOR"),
            server_url: set("GITHUB_SERVER_URL").unwrap_or_else(|| "https://github.com".to_owned()),
            api_url: set("GITHUB_API_URL").unwrap_or_else(|| "https://api.github.com".to_owned()),
        })
    }
}
