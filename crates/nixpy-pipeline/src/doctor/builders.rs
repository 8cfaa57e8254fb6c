//! Each remote builder, by saying hello to it and having it build a derivation for a
//! system of its own.
//!
//! Known are those of the settings and of Nix's configuration. A daemon that does not
//! trust the user takes no builder from him, so that none can be singled out.

use futures_util::future::join_all;
use nixpy_nix::abilities::{Builds, Trust};
use nixpy_nix::builders::{Answer, Builders, Trouble};
use nixpy_nix::prove::{ProofError, Where, prove};
use nixpy_nix::{Abilities, Nix, System};

use super::check::{Check, Concern, about, seconds};
use super::{PATIENCE, Patient};
use crate::report::told;

pub(super) async fn check(patient: &Patient<'_>) -> Vec<Check> {
    let Ok(abilities) = patient.abilities().await else {
        return Vec::new();
    };
    let builders = match patient.builders(abilities).await {
        Ok(builders) => builders,
        Err(error) => {
            let about = about("builder", "all", Concern::Machine);
            return vec![about.trouble(told(error), "Nothing is built elsewhere until then")];
        }
    };
    let answers = builders.probe(patient.nix, PATIENCE, |_| true);
    let (wanted, answers) = tokio::join!(patient.systems(), answers);
    let nix = builders.nix(patient.nix);
    let checks = answers
        .iter()
        .map(|answer| one(patient, abilities, builders, &nix, answer, &wanted));
    join_all(checks).await
}

async fn one(
    patient: &Patient<'_>,
    abilities: &Abilities,
    builders: &Builders,
    nix: &Nix,
    (builder, answer): &Answer,
    wanted: &[System],
) -> Check {
    let name = builder.name();
    let about = about("builder", &name, Concern::Remote);
    if abilities.builds == Builds::Daemon(Trust::Untrusted) {
        return about.not_checked(format!(
            "the Nix daemon takes no builders from {}, so one by itself cannot be tried",
            abilities.user
        ));
    }
    let trouble = |trouble: &Trouble| {
        let cure = format!("Try: nix store ping --store {name}");
        (trouble.to_string(), trouble.cure().unwrap_or(cure))
    };
    let line = match answer.clone().and_then(|()| builders.line(builder)) {
        Ok(line) => line.to_string(),
        Err(found) => {
            let (what, cure) = trouble(&found);
            return about.trouble(what, cure);
        }
    };
    let useful = wanted.iter().find(|system| builder.is_for(system)).cloned();
    let Some(system) = useful.or_else(|| builder.systems().into_iter().next()) else {
        return about.not_checked("its systems are not known here");
    };
    let place = Where::Builder(&line);
    match prove(nix, &system, place, patient.patience()).await {
        Ok(proven) => about.fine(format!(
            "a derivation for {system} was built in {}",
            seconds(proven.took)
        )),
        Err(error @ ProofError::Unheard(_)) => about.not_checked(told(&error)),
        Err(error) => about.trouble(told(&error), format!("Try: nix store ping --store {name}")),
    }
}

/// Whether some builder is there for a system, whatever its state.
pub(super) async fn is_for(patient: &Patient<'_>, abilities: &Abilities, system: &System) -> bool {
    let builders = patient.builders(abilities).await;
    builders.is_ok_and(|builders| !builders.for_system(system).is_empty())
}
