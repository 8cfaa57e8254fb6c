//! What went wrong: failures with their last lines, findings at their lines, caches, builders.

use nixpy_github::markdown::{clipped, code};
use nixpy_pipeline::build::BuildFailure;
use nixpy_pipeline::findings::{Finding, Level};
use nixpy_pipeline::report::{Outcome, Report};

use super::cut::{Part, Section};
use super::words;
use crate::render::caches as filled;
use crate::render::findings::{further, further_lines};
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
    if let Some(cure) = &failure.cure {
        parts.push(Part::Log(lines(cure)));
    }
    section(1, parts)
}

/// What has to be looked at.
pub(super) fn findings(report: &Report) -> Option<Section> {
    let all: Vec<&Finding> = further(report)
        .filter(|finding| !is_aside(finding, report))
        .collect();
    let parts = listed(&all, report);
    (!parts.is_empty()).then(|| Section {
        rank: 3,
        title: Some("To look at".to_owned()),
        folded: None,
        parts,
    })
}

/// What was said by builds that went well: it kept nothing from working.
pub(super) fn asides(report: &Report) -> Option<Section> {
    let all: Vec<&Finding> = further(report)
        .filter(|finding| is_aside(finding, report))
        .collect();
    let count = |wanted: Level, word: &str| {
        let count = all.iter().filter(|finding| finding.level == wanted).count();
        match count {
            0 => None,
            1 => Some(format!("1 {word}")),
            more => Some(format!("{more} {word}s")),
        }
    };
    let counts = [
        count(Level::Warning, "warning"),
        count(Level::Notice, "notice"),
    ];
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    (!counts.is_empty()).then(|| Section {
        rank: 6,
        title: None,
        folded: Some(format!("{} of builds that went well", counts.join(" and "))),
        parts: listed(&all, report),
    })
}

fn is_aside(finding: &Finding, report: &Report) -> bool {
    let mut failures = report.failures.iter();
    let has_failed = match &finding.derivation {
        Some(derivation) => failures.any(|failure| failure.derivation == *derivation),
        None => report.outcome == Outcome::Failure,
    };
    finding.level != Level::Error && !has_failed
}

fn listed(findings: &[&Finding], report: &Report) -> Vec<Part> {
    let (whole, rest) = findings.split_at(findings.len().min(WHOLE_FINDINGS));
    let mut parts = Vec::new();
    for finding in whole {
        parts.push(Part::Text(found(finding)));
        let lines = further_lines(finding, report);
        if !lines.is_empty() {
            let shown = lines.into_iter().take(LINES_OF_A_FINDING);
            parts.push(Part::Log(shown.map(str::to_owned).collect()));
        }
    }
    if !rest.is_empty() {
        let rest = rest.iter().map(|finding| format!("- {}", found(finding)));
        parts.push(Part::List(rest.collect()));
    }
    parts
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
