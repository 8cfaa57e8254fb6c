//! The report as people and programs read it: [`text`] for the terminal, [`markdown`] for
//! summaries and comments, [`html`] to look at, JSON for other programs.

mod html;
mod markdown;
#[cfg(test)]
mod sample;
mod text;
mod words;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use nixpy_pipeline::report::Report;
use nixpy_pipeline::result::RunResult;

pub use self::markdown::LONGEST_COMMENT;
use self::markdown::summary;
use self::words::{over_budget, unjudged};
use crate::print;
use crate::redact::Clean;
use crate::render::{Renderer, line, printable};
use crate::settings::Output;

/// Writes and prints it as the settings say; `false` if it could not be written.
pub fn tell(report: &Clean<Report>, output: &Output, renderer: &dyn Renderer) -> bool {
    let written = write(report, output, renderer);
    match output.json {
        true => print(&json(report)),
        false => print(&report.made(text::text)),
    }
    written
}

/// Writes every file that was asked for, each whole or not at all; `false` if one could not
/// be. The others are written nevertheless. A step's own summary is added to.
pub fn write(report: &Clean<Report>, output: &Output, renderer: &dyn Renderer) -> bool {
    type Text = fn(&Report) -> String;
    let files: [(&str, &Option<PathBuf>, Text); 3] = [
        ("summary", &output.summary, summary),
        ("report", &output.report, pretty),
        ("page", &output.html, html::page),
    ];
    let mut written = true;
    for (what, file, text) in files {
        let put = match what == "summary" && output.adds_to_summary {
            true => add_to,
            false => write_whole,
        };
        if let Some(file) = file
            && let Err(e) = put(file, &report.made(text))
        {
            renderer.error(&format!("cannot write the {what} {}: {e}", file.display()));
            written = false;
        }
    }
    written
}

/// Says which budgets are not kept, and which nobody could judge.
pub fn tell_budgets(report: &Report, renderer: &dyn Renderer) {
    for (image, text) in unjudged(report) {
        match image.before_unknown {
            // A gate that was open for all, and not because there was nothing to stop.
            Some(_) => renderer.warning(&printable(&text)),
            None => line(&format!("note: {text}")),
        }
    }
    over_budget(report)
        .iter()
        .for_each(|text| renderer.error(text));
}

/// Leaves the result of a run by digest in its file, whole or not at all.
pub fn leave(result: &Clean<RunResult>, output: &Output) -> Result<(), String> {
    let file = output
        .result
        .clone()
        .unwrap_or_else(|| default_file(result));
    write_whole(&file, &result.made(RunResult::to_json))
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
pub fn write_whole(file: &Path, text: &Clean<String>) -> io::Result<()> {
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
    part.write_all(text.as_bytes())?;
    part.persist(file)?;
    Ok(())
}

/// Below what others have written there.
fn add_to(file: &Path, text: &Clean<String>) -> io::Result<()> {
    let mut file = File::options().create(true).append(true).open(file)?;
    let apart = match file.metadata()?.len() {
        0 => "",
        _ => "\n\n",
    };
    file.write_all(format!("{apart}{}", **text).as_bytes())
}

/// For a comment, in no more than so many bytes.
pub fn body(report: &Clean<Report>, limit: usize) -> String {
    markdown::body(report, limit)
}

/// As programs read it.
pub fn json<T: serde::Serialize>(value: &Clean<T>) -> Clean<String> {
    value.made(pretty)
}

fn pretty(value: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    // A log may hold what an old form of GitHub's commands looks like, which counts
    // anywhere in a line.
    text.replace("##[", "##\\u005b")
}
