//! `nixpy-ci action`: what the launcher of the action starts. It chooses the command by the
//! input `command`, adds what the action does where nobody has said anything, and writes the
//! step's outputs. What the command does is what it does from a command line.
//!
//! Outputs are read from the report that the command has written, which is the form that
//! others may rely on.

mod defaults;
mod files;
mod outputs;
mod post;
mod unfinished;

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use nixpy_github::runner::files::add;

use crate::audience::{Audience, wrong};
use crate::exit::Code;
use crate::render::line;
use crate::settings::{Environment, RawInputs};
use crate::{cli, dispatch, plan, print, redact};

#[cfg(test)]
pub use outputs::OUTPUTS;
pub use post::post;
pub use unfinished::Notes;

/// The values of the input `command`, and what each does.
pub const COMMANDS: [(&str, &str); 7] = [
    ("run", "builds and publishes"),
    (
        "matrix",
        "finds out as which jobs that can be spread over runners, for the output `matrix`",
    ),
    ("index", "joins what jobs with `by-digest` have published"),
    ("release", "gives a published image its release tags"),
    ("report", "posts the report that a fork's run has left"),
    ("doctor", "checks what a run would need"),
    ("setup", "makes the runner able to build, and nothing else"),
];

/// Where other jobs' files are looked for if nobody says where.
const FILES: &str = "nixpy-ci-results";

/// What a step was given.
pub struct Step<'a> {
    environment: &'a Environment,
}

impl Step<'_> {
    /// A variable that is empty is none.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let value = self.environment.get(std::ffi::OsStr::new(name))?.to_str()?;
        Some(value.trim()).filter(|value| !value.is_empty())
    }

    fn input(&self, name: &str) -> Option<&str> {
        self.variable(&format!("INPUT_{}", name.to_uppercase()))
    }

    fn files(&self) -> &str {
        self.input("files").unwrap_or(FILES)
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.variable(name).map(PathBuf::from)
    }
}

/// The launcher calls its folders so; no other is the action's.
const PREFIX: &str = "nixpy-ci-";

/// The folder that the launcher has made for this step alone, where it has started us.
fn launched_in(environment: &Environment) -> Option<PathBuf> {
    let folder = Step { environment }.path("TMPDIR")?;
    let name = folder.file_name()?.to_str()?;
    let is_folder = folder.symlink_metadata().ok()?.is_dir();
    (is_folder && name.starts_with(PREFIX)).then_some(folder)
}

/// What a person would have typed for these inputs.
fn understood(environment: &Environment) -> Result<ArgMatches, String> {
    let arguments = arguments(&Step { environment })?;
    let matches = cli::command().try_get_matches_from(&arguments);
    matches.map_err(|e| e.to_string())
}

/// Does what the inputs say.
pub async fn action(environment: &Environment) -> Code {
    let matches = match understood(environment) {
        Ok(matches) => matches,
        Err(problem) => return wrong(&[problem], environment),
    };
    let Some((command, flags)) = matches.subcommand() else {
        return Code::Inputs;
    };
    // Nobody has said more of an input that is wrong than the command itself will say.
    let given = RawInputs::collect(flags, environment).unwrap_or_default();
    let lack = match command {
        "run" | "plan" => has_flake(&given, environment).err(),
        "index" => files::named(Step { environment }.files()).err(),
        _ => None,
    };
    let environment = defaults::with_defaults(environment, &given);
    redact::learn(flags, &environment);
    let step = Step {
        environment: &environment,
    };
    if command == "plan" {
        if let Some(problem) = lack {
            return wrong(&[problem], &environment);
        }
        return plan::plan_telling(flags, &environment, &|text| {
            print(text);
            tell(&step, &[("matrix", text.trim_end().to_owned())]);
        })
        .await;
    }
    let settled = RawInputs::as_far_as_known(flags, &environment);
    let report = settled.file_for("report");
    // What is there after a failure must not be taken for this run's.
    if let Some(stale) = &report {
        let _ = std::fs::remove_file(stale);
    }
    let code = match lack {
        Some(problem) => {
            let audience = Audience::of(flags, &environment);
            audience.forget();
            audience.hears(Code::Inputs, &[problem]).await
        }
        None => Box::pin(dispatch(&matches, &environment)).await,
    };
    let result = settled.file_for("result");
    tell(&step, &outputs::of(report.as_deref(), result.as_deref()));
    code
}

/// The command line that a person would write; settings are inputs, and need no flag.
fn arguments(step: &Step<'_>) -> Result<Vec<String>, String> {
    let command = step.input("command").unwrap_or("run");
    let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let mut arguments: Vec<String> = match command {
        "matrix" => own(&["nixpy-ci", "plan", "--matrix"]),
        "run" | "index" | "release" | "report" | "doctor" | "setup" => own(&["nixpy-ci", command]),
        other => {
            let known = COMMANDS.map(|(name, _)| name).join(", ");
            return Err(format!("input command: {other:?} is none of {known}"));
        }
    };
    if let Some(file) = step.input("config")
        && command != "setup"
    {
        arguments.extend(["--config".to_owned(), file.to_owned()]);
    }
    match command {
        // What was left by no job is for all to hear who would have heard of the index, and told later.
        "index" => {
            let named = files::named(step.files());
            arguments.push("--".to_owned());
            arguments.extend(named.unwrap_or_else(|_| vec![step.files().to_owned()]));
        }
        "report" => {
            arguments.push("--".to_owned());
            arguments.extend(files::named(step.files())?);
        }
        // It has flags of its own, and reads no settings.
        "setup" => {
            let systems = step.input("systems").unwrap_or_default();
            let systems = systems
                .split([' ', ',', '\n'])
                .filter(|word| !word.is_empty());
            arguments.extend(systems.map(|system| format!("--system={system}")));
        }
        "release" => {
            let version = step.input("version").map(str::to_owned);
            arguments.extend(version.into_iter().flat_map(|it| ["--".to_owned(), it]));
        }
        _ => {}
    }
    Ok(arguments)
}

/// A workspace is empty until somebody checks the repository out.
fn has_flake(given: &RawInputs, environment: &Environment) -> Result<(), String> {
    if given.get("flake").is_some() {
        return Ok(());
    }
    let here = std::env::current_dir().map_err(|e| e.to_string())?;
    let has = |name: &str| here.ancestors().any(|folder| folder.join(name).exists());
    if has("flake.nix") {
        return Ok(());
    }
    let workspace = Step { environment }.path("GITHUB_WORKSPACE");
    let place = workspace.unwrap_or_else(|| here.clone());
    Err(match has(".git") {
        true => format!(
            "there is no flake.nix in {}: `nixpy-ci init` writes one for a Python project; or say with the input \
             `flake` where it is",
            place.display()
        ),
        false => format!(
            "{} holds no repository: let a step before this one `uses: actions/checkout`",
            place.display()
        ),
    })
}

fn tell(step: &Step<'_>, values: &[(&str, String)]) {
    let Some(file) = step.path("GITHUB_OUTPUT") else {
        return;
    };
    let values = values.iter().map(|(name, value)| (*name, value.as_str()));
    if let Err(e) = add(Path::new(&file), values) {
        line(&format!(
            "warning: the step's outputs cannot be written to {}: {e}",
            file.display()
        ));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let pairs = variables.iter();
        pairs
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    fn called(variables: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let environment = environment(variables);
        arguments(&Step {
            environment: &environment,
        })
    }

    #[test]
    fn without_an_input_it_runs() {
        assert_eq!(called(&[]).unwrap(), ["nixpy-ci", "run"]);
        let empty = [("INPUT_COMMAND", ""), ("INPUT_CONFIG", " ")];
        assert_eq!(called(&empty).unwrap(), ["nixpy-ci", "run"]);
    }

    #[test]
    fn a_command_that_is_none_is_told_with_those_that_there_are() {
        let problem = called(&[("INPUT_COMMAND", "--version")]).unwrap_err();
        assert!(
            problem.contains("\"--version\" is none of run, matrix"),
            "{problem}"
        );
    }

    #[test]
    fn what_others_have_left_is_no_flag() {
        let index = called(&[("INPUT_COMMAND", "index"), ("INPUT_FILES", "--help")]);
        assert_eq!(index.unwrap(), ["nixpy-ci", "index", "--", "--help"]);
        let release = called(&[("INPUT_COMMAND", "release"), ("INPUT_VERSION", "--help")]);
        assert_eq!(release.unwrap(), ["nixpy-ci", "release", "--", "--help"]);
    }

    #[test]
    fn every_command_is_one_of_the_command_line() {
        for (command, _) in COMMANDS {
            if matches!(command, "index" | "report") {
                continue;
            }
            let arguments = called(&[("INPUT_COMMAND", command)]).unwrap();
            assert!(arguments.len() >= 2, "{command}");
        }
    }
}
