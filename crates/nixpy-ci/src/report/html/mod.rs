//! The report as one page to look at: in three seconds what took the time, and what made the
//! image large.
//!
//! The page is one file. It asks for nothing from anywhere, and it has no script: a policy in
//! it says so to the browser, for the case that a name in the report should find a way around
//! the escaping. Colours follow what the reader's system prefers, and none of them says what
//! is not said in words as well.

mod changed;
mod images;
mod timeline;
mod treemap;
mod troubles;

#[cfg(test)]
mod tests;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use nixpy_github::markdown::{clipped, is_deceptive};
use nixpy_pipeline::report::{Outcome, Report};

use super::words;
use crate::render::size;

const STYLE: &str = include_str!("style.css");
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The page.
pub fn page(report: &Report) -> String {
    let title = title(report);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { (title) " – " (words::headline(report)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (header(report, &title))
                    (figures(report))
                    (troubles::notes(report))
                    (troubles::failures(report))
                    (timeline::section(report))
                    (images::sections(report))
                    (changed::section(report))
                    (troubles::findings(report))
                    (images::layers(report))
                    footer { "Made by nixpy-ci " (env!("CARGO_PKG_VERSION")) " from its report." }
                }
            }
        }
    };
    page.into_string()
}

fn title(report: &Report) -> String {
    let name = report.platforms.first().map(|image| image.name.as_str());
    plain(match name {
        Some(name) if !name.is_empty() => name,
        _ => &report.destination,
    })
}

fn header(report: &Report, title: &str) -> Markup {
    let outcome = match report.outcome {
        Outcome::Success => "pill",
        Outcome::Failure => "pill failed",
    };
    html! {
        header {
            div {
                h1 { (title) }
                @if report.references.is_empty() {
                    span.soft { code { (plain(&report.destination)) } }
                }
                @for reference in report.references.iter().take(20) {
                    div { code { (plain(reference)) } }
                }
            }
            span class=(outcome) { (words::headline(report)) }
        }
    }
}

/// What most readers came for, in large letters.
fn figures(report: &Report) -> Markup {
    let longest = timeline::longest(report);
    let largest = report
        .platforms
        .iter()
        .max_by_key(|image| image.compressed_size);
    let sent: u64 = report
        .platforms
        .iter()
        .fold(0, |sum, image| sum.saturating_add(image.sent_size));
    html! {
        dl.figures {
            div {
                dt { "Time" }
                dd {
                    (words::duration(report.timings.total))
                    @if let Some(longest) = longest { small { (longest) } }
                }
            }
            @if let Some(image) = largest {
                div {
                    dt { "Largest image" }
                    dd {
                        (size(image.compressed_size))
                        small {
                            "compressed, " (plain(&image.platform.to_string()))
                            @if let Some(share) = images::largest_share(image) { "; " (share) }
                        }
                    }
                }
            }
            @if let Some(changes) = report.changes.iter().max_by_key(|changes| changes.growth()) {
                div {
                    dt { "Change of size" }
                    dd { (words::signed(changes.growth())) small { "since " (plain(&changes.baseline)) } }
                }
            }
            @if !report.platforms.is_empty() {
                div {
                    dt { @if report.rehearsed { "Would be sent" } @else { "Sent" } }
                    dd { (size(sent)) small { (words::counts(report)) } }
                }
            }
        }
    }
}

/// Text of others, as far as it can be seen. Escaping is [`maud`]'s.
fn plain(text: &str) -> String {
    let seen = |c| match c {
        '\n' | '\t' => ' ',
        c if is_deceptive(c) => '\u{fffd}',
        c => c,
    };
    clipped(text, 500).chars().map(seen).collect()
}

/// A name of a store path without the hash that a report may have before it.
fn without_hash(name: &str) -> &str {
    match name.split_once('-') {
        Some((hash, rest)) if hash.len() == 32 && !rest.is_empty() => rest,
        _ => name,
    }
}

/// A name as it is shown where there is little room: that a package is one of Python is
/// seen without being said before each.
fn short(name: &str) -> &str {
    let is_python = |python: &str| {
        let version = python.strip_prefix("python3.");
        version.is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit()))
    };
    match name.split_once('-') {
        Some((python, rest))
            if is_python(python) && rest.starts_with(|c: char| c.is_ascii_alphabetic()) =>
        {
            rest
        }
        _ => name,
    }
}

/// A number of the picture: a tenth of a unit is not seen.
fn at(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// So much of a text as fits into a width; nothing if that is too little to be read.
fn fitting(text: &str, width: f64, letter: f64) -> Option<String> {
    let room = (width / letter).max(0.0) as usize;
    match text.chars().count() {
        all if all <= room => Some(text.to_owned()),
        _ if room < 6 => None,
        _ => Some(format!(
            "{}…",
            text.chars().take(room - 1).collect::<String>()
        )),
    }
}
