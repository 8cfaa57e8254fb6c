//! What renderers say of findings.

use nixpy_github::runner::annotation::{self, Annotation};
use nixpy_pipeline::findings::{Finding, Level};
use nixpy_pipeline::report::Report;

/// Findings that are printed; of the others the report tells.
const MOST: usize = 20;
/// Lines of each.
const MOST_LINES: usize = 16;

/// Those that say more than the failures that were told as they came.
pub fn further(report: &Report) -> impl Iterator<Item = &Finding> {
    let repeats = |finding: &Finding| {
        let mut failures = report.failures.iter();
        failures.any(|failure| {
            finding.derivation.as_ref() == Some(&failure.derivation)
                && finding.message.starts_with(&failure.reason)
        })
    };
    report
        .findings
        .iter()
        .filter(move |finding| finding.place.is_some() || !repeats(finding))
}

/// As compilers write them, so that editors and people find the place.
pub fn finding_lines(report: &Report) -> Vec<String> {
    let all: Vec<&Finding> = further(report).collect();
    let mut lines = Vec::new();
    for finding in all.iter().take(MOST) {
        let level = match finding.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Notice => "note",
        };
        let place = finding.place.as_ref().map(|place| match place.column {
            Some(column) => format!("{}:{}:{column}: ", place.file, place.line),
            None => format!("{}:{}: ", place.file, place.line),
        });
        let place = place.unwrap_or_default();
        lines.push(format!("{place}{level}: {}", finding.title));
        let message = finding.message.lines().take(MOST_LINES);
        lines.extend(message.map(|line| format!("  {line}")));
    }
    if all.len() > MOST {
        lines.push(format!("and {} more, which --json tells", all.len() - MOST));
    }
    lines
}

/// As GitHub shows them, by workflow commands or a check run.
pub fn annotation(finding: &Finding) -> Annotation {
    let place = finding.place.as_ref();
    Annotation {
        level: match finding.level {
            Level::Error => annotation::Level::Error,
            Level::Warning => annotation::Level::Warning,
            Level::Notice => annotation::Level::Notice,
        },
        title: finding.title.clone(),
        message: finding.message.clone(),
        file: place.map(|place| place.file.clone()),
        line: place.map(|place| place.line),
        end_line: place.and_then(|place| place.end_line),
        column: place.and_then(|place| place.column),
    }
}
