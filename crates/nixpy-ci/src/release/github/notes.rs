//! What a release says of its images, between two marks in the release's text. What people
//! have written before and after stays as it is.

use std::fmt::Write as _;

use nixpy_github::api::Release;
use nixpy_github::markdown::{block as fenced, cell, code};
use nixpy_pipeline::changes::{Changes, Moved};

use super::super::images::Images;
use super::facts::Since;
use crate::render::size;

/// Followed by the digest that the text is about.
const BEGIN: &str = "<!-- nixpy-ci release ";
const END: &str = "<!-- /nixpy-ci release -->";
/// Commits that are told one by one.
const MOST_COMMITS: usize = 100;
/// Packages of one kind.
const MOST_PACKAGES: usize = 60;
/// GitHub takes 125,000 characters; what is added below one that is full is shorter than the rest.
const LONGEST_TEXT: usize = 40_000;
/// Of one name or title.
const LONGEST: usize = 160;

/// Whether a release tells of this very image.
pub fn tells(release: &Release, images: &Images) -> bool {
    let body = release.body.as_deref().unwrap_or_default();
    body.lines().any(|line| line.trim_end() == begin(images)) && body.contains(END)
}

fn begin(images: &Images) -> String {
    format!("{BEGIN}{} -->", images.digest)
}

/// A text with our part in it: where it was, else below.
pub fn merged(text: &str, ours: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let found = text.find(BEGIN).and_then(|from| {
        let to = text[from..].find(END)?;
        Some((from, from + to + END.len()))
    });
    match found {
        Some((from, to)) => format!("{}{}{}", &text[..from], ours.trim_end(), &text[to..]),
        None if text.trim().is_empty() => ours.to_owned(),
        None => {
            // A mark that lost its other end would take what comes after it along.
            let kept = text.lines().filter(|line| !line.starts_with(BEGIN));
            let kept = kept.collect::<Vec<_>>().join("\n");
            format!("{}\n\n{ours}", kept.trim_end())
        }
    }
}

/// The same as a job's summary.
pub fn summary(tag: &str, images: &Images) -> String {
    let mut text = format!("## {}\n\n", code(&foreign(tag)));
    write_images(&mut text, images);
    write_changes(&mut text, images);
    text
}

/// Our part of the text.
pub fn block(images: &Images, since: Option<&Since>) -> String {
    let mut text = format!("{}\n", begin(images));
    write_images(&mut text, images);
    write_changes(&mut text, images);
    if let Some(since) = since {
        write_commits(&mut text, since);
    }
    text.push_str(END);
    text.push('\n');
    text
}

/// Writing to a text cannot fail.
macro_rules! add {
    ($text:expr, $($rest:tt)*) => { let _ = writeln!($text, $($rest)*); };
}

fn write_images(text: &mut String, images: &Images) {
    add!(text, "### Images\n");
    for repository in &images.repositories {
        let name = match &images.tag {
            Some(tag) => format!("{repository}:{tag}"),
            None => format!("{repository}@{}", images.digest),
        };
        add!(
            text,
            "- {} is {}",
            code(&name),
            code(&images.digest.to_string())
        );
    }
    if let Some(repository) = images.repositories.first() {
        let name = match &images.tag {
            Some(tag) => format!("{repository}:{tag}@{}", images.digest),
            None => format!("{repository}@{}", images.digest),
        };
        add!(text, "\n{}", fenced("sh", &format!("docker pull {name}")));
    }
    let previous = images.previous.as_ref();
    match previous {
        Some(version) => {
            add!(
                text,
                "| platform | digest | size | since {version} |\n|---|---|---:|---:|"
            );
        }
        None => {
            add!(text, "| platform | digest | size |\n|---|---|---:|");
        }
    }
    for one in &images.platforms {
        let platform = cell(&one.platform.to_string());
        let digest = cell(&one.digest.to_string());
        let size = size(one.compressed_size);
        let mut changes = images.changes.iter();
        let changes = changes.find(|changes| changes.platform.matches(&one.platform));
        match (previous, changes) {
            (None, _) => {
                add!(text, "| {platform} | {digest} | {size} |");
            }
            (Some(_), None) => {
                add!(text, "| {platform} | {digest} | {size} | new |");
            }
            (Some(_), Some(changes)) => {
                add!(
                    text,
                    "| {platform} | {digest} | {size} | {} |",
                    grown(changes)
                );
            }
        }
    }
    text.push('\n');
}

/// As in `+1.2 MB`.
fn grown(changes: &Changes) -> String {
    let sign = if changes.size < changes.size_before {
        "−"
    } else {
        "+"
    };
    match changes.size.abs_diff(changes.size_before) {
        0 => "the same".to_owned(),
        bytes => format!("{sign}{}", size(bytes)),
    }
}

/// Platforms with the same changes are told together.
fn write_changes(text: &mut String, images: &Images) {
    let Some(previous) = &images.previous else {
        return;
    };
    let mut groups: Vec<(&Changes, Vec<String>)> = Vec::new();
    for changes in &images.changes {
        let platform = changes.platform.to_string();
        let mut known = groups.iter_mut();
        let same = known.find(|(one, _)| {
            (&one.python, &one.libraries, one.contents_known)
                == (&changes.python, &changes.libraries, changes.contents_known)
        });
        match same {
            Some((_, platforms)) => platforms.push(platform),
            None => groups.push((changes, vec![platform])),
        }
    }
    let several = groups.len() > 1;
    for (changes, platforms) in groups {
        if text.len() > LONGEST_TEXT {
            add!(text, "More is in the file that is attached.\n");
            return;
        }
        let of = match several {
            true => format!(" on {}", platforms.join(", ")),
            false => String::new(),
        };
        add!(text, "### What is different from {previous}{of}\n");
        if !changes.contents_known {
            add!(text, "The images do not say what is in them.\n");
            continue;
        }
        if changes.python.is_empty() && changes.libraries.is_empty() {
            add!(text, "No package has another version.\n");
            continue;
        }
        write_moved(text, "Python package", &changes.python);
        write_moved(text, "Other package", &changes.libraries);
    }
}

fn write_moved(text: &mut String, kind: &str, moved: &[Moved]) {
    if moved.is_empty() {
        return;
    }
    add!(text, "| {kind} | before | now |\n|---|---|---|");
    for one in moved.iter().take(MOST_PACKAGES) {
        let version = |version: &Option<String>| match version.as_deref() {
            None => "–".to_owned(),
            Some("") => "yes".to_owned(),
            Some(version) => cell(&foreign(version)),
        };
        let name = cell(&foreign(&one.name));
        add!(
            text,
            "| {name} | {} | {} |",
            version(&one.before),
            version(&one.after)
        );
    }
    if moved.len() > MOST_PACKAGES {
        add!(text, "\nand {} more", moved.len() - MOST_PACKAGES);
    }
    text.push('\n');
}

fn write_commits(text: &mut String, since: &Since) {
    let Since { tag, comparison } = since;
    if comparison.commits.is_empty() {
        return;
    }
    add!(text, "### Commits since {}\n", code(&foreign(tag)));
    // The newest first, as people read logs.
    for commit in comparison.commits.iter().rev().take(MOST_COMMITS) {
        let title = commit.commit.message.lines().next().unwrap_or_default();
        let short: String = commit.sha.chars().take(7).collect();
        add!(text, "- {} {}", code(&short), code(&foreign(title)));
    }
    let told = comparison.commits.len().min(MOST_COMMITS) as u64;
    if comparison.total_commits > told {
        add!(text, "- and {} more", comparison.total_commits - told);
    }
    text.push('\n');
}

/// What others have written, without what could end our part of the text.
fn foreign(text: &str) -> String {
    let text: String = text.chars().take(LONGEST).collect();
    // Both marks begin so. To put a blank in can make no other of them.
    text.replace("<!", "< !")
}
