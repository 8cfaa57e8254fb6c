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

use nixpy_github::markdown::{clipped, code};
use nixpy_pipeline::report::{Outcome, Report};

use self::cut::{Part, Section, fitted};
use super::words;

/// GitHub takes no longer comment; it counts characters, and we bytes.
pub const LONGEST_COMMENT: usize = 65_536;
/// GitHub shows nothing of a longer summary.
const LONGEST_SUMMARY: usize = 1 << 20;
/// Of an image's name, in a heading.
const LONGEST_TITLE: usize = 60;

/// Who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// Who has the machine's files before them, or the job's.
    Own,
    /// People elsewhere, to whom a path of that machine says nothing.
    Other,
}

/// For `--summary`, and a job's summary.
pub fn summary(report: &Report) -> String {
    let mut sections = sections(report, Reader::Own);
    sections.extend(gantt::section(report));
    // Another step may have said something before.
    fitted(&heading(report), &sections, LONGEST_SUMMARY - (16 << 10))
}

/// For a comment, in no more than so many bytes.
pub fn body(report: &Report, limit: usize) -> String {
    fitted(&heading(report), &sections(report, Reader::Other), limit)
}

fn heading(report: &Report) -> String {
    let became = words::headline(report);
    match words::subject(report) {
        Some(name) => format!("## {}: {became}", title(name)),
        None => format!("## {became}"),
    }
}

/// A usual name stands in a heading as it is; it has nothing that GitHub looks for: no sign, no
/// number of an issue (`gh-1`), and it is no commit's.
fn title(name: &str) -> String {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    let is_usual = name.len() <= LONGEST_TITLE
        && name.split(['-', '_']).all(is_word)
        && !name.chars().all(|c| c.is_ascii_hexdigit());
    match is_usual {
        true => name.to_owned(),
        false => code(&clipped(name, LONGEST_TITLE)),
    }
}

/// What went wrong stands first, then what there is now, and how it was before; last what is
/// only good to know.
fn sections(report: &Report, reader: Reader) -> Vec<Section> {
    let mut sections = vec![references(report, reader)];
    sections.extend(images::over_budget(report));
    sections.extend(troubles::failures(report));
    sections.extend(troubles::findings(report));
    sections.extend(images::table(report));
    sections.extend(troubles::notes(report));
    sections.extend(images::smoke(report));
    sections.extend(changed::sections(report, reader));
    sections.extend(troubles::asides(report));
    sections.extend(images::pull_and_run(report));
    sections.extend(images::digests(report));
    sections.extend(troubles::caches(report));
    sections.extend(troubles::builders(report));
    sections.retain(|section| !section.parts.is_empty());
    sections
}

fn references(report: &Report, reader: Reader) -> Section {
    let is_shown = |name: &&String| reader == Reader::Own || !words::is_layout(name);
    let mut lines: Vec<String> = report
        .references
        .iter()
        .filter(is_shown)
        .map(|reference| format!("- {}", code(reference)))
        .collect();
    if report.rehearsed && report.outcome == Outcome::Success {
        let places = report.destinations.iter().filter(is_shown);
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
