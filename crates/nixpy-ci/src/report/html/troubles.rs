//! What went wrong, and what to look at.

use maud::{Markup, html};
use nixpy_github::markdown::line;
use nixpy_pipeline::findings::{Finding, Level};
use nixpy_pipeline::report::Report;

use super::plain;
use crate::render::findings::{further, further_lines};
use crate::render::smoke;
use crate::report::words;

/// More lines of others are not looked at.
const MOST_LINES: usize = 400;

pub(super) fn failures(report: &Report) -> Markup {
    let failed: Vec<_> = report
        .platforms
        .iter()
        .filter(|image| smoke::has_failed(image))
        .collect();
    if report.error.is_none() && report.failures.is_empty() && failed.is_empty() {
        return html! {};
    }
    html! {
        section {
            h2 { "What failed" }
            @if let Some(error) = &report.error { (log(error.lines())) }
            @for failure in &report.failures {
                @let systems: Vec<&str> = failure.systems.iter().map(|system| system.as_str()).collect();
                p {
                    code { (plain(failure.derivation.name().trim_end_matches(".drv"))) } ": " (plain(&failure.reason))
                    span.soft {
                        " Needed for " (plain(&systems.join(", ")))
                        @if let Some(seconds) = failure.seconds { ", after " (words::duration(seconds)) }
                        "."
                    }
                }
                @if !failure.log_tail.is_empty() { (log(failure.log_tail.iter().map(String::as_str))) }
                @if let Some(cure) = &failure.cure { p { (plain(cure)) } }
            }
            @for image in failed {
                @let lines = smoke::tested_lines(image);
                (log(lines.iter().map(String::as_str)))
            }
        }
    }
}

fn log<'a>(lines: impl Iterator<Item = &'a str>) -> Markup {
    let lines: Vec<String> = lines.take(MOST_LINES).map(line).collect();
    html! { pre { (lines.join("\n")) } }
}

pub(super) fn findings(report: &Report) -> Markup {
    let all: Vec<&Finding> = further(report).collect();
    if all.is_empty() {
        return html! {};
    }
    html! {
        section {
            h2 { "To look at" }
            @for finding in all.into_iter().take(100) {
                h3 {
                    (level(finding.level))
                    @if let Some(place) = &finding.place { " at " code { (plain(&place.file)) ":" (place.line) } }
                    ": " (plain(&finding.title))
                }
                @let lines = further_lines(finding, report);
                @if !lines.is_empty() { (log(lines.into_iter())) }
            }
        }
    }
}

/// What people should know of what is told.
pub(super) fn notes(report: &Report) -> Markup {
    html! {
        @for note in report.notes.iter().take(20) {
            p.soft { "Note: " (plain(note)) }
        }
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "Error",
        Level::Warning => "Warning",
        Level::Notice => "Notice",
    }
}
