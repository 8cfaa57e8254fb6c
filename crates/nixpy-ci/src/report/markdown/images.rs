//! What there is of each platform: the table, budgets, smoke tests, and how it is had.

use nixpy_github::markdown::{cell, code};
use nixpy_pipeline::budget::Kept;
use nixpy_pipeline::changes::Changes;
use nixpy_pipeline::report::{PlatformReport, Report};

use super::cut::{Part, Section};
use super::words;
use crate::render::{size, smoke as verdicts};

/// More of them nobody maps one by one.
const MOST_PORTS: usize = 5;

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
            cell(&short(&image.digest.to_string())),
            size(image.compressed_size),
            words::built(image, report, cell),
            words::sent(image, report),
        )
    });
    let columns = &["platform", "digest", "size:", "change:", "built", "sent"];
    let mut parts = vec![Part::Table(columns, rows.collect())];
    parts.extend(kept_budgets(report).map(Part::Text));
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
    let published = match report.rehearsed {
        true => "layers made in",
        false if words::stays_here(report) => "written in",
        false => "published in",
    };
    told.push(format!("{published} {}", words::duration(timings.publish)));
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

/// Why no tag was moved: images that are too large.
pub(super) fn over_budget(report: &Report) -> Option<Section> {
    let over = report.over_budget.iter();
    let lines: Vec<String> = over
        .map(|over| {
            let platform = code(&over.platform.to_string());
            let is = words::broken(over.budget, over.actual);
            format!("- {platform} **{is}**")
        })
        .collect();
    (!lines.is_empty()).then(|| Section {
        rank: 1,
        title: Some("Size budget".to_owned()),
        folded: None,
        parts: vec![Part::List(lines)],
    })
}

/// The budgets that are kept, in a line; and why others could not be judged.
fn kept_budgets(report: &Report) -> Option<String> {
    let mut kept: Vec<String> = Vec::new();
    let mut unknown: Vec<String> = Vec::new();
    for budget in &report.budgets {
        let wanted = words::budget(*budget);
        let mut keeping = Vec::new();
        for image in &report.platforms {
            match budget.kept(image.compressed_size, changes_of(image, report)) {
                Kept::Within(_) => keeping.push(code(&image.platform.to_string())),
                // It is told above.
                Kept::Over(_) => {}
                Kept::Unknown => {
                    let why = format!("{wanted}: {}", words::unheld(image, code));
                    if !unknown.contains(&why) {
                        unknown.push(why);
                    }
                }
            }
        }
        match keeping.len() {
            0 => {}
            all if all == report.platforms.len() => kept.push(wanted),
            _ => kept.push(format!("{wanted} ({})", keeping.join(", "))),
        }
    }
    let mut told = Vec::new();
    if !kept.is_empty() {
        told.push(format!("Size budget kept: {}.", kept.join(", ")));
    }
    told.extend(unknown.iter().map(|why| format!("Size budget {why}.")));
    (!told.is_empty()).then(|| told.join(" "))
}

pub(super) fn smoke(report: &Report) -> Option<Section> {
    // Those that have failed stand above, with what they said.
    let others = report.platforms.iter();
    let others = others.filter(|image| !verdicts::has_failed(image));
    let verdicts = others.filter_map(verdicts::verdict_line);
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
    let ports: String = report
        .platforms
        .first()
        .into_iter()
        .flat_map(|image| image.ports.iter().take(MOST_PORTS))
        .map(|port| format!(" -p {port}:{port}"))
        .collect();
    let mut commands = format!("docker pull {reference}\ndocker run --rm{ports} {reference}\n");
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

/// As they are written where they have to be exact; a table has no room for them.
pub(super) fn digests(report: &Report) -> Option<Section> {
    let lines = report.platforms.iter().map(|image| {
        let platform = code(&image.platform.to_string());
        format!("- {platform} {}", code(&image.digest.to_string()))
    });
    let lines: Vec<String> = lines.collect();
    (!lines.is_empty()).then(|| Section {
        rank: 6,
        title: None,
        folded: Some("Digests in full".to_owned()),
        parts: vec![Part::List(lines)],
    })
}

/// `sha256:` and twelve digits: enough to tell it from others.
fn short(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 12).collect()
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
