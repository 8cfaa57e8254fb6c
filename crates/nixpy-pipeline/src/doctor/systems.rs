//! Each wanted system, really built here: its own, or one that is emulated, in the sandbox.

use futures_util::future::join_all;
use nixpy_nix::abilities::{Builds, Emulation};
use nixpy_nix::prove::{ProofError, Where, prove};
use nixpy_nix::{Abilities, System};

use super::builders::is_for;
use super::check::{About, Check, Concern, about, seconds};
use super::{Patient, State};
use crate::report::told;

pub(super) async fn check(patient: &Patient<'_>) -> Vec<Check> {
    let systems = patient.systems().await;
    let abilities = match patient.abilities().await {
        Ok(abilities) => abilities,
        Err(_) => {
            let unasked = |system| of(system).not_checked("Nix's store cannot be used");
            return systems.iter().map(unasked).collect();
        }
    };
    let checks = systems.iter().map(|system| one(patient, abilities, system));
    join_all(checks).await
}

fn of(system: &System) -> About {
    about("system", system, Concern::Machine)
}

async fn one(patient: &Patient<'_>, abilities: &Abilities, system: &System) -> Check {
    let about = of(system);
    let emulation = abilities.how_emulated(system);
    if let Some((why, cure)) = emulation.obstacle() {
        let cure = sentence(&cure);
        let has_builder = is_for(patient, abilities, system).await;
        let left_to = match () {
            () if is_cross_compiled(patient, system).await => "compilers of this machine",
            () if has_builder => "the builders",
            () => return about.trouble(why, cure),
        };
        let found = format!("left to {left_to}, as it is not emulated here: {why}");
        return about.is(State::NotChecked, found, Some(cure));
    }
    let (nix, how) = match &emulation {
        Emulation::ByOption { option, .. } => (
            patient.nix.clone().with_options(vec![option.clone()]),
            format!(", by the option {} = {}", option.0, option.1),
        ),
        _ => (patient.nix.clone(), String::new()),
    };
    match prove(&nix, system, Where::Here, patient.patience()).await {
        Ok(proven) => {
            let by = match &emulation {
                Emulation::Ready { by } if !by.is_empty() => format!("emulated by {by}"),
                Emulation::Ready { .. } if abilities.is_native(system) => "natively".to_owned(),
                _ => "emulated".to_owned(),
            };
            about.fine(format!("built, {by}, in {}{how}", seconds(proven.took)))
        }
        Err(ProofError::Unheard(_)) => {
            about.not_checked("nothing is known here that could be built for it at once")
        }
        Err(error) => about.trouble(told(&error), cure(&error, abilities, system)),
    }
}

/// Elsewhere it follows a semicolon.
fn sentence(cure: &str) -> String {
    let mut letters = cure.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// Whether the flake offers for it what is built by this machine's system.
async fn is_cross_compiled(patient: &Patient<'_>, system: &System) -> bool {
    let offered = patient.offered().await;
    offered.is_ok_and(|offered| offered.offers.cross.contains_key(system))
}

fn cure(error: &ProofError, abilities: &Abilities, system: &System) -> String {
    match (error, &abilities.builds) {
        (ProofError::NotTaken(_), Builds::Daemon(_)) if abilities.takes(system) => format!(
            "{} names it, so restart the daemon, which reads that when it starts: systemctl restart nix-daemon",
            abilities.conf.display()
        ),
        (ProofError::Late(_), _) => {
            "Try again; if it stays so, look what Nix waits for: nix build -vv".to_owned()
        }
        _ => format!("As root: nixpy-ci setup --system {system}"),
    }
}
