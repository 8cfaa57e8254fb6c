//! Lines, one a fact: for files, pipes and CI systems other than GitHub.

use std::borrow::Cow;
use std::io::Write as _;
use std::time::Instant;

use nixpy_nix::log::{Activity, Level, LogEvent};
use nixpy_pipeline::event::Event;

use super::caches::{filled_lines, trouble_lines};
use super::names::Names;
use super::smoke::tested_lines;
use super::underway::Underway;
use super::{Renderer, failure_lines, fell_lines, plan_lines, published_line, stage_line};
use crate::redact::hidden;

/// Writes lines to standard error.
pub struct Plain {
    names: Names,
    underway: Underway,
}

impl Plain {
    pub fn new() -> Self {
        Self {
            names: Names::default(),
            underway: Underway::new(),
        }
    }

    fn lines(&self, event: &Event<'_>) -> Vec<String> {
        let indented = |lines: Vec<String>| -> Vec<String> {
            lines.iter().map(|text| format!("  {text}")).collect()
        };
        match event {
            Event::Started(stage) => vec![stage_line(*stage).to_owned()],
            Event::Planned(plan) => {
                self.names.planned(plan);
                indented(plan_lines(plan))
            }
            Event::Nix(event) => indented(nix_line(event, &self.names).into_iter().collect()),
            Event::BuilderFell(fell) => fell_lines(fell),
            Event::BuildFailed(failure) => failure_lines(failure),
            Event::Published(image) => indented(vec![published_line(image)]),
            Event::Tested(image) => indented(tested_lines(image)),
            Event::CacheFilled(filled) => filled_lines(filled),
            Event::CacheTrouble(problem) => trouble_lines(problem),
            Event::Finished(_) | Event::Layer(_) | Event::Tagged(_) | Event::CacheFilling(_) => {
                Vec::new()
            }
        }
    }
}

/// One line on standard error, with words of whoever in it: what GitHub's runner would act
/// on anywhere in a line is taken apart.
pub fn line(text: &str) {
    line_as_it_is(&without_commands(text));
}

/// For who has stopped commands.
pub fn line_as_it_is(text: &str) {
    clean_line(&hidden(text));
}

/// Words of our own, or such as were cleaned before they got a form of which no part may be
/// hidden. A reader that has gone away is no reason to stop.
pub fn clean_line(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", printable(text));
}

/// Without what GitHub's runner acts by wherever it stands. What acts only at the beginning
/// of a line has words of ours before it.
pub fn without_commands(text: &str) -> String {
    text.replace("##[", "## [")
}

/// Names and logs come from elsewhere: what a terminal would act on is shown as `�`.
pub fn printable(text: &str) -> Cow<'_, str> {
    let acts = |c: char| c.is_control() && c != '\t';
    match text.contains(acts) {
        true => Cow::Owned(text.replace(acts, "\u{fffd}")),
        false => Cow::Borrowed(text),
    }
}

/// The same of one line that has nothing to align.
pub fn without_controls(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

impl Renderer for Plain {
    fn event(&self, event: &Event<'_>) {
        let now = Instant::now();
        self.underway.hear(event, &self.names, now);
        let lines = self.lines(event);
        lines.iter().for_each(|text| line(text));
        if !lines.is_empty() {
            self.underway.printed(now);
        }
    }

    fn time_goes_by(&self, now: Instant) {
        if let Some(text) = self.underway.after_silence(now) {
            line(&format!("  {text}"));
        }
    }
}

/// What of Nix's talk is worth a line.
pub(super) fn nix_line(event: &LogEvent, names: &Names) -> Option<String> {
    match event {
        LogEvent::Started { activity, .. } => match activity {
            Activity::Build {
                derivation,
                machine: None,
            } => Some(format!("build {}", names.of(derivation))),
            Activity::Build {
                derivation,
                machine: Some(machine),
            } => Some(format!("build {} on {machine}", names.of(derivation))),
            Activity::Substitute { path, from } => {
                Some(format!("fetch {} from {from}", path.name()))
            }
            _ => None,
        },
        LogEvent::Message(message) if message.level == Level::Warning => Some(format!(
            "warning: {}",
            message.text.trim_start_matches("warning: ")
        )),
        _ => None,
    }
}
