//! Lines, one a fact: for files, pipes and CI systems other than GitHub.

use std::borrow::Cow;
use std::io::Write as _;

use nixpy_nix::log::{Activity, Level, LogEvent};
use nixpy_pipeline::event::Event;

use super::caches::{filled_lines, trouble_lines};
use super::smoke::tested_lines;
use super::{
    Renderer, derivation_name, failure_lines, fell_lines, plan_lines, published_line, stage_line,
};

/// Writes lines to standard error.
pub struct Plain;

impl Plain {
    pub fn new() -> Self {
        Self
    }
}

/// One line on standard error, with words of whoever in it: what GitHub's runner would act
/// on anywhere in a line is taken apart.
pub fn line(text: &str) {
    line_as_it_is(&without_commands(text));
}

/// For who has stopped commands. A reader that has gone away is no reason to stop.
pub fn line_as_it_is(text: &str) {
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

impl Renderer for Plain {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Started(stage) => line(stage_line(*stage)),
            Event::Planned(plan) => plan_lines(plan)
                .iter()
                .for_each(|text| line(&format!("  {text}"))),
            Event::Nix(event) => nix_line(event)
                .iter()
                .for_each(|text| line(&format!("  {text}"))),
            Event::BuilderFell(fell) => fell_lines(fell).iter().for_each(|text| line(text)),
            Event::BuildFailed(failure) => {
                failure_lines(failure).iter().for_each(|text| line(text))
            }
            Event::Published(image) => line(&format!("  {}", published_line(image))),
            Event::Tested(image) => tested_lines(image)
                .iter()
                .for_each(|text| line(&format!("  {text}"))),
            Event::CacheFilled(filled) => filled_lines(filled).iter().for_each(|text| line(text)),
            Event::CacheTrouble(problem) => {
                trouble_lines(problem).iter().for_each(|text| line(text));
            }
            Event::Finished(_) | Event::Layer(_) | Event::Tagged(_) | Event::CacheFilling(_) => {}
        }
    }
}

/// What of Nix's talk is worth a line.
pub(super) fn nix_line(event: &LogEvent) -> Option<String> {
    match event {
        LogEvent::Started { activity, .. } => match activity {
            Activity::Build {
                derivation,
                machine: None,
            } => Some(format!("build {}", derivation_name(derivation))),
            Activity::Build {
                derivation,
                machine: Some(machine),
            } => Some(format!(
                "build {} on {machine}",
                derivation_name(derivation)
            )),
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
