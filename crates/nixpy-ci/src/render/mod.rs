//! Showing what goes on, on standard error. Each renderer listens to the same
//! events; none of them changes what happens.

mod bars;
pub mod caches;
pub mod findings;
mod github;
mod github_logs;
mod names;
mod plain;
pub mod smoke;
mod underway;

use std::io::IsTerminal as _;
use std::time::Instant;

use nixpy_oci::image::How;
use nixpy_pipeline::build::{BuildFailure, BuilderFell};
use nixpy_pipeline::event::{Event, Stage};
use nixpy_pipeline::plan::Plan;
use nixpy_pipeline::report::{Outcome, PlatformReport, Report};

use crate::redact::Clean;
use crate::settings::{Environment, Progress};
pub use plain::{line, printable, without_commands, without_controls};
pub use underway::beside;

/// Listens to a run.
pub trait Renderer: Sync {
    /// Shows one event.
    fn event(&self, event: &Event<'_>);

    /// Says why there is no result: each line of it is an error of its own.
    fn error(&self, text: &str) {
        text.lines()
            .for_each(|text| line(&format!("error: {text}")));
    }

    /// Says what did not work, and is in nobody's way.
    fn warning(&self, text: &str) {
        line(&format!("warning: {text}"));
    }

    /// Says what is worth knowing.
    fn notice(&self, text: &str) {
        line(&format!("note: {text}"));
    }

    /// Says what is wrong, at its lines of the project.
    fn findings(&self, report: &Clean<Report>) {
        findings::finding_lines(report)
            .iter()
            .for_each(|text| line(text));
    }

    /// Says why there is no plan, at its line of the project if it has one.
    fn unplanned(&self, report: &Clean<Report>) {
        self.error(report.error.as_deref().unwrap_or_default());
    }

    /// Called again and again while something goes on, by who does [`beside`].
    fn time_goes_by(&self, _now: Instant) {}

    /// Takes away what is only there while the run goes on.
    fn close(&self) {}
}

/// The renderer that was asked for, or that fits where standard error goes.
pub fn renderer(progress: Progress, environment: &Environment) -> Box<dyn Renderer> {
    let set = |name: &str| {
        let value = environment.get(std::ffi::OsStr::new(name));
        value.is_some_and(|value| !value.is_empty())
    };
    let dumb = environment
        .get(std::ffi::OsStr::new("TERM"))
        .is_some_and(|term| term == "dumb");
    match progress {
        Progress::Bars => Box::new(bars::Bars::new()),
        Progress::Plain => Box::new(plain::Plain::new()),
        Progress::Github => Box::new(github::Github::new()),
        Progress::None => Box::new(Silent),
        Progress::Auto if set("GITHUB_ACTIONS") => Box::new(github::Github::new()),
        Progress::Auto if std::io::stderr().is_terminal() && !dumb => Box::new(bars::Bars::new()),
        Progress::Auto => Box::new(plain::Plain::new()),
    }
}

/// Shows nothing that goes on, and only why it did not.
struct Silent;

impl Renderer for Silent {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::BuilderFell(fell) => fell_lines(fell).iter().for_each(|text| line(text)),
            Event::BuildFailed(failure) => {
                failure_lines(failure).iter().for_each(|text| line(text));
            }
            Event::Tested(image) if smoke::has_failed(image) => {
                smoke::tested_lines(image)
                    .iter()
                    .for_each(|text| line(text));
            }
            Event::CacheFilled(filled) if caches::weight(filled) == caches::Weight::Warning => {
                caches::filled_lines(filled)
                    .iter()
                    .for_each(|text| line(text));
            }
            _ => {}
        }
    }

    fn findings(&self, report: &Clean<Report>) {
        // What was only noticed on the way is no reason to break the silence.
        if report.outcome == Outcome::Failure {
            let lines = findings::finding_lines(report);
            lines.iter().for_each(|text| line(text));
        }
    }
}

/// What every renderer says of a plan.
fn plan_lines(plan: &Plan) -> Vec<String> {
    let mut lines: Vec<String> = plan
        .jobs
        .iter()
        .map(|job| {
            format!(
                "{}: {} ({}), {}",
                job.platform,
                job.attribute,
                job.derivation.name(),
                job.strategy
            )
        })
        .collect();
    lines.push(format!("to {}", destinations(plan)));
    lines.extend(plan.notes.iter().map(|note| format!("note: {note}")));
    lines
}

/// Where a plan's images go, and as what.
pub fn destinations(plan: &Plan) -> String {
    let destinations = plan.destinations.join(", ");
    match plan.tags.as_slice() {
        [] => format!("{destinations} by digest, without a tag"),
        tags => format!("{destinations} as {}", tags.join(", ")),
    }
}

/// What every renderer says of a failure: which derivation, why, its last
/// lines, and what to type next.
pub fn failure_lines(failure: &BuildFailure) -> Vec<String> {
    let systems: Vec<String> = failure.systems.iter().map(ToString::to_string).collect();
    let mut lines = vec![format!("{} failed: {}", failure.derivation, failure.reason)];
    lines.push(format!("  needed for {}", systems.join(", ")));
    if !failure.log_tail.is_empty() {
        lines.push("  its last lines:".to_owned());
        lines.extend(failure.log_tail.iter().map(|line| format!("  > {line}")));
    }
    if let Some(command) = &failure.log_command {
        lines.push(format!("  for the whole log: {command}"));
    }
    if let Some(cure) = &failure.cure {
        lines.push(format!("  {cure}"));
    }
    lines
}

/// What every renderer says of a builder that is not used, or not any more.
pub fn fell_lines(fell: &BuilderFell) -> Vec<String> {
    let mut lines = vec![format!("warning: builder {}: {}", fell.builder, fell.what)];
    lines.extend(fell.cure.iter().map(|cure| format!("  {cure}")));
    lines
}

/// What every renderer says of an image in place.
fn published_line(image: &PlatformReport) -> String {
    let count = |how: How| image.layers.iter().filter(|layer| layer.how == how).count();
    // Rare, and then worth a word.
    let mounted = match count(How::Mounted) {
        0 => String::new(),
        mounted => format!(", {mounted} taken over from another repository"),
    };
    let sent = match image.rehearsed {
        true => "layers that would be sent",
        false => "layers sent",
    };
    format!(
        "{} {}, {}: {} {sent}, {} there already, {} unchanged{mounted}",
        image.platform,
        image.digest,
        size(image.compressed_size),
        count(How::Sent),
        count(How::Present),
        count(How::Described),
    )
}

fn stage_line(stage: Stage) -> &'static str {
    match stage {
        Stage::Evaluate => "evaluating the flake",
        Stage::Build => "building",
        Stage::Publish => "publishing",
        Stage::Smoke => "trying the images out",
        Stage::Cache => "pushing to caches",
    }
}

/// Bytes as people read them, in powers of ten as registries show them.
pub fn size(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_one_decimal_and_a_unit() {
        let read = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_999, "1.0 MB"),
            (21_400_000, "21.4 MB"),
        ];
        for (bytes, text) in read {
            assert_eq!(size(bytes), text);
        }
    }
}
