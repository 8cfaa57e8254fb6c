//! `nixpy-ci report`: posts what a fork's job has left, in a workflow that runs after it.
//!
//! Where it is posted is decided by GitHub alone: the event names the run, its commit and the
//! branch that it is from; the pull request is the one that comes from that branch, and has that
//! commit on top. The file has a say in the words only. It becomes no check run, since that
//! might be one that a branch asks for.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use nixpy_github::api::{ApiError, PATIENCE, PullRequest};
use nixpy_github::context::{Context, Event, WorkflowRun};
use nixpy_github::post::{Key, Marker, Posted, Run, ToPull, Words, post_comment};
use serde_json::{Value, json};

use super::folder::json_in;
use super::{client, comment_line, hostile};
use crate::audience::wrong;
use crate::exit::Code;
use crate::print;
use crate::redact::clean;
use crate::render::{Renderer, line, renderer};
use crate::report::{LONGEST_COMMENT, body, json as as_json};
use crate::settings::{Environment, RawInputs, Surroundings, Telling, to_post};

/// What stands around the reports in a comment.
const ROOM: usize = 2048;
/// Jobs of a matrix leave one each.
const MOST_FILES: usize = 16;
/// Of the same branch, into several others.
const MOST_PULLS: usize = 3;

/// Stands above all of it.
const UNPROVEN: &str = "**Not verified:** this is what the pull request's own job says of itself.";

/// Does it, and tells where.
pub async fn post(flags: &ArgMatches, environment: &Environment) -> Code {
    let (ready, telling, json) = match decided(flags, environment) {
        Ok(decided) => decided,
        Err(problems) => return wrong(&problems, environment),
    };
    let renderer = renderer(crate::settings::Progress::Auto, environment);
    let (Some(context), Some(token)) = (&telling.context, &telling.token) else {
        return Code::Inputs;
    };
    let posted = match client(context, token, PATIENCE) {
        Ok(client) => ready.post(&client).await.map_err(|e| e.to_string()),
        Err(problem) => Err(problem),
    };
    match posted {
        Ok(posted) => {
            ready.tell(&posted, renderer.as_ref());
            if json {
                print(&as_json(&clean(told(&ready.run, &posted))));
            }
            Code::Success
        }
        Err(problem) => {
            renderer.error(&problem);
            Code::Remote
        }
    }
}

/// What is to be said, and after which run.
struct Ready {
    run: WorkflowRun,
    attempt: u32,
    text: String,
}

/// Reads and decides everything, before anything is asked.
fn decided(
    flags: &ArgMatches,
    environment: &Environment,
) -> Result<(Ready, Telling, bool), Vec<String>> {
    let raw = RawInputs::collect(flags, environment).map_err(|e| vec![e.to_string()])?;
    let around = Surroundings::here(environment).map_err(|e| vec![e])?;
    let (telling, json) = to_post(&raw, &around)
        .map_err(|e| e.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let mut problems = Vec::new();
    let run = match telling.context.as_ref().map(Context::event) {
        Some(Event::WorkflowRun(run)) if run.event.starts_with("pull_request") => Some(run),
        Some(Event::WorkflowRun(_)) => {
            let only = "the run before was not for a pull request: add `if: github.event.workflow_run.event == 'pull_request'`";
            problems.push(only.to_owned());
            None
        }
        _ => {
            let where_from = "reports are posted by a workflow with `on: workflow_run`, which says after which run";
            problems.push(where_from.to_owned());
            None
        }
    };
    if telling.token.is_none() {
        problems
            .push("there is no token: set GITHUB_TOKEN, with `pull-requests: write`".to_owned());
    }
    let files = files(flags, &mut problems);
    if files.len() > MOST_FILES {
        problems.push(format!(
            "{} files are more than the {MOST_FILES} that are read",
            files.len()
        ));
    }
    let mut texts = Vec::new();
    for file in files.iter().take(MOST_FILES) {
        match hostile::read(file) {
            Ok(report) => texts.push(body(&clean(report), (LONGEST_COMMENT - ROOM) / files.len())),
            Err(problem) => problems.push(format!("{}: {problem}", file.display())),
        }
    }
    match (run, telling.context.as_ref()) {
        (Some(run), Some(context)) if problems.is_empty() => {
            let attempt = context.payload.pointer("/workflow_run/run_attempt");
            let attempt = attempt.and_then(Value::as_u64).unwrap_or(1);
            let attempt = u32::try_from(attempt).unwrap_or(1);
            let text = format!(
                "{UNPROVEN}\n\n{}\n{}",
                texts.join("\n"),
                footer(context, &run)
            );
            Ok((Ready { run, attempt, text }, telling, json))
        }
        _ => Err(problems),
    }
}

/// Those that are named, and what is in folders that are.
fn files(flags: &ArgMatches, problems: &mut Vec<String>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for name in flags.get_many::<String>("files").into_iter().flatten() {
        let path = Path::new(name);
        if !path.is_dir() {
            files.push(path.to_owned());
            continue;
        }
        match json_in(path) {
            Ok(found) if found.is_empty() => {
                problems.push(format!("no file in {name} ends in .json"));
            }
            Ok(found) => files.extend(found),
            Err(e) => problems.push(format!("{name}: {e}")),
        }
    }
    files
}

fn footer(context: &Context, run: &WorkflowRun) -> String {
    let Context {
        server_url,
        repository,
        ..
    } = context;
    let id = run.id;
    let head: String = run
        .head_sha
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(12)
        .collect();
    format!(
        "<sub>`{head}`, [run {id}]({server_url}/{repository}/actions/runs/{id}). This is what the pull request's own \
         job says; nobody else has looked at it.</sub>\n"
    )
}

impl Ready {
    async fn post(
        &self,
        client: &nixpy_github::api::Client,
    ) -> Result<Vec<(u64, Posted)>, ApiError> {
        let Some(from) = &self.run.head_repository else {
            return Ok(Vec::new());
        };
        let owner = from.split('/').next().unwrap_or_default();
        let pulls = client
            .pull_requests_of(owner, &self.run.head_branch)
            .await?;
        let is_it = |pull: &PullRequest| {
            let of = pull.head.repo.as_ref().map(|repo| repo.full_name.as_str());
            of == Some(from.as_str()) && pull.head.name == self.run.head_branch && pull.is_open()
        };
        let marker = Marker {
            key: Key::of(&self.run.name, "nixpy-ci report", ""),
            run: Run {
                id: self.run.id,
                attempt: self.attempt,
            },
            head: self.run.head_sha.clone(),
            event: self.run.event.clone(),
            // One comment has all that this run left: whoever posts it again has it newer.
            failed: false,
        };
        // Nothing that is posted so is held for a failure.
        let words = Words {
            text: &self.text,
            also: &|_| String::new(),
        };
        let mut posted = Vec::new();
        for pull in pulls.into_iter().filter(is_it).take(MOST_PULLS) {
            let to = ToPull {
                number: pull.number,
                pull: Some(pull),
                wanted: true,
            };
            posted.push((to.number, post_comment(client, &to, &marker, words).await?));
        }
        Ok(posted)
    }

    fn tell(&self, posted: &[(u64, Posted)], renderer: &dyn Renderer) {
        if posted.is_empty() {
            renderer.notice(
                "no open pull request comes from the branch of that run: nothing was posted",
            );
        }
        for text in posted
            .iter()
            .filter_map(|(number, posted)| comment_line(*number, posted))
        {
            line(&text);
        }
    }
}

/// For programs.
fn told(run: &WorkflowRun, posted: &[(u64, Posted)]) -> Value {
    let posted = posted.iter().map(|(number, posted)| {
        let (what, url) = match posted {
            Posted::Created(url) => ("created", Some(url)),
            Posted::Updated(url) => ("updated", Some(url)),
            Posted::Unchanged(url) => ("unchanged", Some(url)),
            Posted::Superseded(_) => ("superseded", None),
            Posted::Removed => ("removed", None),
            Posted::Moved => ("moved", None),
            Posted::Nothing => ("nothing", None),
        };
        json!({ "pullRequest": number, "comment": what, "url": url })
    });
    json!({ "version": 1, "run": run.id, "posted": posted.collect::<Vec<_>>() })
}
