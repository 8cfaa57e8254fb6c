//! What this machine is, as far as a plan asks.

use std::fs;

use nixpy_nix::System;
use nixpy_nix::machine::{Arch, Registration};
use nixpy_pipeline::plan::{Emulation, Host};

/// Reads the kernel's list of foreign programs: a few small files.
pub fn host() -> Host {
    let registrations: Vec<Registration> = fs::read_dir("/proc/sys/fs/binfmt_misc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let text = fs::read_to_string(entry.path()).ok()?;
            Registration::parse(&entry.file_name().to_string_lossy(), &text)
        })
        .collect();
    let emulated = Arch::ALL
        .into_iter()
        .filter(|arch| registrations.iter().any(|r| r.handles(*arch) && r.fixed()))
        .filter_map(|arch| Some((arch.system().parse().ok()?, Emulation::Ready)))
        .collect();
    Host {
        emulation: emulated,
        ..Host::of(System::host())
    }
}
