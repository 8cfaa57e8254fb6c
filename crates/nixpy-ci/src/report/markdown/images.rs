//! What there is of each platform: the table, budgets, smoke tests, and how it is had.

use nixpy_github::markdown::{cell, code};
use nixpy_pipeline::budget::Kept;
use nixpy_pipeline::changes::Changes;
use nixpy_pipeline::report::{PlatformReport, Report};

use super::cut::{Part, Section};
use super::words;
use crate::render::{size, smoke as verdicts};

pub(super) fn table(report: &Report) -> Option<Section> {
    if report.platforms.is_empty() {
        return None;
    }
    let rows = report.platforms.iter().map(|image| {
        let change = match changes_of(image, report) {
            Some(changes) if changes.are_none(image.digest) => "the same image".to_owned(),
            Some(changes) => words::growth(changes),
            None => "–".to_owned(),
        };
        format!(
            "| {} | {} | {} | {change} | {} | {} |",
            cell(&image.platform.to_string()),
            cell(&image.digest.to_string()),
            size(image.compressed_size),
            words::built(image, report, cell),
            words::sent(image, report),
        )
    });
    let columns = &["platform", "digest", "size:", "change:", "built", "sent"];
    let mut parts = vec![Part::Table(columns, rows.collect())];
    parts.push(Part::Text(times(report)));
    Some(Section {
        rank: 2,
        parts,
        ..Section::default()
    })
}

/// Where the time went, in a sentence.
fn times(report: &Report) -> String {
    let timings = &report.timings;
    let mut told: Vec<String> = Vec::new();
    // Images that were joined were built elsewhere.
    match timings.evaluate > 0.0 {
        true => {
            told.push(format!(
                "Evaluated in {}",
                words::duration(timings.evaluate)
            ));
            told.push(format!("built in {}", words::duration(timings.build)));
        }
        false => told.push("Joined".to_owned()),
    }
    told.push(format!("published in {}", words::duration(timings.publish)));
    if timings.smoke > 0.0 {
        told.push(format!("tried out in {}", words::duration(timings.smoke)));
    }
    if timings.cache >= 0.05 {
        let cache = words::duration(timings.cache);
        told.push(format!("pushed to caches for {cache} more"));
    }
    let work = match report.from_metadata {
        true => "Nothing was built or fetched: caches told enough".to_owned(),
        false => words::counts(report),
    };
    format!("{}. {work}.", told.join(", "))
}

pub(super) fn changes_of<'a>(image: &PlatformReport, report: &'a Report) -> Option<&'a Changes> {
    let mut changes = report.changes.iter();
    changes.find(|changes| changes.platform == image.platform)
}

pub(super) fn budgets(report: &Report) -> Option<Section> {
    let mut lines = Vec::new();
    let mut rank = 2;
    for image in &report.platforms {
        for budget in &report.budgets {
            let changes = changes_of(image, report);
            let wanted = words::budget(*budget);
            let told = match budget.kept(image.compressed_size, changes) {
                Kept::Within(is) => format!("{}, {wanted}: kept", amount(*budget, is)),
                Kept::Over(is) => {
                    rank = 1;
                    let is = i64::try_from(is).unwrap_or(i64::MAX);
                    format!("**{}, over the budget** of {wanted}", amount(*budget, is))
                }
                Kept::Unknown => format!("{wanted}: {}", words::unheld(image, code)),
            };
            lines.push(format!("- {}: {told}", code(&image.platform.to_string())));
        }
    }
    (!lines.is_empty()).then(|| Section {
        rank,
        title: Some("Size budget".to_owned()),
        folded: None,
        parts: vec![Part::List(lines)],
    })
}

fn amount(budget: nixpy_pipeline::budget::Budget, is: i64) -> String {
    match budget {
        nixpy_pipeline::budget::Budget::Size(_) => size(is.unsigned_abs()),
        nixpy_pipeline::budget::Budget::Growth(_) => words::signed(is),
    }
}

pub(super) fn smoke(report: &Report) -> Option<Section> {
    let verdicts = report.platforms.iter().filter_map(verdicts::verdict_line);
    let lines: Vec<String> = verdicts
        .map(|verdict| format!("- smoke test: {}", code(&verdict)))
        .collect();
    (!lines.is_empty()).then(|| Section {
        rank: 2,
        parts: vec![Part::List(lines)],
        ..Section::default()
    })
}

/// What can be pasted into a terminal. It is pasted without being read, so nothing stands
/// there but names of images as registries write them.
pub(super) fn pull_and_run(report: &Report) -> Option<Section> {
    let references = report.references.iter();
    let reference = references
        .map(String::as_str)
        .find(|reference| is_of_a_registry(reference))?;
    let mut commands = format!("docker pull {reference}\ndocker run --rm {reference}\n");
    if let Some(index) = &report.index
        && let Some((name, _)) = reference.rsplit_once(':')
    {
        commands.push_str(&format!(
            "# These very bytes, whatever the tag says later:\ndocker pull {name}@{}\n",
            index.digest
        ));
    }
    Some(Section {
        rank: 5,
        title: None,
        folded: Some("Pull and run".to_owned()),
        parts: vec![Part::Block("sh", commands)],
    })
}

fn is_of_a_registry(reference: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    let host = reference.split('/').next().unwrap_or_default();
    reference.len() < 300
        && reference.chars().all(allowed)
        && reference.starts_with(|c: char| c.is_ascii_alphanumeric())
        && reference.contains('/')
        && (host.contains('.') || host.starts_with("localhost"))
        // `oci:` is a directory.
        && !host.ends_with(':')
}
