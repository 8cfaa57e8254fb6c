//! What went wrong: failures with their last lines, findings at their lines, caches, builders.

use nixpy_github::markdown::{clipped, code};
use nixpy_pipeline::build::BuildFailure;
use nixpy_pipeline::findings::{Finding, Level};
use nixpy_pipeline::report::Report;

use super::cut::{Part, Section};
use super::words;
use crate::render::caches as filled;
use crate::render::smoke;

/// So many lines of one finding are shown, each of which says what to do.
const LINES_OF_A_FINDING: usize = 25;
/// So many findings are shown with all that they say.
const WHOLE_FINDINGS: usize = 10;

pub(super) fn failures(report: &Report) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    if let Some(error) = &report.error {
        sections.push(section(
            1,
            vec![Part::Log(lines(clipped(error, 20_000).as_ref()))],
        ));
    }
    sections.extend(report.failures.iter().map(failure));
    let failed = report
        .platforms
        .iter()
        .filter(|image| smoke::has_failed(image));
    sections.extend(failed.map(|image| section(1, vec![Part::Log(smoke::tested_lines(image))])));
    if let Some(first) = sections.first_mut() {
        first.title = Some("What failed".to_owned());
    }
    sections
}

fn failure(failure: &BuildFailure) -> Section {
    let systems: Vec<String> = failure
        .systems
        .iter()
        .map(|system| code(system.as_str()))
        .collect();
    let after = failure.seconds.map_or_else(String::new, |seconds| {
        format!(", after {}", words::duration(seconds))
    });
    let name = failure.derivation.name().trim_end_matches(".drv");
    let mut parts = vec![Part::Text(format!(
        "{}: {} (needed for {}{after})",
        code(name),
        code(&failure.reason),
        systems.join(", ")
    ))];
    if !failure.log_tail.is_empty() {
        parts.push(Part::Log(failure.log_tail.clone()));
    }
    if let Some(command) = &failure.log_command {
        parts.push(Part::Text(format!("The whole log: {}", code(command))));
    }
    if let Some(cure) = &failure.cure {
        parts.push(Part::Log(lines(cure)));
    }
    section(1, parts)
}

pub(super) fn findings(report: &Report) -> Option<Section> {
    let mut parts = Vec::new();
    for finding in report.findings.iter().take(WHOLE_FINDINGS) {
        parts.push(Part::Text(found(finding)));
        let message: Vec<String> = finding.message.lines().map(str::to_owned).collect();
        let repeats = message.len() <= 1 && finding.message.trim() == finding.title.trim();
        if !repeats && !message.is_empty() {
            let shown: Vec<String> = message.into_iter().take(LINES_OF_A_FINDING).collect();
            parts.push(Part::Log(shown));
        }
    }
    let rest = report.findings.iter().skip(WHOLE_FINDINGS);
    let rest: Vec<String> = rest
        .map(|finding| format!("- {}", found(finding)))
        .collect();
    if !rest.is_empty() {
        parts.push(Part::List(rest));
    }
    (!parts.is_empty()).then(|| Section {
        rank: 3,
        title: Some("To look at".to_owned()),
        folded: None,
        parts,
    })
}

/// What people should know of what is told.
pub(super) fn notes(report: &Report) -> Option<Section> {
    let notes = report.notes.iter();
    let lines: Vec<String> = notes
        .map(|note| format!("- note: {}", code(note)))
        .collect();
    (!lines.is_empty()).then(|| section(3, vec![Part::List(lines)]))
}

fn found(finding: &Finding) -> String {
    let level = match finding.level {
        Level::Error => "**error**",
        Level::Warning => "**warning**",
        Level::Notice => "notice",
    };
    let place = finding.place.as_ref().map_or_else(String::new, |place| {
        format!(" at {}", code(&format!("{}:{}", place.file, place.line)))
    });
    format!("{level}{place}: {}", code(&finding.title))
}

pub(super) fn caches(report: &Report) -> Option<Section> {
    let told = report.caches.iter();
    let told = told.filter_map(|one| filled::filled_lines(one).into_iter().next());
    let lines: Vec<String> = told.map(|line| format!("- {}", code(&line))).collect();
    (!lines.is_empty()).then(|| section(7, vec![Part::List(lines)]))
}

pub(super) fn builders(report: &Report) -> Option<Section> {
    let told = report.troubles.iter();
    let lines: Vec<String> = told.flat_map(crate::render::fell_lines).collect();
    (!lines.is_empty()).then(|| section(7, vec![Part::Log(lines)]))
}

fn section(rank: u8, parts: Vec<Part>) -> Section {
    Section {
        rank,
        parts,
        ..Section::default()
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}
