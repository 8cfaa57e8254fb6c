//! The report as people read it: text for the terminal, Markdown for a summary.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use nixpy_pipeline::report::{Outcome, Report, Timings};
use nixpy_pipeline::result::RunResult;
use nixpy_pipeline::smoke::Verdict;

use crate::print;
use crate::render::caches::{self, Weight};
use crate::render::{Renderer, failure_lines, fell_lines, line, printable, size, smoke};
use crate::settings::Output;

/// Writes and prints it as the settings say; `false` if it could not be written.
pub fn tell(report: &Report, output: &Output, renderer: &dyn Renderer) -> bool {
    let mut written = true;
    if let Some(file) = &output.summary
        && let Err(e) = std::fs::write(file, markdown(report))
    {
        renderer.error(&format!("cannot write the summary {}: {e}", file.display()));
        written = false;
    }
    match output.json {
        true => print(&json(report)),
        false => print(&text(report)),
    }
    written
}

/// Leaves the result of a run by digest in its file, whole or not at all.
pub fn leave(result: &RunResult, output: &Output) -> Result<(), String> {
    let file = output
        .result
        .clone()
        .unwrap_or_else(|| default_file(result));
    write_whole(&file, result.to_json().as_bytes())
        .map_err(|e| format!("cannot write the result {}: {e}", file.display()))?;
    line(&format!(
        "the result is in {}: give it to `nixpy-ci index` with those of the other jobs",
        file.display()
    ));
    Ok(())
}

fn default_file(result: &RunResult) -> PathBuf {
    let systems = result
        .platforms
        .iter()
        .map(|one| one.report.system.as_str());
    let systems = systems.collect::<Vec<_>>().join("+");
    PathBuf::from(format!("nixpy-ci-result-{systems}.json"))
}

/// Whoever looks at the file meanwhile sees the one before, or none.
fn write_whole(file: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Another step, or another user's job, may be the one that reads it.
    let mode = std::fs::Permissions::from_mode(0o666);
    let mut part = tempfile::Builder::new()
        .permissions(mode)
        .tempfile_in(folder)?;
    part.write_all(bytes)?;
    part.persist(file)?;
    Ok(())
}

/// As programs read it.
pub fn json(value: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    // A log may hold what an old form of GitHub's commands looks like, which counts
    // anywhere in a line.
    text.replace("##[", "##\\u005b")
}

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
        let machine = image.machine.iter();
        let built: String = machine
            .map(|machine| format!(", built on {machine}"))
            .collect();
        lines.push(format!(
            "  {}  {platform:<16} {:>9}, {sent}{built}{tested}",
            image.digest,
            size(image.compressed_size),
        ));
    }
    if report.from_metadata {
        lines.push("  nothing was built or fetched: caches told enough".to_owned());
    }
    let notes = report.notes.iter();
    lines.extend(notes.map(|note| format!("  note: {}", printable(note))));
    let caches = report.caches.iter();
    let caches = caches.filter(|filled| caches::weight(filled) != Weight::Note);
    lines.extend(caches.map(|filled| format!("  {}", caches::counts(filled))));
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
        Outcome::Success if report.rehearsed => add("## Image built, not pushed\n"),
        Outcome::Success => add("## Image published\n"),
        Outcome::Failure if report.platforms.iter().any(smoke::has_failed) => {
            add("## Smoke test failed, no tag was moved\n");
        }
        Outcome::Failure if !report.references.is_empty() => {
            add("## Image published, but a required cache lacks something\n");
        }
        Outcome::Failure if report.failures.is_empty() => add("## Not published\n"),
        Outcome::Failure => add("## Build failed, nothing was published\n"),
    }
    for reference in &report.references {
        add(&format!("- `{}`", code(reference)));
    }
    if let Some(index) = &report.index {
        add(&format!("- index `{}`", index.digest));
    }
    if report.outcome == Outcome::Success {
        add("");
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
        let Timings {
            evaluate,
            build,
            publish,
            smoke,
            cache,
            ..
        } = report.timings;
        // Images that were joined were built elsewhere.
        let before = match evaluate > 0.0 {
            true => format!("Evaluated in {evaluate:.1} s, built in {build:.1} s, published"),
            false => "Joined".to_owned(),
        };
        let tried = match smoke > 0.0 {
            true => format!(", tried out in {smoke:.1} s"),
            false => String::new(),
        };
        let cached = match cache >= 0.05 {
            true => format!(", pushed to caches for {cache:.1} s more"),
            false => String::new(),
        };
        add(&format!("\n{before} in {publish:.1} s{tried}{cached}."));
    }
    let verdicts = report.platforms.iter().filter_map(smoke::verdict_line);
    for (n, verdict) in verdicts.enumerate() {
        let before = if n == 0 { "\n" } else { "" };
        add(&format!("{before}- smoke test: `{}`", code(&verdict)));
    }
    let mut before = "\n";
    for filled in &report.caches {
        if let Some(told) = caches::filled_lines(filled).first() {
            add(&format!("{before}- `{}`", code(told)));
            before = "";
        }
    }
    let mut blocks: Vec<String> = report.error.iter().cloned().collect();
    blocks.extend(
        report
            .troubles
            .iter()
            .map(|fell| fell_lines(fell).join("\n")),
    );
    let failed = report
        .platforms
        .iter()
        .filter(|image| smoke::has_failed(image));
    blocks.extend(failed.map(|image| smoke::tested_lines(image).join("\n")));
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
