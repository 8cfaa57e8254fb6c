//! Events, as far as they decide what an image is called and who is told of it.
//!
//! A payload is described by GitHub, and filled in by whoever caused the event: every
//! fact is taken out of it by itself, and what is not there, or is of another kind, is
//! not known. Nothing here fails.

use serde_json::Value;

use super::Context;

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Commits or a tag came, or went.
    Push(Push),
    /// `pull_request`, `pull_request_target`, reviews and their comments.
    PullRequest(PullRequest),
    /// A group in the merge queue.
    MergeGroup(MergeGroup),
    /// A release, and what was done to it.
    Release(Release),
    /// A run of another workflow.
    WorkflowRun(WorkflowRun),
    /// Somebody has started the workflow.
    WorkflowDispatch,
    /// The clock has.
    Schedule,
    /// Another.
    Other,
}

/// Commits or a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// What was pushed to.
    pub to: GitRef,
    /// It was not there before.
    pub created: bool,
    /// It is gone.
    pub deleted: bool,
    /// What it pointed to is no ancestor.
    pub forced: bool,
}

/// A pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequest {
    /// `#7`
    pub number: u64,
    /// `opened`, `synchronize`, `closed`, …
    pub action: Option<String>,
    /// Where its commits are.
    pub head: Side,
    /// What it is to be merged into.
    pub base: Side,
    /// It is closed, merged or not.
    pub closed: bool,
    /// It is merged.
    pub merged: bool,
    /// It is not ready.
    pub draft: bool,
    /// See [`Context::is_from_fork`].
    pub from_fork: bool,
}

/// One of the two sides of a pull request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// `owner/name`; not there if it is gone.
    pub repository: Option<String>,
    /// The branch.
    pub branch: String,
    /// Its last commit.
    pub sha: String,
}

/// A group in the merge queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeGroup {
    /// The branch that it is to be merged into.
    pub base: String,
    /// The last pull request in it.
    pub number: Option<u64>,
    /// What will be the base branch's commit if all goes well.
    pub sha: String,
}

/// A release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// `published`, `edited`, …
    pub action: Option<String>,
    /// Its tag.
    pub tag: String,
    /// Not for everybody yet.
    pub prerelease: bool,
    /// Not to be seen yet.
    pub draft: bool,
}

/// A run of another workflow, that this one follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowRun {
    /// Which.
    pub id: u64,
    /// The workflow's name.
    pub name: String,
    /// What it was run for: `pull_request`, …
    pub event: String,
    /// `success`, `failure`, …; none as long as it runs.
    pub conclusion: Option<String>,
    /// Where its commit is from; not there if it is gone.
    pub head_repository: Option<String>,
    /// That commit's branch.
    pub head_branch: String,
    /// That commit.
    pub head_sha: String,
    /// Pull requests of that commit within the repository; GitHub names none of forks.
    pub pull_requests: Vec<u64>,
    /// See [`Context::is_from_fork`].
    pub from_fork: bool,
}

/// `GITHUB_REF`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitRef {
    /// `refs/heads/NAME`
    Branch(String),
    /// `refs/tags/NAME`
    Tag(String),
    /// `refs/pull/NUMBER/merge`
    Pull(u64),
    /// `refs/heads/gh-readonly-queue/BASE/pr-NUMBER-SHA`
    Queue {
        /// The branch that it is to be merged into.
        base: String,
        /// The last pull request of the group.
        number: u64,
    },
    /// None of these.
    Other,
}

impl GitRef {
    /// Of a full name.
    pub fn parse(text: &str) -> Self {
        if let Some(branch) = text.strip_prefix("refs/heads/") {
            return Self::queue(branch).unwrap_or_else(|| Self::Branch(branch.to_owned()));
        }
        if let Some(tag) = text.strip_prefix("refs/tags/") {
            return Self::Tag(tag.to_owned());
        }
        let pull = text.strip_prefix("refs/pull/");
        let number = pull.and_then(|pull| pull.split('/').next()?.parse().ok());
        number.map_or(Self::Other, Self::Pull)
    }

    /// A base branch may have slashes itself, and look like anything.
    fn queue(branch: &str) -> Option<Self> {
        let queued = branch.strip_prefix("gh-readonly-queue/")?;
        let (base, group) = queued.rsplit_once('/')?;
        let (number, _) = group.strip_prefix("pr-")?.split_once('-')?;
        Some(Self::Queue {
            base: base.to_owned(),
            number: number.parse().ok()?,
        })
    }
}

/// Whether an event is caused by somebody who may not push to the repository whose secrets
/// the job may have: a pull request from another one. What the payload does not describe
/// is not trusted either.
pub fn is_from_fork(event_name: &str, payload: &Value) -> bool {
    let differ = |head: &str, base: &str| {
        let name = |place: &str| payload.pointer(place)?.as_str();
        match (name(head), name(base)) {
            (Some(head), Some(base)) => head != base,
            // A fork that is gone by now has no name.
            _ => true,
        }
    };
    match event_name {
        // Also reviews and their comments.
        name if name.starts_with("pull_request") => differ(
            "/pull_request/head/repo/full_name",
            "/pull_request/base/repo/full_name",
        ),
        "workflow_run" => differ(
            "/workflow_run/head_repository/full_name",
            "/repository/full_name",
        ),
        // Anybody may comment, and whose the commits are is not described.
        "issue_comment" => payload.is_null() || payload.pointer("/issue/pull_request").is_some(),
        _ => false,
    }
}

impl Context {
    /// What has happened, as a type.
    pub fn event(&self) -> Event {
        match self.event_name.as_str() {
            "push" => Event::Push(Push {
                to: self.place(),
                created: self.is("/created"),
                deleted: self.is("/deleted"),
                forced: self.is("/forced"),
            }),
            "merge_group" => Event::MergeGroup(self.merge_group()),
            "release" => Event::Release(Release {
                action: self.text("/action"),
                tag: self.text("/release/tag_name").unwrap_or_default(),
                prerelease: self.is("/release/prerelease"),
                draft: self.is("/release/draft"),
            }),
            "workflow_run" => Event::WorkflowRun(self.workflow_run()),
            "workflow_dispatch" => Event::WorkflowDispatch,
            "schedule" => Event::Schedule,
            name if name.starts_with("pull_request") => {
                self.pull_request().map_or(Event::Other, Event::PullRequest)
            }
            _ => Event::Other,
        }
    }

    /// `GITHUB_REF`; of an event that tells it elsewhere, from there.
    pub fn place(&self) -> GitRef {
        let told = match self.event_name.as_str() {
            "push" => self.text("/ref"),
            "merge_group" => self.text("/merge_group/head_ref"),
            _ => None,
        };
        match (self.git_ref.as_str(), told) {
            ("", Some(told)) => GitRef::parse(&told),
            (named, _) => GitRef::parse(named),
        }
    }

    /// Whether this job runs for somebody who may not push to the repository whose secrets
    /// it may have.
    pub fn is_from_fork(&self) -> bool {
        is_from_fork(&self.event_name, &self.payload)
    }

    /// Whether what is built is only proposed: nobody has decided yet that it becomes part
    /// of a branch. Events of reviews are of the pull request too, and a job that follows a run
    /// for a proposal is for the same.
    pub fn is_proposal(&self) -> bool {
        let proposes = |event: &str| event.starts_with("pull_request") || event == "merge_group";
        let followed = || self.text("/workflow_run/event");
        match self.event_name.as_str() {
            "workflow_run" => followed().is_none_or(|event| proposes(&event)),
            event => proposes(event),
        }
    }

    fn pull_request(&self) -> Option<PullRequest> {
        let by_payload = self
            .number("/pull_request/number")
            .or(self.number("/number"));
        let by_ref = match self.place() {
            GitRef::Pull(number) => Some(number),
            _ => None,
        };
        let head_ref = self.head_ref.clone().unwrap_or_default();
        let base_ref = self.base_ref.clone().unwrap_or_default();
        let side = |name: &str, branch: String| Side {
            repository: self.text(&format!("/pull_request/{name}/repo/full_name")),
            branch: self
                .text(&format!("/pull_request/{name}/ref"))
                .unwrap_or(branch),
            sha: self
                .text(&format!("/pull_request/{name}/sha"))
                .unwrap_or_default(),
        };
        Some(PullRequest {
            number: by_payload.or(by_ref)?,
            action: self.text("/action"),
            head: side("head", head_ref),
            base: side("base", base_ref),
            closed: self.text("/pull_request/state").as_deref() == Some("closed"),
            // A simple pull request, in the events of reviews, has the time alone.
            merged: self.is("/pull_request/merged")
                || self.text("/pull_request/merged_at").is_some(),
            draft: self.is("/pull_request/draft"),
            from_fork: self.is_from_fork(),
        })
    }

    fn merge_group(&self) -> MergeGroup {
        let (base, number) = match self.place() {
            GitRef::Queue { base, number } => (Some(base), Some(number)),
            _ => (None, None),
        };
        let told = self.text("/merge_group/base_ref");
        let told = told.map(|told| told.trim_start_matches("refs/heads/").to_owned());
        MergeGroup {
            base: told.or(base).unwrap_or_default(),
            number,
            sha: self
                .text("/merge_group/head_sha")
                .unwrap_or_else(|| self.sha.clone()),
        }
    }

    fn workflow_run(&self) -> WorkflowRun {
        let text = |name: &str| self.text(&format!("/workflow_run/{name}"));
        let pull_requests = self.payload.pointer("/workflow_run/pull_requests");
        let pull_requests = pull_requests
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        WorkflowRun {
            id: self.number("/workflow_run/id").unwrap_or_default(),
            name: text("name").unwrap_or_default(),
            event: text("event").unwrap_or_default(),
            conclusion: text("conclusion"),
            head_repository: text("head_repository/full_name"),
            head_branch: text("head_branch").unwrap_or_default(),
            head_sha: text("head_sha").unwrap_or_default(),
            pull_requests: pull_requests
                .filter_map(|one| one.get("number")?.as_u64())
                .collect(),
            from_fork: self.is_from_fork(),
        }
    }

    /// A text of the payload that is not empty.
    pub(super) fn text(&self, place: &str) -> Option<String> {
        let text = self.payload.pointer(place)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn number(&self, place: &str) -> Option<u64> {
        self.payload.pointer(place)?.as_u64()
    }

    fn is(&self, place: &str) -> bool {
        self.payload.pointer(place).and_then(Value::as_bool) == Some(true)
    }
}
