//! The report as people read it: text for the terminal, Markdown for a summary.

use nixpy_pipeline::report::{Outcome, Report};

use crate::render::{failure_lines, fell_lines, size};

/// What was published; nothing if it was nothing.
pub fn text(report: &Report) -> String {
    if report.references.is_empty() {
        return String::new();
    }
    let mut lines = report.references.clone();
    if let Some(index) = &report.index {
        lines.push(format!("  {}  index", index.digest));
    }
    for image in &report.platforms {
        let platform = image.platform.to_string();
        let sent = match image.sent_size {
            0 => "nothing new".to_owned(),
            bytes => format!("{} sent", size(bytes)),
        };
        let machine = image.machine.iter();
        let built: String = machine
            .map(|machine| format!(", built on {machine}"))
            .collect();
        lines.push(format!(
            "  {}  {platform:<16} {:>9}, {sent}{built}",
            image.digest,
            size(image.compressed_size),
        ));
    }
    if report.from_metadata {
        lines.push("  nothing was built or fetched: caches told enough".to_owned());
    }
    if let Some(loaded) = &report.loaded {
        lines.push(loaded.clone());
    }
    lines.push(String::new());
    lines.join("\n")
}

/// For `--summary`, and GitHub's job summary.
pub fn markdown(report: &Report) -> String {
    let mut text = String::new();
    let mut add = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    match report.outcome {
        Outcome::Success => add("## Image published\n"),
        Outcome::Failure if report.failures.is_empty() => add("## Not published\n"),
        Outcome::Failure => add("## Build failed, nothing was published\n"),
    }
    for reference in &report.references {
        add(&format!("- `{}`", code(reference)));
    }
    if let Some(index) = &report.index {
        add(&format!("- index `{}`\n", index.digest));
        add("| platform | digest | size | sent | layers | system |");
        add("|---|---|---:|---:|---:|---|");
        for image in &report.platforms {
            add(&format!(
                "| {} | `{}` | {} | {} | {} | {} |",
                image.platform,
                image.digest,
                size(image.compressed_size),
                size(image.sent_size),
                image.layers.len(),
                image.system,
            ));
        }
        add(&format!(
            "\nEvaluated in {:.1} s, built in {:.1} s, published in {:.1} s.",
            report.timings.evaluate, report.timings.build, report.timings.publish
        ));
    }
    let mut blocks: Vec<String> = report.error.iter().cloned().collect();
    blocks.extend(
        report
            .troubles
            .iter()
            .map(|fell| fell_lines(fell).join("\n")),
    );
    blocks.extend(report.failures.iter().map(|f| failure_lines(f).join("\n")));
    for lines in blocks {
        // Longer than any row of backticks that a log may contain.
        let fence = "`".repeat(longest_run(&lines, '`').max(2) + 1);
        add(&format!("{fence}text\n{lines}\n{fence}"));
    }
    text
}

fn code(text: &str) -> String {
    text.replace('`', "'")
}

fn longest_run(text: &str, wanted: char) -> usize {
    let runs = text.split(|c| c != wanted);
    runs.map(str::len).max().unwrap_or(0)
}
