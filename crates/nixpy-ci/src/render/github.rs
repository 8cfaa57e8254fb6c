//! GitHub's log: each derivation's output in a folded group.
//!
//! What a builder writes is not trusted: the runner reads workflow commands
//! anywhere in a job's output, so every line of a builder stands between
//! `::stop-commands::TOKEN` and `::TOKEN::` with a token that nobody can guess.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Mutex;

use nixpy_github::runner::command::escaped;
use nixpy_nix::log::{Activity, LogEvent};
use nixpy_pipeline::caching::Filled;
use nixpy_pipeline::event::Event;
use nixpy_pipeline::report::PlatformReport;
use nixpy_pipeline::smoke::Verdict;

use super::caches::{self, Weight, filled_lines, trouble_lines};
use super::plain::{line, line_as_it_is, nix_line};
use super::{
    Renderer, derivation_name, failure_lines, fell_lines, plan_lines, published_line, smoke,
    stage_line,
};

/// Lines of one derivation that are kept for its group; the first are dropped.
const MOST_LINES: usize = 5000;

/// Writes groups to standard error, which the runner reads like standard output.
pub struct Github {
    logs: Mutex<HashMap<u64, Log>>,
}

struct Log {
    title: String,
    lines: std::collections::VecDeque<String>,
    dropped: usize,
}

impl Github {
    pub fn new() -> Self {
        Self {
            logs: Mutex::new(HashMap::new()),
        }
    }

    fn nix(&self, event: &LogEvent) {
        let Ok(mut logs) = self.logs.lock() else {
            return;
        };
        match event {
            LogEvent::Started {
                id,
                activity: Activity::Build { derivation, .. },
                ..
            } => {
                let log = Log {
                    title: derivation_name(derivation).to_owned(),
                    lines: std::collections::VecDeque::new(),
                    dropped: 0,
                };
                logs.insert(*id, log);
            }
            LogEvent::Line { id, text } => {
                if let Some(log) = logs.get_mut(id) {
                    log.lines.push_back(text.clone());
                    if log.lines.len() > MOST_LINES {
                        log.lines.pop_front();
                        log.dropped += 1;
                    }
                }
            }
            LogEvent::Stopped { id } => {
                if let Some(log) = logs.remove(id) {
                    log.show();
                }
            }
            _ => {}
        }
        drop(logs);
        // Names are shown at once; what was written follows in its group.
        if let Some(text) = nix_line(event) {
            harmless(&[text]);
        }
    }

    fn show_rest(&self) {
        let Ok(mut logs) = self.logs.lock() else {
            return;
        };
        let mut rest: Vec<(u64, Log)> = logs.drain().collect();
        rest.sort_by_key(|(id, _)| *id);
        for (_, log) in rest {
            log.show();
        }
    }
}

impl Log {
    fn show(self) {
        if self.lines.is_empty() {
            return;
        }
        line(&format!("::group::{}", self.title));
        let mut lines: Vec<String> = self.lines.into();
        if self.dropped > 0 {
            lines.insert(
                0,
                format!("({} lines before these are left out)", self.dropped),
            );
        }
        fenced(&lines);
        line("::endgroup::");
    }
}

impl Renderer for Github {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Started(stage) => line(stage_line(*stage)),
            Event::Planned(plan) => harmless(&plan_lines(plan)),
            Event::Nix(event) => self.nix(event),
            Event::BuilderFell(fell) => {
                let lines = fell_lines(fell);
                line(&format!("::warning::{}", escaped(&lines.join("\n"))));
                fenced(&lines);
            }
            Event::BuildFailed(failure) => {
                self.show_rest();
                line(&format!(
                    "::error::{}",
                    escaped(&format!(
                        "{} failed: {}",
                        derivation_name(&failure.derivation),
                        failure.reason
                    ))
                ));
                fenced(&failure_lines(failure));
            }
            Event::Finished(_) => self.show_rest(),
            Event::Published(image) => line(&published_line(image)),
            Event::Tested(image) => tested(image),
            Event::CacheFilled(filled) => cache_filled(filled),
            Event::CacheTrouble(problem) => harmless(&trouble_lines(problem)),
            Event::Layer(_) | Event::Tagged(_) | Event::CacheFilling(_) => {}
        }
    }

    /// As a workflow command, in which nothing else is a command.
    fn error(&self, text: &str) {
        line(&format!("::error::{}", escaped(text)));
    }

    fn close(&self) {
        self.show_rest();
    }
}

/// As a workflow command if something is wrong, and what the container has written fenced.
fn tested(image: &PlatformReport) {
    let verdict_line = smoke::verdict_line(image).unwrap_or_default();
    match smoke::verdict(image) {
        Some(Verdict::Failed) => line(&format!("::error::{}", escaped(&verdict_line))),
        Some(Verdict::Untested) => line(&format!("::warning::{}", escaped(&verdict_line))),
        _ => harmless(&[verdict_line]),
    }
    let details = smoke::detail_lines(image);
    if !details.is_empty() {
        fenced(&details);
    }
}

/// As a workflow command if something is missing there.
fn cache_filled(filled: &Filled) {
    let lines = filled_lines(filled);
    let command = match caches::weight(filled) {
        Weight::Fine => return harmless(&lines),
        Weight::Note => "notice",
        Weight::Warning => "warning",
    };
    if !lines.is_empty() {
        line(&format!("::{command}::{}", escaped(&lines.join("\n"))));
        harmless(&lines);
    }
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
    line(&format!("::stop-commands::{token}"));
    for text in lines {
        line_as_it_is(text);
    }
    line(&format!("::{token}::"));
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
