//! GitHub's log: each derivation's output in a folded group; of one that failed in the open,
//! below its error.
//!
//! What a builder writes is not trusted: the runner reads workflow commands
//! anywhere in a job's output, so every line of a builder stands between
//! `::stop-commands::TOKEN` and `::TOKEN::` with a token that nobody can guess.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nixpy_github::runner::annotation::{self, Annotation, Shown};
use nixpy_github::runner::command::escaped;
use nixpy_nix::log::LogEvent;
use nixpy_pipeline::build::BuildFailure;
use nixpy_pipeline::caching::Filled;
use nixpy_pipeline::event::Event;
use nixpy_pipeline::report::{PlatformReport, Report};
use nixpy_pipeline::smoke::Verdict;

use super::caches::{self, Weight, filled_lines, trouble_lines};
use super::findings::{annotation, further};
use super::github_logs::{Log, Logs};
use super::names::Names;
use super::plain::{clean_line, line, line_as_it_is, nix_line, without_commands};
use super::underway::Underway;
use super::{Renderer, failure_lines, fell_lines, plan_lines, published_line, smoke, stage_line};
use crate::redact::{Clean, hidden};

/// Failures that are errors of the step by themselves. A step shows ten errors, and those
/// that have a place in the project are worth more.
const MOST_FAILURES: usize = 3;

/// Writes groups to standard error, which the runner reads like standard output.
pub struct Github {
    names: Names,
    underway: Underway,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    logs: Logs,
    /// Told when nothing more of them can come.
    failures: Vec<BuildFailure>,
    shown: Shown,
}

impl Github {
    pub fn new() -> Self {
        Self {
            names: Names::default(),
            underway: Underway::new(),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was anything to show.
    fn nix(&self, event: &LogEvent) -> bool {
        let over = self.state().logs.hear(event, &self.names);
        // Names are shown at once; what was written follows in its group.
        let text = nix_line(event, &self.names);
        let any = over.is_some() || text.is_some();
        over.into_iter().for_each(group);
        text.into_iter().for_each(|text| harmless(&[text]));
        any
    }

    /// Shows all that was written so far: what went well in groups, then what failed.
    fn show(&self) {
        let mut state = self.state();
        let failures = std::mem::take(&mut state.failures);
        let failed: BTreeSet<_> = failures.iter().map(|failure| &failure.derivation).collect();
        let mut open: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for log in state.logs.take() {
            match failed.contains(&log.derivation) {
                true => {
                    let lines = open.entry(log.derivation.clone()).or_default();
                    lines.extend(log.into_lines());
                }
                false => group(log),
            }
        }
        for (n, failure) in failures.iter().enumerate() {
            let name = self.names.of(&failure.derivation);
            let told = format!("{name} failed: {}", failure.reason);
            match n < MOST_FAILURES && state.shown.one_more(annotation::Level::Error) {
                true => command(annotation::Level::Error.word(), &told),
                false => harmless(&[format!("error: {told}")]),
            }
            let mut rest = failure.clone();
            let lines = open.remove(&failure.derivation).unwrap_or_default();
            if !lines.is_empty() {
                rest.log_tail.clear();
            }
            fenced(&[lines, failure_lines(&rest)].concat());
        }
    }

    /// A command of one line, which counts among those that a step shows.
    fn told(&self, level: annotation::Level, text: &str) {
        self.state().shown.one_more(level);
        command(level.word(), text);
    }

    /// Whether there was anything to say.
    fn say(&self, event: &Event<'_>) -> bool {
        match event {
            Event::Started(stage) => line(stage_line(*stage)),
            Event::Planned(plan) => {
                self.names.planned(plan);
                harmless(&plan_lines(plan));
            }
            Event::Nix(event) => return self.nix(event),
            Event::BuilderFell(fell) => {
                let lines = fell_lines(fell);
                self.told(annotation::Level::Warning, &lines.join("\n"));
                fenced(&lines);
            }
            Event::BuildFailed(failure) => self.state().failures.push((*failure).clone()),
            Event::Published(image) => line(&published_line(image)),
            Event::Tested(image) => self.tested(image),
            Event::CacheFilled(filled) => self.cache_filled(filled),
            Event::CacheTrouble(problem) => harmless(&trouble_lines(problem)),
            Event::Finished(_) | Event::Layer(_) | Event::Tagged(_) | Event::CacheFilling(_) => {
                return false;
            }
        }
        true
    }

    /// As a workflow command if something is wrong, and what the container has written fenced.
    fn tested(&self, image: &PlatformReport) {
        let verdict_line = smoke::verdict_line(image).unwrap_or_default();
        match smoke::verdict(image) {
            Some(Verdict::Failed) => self.told(annotation::Level::Error, &verdict_line),
            Some(Verdict::Untested) => self.told(annotation::Level::Warning, &verdict_line),
            _ => harmless(&[verdict_line]),
        }
        let details = smoke::detail_lines(image);
        if !details.is_empty() {
            fenced(&details);
        }
    }

    /// As a workflow command if something is missing there.
    fn cache_filled(&self, filled: &Filled) {
        let lines = filled_lines(filled);
        let level = match caches::weight(filled) {
            Weight::Fine => return harmless(&lines),
            Weight::Note => annotation::Level::Notice,
            Weight::Warning => annotation::Level::Warning,
        };
        if !lines.is_empty() {
            self.told(level, &lines.join("\n"));
            harmless(&lines);
        }
    }
}

impl Renderer for Github {
    fn event(&self, event: &Event<'_>) {
        let now = Instant::now();
        self.underway.hear(event, &self.names, now);
        // A failure is told when all of them are there; whatever else comes, comes after them.
        let more = matches!(event, Event::Nix(_) | Event::BuildFailed(_));
        if !more && (matches!(event, Event::Finished(_)) || !self.state().failures.is_empty()) {
            self.show();
        }
        if self.say(event) {
            self.underway.printed(now);
        }
    }

    /// As a workflow command, in which nothing else is a command.
    fn error(&self, text: &str) {
        self.told(annotation::Level::Error, text);
    }

    fn warning(&self, text: &str) {
        self.told(annotation::Level::Warning, text);
    }

    fn notice(&self, text: &str) {
        self.told(annotation::Level::Notice, text);
    }

    /// As workflow commands, as many as a step shows.
    fn findings(&self, report: &Clean<Report>) {
        let annotations: Vec<Annotation> = further(report).map(annotation).collect();
        let (commands, left) = annotation::commands(&annotations, &mut self.state().shown);
        let commands = commands.iter().map(|text| without_commands(text));
        commands.for_each(|command| clean_line(&command));
        if left > 0 {
            line(&format!("{left} findings more are in the report"));
        }
    }

    fn unplanned(&self, report: &Clean<Report>) {
        let error = report.error.as_deref().unwrap_or_default();
        match report
            .findings
            .iter()
            .any(|finding| finding.place.is_some())
        {
            true => {
                let lines = format!("error: {error}");
                harmless(&lines.lines().map(str::to_owned).collect::<Vec<_>>());
                self.findings(report);
            }
            false => self.error(error),
        }
    }

    fn time_goes_by(&self, now: Instant) {
        if !self.state().failures.is_empty() {
            self.show();
        }
        if let Some(text) = self.underway.after_silence(now) {
            harmless(&[text]);
        }
    }

    fn close(&self) {
        self.show();
    }
}

/// What a run had written that was cancelled: often that is why.
impl Drop for Github {
    fn drop(&mut self) {
        self.show();
    }
}

/// A folded part of the log, unless nothing was written.
fn group(log: Log) {
    let title = log.title.clone();
    let lines = log.into_lines();
    if !lines.is_empty() {
        command("group", &title);
        fenced(&lines);
        clean_line("::endgroup::");
    }
}

/// What the runner does, and in which words; a secret may look like its name.
fn command(name: &str, text: &str) {
    let text = without_commands(&hidden(text));
    clean_line(&format!("::{name}::{}", escaped(&text)));
}

/// Lines of ours that hold names from elsewhere: fenced only if the runner
/// could find a command in one of them.
fn harmless(lines: &[String]) {
    let suspect = |text: &String| text.contains("::") || text.contains("##[");
    if lines.iter().any(suspect) {
        fenced(lines);
    } else {
        lines.iter().for_each(|text| line(text));
    }
}

/// Lines that the runner shall not take for commands.
fn fenced(lines: &[String]) {
    let token = token();
    clean_line(&format!("::stop-commands::{token}"));
    for text in lines {
        line_as_it_is(text);
    }
    clean_line(&format!("::{token}::"));
}

/// 128 bits from the seeds that the standard library draws from the system.
fn token() -> String {
    let draw = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", draw(), draw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_fences_have_the_same_token() {
        assert_ne!(token(), token());
        assert_eq!(token().len(), 32);
    }
}
