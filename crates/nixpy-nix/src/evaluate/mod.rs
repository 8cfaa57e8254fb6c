//! What a flake offers, asked in one evaluation for all systems and attributes.
//!
//! `nix eval FLAKE#packages --apply EXPRESSION` instantiates what was chosen (its
//! `.drv` files are in the store afterwards, ready to be built) and tells names,
//! versions, image names, the version of Nix and the store's directory on the way.
//! Attributes that were not chosen are named, never forced: one broken package does
//! not keep the others from being built.

mod expression;
mod failure;

pub(crate) use expression::string;
pub(crate) use failure::store as store_failure;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{NixError, NixErrorKind};
use crate::flake_ref::FlakeRef;
use crate::installable::AttrPath;
use crate::log::LogEvent;
use crate::program::Nix;
use crate::run::run;
use crate::store_path::StorePath;
use crate::system::System;
use crate::version::NixVersion;

/// What to ask a flake.
#[derive(Debug, Clone, Serialize)]
pub struct Question {
    /// The flake.
    pub flake: FlakeRef,
    /// The systems, or `None` for all that the flake offers and that run Linux.
    pub systems: Option<Vec<System>>,
    /// The attributes, best first; per system the first that exists is chosen.
    pub candidates: Vec<AttrPath>,
    /// The system whose attributes are looked through for what is built there and runs
    /// on another; and the others, each with the names by which it may be meant.
    pub cross: Option<(System, Vec<CrossNames>)>,
    /// More arguments for `nix eval`: `--impure`, `--override-input`, …
    pub extra_arguments: Vec<String>,
}

/// Names under which a flake may offer what is cross-compiled for a system.
#[derive(Debug, Clone, Serialize)]
pub struct CrossNames {
    /// What it runs on.
    pub target: System,
    /// The attribute that the user names for it; then no other is looked for.
    pub named: Option<AttrPath>,
    /// What stands after the name of the chosen attribute (of a candidate, where none is
    /// chosen) in that of the one for the target; best first.
    pub suffixes: Vec<String>,
    /// An attribute whose name has one of these and that name is taken if it says of
    /// itself that it is for the target.
    pub words: Vec<String>,
    /// The target in Docker's spelling.
    pub architecture: String,
}

/// What a flake offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offers {
    /// The Nix that evaluated.
    pub nix_version: NixVersion,
    /// The store's directory.
    pub store_dir: String,
    /// All systems under `packages`, also those that were not asked for; sorted.
    pub offered: Vec<String>,
    /// Those asked for that are there.
    pub systems: BTreeMap<System, SystemOffer>,
    /// What the system of [`Question::cross`] offers for others.
    #[serde(default)]
    pub cross: BTreeMap<System, Offer>,
}

/// What a flake offers for one system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemOffer {
    /// The names of all attributes; sorted.
    pub attributes: Vec<String>,
    /// The first candidate that exists, if any does.
    pub chosen: Option<Offer>,
}

/// A derivation that can be built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Its attribute below `packages.<system>`.
    pub attribute: AttrPath,
    /// The derivation's name.
    pub name: String,
    /// The package's name, where it has one apart from its version.
    pub pname: Option<String>,
    /// The package's version.
    pub version: Option<String>,
    /// The derivation, which is in the store.
    pub drv_path: StorePath,
    /// Which output the attribute means: `out` mostly.
    pub output: String,
    /// Where that output is or will be.
    pub out_path: StorePath,
    /// All outputs, the default one first.
    pub outputs: Vec<String>,
    /// `imageName`, as dockerTools and others set it.
    pub image_name: Option<String>,
    /// `imageTag`, as dockerTools and others set it.
    pub image_tag: Option<String>,
    /// `meta.mainProgram`.
    pub main_program: Option<String>,
    /// `architecture`, in Docker's spelling, where the derivation has it.
    pub architecture: Option<String>,
    /// The system it is built on, where the derivation says it.
    #[serde(default)]
    pub built_on: Option<System>,
    /// The system that a package of `mkDerivation` is for.
    #[serde(default)]
    pub runs_on: Option<System>,
}

/// Asks the question; `on_event` hears of fetches, copies and builds on the way.
///
/// A requested system or attribute that the flake lacks is no error: it is absent
/// from the answer.
///
/// # Errors
/// [`NixErrorKind::NoPackages`], [`NixErrorKind::Untracked`], [`NixErrorKind::Fetch`],
/// [`NixErrorKind::Evaluation`], [`NixErrorKind::NotADerivation`] and those of any call.
pub async fn evaluate(
    nix: &Nix,
    question: &Question,
    mut on_event: impl FnMut(LogEvent) + Send,
) -> Result<Offers, NixError> {
    let mut arguments = vec!["eval".to_owned(), "--json".to_owned()];
    arguments.extend(question.extra_arguments.iter().cloned());
    arguments.push(format!("{}#packages", question.flake));
    arguments.extend(["--apply".to_owned(), expression::of(question)]);
    let ended = run(nix, &arguments, &mut on_event).await?;
    if !ended.success {
        return Err(failure::explain(nix, question, &ended).await);
    }
    let offers = read(question, &ended.stdout)?;
    nix.learn_version(&offers.nix_version);
    Ok(offers)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    nix_version: String,
    store_dir: String,
    offered: Vec<String>,
    systems: BTreeMap<System, SystemAnswer>,
    #[serde(default)]
    cross: BTreeMap<System, Chosen>,
}

#[derive(Deserialize)]
struct SystemAnswer {
    attributes: Vec<String>,
    chosen: Option<Chosen>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Chosen {
    Derivation(Box<Derivation>),
    Else { path: Vec<String>, found: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Derivation {
    path: Vec<String>,
    name: String,
    pname: Option<String>,
    version: Option<String>,
    drv_path: StorePath,
    output: String,
    place: String,
    outputs: Vec<String>,
    image_name: Option<String>,
    image_tag: Option<String>,
    main_program: Option<String>,
    architecture: Option<String>,
    #[serde(default)]
    built_on: Option<String>,
    #[serde(default)]
    runs_on: Option<String>,
}

fn read(question: &Question, json: &str) -> Result<Offers, NixError> {
    let unparseable = || NixError::unparseable("evaluate", &question.flake, "Nix".to_owned(), json);
    let answer: Answer =
        serde_json::from_str(json).map_err(|cause| unparseable().caused_by(cause))?;
    let mut systems = BTreeMap::new();
    for (system, SystemAnswer { attributes, chosen }) in answer.systems {
        let chosen = chosen
            .map(|chosen| offer(question, &system, chosen))
            .transpose()?;
        systems.insert(system, SystemOffer { attributes, chosen });
    }
    // What is no derivation there was not asked for.
    let cross = answer.cross.into_iter().filter_map(|(target, chosen)| {
        let host = &question.cross.as_ref()?.0;
        Some((target, offer(question, host, chosen).ok()?))
    });
    let nix_version = NixVersion::parse(&answer.nix_version).ok_or_else(unparseable)?;
    Ok(Offers {
        cross: cross.collect(),
        nix_version,
        store_dir: answer.store_dir,
        offered: answer.offered,
        systems,
    })
}

fn offer(question: &Question, system: &System, chosen: Chosen) -> Result<Offer, NixError> {
    let attribute = |path: Vec<String>| AttrPath::of(path);
    let found = match chosen {
        Chosen::Derivation(found) => *found,
        Chosen::Else { path, found } => {
            let attribute = attribute(path).to_string();
            let kind = NixErrorKind::NotADerivation {
                system: system.clone(),
                attribute,
                found,
            };
            return Err(NixError::new("build", &question.flake, kind));
        }
    };
    let out_path = found
        .place
        .parse()
        .map_err(|cause: crate::store_path::StorePathError| {
            let text = format!(
                "{} is content-addressed: where it will be is not known before it is built",
                found.name
            );
            NixError::new("build", &question.flake, NixErrorKind::Unsupported(text))
                .caused_by(cause)
        })?;
    Ok(Offer {
        attribute: attribute(found.path),
        name: found.name,
        pname: found.pname,
        version: found.version,
        drv_path: found.drv_path,
        output: found.output,
        out_path,
        outputs: found.outputs,
        image_name: found.image_name,
        image_tag: found.image_tag,
        main_program: found.main_program,
        architecture: found.architecture,
        built_on: found.built_on.and_then(|system| system.parse().ok()),
        runs_on: found.runs_on.and_then(|system| system.parse().ok()),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
