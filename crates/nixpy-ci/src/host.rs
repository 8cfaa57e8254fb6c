//! What this machine is, as far as a plan asks.

use nixpy_nix::System;
use nixpy_nix::machine::{Arch, Binfmt, Environment as Variables, Root, foreign_programs};
use nixpy_pipeline::plan::Host;

use crate::settings::Environment;

/// Reads the kernel's list of foreign programs: a few small files.
pub fn host() -> Host {
    let registrations = match foreign_programs(&Root::system()) {
        Binfmt::Mounted(registrations) => registrations,
        _ => Vec::new(),
    };
    let emulated = Arch::ALL
        .into_iter()
        .filter(|arch| registrations.iter().any(|r| r.handles(*arch) && r.fixed()))
        .filter_map(|arch| arch.system().parse().ok())
        .collect();
    Host {
        system: System::host(),
        emulated,
    }
}

/// The variables that matter to Nix and to what this machine needs for it.
pub fn environment(environment: &Environment) -> Variables {
    let readable = environment
        .iter()
        .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned())));
    Variables::from_vars(readable)
}
