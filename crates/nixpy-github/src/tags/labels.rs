//! Labels and annotations: what an image says of itself, in the words of the OCI
//! specification (<https://github.com/opencontainers/image-spec/blob/main/annotations.md>).
//!
//! What is another with every commit, its revision, date and version, stands on the index
//! alone. A commit that changes nothing in an image then leaves its manifest as it is, and
//! whoever runs that image by its digest has nothing to pull.

use std::collections::BTreeMap;

use super::expression::Expressions;
use super::{Facts, RuleError};
use crate::context::Context;

const PREFIX: &str = "org.opencontainers.image.";

/// Annotations by where they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// On every platform's manifest.
    pub manifest: BTreeMap<String, String>,
    /// On the index over them.
    pub index: BTreeMap<String, String>,
}

/// One that the user has given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Where it is to stand.
    pub level: Level,
    /// Its name.
    pub key: String,
    /// What it says; may have expressions in it.
    pub value: String,
}

/// Where an annotation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// On both.
    Both,
    /// On every platform's manifest.
    Manifest,
    /// On the index.
    Index,
}

impl Given {
    /// `KEY` with `manifest:`, `index:` or `manifest,index:` before it, or without.
    ///
    /// # Errors
    /// It is for something that has no annotations of ours.
    pub fn parse(key: &str, value: &str) -> Result<Self, String> {
        let (level, key) = match key.split_once(':') {
            None => (Level::Both, key),
            Some((level, key)) => match level {
                "manifest" => (Level::Manifest, key),
                "index" => (Level::Index, key),
                "manifest,index" | "index,manifest" => (Level::Both, key),
                other => {
                    return Err(format!(
                        "there is no annotation of {other:?}: write manifest:KEY=VALUE or index:KEY=VALUE"
                    ));
                }
            },
        };
        match key.is_empty() {
            true => Err("an annotation has a name: write KEY=VALUE".to_owned()),
            false => Ok(Self {
                level,
                key: key.to_owned(),
                value: value.to_owned(),
            }),
        }
    }
}

/// What the repository says of all its images.
pub fn labels(context: Option<&Context>) -> BTreeMap<String, String> {
    let Some(context) = context else {
        return BTreeMap::new();
    };
    let facts = context.facts();
    let stable = [
        ("title", Some(facts.name)),
        ("description", facts.description),
        ("url", Some(facts.html_url.clone())),
        ("source", Some(facts.html_url)),
        ("licenses", facts.license),
    ];
    named(stable)
}

/// The annotations of an image with this version; those that are given win.
///
/// # Errors
/// A value has an expression that cannot be followed.
pub fn annotations(
    context: Option<&Context>,
    facts: &Facts,
    version: &str,
    given: &[Given],
) -> Result<Annotations, RuleError> {
    let manifest = labels(context);
    let mut index = manifest.clone();
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    if context.is_some() {
        index.extend(named([
            ("version", known(version)),
            ("revision", known(&facts.sha)),
            ("created", facts.commit_date.map(|date| date.to_string())),
        ]));
    }
    let mut annotations = Annotations { manifest, index };
    let expressions = Expressions::of(facts);
    for Given { level, key, value } in given {
        let filled = expressions.fill(value).map_err(|problem| RuleError {
            line: format!("{key}={value}"),
            problem,
        })?;
        let set = |map: &mut BTreeMap<String, String>| match filled.as_str() {
            // Who sets nothing wants none.
            "" => drop(map.remove(key)),
            filled => drop(map.insert(key.clone(), filled.to_owned())),
        };
        if *level != Level::Index {
            set(&mut annotations.manifest);
        }
        if *level != Level::Manifest {
            set(&mut annotations.index);
        }
    }
    Ok(annotations)
}

/// A text of the user's with its expressions filled in.
///
/// # Errors
/// One cannot be followed.
pub fn filled(facts: &Facts, key: &str, value: &str) -> Result<String, RuleError> {
    Expressions::of(facts)
        .fill(value)
        .map_err(|problem| RuleError {
            line: format!("{key}={value}"),
            problem,
        })
}

fn named<const N: usize>(known: [(&str, Option<String>); N]) -> BTreeMap<String, String> {
    let known = known.into_iter();
    known
        .filter_map(|(name, value)| Some((format!("{PREFIX}{name}"), value?)))
        .collect()
}
