//! Who is to hear of a run, before it is known whether all its settings are right.

use std::path::PathBuf;
use std::time::SystemTime;

use super::output::Output;
use super::resolve::{Reader, Surroundings};
use super::sources::{Environment, RawInputs};
use super::telling::Telling;

/// What is told, to whom, and of what.
#[derive(Debug)]
pub struct Hearers {
    /// Files.
    pub output: Output,
    /// On GitHub.
    pub telling: Telling,
    /// As it was written.
    pub flake: String,
    /// Repositories, as they were written.
    pub destinations: Vec<String>,
}

/// As far as these settings say. What is wrong with them is not said here: whoever needs them
/// all will say it.
pub fn hearers(raw: &RawInputs, environment: &Environment) -> Hearers {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let around = Surroundings::of(environment, here, SystemTime::now());
    let mut reader = Reader::of(raw);
    let (mut output, mut telling) = (reader.output(), reader.telling(&around));
    // It touches nothing, and nobody is told of it.
    if reader.switch("dry-run") {
        output = Output {
            json: output.json,
            progress: output.progress,
            ..Output::default()
        };
        telling = Telling::default();
    }
    let written = |name: &str| raw.get(name).map_or(&[][..], |raw| &raw.values);
    Hearers {
        output,
        telling,
        flake: written("flake").first().map_or(".", String::as_str).into(),
        destinations: written("repository").to_vec(),
    }
}
