//! How a foreign system would be emulated here, decided from facts: it takes a kernel that
//! starts qemu for its programs, also inside the sandbox, and somebody who builds and has
//! been told to take such derivations.

use std::fmt;
use std::path::PathBuf;

use super::{Abilities, Builds, Trust};
use crate::machine::{Arch, Binfmt, Registration, without_binfmt};
use crate::settings::Sandbox;
use crate::system::System;

/// How a foreign system would be emulated, or why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Emulation {
    /// As things are.
    Ready {
        /// The program that the kernel starts; empty where none is needed, or Nix is told to
        /// take the system and it is not known here how its programs are run.
        by: String,
    },
    /// If every call of Nix is given this option.
    ByOption {
        /// For [`crate::Nix::with_options`].
        option: (String, String),
        /// Whether it is known that it will be heard.
        is_sure: bool,
    },
    /// The kernel is ready, but the daemon has not been told, and this user cannot tell it.
    NotTrusted(NotHeard),
    /// The kernel does not run its programs, or not inside the sandbox.
    NoBinfmt {
        /// What is missing.
        why: String,
        /// What to do; several lines where there is something to type.
        cure: String,
    },
    /// What is built is built on another machine, which has to know by itself.
    Elsewhere {
        /// The store's address.
        store: String,
    },
    /// There is no emulation of it that is known here.
    Unheard,
}

/// A user to whom the daemon does not listen, and what its nix.conf has to say instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotHeard {
    /// Who is not trusted.
    pub user: String,
    /// The system that is not taken.
    pub system: System,
    /// The daemon's configuration.
    pub file: PathBuf,
    /// Whether a rebuild of NixOS writes that file.
    pub nixos: bool,
}

impl Abilities {
    /// How this machine's Nix would emulate a system. Pure: nothing is looked at or tried.
    /// What the processor runs by itself needs no kernel's help, but has to be taken all the
    /// same; see [`Abilities::is_native`].
    pub fn how_emulated(&self, system: &System) -> Emulation {
        if let Builds::Elsewhere(store) = &self.builds {
            let store = store.clone();
            return Emulation::Elsewhere { store };
        }
        let by = match Arch::of_system(system.as_str()) {
            _ if self.is_native(system) => String::new(),
            Some(arch) => match self.runner_of(arch) {
                Ok(registration) => registration.interpreter.clone(),
                // Whoever has told Nix to take it may know more than can be seen from here.
                Err(_) if self.takes(system) && self.may_run(arch) => String::new(),
                Err(Missing { why, cure }) => return Emulation::NoBinfmt { why, cure },
            },
            // Somebody has configured it, and will know how.
            None if self.takes(system) => String::new(),
            None => return Emulation::Unheard,
        };
        match &self.builds {
            _ if self.takes(system) => Emulation::Ready { by },
            Builds::Daemon(Trust::Untrusted) => Emulation::NotTrusted(NotHeard {
                user: self.user.clone(),
                system: system.clone(),
                file: self.conf.clone(),
                nixos: self.nixos,
            }),
            builds => Emulation::ByOption {
                option: ("extra-extra-platforms".to_owned(), system.to_string()),
                is_sure: *builds != Builds::Daemon(Trust::Unknown),
            },
        }
    }

    /// Whether the kernel may run a processor's programs though it does not look like it:
    /// its list cannot be seen in every container, and an interpreter without the flag F
    /// is found where `extra-sandbox-paths` has it, as on NixOS.
    fn may_run(&self, arch: Arch) -> bool {
        match &self.binfmt {
            Binfmt::Mounted(entries) => entries.iter().any(|it| it.handles(arch) && it.enabled),
            Binfmt::Mountable | Binfmt::Unavailable(_) => true,
            Binfmt::Off => false,
        }
    }

    /// The registration by which the kernel runs this processor's programs in a sandbox.
    fn runner_of(&self, arch: Arch) -> Result<&Registration, Missing> {
        let registrations = match &self.binfmt {
            Binfmt::Mounted(registrations) => registrations.as_slice(),
            _ => &[],
        };
        let mut ours = registrations.iter().filter(|entry| entry.handles(arch));
        // Outside a sandbox the interpreter's path leads to it.
        let fault = |entry: &Registration| match entry.fault() {
            Some(_) if entry.enabled && self.settings.sandbox == Sandbox::Off => None,
            fault => fault,
        };
        // The kernel asks the newest first, and does not say which that is.
        if let Some((entry, why)) = ours.clone().find_map(|entry| Some((entry, fault(entry)?))) {
            let why = format!(
                "the kernel's registration `{}` is of no use: {why}",
                entry.name
            );
            return Err(Missing::new(why, arch, &self.binfmt));
        }
        ours.next().ok_or_else(|| {
            let why = format!("the kernel does not run {} programs", arch.name());
            Missing::new(why, arch, &self.binfmt)
        })
    }
}

struct Missing {
    why: String,
    cure: String,
}

impl Missing {
    fn new(why: String, arch: Arch, binfmt: &Binfmt) -> Self {
        let (more, cure) = without_binfmt(arch, binfmt);
        let why = more.map_or(why.clone(), |more| format!("{why}: {more}"));
        Self { why, cure }
    }
}

impl Emulation {
    /// Why it would not be emulated, and what to do; `None` where it would.
    pub fn obstacle(&self) -> Option<(String, String)> {
        match self {
            Self::Ready { .. } | Self::ByOption { .. } => None,
            Self::NotTrusted(not_heard) => Some((not_heard.why(), not_heard.cure())),
            Self::NoBinfmt { why, cure } => Some((why.clone(), cure.clone())),
            Self::Elsewhere { store } => Some((
                format!("what is built is built at {store}"),
                "let that machine be able to, or name a remote builder".to_owned(),
            )),
            Self::Unheard => Some((
                "no emulation of it is known here".to_owned(),
                "leave the system out, or name a remote builder for it".to_owned(),
            )),
        }
    }
}

impl NotHeard {
    /// Why it is not emulated.
    pub fn why(&self) -> String {
        format!(
            "the Nix daemon has not been told to take {}, and does not let {} tell it",
            self.system,
            match self.user.as_str() {
                "" => "this user",
                user => user,
            }
        )
    }

    /// The line that its nix.conf lacks.
    pub fn line(&self) -> String {
        format!("extra-extra-platforms = {}", self.system)
    }

    /// Another line that would do as well, and gives the user more than he needs.
    pub fn trusting_line(&self) -> String {
        format!("extra-trusted-users = {}", self.user)
    }

    /// What to do: which line in which file.
    pub fn cure(&self) -> String {
        if self.nixos {
            return format!(
                "add to configuration.nix, then `nixos-rebuild switch`:\n  boot.binfmt.emulatedSystems = [ \"{}\" ];",
                self.system
            );
        }
        format!(
            "as root, add this line to {file}:\n  {line}\nor, which lets {user} do what root can, this one:\n  {trusting}\nand restart the daemon: systemctl restart nix-daemon",
            file = self.file.display(),
            line = self.line(),
            user = self.user,
            trusting = self.trusting_line(),
        )
    }
}

impl fmt::Display for NotHeard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.why(), self.cure())
    }
}
