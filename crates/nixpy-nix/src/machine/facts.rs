//! What is known of a machine: the facts that a decision depends on.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::packages::{Offers, version_pair};
use super::{Arch, Binfmt, ConfFile, PackageManager, Wanted};

/// The kind of operating system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Os {
    /// Linux, and whose.
    Linux(Distribution),
    /// A Mac.
    MacOs,
    /// Something else, as `uname -s` names it.
    Other(String),
}

/// What os-release says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution {
    /// `ID`, such as `debian`.
    pub id: String,
    /// `VERSION_ID`; empty where releases have no number.
    pub version: String,
    /// `PRETTY_NAME`.
    pub name: String,
}

impl Distribution {
    /// Whether this is Debian or Ubuntu of at least these versions. Debian
    /// without a number is testing or unstable, newer than any.
    pub(super) fn is_at_least(&self, debian: u32, ubuntu: (u32, u32)) -> bool {
        match self.id.as_str() {
            "debian" => self.version.is_empty() || version_pair(&self.version).0 >= debian,
            "ubuntu" => version_pair(&self.version) >= ubuntu,
            _ => false,
        }
    }
}

/// How root's work can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// We are root.
    Root,
    /// By a `sudo` that does not ask for a password.
    Sudo,
    /// Not at all.
    None,
}

/// Whether a processor's programs run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runs {
    /// One has.
    Yes,
    /// One has not, for this reason.
    No(String),
    /// None could be tried, because programs may not be started from the
    /// temporary folder. Then a registration has to be taken at its word.
    Untried,
}

/// A Nix that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NixFound {
    /// The program.
    pub path: PathBuf,
    /// The number it gives.
    pub version: String,
}

/// The daemon that may build for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Daemon {
    /// There is none.
    None,
    /// It answers.
    Reachable,
    /// Its folder is closed to this user.
    Forbidden,
}

/// All that the decision depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each name is its documentation; the types say the rest"
)]
pub struct Machine {
    pub os: Os,
    /// `None` for a processor that [`Arch`] does not know.
    pub arch: Option<Arch>,
    pub user: String,
    pub groups: Vec<String>,
    pub home: Option<PathBuf>,
    pub privilege: Privilege,
    pub systemd: bool,
    pub container: bool,
    /// The first Windows Subsystem for Linux, which has no Linux kernel.
    pub wsl1: bool,
    pub selinux_enforcing: bool,
    pub package_manager: Option<PackageManager>,
    pub(super) offers: Offers,
    pub has_xz: bool,
    pub update_binfmts: bool,
    pub nix: Option<NixFound>,
    /// Whether `/nix` is there, whoever owns it.
    pub store_folder: bool,
    pub daemon: Daemon,
    pub nixbld_members: usize,
    pub conf: ConfFile,
    /// `NIX_CONFIG`, which holds for this user's commands but not for a daemon.
    pub nix_config: String,
    pub user_namespaces: bool,
    pub binfmt: Binfmt,
    /// The static qemu for each foreign processor.
    pub qemu: BTreeMap<Arch, String>,
    /// Whether programs of each foreign processor run.
    pub runs: BTreeMap<Arch, Runs>,
}

impl Machine {
    /// The wanted systems whose programs do not run, with the reason.
    pub(super) fn failures(&self, wanted: &Wanted) -> Vec<String> {
        let wanted = wanted
            .systems
            .iter()
            .filter_map(|system| Arch::of_system(system));
        let failing = wanted.filter_map(|arch| match self.runs.get(&arch) {
            Some(Runs::No(why)) => Some(format!("{} programs do not run: {why}", arch.name())),
            _ => None,
        });
        failing.collect()
    }
}
