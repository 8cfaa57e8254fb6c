//! Why an evaluation failed, from what Nix said.
//!
//! A position matters most to the reader if it lies in the flake itself. To tell its
//! files from those of its inputs, which all are `/nix/store/…-source/…`, they are
//! compared with the flake's directory if it has one here (which works even if
//! `flake.nix` does not parse); otherwise Nix is asked for the source's path.

use std::path::Path;

use serde::Deserialize;

use super::Question;
use crate::error::{EvaluationFailure, NixError, NixErrorKind, Position};
use crate::flake_ref::FlakeRef;
use crate::log::{Message, MessagePosition};
use crate::program::Nix;
use crate::run::{Ended, run};
use crate::store_path::StorePath;

const LONGEST_TRACE: usize = 12;

pub(super) async fn explain(nix: &Nix, question: &Question, ended: &Ended) -> NixError {
    let flake = &question.flake;
    let complaint = ended.complaint();
    if let Some(kind) = known(flake, &complaint) {
        return NixError::new("evaluate", flake, kind);
    }
    let Some(error) = ended.errors().find(|message| !is_remark(message)) else {
        return NixError::new(
            "evaluate",
            flake,
            NixErrorKind::Failed { message: complaint },
        );
    };
    let places = places(error);
    let own = places.iter().any(|place| beside(place, flake).is_some());
    let source = match own || places.is_empty() {
        true => None,
        false => source_of(nix, question).await,
    };
    let failure = describe(error, &places, flake, source.as_ref());
    NixError::new("evaluate", flake, NixErrorKind::Evaluation(failure))
}

/// The failures that are not about the flake's code, or have a cure of their own.
pub(super) fn known(flake: &FlakeRef, complaint: &str) -> Option<NixErrorKind> {
    if let Some(file) = flake.untracked_file(complaint) {
        return Some(NixErrorKind::Untracked(file));
    }
    if complaint.contains("does not provide attribute") {
        return Some(NixErrorKind::NoPackages);
    }
    let no_flake = complaint.contains("/flake.nix': No such file")
        || complaint.contains("/flake.nix' does not exist")
        || complaint.contains("does not contain a '/flake.nix'")
        || complaint.contains("does not contain a 'flake.nix'");
    if no_flake {
        let place = flake
            .local_dir()
            .map_or_else(|| flake.as_str().into(), ToOwned::to_owned);
        return Some(NixErrorKind::NotAFlake(place));
    }
    fetch(complaint).or_else(|| store(complaint))
}

fn fetch(complaint: &str) -> Option<NixErrorKind> {
    const WORDS: [&str; 9] = [
        "unable to download",
        "HTTP error",
        "Could not resolve host",
        "Couldn't resolve host",
        "Failed to fetch git repository",
        "unable to access '",
        "failed to fetch",
        "program 'git' failed",
        "cannot fetch input",
    ];
    let line = complaint
        .lines()
        .map(str::trim)
        .find(|line| WORDS.iter().any(|word| line.contains(word)))?;
    // An answer that says no will say no again; anything else is the network or the moment.
    let refused = [
        "error 400",
        "error 401",
        "error 403",
        "error 404",
        "error 410",
        "Permission denied",
        "not found",
    ];
    let transient = !refused.iter().any(|word| complaint.contains(word));
    Some(NixErrorKind::Fetch {
        message: line.trim_start_matches("error: ").to_owned(),
        transient,
    })
}

pub(crate) fn store(complaint: &str) -> Option<NixErrorKind> {
    const WORDS: [&str; 8] = [
        "cannot connect to socket",
        "cannot connect to daemon",
        "opening lock file",
        "big-lock",
        "creating directory '/nix",
        "could not set permissions on '/nix",
        "specified in 'build-users-group' does not exist",
        "not a trusted user",
    ];
    let line = complaint
        .lines()
        .map(str::trim)
        .find(|line| WORDS.iter().any(|word| line.contains(word)))?;
    let line = line.trim_start_matches("warning: ");
    Some(NixErrorKind::Store(line.to_owned()))
}

fn is_remark(message: &Message) -> bool {
    message.text.starts_with("(use '--show-trace'")
        || message.text.starts_with("(stack trace truncated")
}

/// All places that Nix named, innermost first; those in our own expression left out.
fn places(error: &Message) -> Vec<MessagePosition> {
    let text = error
        .text
        .lines()
        .rev()
        .filter_map(|line| place(line.trim().strip_prefix("at ")?));
    let ours = |place: &MessagePosition| {
        place.file.contains("«string»") || place.file.contains("packages: let")
    };
    error
        .position
        .iter()
        .cloned()
        .chain(text)
        .filter(|place| !ours(place))
        .collect()
}

/// `/nix/store/…-source/flake.nix:12:7:`
fn place(text: &str) -> Option<MessagePosition> {
    let mut parts = text.trim_end_matches(':').rsplitn(3, ':');
    let (column, line) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some(MessagePosition {
        file: parts.next()?.to_owned(),
        line,
        column,
    })
}

/// The flake's source tree as it may appear in a position.
#[derive(Debug, Deserialize)]
pub(super) struct Source {
    path: Option<String>,
    #[serde(rename = "resolvedUrl")]
    url: Option<String>,
}

async fn source_of(nix: &Nix, question: &Question) -> Option<Source> {
    let arguments = ["flake", "metadata", "--json", question.flake.as_str()].map(str::to_owned);
    let ended = run(nix, &arguments, &mut |_| {}).await.ok()?;
    serde_json::from_str(&ended.stdout).ok()
}

pub(super) fn describe(
    error: &Message,
    places: &[MessagePosition],
    flake: &FlakeRef,
    source: Option<&Source>,
) -> EvaluationFailure {
    let positions: Vec<Position> = places
        .iter()
        .map(|place| relative(place, flake, source))
        .collect();
    let position = positions
        .iter()
        .find(|position| position.in_flake)
        .or(positions.first())
        .cloned();
    let mut lines = error.text.lines().map(str::trim);
    let trace: Vec<String> = lines
        .by_ref()
        .filter(|line| line.starts_with('…'))
        .map(str::to_owned)
        .collect();
    let skipped = trace.len().saturating_sub(LONGEST_TRACE);
    let message = error.bare.clone().unwrap_or_else(|| innermost(&error.text));
    EvaluationFailure {
        message,
        position,
        trace: trace[skipped..].to_vec(),
    }
}

/// The message below a trace: what follows the last `error:`, without the source excerpt.
fn innermost(text: &str) -> String {
    let last = text.rsplit("error:").next().unwrap_or(text).trim();
    let wanted = last
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("at "));
    wanted
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The name of a store file below the flake's directory, if the same file lies there.
fn beside(place: &MessagePosition, flake: &FlakeRef) -> Option<String> {
    let (_, name) = StorePath::split(&place.file)?;
    let content = std::fs::read(&place.file).ok()?;
    let dir = flake.local_dir()?;
    // Within a repository, Nix takes the whole of it as the source.
    let repository = dir.ancestors().find(|root| root.join(".git").exists());
    let same = |root: &Path| std::fs::read(root.join(name)).is_ok_and(|other| other == content);
    repository
        .into_iter()
        .chain([dir])
        .any(same)
        .then(|| name.to_owned())
}

fn relative(place: &MessagePosition, flake: &FlakeRef, source: Option<&Source>) -> Position {
    let without_query = |url: &str| url.split('?').next().unwrap_or(url).to_owned();
    let path = source.and_then(|source| source.path.clone());
    // Of a flake in a part of a repository, the whole repository is the source.
    let local = flake.repository().or(flake.local_dir());
    let local = local.map(|dir| dir.display().to_string());
    let inside = [path, local]
        .into_iter()
        .flatten()
        .find_map(|root| place.file.strip_prefix(&root)?.strip_prefix('/'));
    // Recent versions name trees that they have not copied by their address: «git+file:///srv/demo?…»/flake.nix
    let addressed = || {
        let (address, file) = place.file.strip_prefix('«')?.split_once('»')?;
        let url = source.and_then(|source| source.url.as_deref())?;
        (without_query(address) == without_query(url)).then(|| file.trim_start_matches('/'))
    };
    let inside = inside
        .or_else(addressed)
        .map(str::to_owned)
        .or_else(|| beside(place, flake));
    let in_flake = inside.is_some();
    let file = inside.unwrap_or_else(|| place.file.clone());
    Position {
        file,
        line: place.line,
        column: place.column,
        in_flake,
    }
}

#[cfg(test)]
pub(super) fn explain_text(
    error: &Message,
    flake: &FlakeRef,
    source_path: &str,
) -> EvaluationFailure {
    let source = Source {
        path: Some(source_path.to_owned()),
        url: None,
    };
    describe(error, &places(error), flake, Some(&source))
}
