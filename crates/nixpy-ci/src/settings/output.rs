//! What a command tells in files and on the terminal.

use std::path::{Path, PathBuf};

use super::resolve::Reader;

/// What is told, and how.
#[derive(Debug, Default)]
pub struct Output {
    /// The report on standard output.
    pub json: bool,
    /// Where a run by digest leaves its result, if it was said.
    pub result: Option<PathBuf>,
    /// Markdown.
    pub summary: Option<PathBuf>,
    /// It is GitHub's file for a step, where other programs may have written before.
    pub adds_to_summary: bool,
    /// JSON, for other programs.
    pub report: Option<PathBuf>,
    /// One page to look at.
    pub html: Option<PathBuf>,
    /// How to show what goes on.
    pub progress: Progress,
}

/// How to show what goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// By what standard error is.
    #[default]
    Auto,
    /// Bars that move.
    Bars,
    /// Lines.
    Plain,
    /// Lines in folded groups.
    Github,
    /// Nothing.
    None,
}

impl Reader<'_> {
    pub(super) fn output(&mut self) -> Output {
        let progress = match self.choice("progress").as_deref() {
            Some("bars") => Progress::Bars,
            Some("plain") => Progress::Plain,
            Some("github") => Progress::Github,
            Some("none") => Progress::None,
            _ => Progress::Auto,
        };
        let path = |name: &str| self.raw.get(name).map(|raw| PathBuf::from(raw.first()));
        let (result, summary) = (path("result"), path("summary"));
        let (report, html) = (path("report"), path("html"));
        Output {
            json: self.switch("json"),
            result,
            adds_to_summary: is_same(summary.as_deref(), self.raw.step_summary.as_deref()),
            summary,
            report,
            html,
            progress,
        }
    }
}

/// However a file is named.
fn is_same(one: Option<&Path>, other: Option<&Path>) -> bool {
    let (Some(one), Some(other)) = (one, other) else {
        return false;
    };
    let found = |path: &Path| path.canonicalize().ok();
    one == other || found(one).is_some_and(|one| found(other) == Some(one))
}
