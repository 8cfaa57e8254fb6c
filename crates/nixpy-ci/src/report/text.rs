//! The report on a terminal: what was published, on standard output.

use nixpy_pipeline::report::Report;
use nixpy_pipeline::smoke::Verdict;

use super::words;
use crate::render::caches::{self, Weight};
use crate::render::{size, smoke};

/// What was published; nothing if it was nothing.
pub fn text(report: &Report) -> String {
    let is_rehearsed = report.rehearsed && report.index.is_some();
    if report.references.is_empty() && !is_rehearsed {
        return String::new();
    }
    let mut lines = match is_rehearsed {
        true => vec![format!("not pushed: {}", report.destinations.join(", "))],
        false => report.references.clone(),
    };
    if let Some(index) = &report.index {
        lines.push(format!("  {}  index", index.digest));
    }
    for image in &report.platforms {
        let platform = image.platform.to_string();
        let sent = match image.sent_size {
            0 => "nothing new".to_owned(),
            bytes if report.rehearsed => format!("{} would be sent", size(bytes)),
            bytes => format!("{} sent", size(bytes)),
        };
        let tested = match smoke::verdict(image) {
            Some(Verdict::Passed) => ", works",
            Some(Verdict::Untested) => ", untested",
            _ => "",
        };
        let mut changes = report.changes.iter();
        let changes = changes.find(|changes| changes.platform == image.platform);
        let grown = match changes {
            Some(changes) if changes.growth() != 0 => {
                format!(
                    " ({} since {})",
                    words::signed(changes.growth()),
                    changes.baseline
                )
            }
            _ => String::new(),
        };
        let machine = image.machine.iter();
        let built: String = machine
            .map(|machine| format!(", built on {machine}"))
            .collect();
        lines.push(format!(
            "  {}  {platform:<16} {:>9}{grown}, {sent}{built}{tested}",
            image.digest,
            size(image.compressed_size),
        ));
    }
    if report.from_metadata {
        lines.push("  nothing was built or fetched: caches told enough".to_owned());
    }
    let caches = report.caches.iter();
    let caches = caches.filter(|filled| caches::weight(filled) != Weight::Note);
    lines.extend(caches.map(|filled| format!("  {}", caches::counts(filled))));
    if let Some(loaded) = &report.loaded {
        lines.push(loaded.clone());
    }
    lines.push(String::new());
    lines.join("\n")
}
