//! Each remote builder, by having it build a derivation for a system of its own.
//!
//! Known are those of Nix's configuration. A daemon that does not trust the user takes no
//! builder from him, so that none can be singled out.

use futures_util::future::join_all;
use nixpy_nix::abilities::{Builds, Trust};
use nixpy_nix::prove::{ProofError, Where, prove};
use nixpy_nix::{Abilities, System};

use super::Patient;
use super::check::{Check, Concern, about, seconds};
use crate::report::told;

pub(super) async fn check(patient: &Patient<'_>) -> Vec<Check> {
    let Ok(abilities) = patient.abilities().await else {
        return Vec::new();
    };
    let lines = abilities.settings.builder_lines();
    if lines.is_empty() {
        return Vec::new();
    }
    let wanted = patient.systems().await;
    let checks = lines
        .iter()
        .map(|line| one(patient, abilities, line, &wanted));
    join_all(checks).await
}

async fn one(patient: &Patient<'_>, abilities: &Abilities, line: &str, wanted: &[System]) -> Check {
    let name = line.split_whitespace().next().unwrap_or(line);
    let about = about("builder", name, Concern::Remote);
    if abilities.builds == Builds::Daemon(Trust::Untrusted) {
        return about.not_checked(format!(
            "the Nix daemon takes no builders from {}, so one by itself cannot be tried",
            abilities.user
        ));
    }
    let useful = wanted.iter().find(|system| takes(line, abilities, system));
    let any = || systems_of(line, abilities).first()?.parse().ok();
    let Some(system) = useful.cloned().or_else(any) else {
        return about.not_checked("its systems are not known here");
    };
    match prove(
        patient.nix,
        &system,
        Where::Builder(line),
        patient.patience(),
    )
    .await
    {
        Ok(proven) => about.fine(format!(
            "a derivation for {system} was built in {}",
            seconds(proven.took)
        )),
        Err(error @ ProofError::Unheard(_)) => about.not_checked(told(&error)),
        Err(error) => about.trouble(
            told(&error),
            format!("Try: nix store ping --store {name}; the line is in Nix's setting `builders`"),
        ),
    }
}

/// Whether a builder's line names the system.
pub(super) fn takes(line: &str, abilities: &Abilities, system: &System) -> bool {
    let systems = systems_of(line, abilities);
    systems.iter().any(|name| name == system.as_str())
}

/// The second word of a line; a builder that names none is like this machine.
fn systems_of(line: &str, abilities: &Abilities) -> Vec<String> {
    match line.split_whitespace().nth(1) {
        None | Some("-") => vec![abilities.settings.system.clone()],
        Some(names) => names.split(',').map(str::to_owned).collect(),
    }
}
