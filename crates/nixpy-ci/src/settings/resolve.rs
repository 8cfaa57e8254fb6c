//! Parses every setting, and reports every one that cannot be parsed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::str::FromStr;

use nixpy_github::context::Context;
use nixpy_nix::{AttrPath, Installable, System};
use nixpy_oci::compress::Compression;
use nixpy_oci::name::Tag;
use nixpy_pipeline::inputs::{Inputs, Loader};
use nixpy_pipeline::matrix::Runners;
use nixpy_pipeline::plan::Strategy;

use super::caches::accesses;
use super::naming::event;
use super::output::Output;
use super::sources::{Environment, RawInputs};
use super::table::{Kind, SETTINGS};
use super::target::targets;
use super::telling::Telling;

/// A setting that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {problem}")]
pub struct Problem {
    pub(super) origin: String,
    pub(super) problem: String,
}

/// Everything a run needs.
#[derive(Debug)]
pub struct Resolved {
    /// For the pipeline.
    pub inputs: Inputs,
    /// Nix, as far as it was named.
    pub nix: Option<PathBuf>,
    /// Options for Nix.
    pub nix_options: Vec<(String, String)>,
    /// Only print the jobs of a matrix, over these runners.
    pub matrix: Option<Runners>,
    /// Make the machine able first.
    pub setup: bool,
    /// Only print the plan.
    pub dry_run: bool,
    /// What is told.
    pub output: Output,
    /// What is told on GitHub.
    pub telling: Telling,
}

/// What is not a setting but decides as well.
pub struct Surroundings<'a> {
    /// All variables.
    pub environment: &'a Environment,
    /// The current directory.
    pub cwd: PathBuf,
    /// When the run began.
    pub now: std::time::SystemTime,
    /// What GitHub says that it is for.
    pub(super) context: Option<Context>,
    pub(super) from_fork_of_github: bool,
}

impl<'a> Surroundings<'a> {
    /// Here and now.
    ///
    /// # Errors
    /// The current directory cannot be read.
    pub fn here(environment: &'a Environment) -> Result<Self, String> {
        let cwd = std::env::current_dir();
        let cwd = cwd.map_err(|e| format!("the current directory cannot be read: {e}"))?;
        Ok(Self::of(environment, cwd, std::time::SystemTime::now()))
    }

    /// With these variables, in this directory, at this time.
    pub fn of(environment: &'a Environment, cwd: PathBuf, now: std::time::SystemTime) -> Self {
        let (context, from_fork_of_github) = event(environment);
        Self {
            environment,
            cwd,
            now,
            context,
            from_fork_of_github,
        }
    }

    /// Where what has an end may wait.
    pub(super) fn temp_dir(&self) -> PathBuf {
        let named = self.environment.get(std::ffi::OsStr::new("TMPDIR"));
        named.map_or_else(|| PathBuf::from("/tmp"), PathBuf::from)
    }
}

/// Parses everything.
///
/// # Errors
/// Every problem there is, not the first.
pub async fn resolve(raw: &RawInputs, around: &Surroundings<'_>) -> Result<Resolved, Vec<Problem>> {
    let mut reader = Reader::of(raw);
    let installable = match raw.get("flake") {
        Some(_) => reader.one("flake", |text| {
            Installable::parse(text, &around.cwd).map_err(|e| e.to_string())
        }),
        None => {
            let here = Installable::parse(".", &around.cwd);
            here.map_err(|e| reader.fail("FLAKE", e.to_string())).ok()
        }
    };
    let (flake, from_flake, system_from_flake) = match installable {
        Some(i) => (Some(i.flake), i.attribute, i.system),
        None => (None, None, None),
    };
    let attribute = reader.parsed::<AttrPath>("attribute").or(from_flake);
    let mut systems: Vec<System> = reader.many("system", parse);
    systems.extend(system_from_flake.filter(|_| raw.get("system").is_none()));
    let mut seen = BTreeSet::new();
    systems.retain(|system| seen.insert(system.clone()));
    let targets = targets(&mut reader, around).await;
    let by_digest = reader.by_digest(&targets, around);
    let rehearse = reader.rehearses(&targets, around);
    let mut naming = reader.naming(around, !by_digest && !rehearse);
    let mut reuse: Vec<Tag> = reader.many("reuse-from", parse);
    if raw.get("reuse-from").is_none() {
        reuse.extend(naming.base.clone());
        reuse.extend("latest".parse());
    }
    let baselines = baselines(naming.base.as_ref(), &naming.tags, &reuse);
    let budgets = reader.many("budget", parse);
    let strategies = reader.strategies();
    let cross = reader.by_system("cross", parse::<AttrPath>);
    let compression = reader.compression();
    let image = reader.image(naming.labels, naming.told);
    let smoke = reader.smoke();
    let builders = reader.builders(around);
    let mut caches = reader.caches(around);
    caches.registries = accesses(&mut reader, &caches, &targets, around).await;
    let runners = reader.runners();
    let matrix = reader.switch("matrix").then_some(runners);
    let max_layers = reader.number("max-layers", 2..=127).unwrap_or(100);
    let uploads = reader.number("uploads", 1..=64).unwrap_or(8);
    let load = reader.choice("load").map(|program| match program.as_str() {
        "docker" => Loader::Docker,
        _ => Loader::Podman,
    });
    let nix_options = reader.pairs("nix-option").into_iter().collect();
    let build_archive = reader.switch("build-archive");
    let remake = reader.switch("remake");
    let memo_dir = match reader.switch("reevaluate") {
        true => None,
        false => around.cache_dir().map(|cache| cache.join("evaluations")),
    };
    let (setup, dry_run) = (reader.switch("setup"), reader.switch("dry-run"));
    let output = reader.output();
    let telling = reader.telling(around);
    naming.notes.append(&mut reader.notes);
    let path = |name: &str| raw.get(name).map(|raw| PathBuf::from(raw.first()));
    match flake {
        Some(flake) if reader.problems.is_empty() => Ok(Resolved {
            inputs: Inputs {
                flake,
                attribute,
                systems,
                strategies,
                cross,
                targets,
                tags: naming.tags,
                annotations: naming.annotations,
                notes: naming.notes,
                by_digest,
                rehearse,
                reuse,
                baselines,
                budgets,
                remake,
                state_dir: around.state_dir(),
                compression,
                smoke,
                load,
                image,
                max_layers,
                build_archive,
                now: around.now,
                memo_dir,
                keep_going: true,
                uploads,
                builders,
                caches,
                temp_dir: around.temp_dir(),
            },
            nix: path("nix"),
            nix_options,
            matrix,
            setup,
            dry_run,
            output,
            telling,
        }),
        _ => Err(reader.problems),
    }
}

/// What an image is held against: a pull request's against that of the branch that it is to
/// be merged into, any other's against the one that it will replace.
fn baselines(base: Option<&Tag>, tags: &[Tag], reuse: &[Tag]) -> Vec<Tag> {
    let [first, second] = match base {
        Some(_) => [reuse, tags],
        None => [tags, reuse],
    };
    let mut found: Vec<Tag> = Vec::new();
    for tag in base.into_iter().chain(first).chain(second) {
        if !found.contains(tag) {
            found.push(tag.clone());
        }
    }
    found
}

/// Reads settings and gathers what is wrong with them.
pub(super) struct Reader<'a> {
    pub(super) raw: &'a RawInputs,
    /// What people should know of how it was read.
    pub(super) notes: Vec<String>,
    problems: Vec<Problem>,
}

pub(super) fn parse<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|e: T::Err| e.to_string())
}

impl<'a> Reader<'a> {
    /// With what is wrong with the file itself.
    pub(super) fn of(raw: &'a RawInputs) -> Self {
        let of_the_file = raw.problems.iter().map(|error| Problem {
            origin: error.file.display().to_string(),
            problem: error.problem.clone(),
        });
        Self {
            raw,
            notes: raw.unheard.clone(),
            problems: of_the_file.collect(),
        }
    }
}

impl Reader<'_> {
    pub(super) fn fail(&mut self, origin: &str, problem: impl Into<String>) {
        self.problems.push(Problem {
            origin: origin.to_owned(),
            problem: problem.into(),
        });
    }

    pub(super) fn one<T>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let raw = self.raw.get(name)?;
        match read(raw.first()) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.fail(&raw.origin, problem);
                None
            }
        }
    }

    pub(super) fn many<T>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let Some(raw) = self.raw.get(name) else {
            return Vec::new();
        };
        let mut values = Vec::new();
        for text in &raw.values {
            match read(text) {
                Ok(value) => values.push(value),
                Err(problem) => self.fail(&raw.origin, problem),
            }
        }
        values
    }

    fn parsed<T: FromStr<Err: ToString>>(&mut self, name: &str) -> Option<T> {
        self.one(name, parse)
    }

    pub(super) fn number(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<usize>,
    ) -> Option<usize> {
        let (low, high) = (*range.start(), *range.end());
        self.one(name, |text| match text.parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(format!("{text:?} is not a number from {low} to {high}")),
        })
    }

    pub(super) fn switch(&mut self, name: &str) -> bool {
        let switched = self.one(name, |text| match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(format!("{text:?} is neither true nor false")),
        });
        switched.unwrap_or(false)
    }

    /// One of the words that the table lists.
    pub(super) fn choice(&mut self, name: &str) -> Option<String> {
        let setting = SETTINGS.iter().find(|setting| setting.name == name)?;
        let Kind::Choice(words) = setting.kind else {
            return None;
        };
        self.one(name, |text| {
            let known = words.contains(&text);
            known
                .then(|| text.to_owned())
                .ok_or_else(|| format!("{text:?} is none of {}", words.join(", ")))
        })
    }

    pub(super) fn pairs(&mut self, name: &str) -> BTreeMap<String, String> {
        let pairs = self.many(name, |text| match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(format!("{text:?} is not KEY=VALUE")),
        });
        pairs.into_iter().collect()
    }

    /// Values by the system that they are for.
    pub(super) fn by_system<T>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> BTreeMap<System, T> {
        let pairs = self.many(name, |text| match text.split_once('=') {
            Some((system, value)) => Ok((parse(system)?, read(value)?)),
            None => Err(format!("{text:?} is not SYSTEM=VALUE")),
        });
        pairs.into_iter().collect()
    }

    fn strategies(&mut self) -> BTreeMap<System, Strategy> {
        self.by_system("strategy", |word| {
            let mut known = Strategy::WORDS.iter();
            let found = known.find(|(name, _)| *name == word);
            found.map(|(_, strategy)| *strategy).ok_or_else(|| {
                let words = Strategy::WORDS.map(|(name, _)| name).join(", ");
                format!("{word:?} is none of {words}")
            })
        })
    }

    pub(super) fn ended<T>(self, value: T) -> Result<T, Vec<Problem>> {
        match self.problems.is_empty() {
            true => Ok(value),
            false => Err(self.problems),
        }
    }

    fn compression(&mut self) -> Compression {
        let kind = self.choice("compression");
        let (levels, default) = match kind.as_deref() {
            Some("zstd") => (1..=19, 2),
            Some("none") => (0..=0, 0),
            _ => (1..=12, 1),
        };
        let level = self.number("compression-level", levels);
        let level = level
            .and_then(|level| u8::try_from(level).ok())
            .unwrap_or(default);
        match kind.as_deref() {
            Some("zstd") => Compression::Zstd(level),
            Some("none") => Compression::None,
            _ => Compression::Gzip(level),
        }
    }
}
