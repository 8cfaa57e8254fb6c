//! What is said of findings, in the log and in every telling of the report.

use nixpy_github::runner::annotation::{self, Annotation};
use nixpy_pipeline::findings::{Finding, Level};
use nixpy_pipeline::report::Report;

/// Findings that are printed; of the others the report tells.
const MOST: usize = 20;
/// Lines of each.
const MOST_LINES: usize = 16;

/// Those that say more than the failures and the error that were told already, if only where.
pub fn further(report: &Report) -> impl Iterator<Item = &Finding> {
    report
        .findings
        .iter()
        .filter(move |finding| finding.place.is_some() || told(finding, report).is_none())
}

/// What a finding says beside its title, without what the failure or the error has told.
pub fn further_lines<'a>(finding: &'a Finding, report: &Report) -> Vec<&'a str> {
    let told = told(finding, report).unwrap_or_default();
    let is_told = |line: &&str| {
        [told, &finding.title]
            .iter()
            .any(|text| text.contains(line.trim()))
    };
    finding.message.lines().skip_while(is_told).collect()
}

/// The words of the failure or the error that a finding repeats, if it does.
fn told<'a>(finding: &Finding, report: &'a Report) -> Option<&'a str> {
    let begins = |with: &str| finding.message.starts_with(with);
    let Some(derivation) = &finding.derivation else {
        // What is no derivation's is what has ended the run.
        let first = finding.message.lines().next().unwrap_or_default();
        let error = report.error.as_deref();
        return error.filter(|error| !first.is_empty() && error.contains(first));
    };
    let mut failures = report.failures.iter();
    let failure =
        failures.find(|failure| failure.derivation == *derivation && begins(&failure.reason))?;
    Some(&failure.reason)
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
