//! The program, and who builds for it.

use nixpy_nix::abilities::{Builds, Trust};
use nixpy_nix::settings::Sandbox;
use nixpy_nix::{Abilities, NixError};

use super::Patient;
use super::check::{About, Check, Concern, about};
use crate::report::told;

/// The first that knows flakes well enough.
const OLDEST: (u32, u32) = (2, 8);

/// There is no Nix.
pub(super) fn missing(error: &NixError) -> Check {
    nix().trouble(told(error), "As root: nixpy-ci setup")
}

fn nix() -> About {
    about("nix", "", Concern::Machine)
}

pub(super) async fn check(patient: &Patient<'_>) -> Vec<Check> {
    let (program, store) = tokio::join!(program(patient), store(patient));
    [program].into_iter().chain(store).collect()
}

async fn program(patient: &Patient<'_>) -> Check {
    let place = patient.nix.program().display();
    match patient.within(patient.nix.version()).await {
        Ok(Ok(version)) if (version.major, version.minor) >= OLDEST => {
            nix().fine(format!("{version} at {place}"))
        }
        Ok(Ok(version)) => nix().trouble(
            format!("{version} at {place}; flakes need 2.8 or newer"),
            "Upgrade Nix, or name a newer one: --nix FILE",
        ),
        Ok(Err(error)) => nix().trouble(told(&error), "As root: nixpy-ci setup"),
        Err(late) => nix().trouble(format!("{place}: {late}"), "Name another: --nix FILE"),
    }
}

async fn store(patient: &Patient<'_>) -> Vec<Check> {
    let about = about("store", "", Concern::Machine);
    let abilities = match patient.abilities().await {
        Ok(abilities) => abilities,
        Err(reason) => {
            return vec![about.trouble(
                &reason.text,
                "Check that the Nix daemon runs (systemctl status nix-daemon), or as root: nixpy-ci setup",
            )];
        }
    };
    let found = told_of(abilities);
    vec![match abilities.settings.sandbox {
        Sandbox::Off => about.warning(
            format!("{found}; the sandbox is off, so builds see this machine's files"),
            format!("In {}: sandbox = true", abilities.conf.display()),
        ),
        Sandbox::On | Sandbox::Relaxed => about.fine(format!("{found}, in a sandbox")),
    }]
}

fn told_of(abilities: &Abilities) -> String {
    let user = match abilities.user.as_str() {
        "" => "this user",
        user => user,
    };
    let daemon = match &abilities.builders_version {
        Some(version) => format!("the Nix daemon ({version})"),
        None => "the Nix daemon".to_owned(),
    };
    match &abilities.builds {
        Builds::Here => "this user's own Nix builds".to_owned(),
        Builds::Elsewhere(store) => format!("what is built is built at {store}"),
        Builds::Daemon(Trust::Trusted) => {
            format!("{daemon} builds, which takes settings of {user}")
        }
        Builds::Daemon(Trust::Untrusted) => format!(
            "{daemon} builds, which goes by {} and takes no settings of {user}",
            abilities.conf.display()
        ),
        Builds::Daemon(Trust::Unknown) => {
            format!("{daemon} builds, which does not tell whether it takes settings of {user}")
        }
    }
}
