//! What can be had from this machine, as far as a plan depends on it: facts, gathered by
//! [`crate::look`] and given here, so that plans are made and tested without any of it.

use std::collections::{BTreeMap, BTreeSet};

use nixpy_nix::{StorePath, System};

use super::ways::Obstacle;

/// This machine, and what it reaches.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its own system.
    pub system: System,
    /// What its processor runs besides.
    pub also_runs: Vec<System>,
    /// Systems whose programs its kernel has an emulator for, whatever Nix may do with it.
    pub kernel_emulates: Vec<System>,
    /// What its Nix takes beside its own system, as it spells it.
    pub platforms: Vec<String>,
    /// Whether builds may be emulated for other systems, as far as that was asked.
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
    pub trouble: Option<Obstacle>,
}

impl Host {
    /// A machine of which nothing but its system is known.
    pub fn of(system: System) -> Self {
        Self {
            system,
            also_runs: Vec::new(),
            kernel_emulates: Vec::new(),
            platforms: Vec::new(),
            emulation: BTreeMap::new(),
            builders: Vec::new(),
            at_hand: BTreeSet::new(),
            is_opaque: false,
        }
    }

    /// Whether its processor runs programs of a system.
    pub fn runs(&self, system: &System) -> bool {
        *system == self.system || self.also_runs.contains(system)
    }
}
