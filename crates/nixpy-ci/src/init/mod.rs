//! `nixpy-ci init`: a flake, settings and workflows for a Python project that has none. What is
//! there stays as it is, unless the user says otherwise; what is written is written whole.

mod command;
mod detect;
mod git;
mod listing;
mod place;
mod poetry2nix;
mod python;
mod render;
mod start;
mod tell;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use nixpy_pipeline::report::told;

use crate::exit::Code;
use crate::print;
use crate::redact::clean;
use crate::render::{line, without_controls};
use crate::report::json;

pub use command::command;
use detect::Kind;
use listing::Listing;
use place::State;
use start::Asked;
use tell::{Became, Outcome};

/// Looks, decides, asks, writes, tells.
pub fn init(flags: &ArgMatches) -> Code {
    let folder = flags.get_one::<String>("dir").map_or(".", String::as_str);
    let folder = PathBuf::from(folder);
    let looked = folder
        .canonicalize()
        .and_then(|folder| Ok((Listing::of(&folder)?, folder)));
    let (listing, folder) = match looked {
        Ok(looked) => looked,
        Err(error) => {
            line(&format!(
                "error: {} cannot be read: {error}",
                folder.display()
            ));
            return Code::Inputs;
        }
    };
    let text = |name: &str| flags.get_one::<String>(name);
    let asked = Asked {
        kind: text("kind").and_then(|kind| Kind::named(kind)),
        start: text("start").map(|words| words.split_whitespace().map(str::to_owned).collect()),
        port: flags.get_one::<u16>("port").copied(),
    };
    let name = folder
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let project = match detect::detect(&listing, name, &asked) {
        Ok(project) => project,
        Err(problems) => {
            problems
                .iter()
                .for_each(|problem| line(&format!("error: {problem}")));
            return Code::Inputs;
        }
    };
    let (repository, is_tracked) = match git::repository(&folder) {
        Ok(found) => found,
        Err(problem) => {
            line(&format!("error: {}", without_controls(&problem)));
            return Code::Inputs;
        }
    };
    let is_dry = flags.get_flag("dry-run");
    let decided: Vec<_> = render::files(&project, &repository)
        .into_iter()
        .map(|file| {
            let state = place::state(&folder, &file);
            let became = match state {
                State::Same => Became::Same,
                State::New => Became::Written,
                State::Differs if flags.get_flag("force") => Became::Overwritten,
                State::Differs if !is_dry && may_overwrite(&file.path) => Became::Overwritten,
                State::Differs => Became::Kept,
            };
            (file, state, became)
        })
        .collect();
    let to_write = decided.iter().filter(|(_, _, became)| became.is_written());
    let to_write: Vec<_> = to_write.map(|(file, state, _)| (file, *state)).collect();
    if !is_dry && let Err(error) = place::write_all(&folder, &to_write) {
        line(&format!("error: {}", told(&error)));
        return Code::Machine;
    }
    let outcome = Outcome {
        steps: tell::next(&project, &listing, &decided, is_tracked, place_of(flags)),
        way_out: poetry2nix::way_out(&listing),
        project: &project,
        files: &decided,
        is_dry,
    };
    match flags.get_flag("json") {
        true => print(&json(&clean(outcome.json()))),
        false => print(&clean(outcome.text())),
    }
    Code::Success
}

/// The folder as the user named it, unless it is the current one.
fn place_of(flags: &ArgMatches) -> Option<&str> {
    let named = flags.get_one::<String>("dir").map(String::as_str);
    named.filter(|named| Path::new(named) != Path::new("."))
}

/// Asks who sits at the terminal; without one the answer is no.
fn may_overwrite(path: &str) -> bool {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return false;
    }
    let _ = write!(
        io::stderr(),
        "{path} is there, and is another. Overwrite it? [y/N] "
    );
    let mut answer = String::new();
    let _ = io::stdin().read_line(&mut answer);
    ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}
