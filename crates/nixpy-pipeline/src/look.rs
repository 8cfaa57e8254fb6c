//! Looking at what a plan depends on: what is built already, what this machine's Nix can
//! do for other systems, which builders answer.
//!
//! The cheapest is asked first, and nothing that could not change the plan: where all
//! outputs are here, no process is started.

use std::collections::BTreeSet;
use std::time::Duration;

use nixpy_nix::abilities::{Abilities, Builds, Emulation as Found};
use nixpy_nix::cache::Caches;
use nixpy_nix::machine::{Environment, Root, foreign_programs};
use nixpy_nix::{Nix, StorePath, System};

use crate::offer::Offered;
use crate::plan::{Emulation, Host};

/// For all caches together. To know saves time, and Nix asks them again in any case.
const PATIENCE: Duration = Duration::from_secs(4);

/// Nix's option for systems that a machine takes beside its own.
const PLATFORMS: &str = "extra-platforms";

/// How much has to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// What decides how a run builds here. What this machine runs by itself it can build,
    /// whatever is in a cache.
    ThisMachine,
    /// What decides which machines are needed: one that has nothing but what caches hold.
    AnyMachine,
}

/// Something that may have to be built.
struct Missing {
    output: StorePath,
    /// By a machine of this system.
    builds: System,
}

/// Looks.
pub async fn look(
    nix: &Nix,
    offered: &Offered,
    environment: &Environment,
    whose_plan: For,
) -> Host {
    let mut host = Host::of(System::host());
    let (here, missing) = apart(offered, whose_plan);
    host.at_hand = here;
    host.kernel_emulates = foreign_programs(&Root::system()).systems();
    let foreign: BTreeSet<&System> = missing
        .iter()
        .map(|missing| &missing.builds)
        .filter(|system| **system != host.system)
        .collect();
    let asked = missing
        .iter()
        .filter(|missing| whose_plan == For::AnyMachine || missing.builds != host.system);
    let asked: Vec<StorePath> = asked.map(|missing| missing.output.clone()).collect();
    if asked.is_empty() {
        return host;
    }
    let (held, abilities) = tokio::join!(held(nix, &asked), Abilities::ask(nix, environment));
    host.at_hand.extend(held);
    match abilities {
        Ok(abilities) => {
            let is_settled = nix.options().iter().any(|(name, _)| name == PLATFORMS);
            learn(&mut host, &abilities, &foreign, is_settled);
        }
        // What is wrong with it, the build will tell.
        Err(_) => host.is_opaque = true,
    }
    host
}

/// The outputs that are here, and the others. What is here is nothing to other machines.
fn apart(offered: &Offered, whose_plan: For) -> (BTreeSet<StorePath>, Vec<Missing>) {
    let own = offered.offers.systems.iter();
    let own = own.filter_map(|(system, there)| Some((system.clone(), there.chosen.as_ref()?)));
    let cross = offered.offers.cross.values();
    let all = own.chain(cross.map(|offer| (System::host(), offer)));
    let (mut here, mut missing) = (BTreeSet::new(), Vec::new());
    for (system, offer) in all {
        let output = offer.out_path.clone();
        let is_here = output.as_path().symlink_metadata().is_ok();
        if is_here && whose_plan == For::ThisMachine {
            here.insert(output);
        } else {
            let builds = offer.built_on.clone().unwrap_or(system);
            missing.push(Missing { output, builds });
        }
    }
    (here, missing)
}

async fn held(nix: &Nix, outputs: &[StorePath]) -> BTreeSet<StorePath> {
    let held = async { Caches::configured(nix).await.hold(nix, outputs).await };
    let held = tokio::time::timeout(PATIENCE, held).await;
    held.unwrap_or_default()
}

/// `is_settled`: whether the command line says what this machine takes.
fn learn(host: &mut Host, abilities: &Abilities, foreign: &BTreeSet<&System>, is_settled: bool) {
    host.is_opaque = matches!(abilities.builds, Builds::Elsewhere(_));
    for system in foreign {
        if abilities.is_native(system) && abilities.takes(system) {
            host.also_runs.push((*system).clone());
            continue;
        }
        let found = abilities.how_emulated(system);
        let emulation = match (&found, found.obstacle()) {
            (Found::ByOption { .. }, _) if is_settled => Emulation::Closed {
                why: format!("--nix-option {PLATFORMS} leaves it out"),
                cure: "leave that option out".to_owned(),
            },
            (Found::ByOption { .. }, _) => Emulation::ByOption,
            (_, None) => Emulation::Ready,
            (_, Some((why, cure))) => Emulation::Closed { why, cure },
        };
        host.emulation.insert((*system).clone(), emulation);
    }
}
