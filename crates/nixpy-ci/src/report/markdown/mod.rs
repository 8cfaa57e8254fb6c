//! The report in GitHub's Markdown: a job's summary, and the comment at a pull request.
//!
//! Both are the same sections; a comment has less room and no timeline. Every word that is not
//! our own goes through [`nixpy_github::markdown`], also of a report that was read from a
//! file: who has written that is not known.

mod changed;
mod cut;
mod gantt;
mod images;
mod troubles;

#[cfg(test)]
mod tests;

use nixpy_github::markdown::code;
use nixpy_pipeline::report::{Outcome, Report};

use self::cut::{Part, Section, fitted};
use super::words;

/// GitHub takes no longer comment; it counts characters, and we bytes.
pub const LONGEST_COMMENT: usize = 65_536;
/// GitHub shows nothing of a longer summary.
const LONGEST_SUMMARY: usize = 1 << 20;

/// For `--summary`, and a job's summary.
pub fn summary(report: &Report) -> String {
    let mut sections = sections(report);
    sections.extend(gantt::section(report));
    // Another step may have said something before.
    fitted(&heading(report), &sections, LONGEST_SUMMARY - (16 << 10))
}

/// For a comment, in no more than so many bytes.
pub fn body(report: &Report, limit: usize) -> String {
    fitted(&heading(report), &sections(report), limit)
}

fn heading(report: &Report) -> String {
    format!("## {}", words::headline(report))
}

fn sections(report: &Report) -> Vec<Section> {
    let mut sections = vec![references(report)];
    sections.extend(troubles::failures(report));
    sections.extend(troubles::findings(report));
    sections.extend(images::budgets(report));
    sections.extend(images::table(report));
    sections.extend(troubles::notes(report));
    sections.extend(images::smoke(report));
    sections.extend(changed::sections(report));
    sections.extend(images::pull_and_run(report));
    sections.extend(troubles::caches(report));
    sections.extend(troubles::builders(report));
    sections.retain(|section| !section.parts.is_empty());
    sections
}

fn references(report: &Report) -> Section {
    let mut lines: Vec<String> = report
        .references
        .iter()
        .map(|reference| format!("- {}", code(reference)))
        .collect();
    if report.rehearsed && report.outcome == Outcome::Success {
        let places = report.destinations.iter();
        lines.extend(places.map(|place| format!("- not pushed to {}", code(place))));
    }
    if let Some(index) = &report.index {
        lines.push(format!("- index {}", code(&index.digest.to_string())));
    }
    if let Some(loaded) = &report.loaded {
        lines.push(format!("- loaded into {}", code(loaded)));
    }
    let mut parts = Vec::new();
    if !lines.is_empty() {
        parts.push(Part::List(lines));
    }
    Section {
        parts,
        ..Section::default()
    }
}
