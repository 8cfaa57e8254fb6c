//! Each binary cache: whether it answers, and whether Nix would take what it holds of this
//! flake's outputs.

use std::path::Path;

use futures_util::future::join_all;
use nixpy_nix::cache::{Held, held, reach};
use nixpy_nix::{Abilities, StorePath};

use super::Patient;
use super::check::{About, Check, Concern, State, about, seconds};
use crate::report::told;

pub(super) async fn check(patient: &Patient<'_>) -> Vec<Check> {
    let Ok(abilities) = patient.abilities().await else {
        return Vec::new();
    };
    let caches = match abilities.settings.substitute {
        true => abilities.settings.substituters.as_slice(),
        false => &[],
    };
    let checks = caches.iter().map(|url| one(patient, abilities, url));
    let ready = &patient.inputs.caches.ready;
    let not_read = ready.notes.iter().map(|note| {
        let about = about("cache", "", Concern::Machine);
        about.is(State::Warning, note, None)
    });
    not_read.chain(join_all(checks).await).collect()
}

/// As the user knows it, and what he takes it out of.
fn known<'a>(patient: &'a Patient<'_>, url: &'a str) -> (&'a str, &'static str) {
    let mut addresses = patient.inputs.caches.ready.addresses.iter();
    match addresses.find(|(address, _)| address == url) {
        Some((_, name)) => (name, "--cache"),
        None => (url, "Nix's setting `substituters`"),
    }
}

async fn one(patient: &Patient<'_>, abilities: &Abilities, url: &str) -> Check {
    let (name, setting) = known(patient, url);
    let about = about("cache", name, Concern::Remote);
    let unreachable = || format!("Check the address and the network, or take it out of {setting}");
    // Nix would make the folder.
    if let Some(folder) = url.strip_prefix("file://")
        && !Path::new(folder.split('?').next().unwrap_or_default()).exists()
    {
        let cure = format!("Put it there, or take {name} out of {setting}");
        return about
            .concerning(Concern::Machine)
            .warning("there is no such folder", cure);
    }
    let (reached, outputs) =
        tokio::join!(patient.within(reach(patient.nix, url)), outputs(patient));
    let took = match reached {
        Ok(Ok(took)) => took,
        Ok(Err(error)) => return about.warning(told(&*error.kind), unreachable()),
        Err(late) => return about.warning(late, unreachable()),
    };
    let answers = format!("answers in {}", seconds(took));
    if !abilities.may_take_from(url) {
        return about.concerning(Concern::Machine).warning(
            format!(
                "{answers}, but the Nix daemon takes nothing from it for {}, whom it does not trust",
                abilities.user
            ),
            format!(
                "As root, add this line to {}, and restart the daemon:\n  extra-trusted-substituters = {url}",
                abilities.conf.display()
            ),
        );
    }
    if outputs.is_empty() {
        return about.fine(format!(
            "{answers}; what it holds of the flake was not looked up"
        ));
    }
    match patient.within(held(patient.nix, url, &outputs)).await {
        Ok(Ok(held)) => judged(&about, &answers, &held, outputs.len(), abilities),
        Ok(Err(error)) => about.warning(
            format!("{answers}, but not about the flake: {}", told(&*error.kind)),
            unreachable(),
        ),
        Err(late) => about.warning(
            format!("{answers}, but {late} about the flake"),
            unreachable(),
        ),
    }
}

fn judged(
    about: &About,
    answers: &str,
    held: &Held,
    wanted: usize,
    abilities: &Abilities,
) -> Check {
    let count = held.paths.len();
    let held_there = match count {
        0 => "none of the flake's outputs are in it".to_owned(),
        _ => format!("{count} of the flake's {wanted} outputs are in it"),
    };
    if held.is_trusted || !abilities.settings.require_sigs {
        return about.fine(format!("{answers}; {held_there}"));
    }
    let by = match held.keys.as_slice() {
        [] => "without a signature".to_owned(),
        keys => format!("signed by {}, whom Nix does not trust", keys.join(", ")),
    };
    let cure = match held.keys.first() {
        None => "Have it sign what it holds, or Nix builds it again".to_owned(),
        Some(key) => format!(
            "If you trust it, add its public key to {}, or Nix builds it again:\n  extra-trusted-public-keys = {key}:…",
            abilities.conf.display()
        ),
    };
    about
        .concerning(Concern::Machine)
        .warning(format!("{answers}; {held_there}, {by}"), cure)
}

/// What the flake's attributes build; nothing if it does not tell in time.
async fn outputs(patient: &Patient<'_>) -> Vec<StorePath> {
    let Ok(offered) = patient.offered().await else {
        return Vec::new();
    };
    offered.all().map(|offer| offer.out_path.clone()).collect()
}
