//! Collects what was set, and where: flags, then `NIXPY_*`, then `INPUT_*`, then `nixpy-ci.yaml`; in the
//! action what that does by default. The first that says anything wins, whole: lists are not merged.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use serde_json::Value;

use super::forks::is_unheard;
use super::table::{Kind, SETTINGS, Setting};

/// What was set, by name of the setting.
#[derive(Debug, Default)]
pub struct RawInputs {
    values: BTreeMap<&'static str, Raw>,
    /// The file, if it is another than the usual one.
    pub(super) config: Option<String>,
    /// Where other programs of the same step may write, if GitHub says.
    pub(super) step_summary: Option<PathBuf>,
    /// What in the file is no setting: told together with values that are wrong.
    pub(super) problems: Vec<FileError>,
    /// Who has said something that was not heard, and why.
    pub(super) unheard: Vec<String>,
}

/// The values of one setting and where they come from.
#[derive(Clone)]
pub struct Raw {
    /// As they were written; a switch has `true` or `false`.
    pub values: Vec<String>,
    /// For messages: `--tag`, `NIXPY_TAG`, `input tag`, `nixpy-ci.yaml: tags`.
    pub origin: String,
    /// Which of the sources it is from; the first wins.
    pub source: Source,
}

/// The sources, first come first served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The command line.
    Flag,
    /// `NIXPY_*`.
    Variable,
    /// `INPUT_*`.
    Input,
    /// `nixpy-ci.yaml`.
    File,
    /// What the action does where nobody has said anything.
    Action,
}

impl Raw {
    /// The value of a setting that has one.
    pub fn first(&self) -> &str {
        self.values.first().map_or("", String::as_str)
    }
}

/// Values may be secrets: only where they come from is shown.
impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Raw({})", self.origin)
    }
}

/// A file of settings is not one.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", file.display())]
pub struct FileError {
    pub(super) file: PathBuf,
    pub(super) problem: String,
}

/// The environment, given once so that nothing reads it later.
pub type Environment = BTreeMap<OsString, OsString>;

impl RawInputs {
    /// Reads all sources. A configuration file that was not asked for may be missing.
    pub fn collect(flags: &ArgMatches, environment: &Environment) -> Result<Self, FileError> {
        Ok(Self::with_file(flags, environment, read_file(flags)?))
    }

    /// The same from the sources that can be read.
    pub fn as_far_as_known(flags: &ArgMatches, environment: &Environment) -> Self {
        Self::with_file(flags, environment, read_file(flags).ok().flatten())
    }

    fn with_file(
        flags: &ArgMatches,
        environment: &Environment,
        file: Option<(PathBuf, Value)>,
    ) -> Self {
        let step_summary = environment.get(OsStr::new("GITHUB_STEP_SUMMARY"));
        let mut raw = Self {
            config: named_file(flags),
            step_summary: step_summary.map(PathBuf::from),
            ..Self::default()
        };
        let mut from_file = file.map_or_else(BTreeMap::new, |(path, document)| {
            from_document(&path, &document, &mut raw.problems)
        });
        for (_, unheard) in from_file.extract_if(.., |name, raw| is_unheard(name, raw, environment))
        {
            raw.unheard.push(format!(
                "{} was not heard: that is not for a fork to say, but for a flag, a variable or an input",
                unheard.origin
            ));
        }
        for setting in SETTINGS {
            let found = from_flags(setting, flags)
                .or_else(|| from_environment(setting, environment))
                .or_else(|| from_file.get(setting.name).cloned())
                .or_else(|| from_action(setting, environment));
            if let Some(found) = found {
                raw.values.insert(setting.name, found);
            }
        }
        raw.problems.extend(misspelt(environment));
        raw
    }

    /// Says a setting in the place of whoever has said it, for a command that decides it.
    pub fn decide(&mut self, name: &'static str, value: String) {
        let raw = Raw {
            values: vec![value],
            origin: name.to_owned(),
            source: Source::Flag,
        };
        self.values.insert(name, raw);
    }

    /// What was set for a setting of the table.
    pub fn get(&self, name: &str) -> Option<&Raw> {
        debug_assert!(SETTINGS.iter().any(|setting| setting.name == name));
        self.values.get(name)
    }

    /// The file that a setting names.
    pub fn file_for(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(|raw| PathBuf::from(raw.first()))
    }
}

/// A command that has no such flag was not given it.
fn from_flags(setting: &Setting, flags: &ArgMatches) -> Option<Raw> {
    if setting.kind == Kind::Secret {
        return None;
    }
    let origin = match setting.name {
        "flake" => "FLAKE".to_owned(),
        name => format!("--{name}"),
    };
    let values = match setting.kind {
        Kind::Switch => {
            let switched = flags.try_get_one::<bool>(setting.name).ok()??;
            switched.then(|| vec!["true".to_owned()])?
        }
        _ => flags
            .try_get_many::<String>(setting.name)
            .ok()??
            .cloned()
            .collect(),
    };
    Some(Raw {
        values,
        origin,
        source: Source::Flag,
    })
}

/// A variable that is empty says nothing: GitHub sets every input.
fn from_environment(setting: &Setting, environment: &Environment) -> Option<Raw> {
    let variable = setting.variable();
    let from_variable = from_variable(setting, environment, &variable, &variable, Source::Variable);
    from_variable.or_else(|| {
        setting.inputs().iter().find_map(|input| {
            let told = input.trim_start_matches("INPUT_").to_lowercase();
            let origin = format!("input {}", told.replace('_', "-"));
            self::from_variable(setting, environment, input, &origin, Source::Input)
        })
    })
}

/// What the action does where nobody has said anything.
fn from_action(setting: &Setting, environment: &Environment) -> Option<Raw> {
    let origin = format!("the action's default for {}", setting.name);
    let variable = setting.action_variable();
    from_variable(setting, environment, &variable, &origin, Source::Action)
}

fn from_variable(
    setting: &Setting,
    environment: &Environment,
    variable: &str,
    origin: &str,
    source: Source,
) -> Option<Raw> {
    let text = environment.get(&OsString::from(variable))?.to_str()?;
    let values = split(setting.kind, text);
    (!values.is_empty()).then(|| Raw {
        values,
        origin: origin.to_owned(),
        source,
    })
}

fn split(kind: Kind, text: &str) -> Vec<String> {
    let parts: Vec<&str> = match kind {
        Kind::Words(_) => text.split([' ', ',', '\n', '\t', '\r']).collect(),
        Kind::Lines(_) | Kind::Pairs(_) => text.lines().collect(),
        Kind::Switch | Kind::One(_) | Kind::Choice(_) | Kind::Secret => vec![text],
    };
    let parts = parts
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

const DEFAULT_FILE: &str = "nixpy-ci.yaml";

/// A command that reads no settings has no such flag.
fn named_file(flags: &ArgMatches) -> Option<String> {
    flags
        .try_get_one::<String>("config")
        .ok()
        .flatten()
        .cloned()
}

fn read_file(flags: &ArgMatches) -> Result<Option<(PathBuf, Value)>, FileError> {
    let named = named_file(flags).map(PathBuf::from);
    let file = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    let fail = |problem: String| FileError {
        file: file.clone(),
        problem,
    };
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && named.is_none() => return Ok(None),
        Err(e) => return Err(fail(format!("cannot be read: {e}"))),
    };
    if text.trim().is_empty() {
        return Ok(None);
    }
    // `yes` is a word.
    let options = serde_saphyr::options! { strict_booleans: true };
    let document = serde_saphyr::from_str_with_options(&text, options);
    let document = document.map_err(|e| fail(first_line(&e)))?;
    Ok(Some((file, document)))
}

/// The first line has the place and the reason. Those below quote the file,
/// and somebody may have put a secret there.
fn first_line(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

/// Settings of a document, and everything in it that is none.
fn from_document(
    file: &Path,
    document: &Value,
    problems: &mut Vec<FileError>,
) -> BTreeMap<&'static str, Raw> {
    let mut found = BTreeMap::new();
    let mut fail = |problem: String| {
        problems.push(FileError {
            file: file.to_owned(),
            problem,
        });
    };
    for (path, value) in flatten(document) {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.path() == path) else {
            fail(format!("there is no setting `{path}`{}", suggestion(&path)));
            continue;
        };
        match values_of(setting.kind, value) {
            // An empty list says nothing, like an empty variable.
            Ok(values) if values.is_empty() => {}
            Ok(values) => {
                let raw = Raw {
                    values,
                    origin: format!("{}: {path}", file.display()),
                    source: Source::File,
                };
                found.insert(setting.name, raw);
            }
            Err(expected) => fail(format!("`{path}` must be {expected}")),
        }
    }
    found
}

/// Keys and their values; those of sections, such as `image`, with the section's path.
fn flatten(document: &Value) -> Vec<(String, &Value)> {
    let Value::Object(top) = document else {
        return vec![("(the whole file)".to_owned(), document)];
    };
    let mut flat = Vec::new();
    for (key, value) in top {
        add_flattened(&mut flat, key.clone(), value);
    }
    flat
}

fn add_flattened<'a>(flat: &mut Vec<(String, &'a Value)>, path: String, value: &'a Value) {
    let mut paths = SETTINGS.iter().map(Setting::path);
    let within = format!("{path}.");
    match value {
        Value::Object(section) if paths.any(|path| path.starts_with(&within)) => {
            for (key, value) in section {
                add_flattened(flat, format!("{within}{key}"), value);
            }
        }
        value => flat.push((path, value)),
    }
}

fn values_of(kind: Kind, value: &Value) -> Result<Vec<String>, &'static str> {
    let expected = match kind {
        Kind::Switch => "true or false",
        Kind::One(_) | Kind::Choice(_) => "one value",
        Kind::Secret => {
            return Err("set by its variable: a secret has no place in a file that is committed");
        }
        Kind::Words(_) | Kind::Lines(_) => "a list, or one value",
        Kind::Pairs(_) => "a map, or a list of KEY=VALUE",
    };
    let many = matches!(kind, Kind::Words(_) | Kind::Lines(_) | Kind::Pairs(_));
    match value {
        Value::Bool(_) | Value::String(_) | Value::Number(_) => Ok(vec![scalar(value, expected)?]),
        Value::Array(items) if many => items.iter().map(|item| scalar(item, expected)).collect(),
        Value::Object(map) if matches!(kind, Kind::Pairs(_)) => map
            .iter()
            .map(|(key, value)| Ok(format!("{key}={}", scalar(value, expected)?)))
            .collect(),
        _ => Err(expected),
    }
}

/// As it was written, as far as YAML tells. It makes `2026.1` of `2026.10`, and `7.0` of `007`.
fn scalar(value: &Value, expected: &'static str) -> Result<String, &'static str> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) if number.is_f64() => {
            Err("in quotes: YAML takes it for a number, and forgets how it was written")
        }
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(on) => Ok(on.to_string()),
        _ => Err(expected),
    }
}

/// Variables that are nearly those of a setting. Others may be anybody's.
fn misspelt(environment: &Environment) -> impl Iterator<Item = FileError> {
    let ours = environment.keys().filter_map(|name| name.to_str());
    let ours = ours.filter(|name| name.starts_with("NIXPY_") && *name != "NIXPY_LOG");
    ours.filter_map(|name| {
        let near = SETTINGS.iter().map(Setting::variable);
        let (distance, nearest) = near.map(|it| (distance(name, &it), it)).min()?;
        (1..=2).contains(&distance).then(|| FileError {
            file: name.into(),
            problem: format!("is no setting; did you mean {nearest}?"),
        })
    })
}

/// The setting that was probably meant: the same but for one or two letters.
fn suggestion(path: &str) -> String {
    let nearest = SETTINGS
        .iter()
        .map(|setting| (distance(path, setting.path()), setting.path()))
        .chain(
            SETTINGS
                .iter()
                .map(|setting| (distance(path, setting.name), setting.path())),
        )
        .min();
    match nearest {
        Some((0..=2, nearest)) => format!("; did you mean `{nearest}`?"),
        _ => ": see `nixpy-ci run --help` for those there are".to_owned(),
    }
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
