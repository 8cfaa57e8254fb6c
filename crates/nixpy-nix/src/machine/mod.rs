//! Making a machine able to build flakes for other systems: `setup`.
//!
//! Four things are needed: a Nix that knows flakes, a static qemu for the
//! foreign processor, its registration with the kernel's binfmt_misc under the
//! fix-binary flag (so that it works inside the build sandbox, where no
//! interpreter's path exists), and `extra-platforms` in the configuration of
//! whoever builds. Facts first ([`Machine::probe`]), then a decision that can be
//! printed ([`SetupPlan::make`], pure), then the changes ([`apply`]), which end
//! by looking again: a second run finds nothing to do.
//!
//! This module never undoes, never upgrades, never touches a setting that
//! already says what is needed, and never starts on a machine where it could
//! not finish: then it says why, and what to do instead.

mod apply;
mod arch;
mod binfmt;
mod configuring;
mod draft;
mod elf;
mod emulator;
mod environment;
mod error;
mod facts;
mod hand;
mod nix_conf;
mod packages;
mod plan;
mod probe;
mod proof;
mod registering;
mod root;
mod runner;
mod step;
#[cfg(test)]
mod tests;
mod upstream;

pub use apply::{SetupEvent, apply};
pub use arch::Arch;
pub use binfmt::{Binfmt, Registration};
pub(crate) use elf::makes_a_folder;
pub(crate) use emulator::without_binfmt;
pub use environment::Environment;
pub use error::{SetupError, SetupErrorKind};
pub use facts::{Daemon, Distribution, Machine, NixFound, Os, Privilege, Runs};
pub(crate) use nix_conf::setting_in;
pub use nix_conf::{ConfFile, Edit};
pub use packages::PackageManager;
pub use plan::{Obstacle, SetupPlan, Wanted};
pub use probe::foreign_programs;
pub(crate) use probe::is_nixos;
pub use root::Root;
pub use runner::{Finished, Invocation, Runner, SystemRunner};
pub use step::{Step, Via};
pub use upstream::Release;

/// Where the machine is looked at and changed: its files, its commands and the
/// variables of whoever asked. Tests give a folder and a script instead.
#[derive(Debug)]
pub struct Site<'a, R> {
    /// The files.
    pub root: &'a Root,
    /// The variables.
    pub environment: &'a Environment,
    /// The commands.
    pub runner: &'a R,
}
