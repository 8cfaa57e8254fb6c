//! After a run.
//!
//! A pull request of a fork has a token that may only read, so nothing is tried there: the
//! report file is left for [`super::posting`]. A merge queue's group has no pull request of its
//! own, and a push to the default branch has none: they get a check run only.

use std::time::Duration;

use nixpy_github::api::{Annotation, AnnotationLevel, ApiError, Client, Conclusion, NewCheckRun};
use nixpy_github::context::{Context, Event, GitRef};
use nixpy_github::markdown::{clipped, code};
use nixpy_github::post::{
    CheckPosted, Failed, Key, Marker, Posted, Run, ToPull, Words, post_check, post_comment,
};
use nixpy_pipeline::findings::Level;
use nixpy_pipeline::report::{Outcome, Report};

use super::{client, comment_line};
use crate::redact::Clean;
use crate::render::{Renderer, line};
use crate::report::{LONGEST_COMMENT, body};
use crate::settings::Telling;

/// A run has ended by now, and waits no longer than this for whoever is only told of it.
const PATIENCE: Duration = Duration::from_secs(20);
/// A marker, who else has failed, and what leads to the run have their place in a comment too.
const ROOM: usize = 2048;
/// GitHub takes no longer summary of a check run, in bytes.
const LONGEST_SUMMARY: usize = 65_535;
/// Of a check run's annotations nobody looks at more, and each fifty are a request.
const MOST_ANNOTATIONS: usize = 100;
/// In characters, of which each may have four bytes of the 64 KB that GitHub takes.
const LONGEST_MESSAGE: usize = 16_000;
const LONGEST_TITLE: usize = 255;
/// Among the checks of a commit, and below a comment, in characters.
const LONGEST_NAME: usize = 160;

/// Tells GitHub what became of a run; `true` if what is wrong is told at its lines there.
pub async fn tell(report: &Clean<Report>, telling: &Telling, renderer: &dyn Renderer) -> bool {
    let Some(context) = &telling.context else {
        return false;
    };
    if !telling.comment && !telling.check {
        return false;
    }
    if context.is_from_fork() {
        line(
            "a fork's job may not comment: leave its --report as an artifact, for `nixpy-ci report`",
        );
        return false;
    }
    let Some(token) = &telling.token else {
        line("GitHub is not told: there is neither github-token nor GITHUB_TOKEN");
        return false;
    };
    let client = match client(context, token, PATIENCE) {
        Ok(client) => client,
        Err(problem) => {
            renderer.warning(&problem);
            return false;
        }
    };
    let told = Told {
        client: &client,
        context,
        telling,
        report,
    };
    let (commented, checked) = tokio::join!(told.comment(), told.check());
    match commented {
        Ok(Some((number, posted))) => {
            if let Some(text) = comment_line(number, &posted) {
                line(&text);
            }
        }
        Ok(None) => {}
        Err(e) => refused(&e, renderer),
    }
    match checked {
        Ok(Some(CheckPosted::Posted(url))) => {
            line(&format!(
                "check run: {}",
                url.as_deref().unwrap_or(&told.name())
            ));
            true
        }
        Ok(Some(CheckPosted::Superseded(Run { id, attempt }))) => {
            line(&format!(
                "the check run that run {id}, attempt {attempt}, has left stays: it is later, or red"
            ));
            false
        }
        Ok(None) => false,
        Err(e) => {
            refused(&e, renderer);
            false
        }
    }
}

/// What a token may not is for its owner to decide, and no trouble.
fn refused(error: &ApiError, renderer: &dyn Renderer) {
    match error.is_not_permitted() {
        true => renderer.notice(&error.to_string()),
        false => renderer.warning(&error.to_string()),
    }
}

struct Told<'a> {
    client: &'a Client,
    context: &'a Context,
    telling: &'a Telling,
    report: &'a Clean<Report>,
}

impl Told<'_> {
    async fn comment(&self) -> Result<Option<(u64, Posted)>, ApiError> {
        if !self.telling.comment {
            return Ok(None);
        }
        let Some(to) = self.pull().await? else {
            return Ok(None);
        };
        let text = format!(
            "{}\n{}",
            body(self.report, LONGEST_COMMENT - ROOM),
            self.footer()
        );
        let words = Words {
            text: &text,
            also: &|failed| self.has_failed_too(failed),
        };
        let posted = post_comment(self.client, &to, &self.marker(), words).await?;
        Ok(Some((to.number, posted)))
    }

    async fn check(&self) -> Result<Option<CheckPosted>, ApiError> {
        if !self.telling.check {
            return Ok(None);
        }
        let conclusion = match self.report.outcome {
            Outcome::Success => Conclusion::Success,
            Outcome::Failure => Conclusion::Failure,
        };
        let text = body(self.report, LONGEST_SUMMARY);
        let (title, summary) = text.split_once('\n').unwrap_or((&text, ""));
        let new = NewCheckRun {
            name: self.name(),
            head_sha: self.head(),
            external_id: String::new(),
            details_url: Some(self.run_url()),
            conclusion,
            title: title.trim_start_matches(['#', ' ']).to_owned(),
            summary: summary.to_owned(),
            annotations: annotations(self.report),
        };
        post_check(self.client, &self.marker(), new).await.map(Some)
    }

    /// The pull request that hears of it.
    async fn pull(&self) -> Result<Option<ToPull>, ApiError> {
        // Another job tells how all of it ended, unless it does not come to that.
        let wanted = !self.telling.by_digest || self.report.outcome == Outcome::Failure;
        match self.context.event() {
            Event::PullRequest(pull) if self.context.event_name.starts_with("pull_request") => {
                // A review changes nothing of what was built.
                let is_review = self.context.event_name.starts_with("pull_request_review");
                Ok((!is_review).then_some(ToPull {
                    number: pull.number,
                    pull: None,
                    wanted,
                }))
            }
            Event::Push(push) if !push.deleted => {
                let GitRef::Branch(branch) = &push.to else {
                    return Ok(None);
                };
                if self.context.default_branch().as_ref() == Some(branch) {
                    return Ok(None);
                }
                let owner = self
                    .context
                    .repository
                    .split('/')
                    .next()
                    .unwrap_or_default();
                let pulls = self.client.pull_requests_of(owner, branch).await?;
                let mut ours = pulls.into_iter().filter(|pull| {
                    let of = pull.head.repo.as_ref().map(|repo| repo.full_name.as_str());
                    pull.is_open() && of == Some(self.context.repository.as_str())
                });
                Ok(ours.next().map(|pull| ToPull {
                    number: pull.number,
                    pull: Some(pull),
                    wanted,
                }))
            }
            _ => Ok(None),
        }
    }

    /// The commit that people see: a pull request's own, not the one that it is built as.
    fn head(&self) -> String {
        match self.context.event() {
            Event::PullRequest(pull) if !pull.head.sha.is_empty() => pull.head.sha,
            Event::MergeGroup(group) if !group.sha.is_empty() => group.sha,
            _ => self.context.sha.clone(),
        }
    }

    fn marker(&self) -> Marker {
        let context = self.context;
        Marker {
            key: Key::of(&context.workflow, &context.job, &self.telling.part),
            run: Run {
                id: context.run_id,
                attempt: context.run_attempt,
            },
            head: self.head(),
            event: context.event_name.clone(),
            failed: self.report.outcome == Outcome::Failure,
        }
    }

    /// As people see it among the checks, where GitHub adds the event to its own names as well.
    fn name(&self) -> String {
        self.for_event(&format!("nixpy-ci ({})", self.place()))
    }

    /// What tells this run from the others that speak at a pull request.
    fn place(&self) -> String {
        let Context { workflow, job, .. } = self.context;
        let part = match self.telling.part.as_str() {
            "" => String::new(),
            part => format!(", {part}"),
        };
        clipped(&format!("{workflow} / {job}{part}"), LONGEST_NAME).into_owned()
    }

    fn for_event(&self, name: &str) -> String {
        match self.context.event_name.as_str() {
            "" => name.to_owned(),
            // A queue waits for checks of the names that branches ask pull requests for.
            "merge_group" => format!("{name} (pull_request)"),
            event => format!("{name} ({event})"),
        }
    }

    fn run_url(&self) -> String {
        self.url_of(Run {
            id: self.context.run_id,
            attempt: self.context.run_attempt,
        })
    }

    fn url_of(&self, Run { id, attempt }: Run) -> String {
        let Context {
            server_url,
            repository,
            ..
        } = self.context;
        format!("{server_url}/{repository}/actions/runs/{id}/attempts/{attempt}")
    }

    /// A paragraph.
    fn has_failed_too(&self, Failed { event, run }: &Failed) -> String {
        format!(
            "**At the same commit [run {}]({}) for {} has failed.**\n\n",
            run.id,
            self.url_of(*run),
            code(event)
        )
    }

    fn footer(&self) -> String {
        let head: String = self.head().chars().take(12).collect();
        let (run, url) = (self.context.run_id, self.run_url());
        let who = code(&self.for_event(&self.place()));
        format!("<sub>{who} at `{head}`, [run {run}]({url})</sub>\n")
    }
}

/// Those that have a place, the most useful first.
fn annotations(report: &Report) -> Vec<Annotation> {
    let placed = report.findings.iter().filter_map(|finding| {
        let place = finding.place.as_ref()?;
        let line = place.line.max(1);
        Some(Annotation {
            path: place.file.clone(),
            start_line: line,
            end_line: place.end_line.unwrap_or(line).max(line),
            annotation_level: match finding.level {
                Level::Error => AnnotationLevel::Failure,
                Level::Warning => AnnotationLevel::Warning,
                Level::Notice => AnnotationLevel::Notice,
            },
            title: Some(clipped(&finding.title, LONGEST_TITLE - 1).into_owned())
                .filter(|title| !title.is_empty()),
            message: match finding.message.trim() {
                // GitHub takes none that says nothing.
                "" => finding.title.clone(),
                message => clipped(message, LONGEST_MESSAGE).into_owned(),
            },
        })
    });
    placed.take(MOST_ANNOTATIONS).collect()
}
