//! What changed since the image before. What is the same on several platforms is told once.

use nixpy_github::markdown::{cell, code};
use nixpy_pipeline::changes::{Changes, Moved};
use nixpy_pipeline::report::Report;

use super::cut::{Part, Section};
use super::{Reader, words};
use crate::render::size;

pub(super) fn sections(report: &Report, reader: Reader) -> Vec<Section> {
    let mut sections = Vec::new();
    for (n, same) in grouped(&report.changes).iter().enumerate() {
        sections.extend(of(report, same, n == 0, reader));
    }
    sections
}

/// Platforms with the same changes, in the order of the first of each.
fn grouped(changes: &[Changes]) -> Vec<Vec<&Changes>> {
    let key = |one: &Changes| {
        (
            one.baseline.clone(),
            one.contents_known,
            one.python.clone(),
            one.libraries.clone(),
        )
    };
    let mut groups: Vec<Vec<&Changes>> = Vec::new();
    for one in changes {
        match groups.iter_mut().find(|group| key(group[0]) == key(one)) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups
}

fn of(report: &Report, same: &[&Changes], is_first: bool, reader: Reader) -> Vec<Section> {
    let Some(changes) = same.first() else {
        return Vec::new();
    };
    let title = is_first.then(|| "What changed".to_owned());
    let baseline = match changes.baseline.rsplit_once(':') {
        // Of a directory nobody else has anything but the tag.
        Some((layout, tag)) if reader == Reader::Other && words::is_layout(layout) => code(tag),
        _ => code(&changes.baseline),
    };
    let since = match same.len() == report.platforms.len() {
        true => format!("Since {baseline}:"),
        false => {
            let names: Vec<String> = same
                .iter()
                .map(|one| code(&one.platform.to_string()))
                .collect();
            format!("{}, since {baseline}:", names.join(", "))
        }
    };
    let head = |parts: Vec<Part>| Section {
        rank: 4,
        title: title.clone(),
        folded: None,
        parts,
    };
    let is_same = |one: &&&Changes| {
        let mut images = report.platforms.iter();
        images.any(|image| image.platform == one.platform && one.are_none(image.digest))
    };
    if same.iter().filter(is_same).count() == same.len() {
        let told = format!("{since} nothing, it is the same image.");
        return vec![head(vec![Part::Text(told)])];
    }
    if !changes.contents_known {
        let told = format!(
            "{since} one of the two images does not say what is in it, so only their sizes can be compared."
        );
        return vec![head(vec![Part::Text(told)])];
    }
    let mut parts = vec![Part::Text(format!("{since} {}", told(changes)))];
    if !changes.python.is_empty() {
        parts.push(moved(PYTHON, &changes.python));
    }
    let mut sections = vec![head(parts)];
    if !changes.libraries.is_empty() {
        sections.push(folded(
            format!(
                "Libraries and all else: {} changed",
                changes.libraries.len()
            ),
            moved(LIBRARIES, &changes.libraries),
        ));
    }
    let grown = same.iter().filter(|one| !one.grown.is_empty());
    for one in grown {
        sections.push(folded(
            match same.len() {
                1 => "What grew most".to_owned(),
                _ => format!("What grew most, {}", plain(&one.platform.to_string())),
            },
            grown_table(one),
        ));
    }
    sections
}

const PYTHON: &[&str] = &["Python package", "before", "now"];
const LIBRARIES: &[&str] = &["library", "before", "now"];

/// A platform's name between tags of HTML.
fn plain(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    text.chars().filter(|c| allowed(*c)).take(40).collect()
}

fn told(changes: &Changes) -> String {
    let mut told = vec![counted(&changes.python, "Python packages")];
    told.push(counted(&changes.libraries, "libraries"));
    match changes.rebuilt {
        0 => {}
        1 => told.push("1 path is another build of the same version".to_owned()),
        more => told.push(format!("{more} paths are other builds of the same version")),
    }
    format!("{}.", told.join("; "))
}

/// `Python packages: 1 upgraded, 2 added`.
fn counted(moved: &[Moved], what: &str) -> String {
    let count = |is: fn(&Moved) -> bool| moved.iter().filter(|one| is(one)).count();
    let kinds = [
        (count(|one| one.before.is_none()), "added"),
        (count(|one| one.after.is_none()), "removed"),
        (
            count(|one| one.before.is_some() && one.after.is_some()),
            "in another version",
        ),
    ];
    let told: Vec<String> = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!("{count} {kind}"))
        .collect();
    match told.is_empty() {
        true => format!("no change of {what}"),
        false => format!("{what}: {}", told.join(", ")),
    }
}

fn folded(summary: String, part: Part) -> Section {
    Section {
        rank: 6,
        title: None,
        folded: Some(summary),
        parts: vec![part],
    }
}

fn moved(columns: &'static [&'static str], moved: &[Moved]) -> Part {
    let version = |version: &Option<String>, none: &str| match version.as_deref() {
        None => none.to_owned(),
        Some("") => "·".to_owned(),
        Some(version) => cell(version),
    };
    let rows = moved.iter().map(|one| {
        let (before, now) = (
            version(&one.before, "*added*"),
            version(&one.after, "*removed*"),
        );
        format!("| {} | {before} | {now} |", cell(&one.name))
    });
    Part::Table(columns, rows.collect())
}

fn grown_table(changes: &Changes) -> Part {
    let rows = changes.grown.iter().map(|one| {
        let grown = i64::try_from(one.after.saturating_sub(one.before)).unwrap_or(i64::MAX);
        let before = match one.before {
            0 => "–".to_owned(),
            before => size(before),
        };
        format!(
            "| {} | {before} | {} | {} |",
            cell(&one.name),
            size(one.after),
            words::signed(grown)
        )
    });
    let columns = &["path, not compressed", "before:", "now:", "grew by:"];
    Part::Table(columns, rows.collect())
}
