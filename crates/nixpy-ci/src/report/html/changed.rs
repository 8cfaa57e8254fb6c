//! What is different from the image before.

use maud::{Markup, html};
use nixpy_pipeline::changes::{Changes, Moved};
use nixpy_pipeline::report::Report;

use super::plain;
use crate::render::size;
use crate::report::words;

pub(super) fn section(report: &Report) -> Markup {
    if report.changes.is_empty() {
        return html! {};
    }
    // What is the same on several platforms is told once.
    let mut told: Vec<(&Changes, Vec<String>)> = Vec::new();
    for changes in &report.changes {
        let platform = plain(&changes.platform.to_string());
        let same = told.iter_mut().find(|(known, _)| {
            (&known.baseline, &known.python, &known.libraries)
                == (&changes.baseline, &changes.python, &changes.libraries)
        });
        match same {
            Some((_, platforms)) => platforms.push(platform),
            None => told.push((changes, vec![platform])),
        }
    }
    html! {
        section {
            h2 { "What changed" }
            @for (changes, platforms) in told {
                p.soft { (platforms.join(", ")) " since " code { (plain(&changes.baseline)) } ": " (words::growth(changes)) }
                (of(changes))
            }
        }
    }
}

fn of(changes: &Changes) -> Markup {
    if !changes.contents_known {
        return html! { p { "One of the two images does not say what is in it, so only their sizes can be compared." } };
    }
    html! {
        div.two {
            (moved("Python packages", &changes.python))
            (moved("Libraries and all else", &changes.libraries))
            (grown(changes))
        }
        @if changes.rebuilt > 0 {
            p.soft { (changes.rebuilt) " more are another build of the same version." }
        }
    }
}

fn moved(title: &str, moved: &[Moved]) -> Markup {
    html! {
        div {
            h3 { (title) }
            @if moved.is_empty() { p.soft { "No change." } }
            @else {
                table {
                    tr { th { "name" } th { "before" } th { "now" } }
                    @for one in moved.iter().take(500) {
                        tr {
                            td { code { (plain(&one.name)) } }
                            td { (version(one.before.as_deref(), "added", "less")) }
                            td { (version(one.after.as_deref(), "removed", "more")) }
                        }
                    }
                }
            }
        }
    }
}

fn version(version: Option<&str>, none: &str, class: &str) -> Markup {
    html! {
        @match version {
            None => span class=(class) { (none) },
            Some("") => "·",
            Some(version) => code { (plain(version)) },
        }
    }
}

fn grown(changes: &Changes) -> Markup {
    html! {
        @if !changes.grown.is_empty() {
            div {
                h3 { "What grew most, unpacked" }
                table {
                    tr { th { "path" } th.number { "now" } th.number { "grew by" } }
                    @for one in &changes.grown {
                        tr {
                            td { code { (plain(&one.name)) } }
                            td.number { (size(one.after)) }
                            td.number { (words::signed(i64::try_from(one.after.saturating_sub(one.before)).unwrap_or(i64::MAX))) }
                        }
                    }
                }
            }
        }
    }
}
