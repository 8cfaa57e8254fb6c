//! What can be had from this machine, as far as a plan depends on it: facts, gathered by
//! [`crate::look`] and given here, so that plans are made and tested without any of it.

use std::collections::{BTreeMap, BTreeSet};

use nixpy_nix::{StorePath, System};

use super::{Job, Plan, Strategy};

/// This machine, and what it reaches.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its own system.
    pub system: System,
    /// What its processor runs besides.
    pub also_runs: Vec<System>,
    /// Whether it may stand in for other systems, as far as that was asked.
    pub emulation: BTreeMap<System, Emulation>,
    /// Machines that build for it.
    pub builders: Vec<KnownBuilder>,
    /// Outputs that need not be built: they are here, or in a cache.
    pub at_hand: BTreeSet<StorePath>,
    /// Whether builds go to a store that is not this machine's, or to one that did not
    /// tell what it can: then nothing is known to be impossible.
    pub is_opaque: bool,
}

/// Whether programs of another system can be run in builds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Emulation {
    /// They can.
    Ready,
    /// They can, if Nix is told so with the build.
    ByOption,
    /// They cannot.
    Closed {
        /// In one line.
        why: String,
        /// What to do about it.
        cure: String,
    },
}

/// A machine that builds for this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownBuilder {
    /// For people.
    pub name: String,
    /// What it builds for.
    pub systems: Vec<System>,
    /// Why it cannot be used now.
    pub trouble: Option<String>,
}

impl Host {
    /// A machine of which nothing but its system is known.
    pub fn of(system: System) -> Self {
        Self {
            system,
            also_runs: Vec::new(),
            emulation: BTreeMap::new(),
            builders: Vec::new(),
            at_hand: BTreeSet::new(),
            is_opaque: false,
        }
    }

    /// What Nix has to be told with every build of this plan: to take systems that are
    /// emulated, where its configuration does not say it.
    pub fn options(&self, plan: &Plan) -> Vec<(String, String)> {
        let emulated = plan.jobs.iter();
        let emulated = emulated.filter(|job| job.strategy == Strategy::Emulated);
        let systems: BTreeSet<&System> = emulated.map(Job::builds_on).collect();
        let untold = systems
            .into_iter()
            .filter(|system| self.emulation.get(*system) == Some(&Emulation::ByOption));
        let option = |system: &System| ("extra-extra-platforms".to_owned(), system.to_string());
        untold.map(option).collect()
    }

    /// Whether its processor runs programs of a system.
    pub fn runs(&self, system: &System) -> bool {
        *system == self.system || self.also_runs.contains(system)
    }
}
