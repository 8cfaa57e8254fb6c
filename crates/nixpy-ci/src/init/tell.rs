//! What `init` has to say: what it found and why, what became of each file, and what comes next; for
//! people, and as JSON.

use serde_json::{Value, json};

use super::detect::{Kind, Project};
use super::listing::Listing;
use super::place::State;
use super::render::File;
use super::start::Start;
use crate::render::without_controls;

/// What became of a file, or would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// It was not there.
    Written,
    /// Another was there.
    Overwritten,
    /// It was there as it is.
    Same,
    /// Another is there, and stays.
    Kept,
}

impl Became {
    /// Whether the disk changes.
    pub fn is_written(self) -> bool {
        matches!(self, Self::Written | Self::Overwritten)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Overwritten => "overwritten",
            Self::Same => "same",
            Self::Kept => "kept",
        }
    }
}

/// All that is told.
pub struct Outcome<'a> {
    pub project: &'a Project,
    pub files: &'a [(File, State, Became)],
    pub is_dry: bool,
    pub steps: Vec<String>,
    pub way_out: Vec<String>,
}

impl Outcome<'_> {
    /// For people.
    pub fn text(&self) -> String {
        let project = self.project;
        let mut lines = vec![
            format!(
                "{}: a project of {} ({})",
                project.name,
                project.kind.name(),
                project.why
            ),
            format!(
                "  starts {} ({}), port {}",
                started(project),
                project.started.why,
                project.started.port
            ),
            format!(
                "  runs on {} ({})",
                project.python.attribute, project.python.why
            ),
        ];
        for (file, _, became) in self.files {
            lines.push(match (became, self.is_dry) {
                (Became::Written, true) => format!("would write {}", file.path),
                (Became::Overwritten, true) => format!("would overwrite {}", file.path),
                (Became::Same, _) => format!("{} is there already, just so", file.path),
                (Became::Kept, _) => format!(
                    "{} is there, and stays as it is: --force overwrites it",
                    file.path
                ),
                (became, false) => format!("{} {}", became.word(), file.path),
            });
        }
        lines.extend(project.notes.iter().map(|note| format!("note: {note}")));
        if !self.way_out.is_empty() {
            lines.push("from poetry2nix, which is no longer maintained, to uv2nix:".to_owned());
            lines.extend(numbered(&self.way_out));
        }
        lines.push("next:".to_owned());
        lines.extend(self.steps.iter().map(|step| format!("  {step}")));
        let mut text: String = lines
            .iter()
            .map(|line| format!("{}\n", without_controls(line)))
            .collect();
        if self.is_dry {
            for (file, _, _) in self
                .files
                .iter()
                .filter(|(_, _, became)| became.is_written())
            {
                text.push_str(&format!("\n--- {}\n{}", file.path, file.text));
            }
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let project = self.project;
        let files: Vec<_> = self
            .files
            .iter()
            .map(|(file, _, became)| {
                let text = (self.is_dry && became.is_written()).then_some(&file.text);
                json!({ "path": file.path, "is": became.word(), "text": text })
            })
            .collect();
        json!({
            "version": 1,
            "dryRun": self.is_dry,
            "kind": project.kind.name(),
            "why": project.why,
            "name": project.name,
            "starts": started(project),
            "startsWhy": project.started.why,
            "port": project.started.port,
            "python": project.python.attribute,
            "files": files,
            "notes": project.notes,
            "fromPoetry2nix": self.way_out,
            "next": self.steps,
        })
    }
}

/// What is to be typed next.
pub fn next(
    project: &Project,
    listing: &Listing,
    files: &[(File, State, Became)],
    is_tracked: bool,
    place: Option<&str>,
) -> Vec<String> {
    let mut steps = Vec::new();
    if let Some(place) = place {
        steps.push(format!("cd {}", word(place)));
    }
    if !is_tracked {
        steps.push(
            "git init    # Nix sees what git tracks, and in a folder without git everything"
                .to_owned(),
        );
    }
    let mut paths: Vec<&str> = files
        .iter()
        .map(|(file, _, _)| file.path.as_str())
        .collect();
    if project.kind == Kind::Uv {
        if !listing.has("uv.lock") {
            steps.push("uv lock".to_owned());
        }
        paths.push("uv.lock");
    }
    // A project that begins is not tracked itself.
    steps.push(format!(
        "git add {}    # and your own files: Nix sees what git tracks",
        paths.join(" ")
    ));
    steps.push(
        "nix flake lock && git add flake.lock    # pins nixpkgs and what else the flake takes in"
            .to_owned(),
    );
    steps.push("nixpy-ci doctor    # can this machine build it?".to_owned());
    steps.push("nixpy-ci run --load podman    # or docker".to_owned());
    steps
}

/// For a shell, which would take a name with a blank in it for two.
fn word(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/~".contains(c);
    match name.chars().all(is_plain) {
        true => name.to_owned(),
        false => format!("'{}'", name.replace('\'', r"'\''")),
    }
}

fn started(project: &Project) -> String {
    match &project.started.start {
        Start::Script(script) => script.clone(),
        Start::Installed(command) | Start::Source { command, .. } => command.join(" "),
    }
}

fn numbered(steps: &[String]) -> impl Iterator<Item = String> {
    steps
        .iter()
        .enumerate()
        .map(|(at, step)| format!("  {}. {step}", at + 1))
}
