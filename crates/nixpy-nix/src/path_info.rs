//! What the store knows about paths: hash, size, references.
//!
//! `nix path-info --json` has had four shapes: a list (until 2.18), an object keyed
//! by path, the same with `version`, and `{"info": …}` keyed by base name. All are
//! read, so the version needs only be known to ask recent ones without a warning.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{NixError, NixErrorKind};
use crate::evaluate::store_failure;
use crate::nar_hash::NarHash;
use crate::program::Nix;
use crate::run::{Ended, run};
use crate::store_path::StorePath;

/// What the store knows about one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathInfo {
    /// The path.
    pub path: StorePath,
    /// The SHA-256 of its NAR.
    pub nar_hash: NarHash,
    /// The size of its NAR in bytes.
    pub nar_size: u64,
    /// What it refers to, perhaps itself; sorted.
    pub references: Vec<StorePath>,
    /// The derivation it came from, where it is known.
    pub deriver: Option<StorePath>,
    /// Whether this store has made it itself; not if it was copied from elsewhere, as from a
    /// cache or from a builder. Nix calls it `ultimate`.
    pub is_own: bool,
    /// How it is content-addressed, if it is: `fixed:…`, `text:…`.
    pub ca: Option<String>,
    /// `<key name>:<base 64>`.
    pub signatures: Vec<String>,
}

/// Asks for these paths, with `closure` for all that they refer to as well; in the
/// order of the paths. Nothing is built or fetched.
///
/// # Errors
/// [`NixErrorKind::InvalidPaths`] when one is not in the store, and those of any call.
pub async fn path_info(
    nix: &Nix,
    paths: &[StorePath],
    closure: bool,
) -> Result<Vec<PathInfo>, NixError> {
    let mut found = Vec::new();
    let mut invalid = Vec::new();
    let of = match closure {
        true => Of::Closure,
        false => Of::Paths,
    };
    for (path, info) in ask(nix, paths, of, None).await? {
        match info {
            Some(info) => found.push(info),
            None => invalid.push(path),
        }
    }
    if invalid.is_empty() {
        return Ok(found);
    }
    Err(NixError::new(
        "describe",
        subject(paths),
        NixErrorKind::InvalidPaths(invalid),
    ))
}

/// Which of these paths are in the store.
///
/// # Errors
/// Those of any call.
pub async fn valid_paths(nix: &Nix, paths: &[StorePath]) -> Result<Vec<StorePath>, NixError> {
    let known = ask(nix, paths, Of::Paths, None).await?;
    Ok(known
        .into_iter()
        .filter_map(|(path, info)| info.map(|_| path))
        .collect())
}

/// What this machine's store knows of those of these paths that it has.
///
/// # Errors
/// Those of any call.
pub async fn known(nix: &Nix, paths: &[StorePath]) -> Result<Vec<PathInfo>, NixError> {
    known_paths(nix, paths, None).await
}

/// What a store elsewhere, or with `None` this one, knows of those of the paths that
/// it has. A store elsewhere is not asked twice, nor waited for long: what it does not
/// tell costs more work, and nothing else.
///
/// # Errors
/// Those of any call.
pub(crate) async fn known_paths(
    nix: &Nix,
    paths: &[StorePath],
    store: Option<&str>,
) -> Result<Vec<PathInfo>, NixError> {
    let known = ask(nix, paths, Of::Paths, store).await?;
    Ok(known.into_values().flatten().collect())
}

/// The derivations that these need to be built, themselves included, with their references.
///
/// # Errors
/// Those of any call.
pub async fn derivation_closure(
    nix: &Nix,
    derivations: &[StorePath],
) -> Result<Vec<PathInfo>, NixError> {
    let known = ask(nix, derivations, Of::Derivations, None).await?;
    Ok(known.into_values().flatten().collect())
}

pub(crate) type Answer = BTreeMap<StorePath, Option<PathInfo>>;

/// What is asked about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Paths,
    Closure,
    /// With all that they need to be built.
    Derivations,
}

async fn ask(
    nix: &Nix,
    paths: &[StorePath],
    of: Of,
    store: Option<&str>,
) -> Result<Answer, NixError> {
    if paths.is_empty() {
        return Ok(Answer::new());
    }
    let mut arguments = vec!["path-info".to_owned(), "--json".to_owned()];
    match store {
        Some(store) => arguments.extend(elsewhere(store)),
        // Or Nix would ask every binary cache about a path that is missing here.
        None => arguments.push("--offline".to_owned()),
    }
    if nix.version().await?.has_json_formats() {
        arguments.extend(["--json-format".to_owned(), "1".to_owned()]);
    }
    arguments.extend((of != Of::Paths).then(|| "--recursive".to_owned()));
    arguments.extend((of == Of::Derivations).then(|| "--derivation".to_owned()));
    arguments.extend(paths.iter().map(ToString::to_string));
    let ended = run(nix, &arguments, &mut |_| {}).await?;
    if !ended.success {
        return Err(NixError::new("describe", subject(paths), refusal(&ended)));
    }
    let store_dir = paths[0].store_dir();
    read(&ended.stdout, store_dir).ok_or_else(|| {
        NixError::unparseable("describe", subject(paths), nix.described(), &ended.stdout)
    })
}

/// The arguments for asking a store elsewhere once, and now: another machine may have
/// put there a minute ago what was missing when it was asked last. What it has told is
/// remembered by Nix, however that is configured: a cache on the network cannot say one
/// thing when it is asked, and another when the signature of that is looked at.
pub(crate) fn elsewhere(store: &str) -> Vec<String> {
    let options = [
        ("connect-timeout", "5"),
        ("download-attempts", "1"),
        ("narinfo-cache-negative-ttl", "0"),
        ("narinfo-cache-positive-ttl", "86400"),
    ];
    let mut arguments = vec!["--store".to_owned(), store.to_owned()];
    for (name, value) in options {
        arguments.extend(["--option", name, value].map(str::to_owned));
    }
    arguments
}

fn refusal(ended: &Ended) -> NixErrorKind {
    let message = ended.complaint();
    let invalid = ["is not valid", "does not exist", "don't know how to build"]
        .iter()
        .any(|word| message.contains(word));
    let mut named: Vec<StorePath> = message
        .split(['\'', '\n'])
        .filter_map(|word| word.trim().parse().ok())
        .collect();
    named.sort();
    named.dedup();
    match (invalid && !named.is_empty(), store_failure(&message)) {
        (true, _) => NixErrorKind::InvalidPaths(named),
        (false, Some(kind)) => kind,
        (false, None) => NixErrorKind::Failed { message },
    }
}

fn subject(paths: &[StorePath]) -> String {
    match paths {
        [] => "no paths".to_owned(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    nar_hash: NarHash,
    nar_size: u64,
    #[serde(default)]
    references: Vec<String>,
    deriver: Option<String>,
    #[serde(default)]
    ultimate: bool,
    ca: Option<Value>,
    signatures: Option<Vec<String>>,
}

/// Reads any of the shapes; `None` if it is none of them.
pub(crate) fn read(json: &str, store_dir: &str) -> Option<Answer> {
    let mut entries: Vec<(String, Value)> = Vec::new();
    match serde_json::from_str(json).ok()? {
        Value::Array(list) => {
            for entry in list {
                entries.push((entry.get("path")?.as_str()?.to_owned(), entry));
            }
        }
        Value::Object(mut object) => match object.remove("info") {
            Some(Value::Object(info)) => entries.extend(info),
            Some(_) => return None,
            None => entries.extend(object),
        },
        _ => return None,
    }
    entries
        .into_iter()
        .map(|(path, entry)| entry_of(&path, entry, store_dir))
        .collect()
}

fn entry_of(path: &str, entry: Value, store_dir: &str) -> Option<(StorePath, Option<PathInfo>)> {
    let path = in_store(path, store_dir)?;
    let is_invalid = entry.is_null() || entry.get("valid") == Some(&Value::Bool(false));
    if is_invalid {
        return Some((path, None));
    }
    let record: Record = serde_json::from_value(entry).ok()?;
    let mut references: Vec<StorePath> = record
        .references
        .iter()
        .map(|name| in_store(name, store_dir))
        .collect::<Option<_>>()?;
    references.sort();
    let info = PathInfo {
        path: path.clone(),
        nar_hash: record.nar_hash,
        nar_size: record.nar_size,
        references,
        // "unknown-deriver" and the like are no reason to fail.
        deriver: record
            .deriver
            .and_then(|deriver| in_store(&deriver, store_dir)),
        is_own: record.ultimate,
        ca: record.ca.and_then(|ca| {
            ca.as_str()
                .map(str::to_owned)
                .or_else(|| ca.is_object().then(|| ca.to_string()))
        }),
        signatures: record.signatures.unwrap_or_default(),
    };
    Some((path, Some(info)))
}

/// A whole path or a base name, as a path.
pub(crate) fn in_store(name: &str, store_dir: &str) -> Option<StorePath> {
    match name.starts_with('/') {
        true => name.parse().ok(),
        false => StorePath::in_store(store_dir, name).ok(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
