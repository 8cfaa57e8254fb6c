//! What a call of Nix builds with: which builders, and what this machine may emulate.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::builders::Builder;
use crate::system::System;

/// How builds are to use other machines; made by [`crate::builders::Builders::means`].
///
/// A system that builders build for is not emulated here: one that is busy would else
/// turn a build of minutes into one of hours, and nobody would know.
#[derive(Debug, Clone)]
pub struct Means {
    /// Those to be used, as Nix is told of them.
    pub builders: Vec<Builder>,
    /// Whether Nix has to be told, because it does not know just these.
    pub say: bool,
    /// What may be emulated here where no builder is left for it.
    pub emulate: Vec<System>,
    /// What is, because none is, or none that has what is required.
    pub emulating: BTreeSet<System>,
    /// What builders build for, also those that cannot be used.
    pub remote: BTreeSet<System>,
    /// Nix's `extra-platforms`: what this machine builds for beside its own system.
    pub platforms: Vec<String>,
    /// Let builders fetch from caches what they can.
    pub use_substitutes: bool,
    /// A builder that says nothing for so long is given up.
    pub silence: Duration,
    /// Whether a daemon connects to builders.
    pub through_daemon: bool,
}

/// What Nix found nobody to build.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unbuilt<'a> {
    /// What it is for.
    pub(super) system: &'a str,
    /// What it requires.
    pub(super) features: &'a [String],
}

impl Means {
    /// As Nix is configured.
    pub fn none() -> Self {
        Self::here(Vec::new(), Vec::new())
    }

    /// Where no builders are known, and this machine, which takes these platforms, may
    /// emulate those.
    pub fn here(platforms: Vec<String>, emulate: Vec<System>) -> Self {
        Self {
            builders: Vec::new(),
            say: false,
            emulate,
            emulating: BTreeSet::new(),
            remote: BTreeSet::new(),
            platforms,
            use_substitutes: false,
            silence: Duration::MAX,
            through_daemon: false,
        }
    }

    /// Systems for which no builder is left, or none that takes what nobody built, are
    /// emulated from now on, where that is allowed; whether there are any that were not
    /// before.
    pub(super) fn fall_back(&mut self, unbuilt: &[Unbuilt<'_>]) -> bool {
        let is_left_over = |system: &System| {
            let mut unbuilt = unbuilt.iter().filter(|it| it.system == system.as_str());
            unbuilt.any(|it| !self.has_builder(it))
        };
        let falls_back = |system: &&System| {
            let has_builder = self.builders.iter().any(|builder| builder.builds(system));
            (!has_builder || is_left_over(system)) && !self.emulating.contains(*system)
        };
        let fallen: Vec<System> = self.emulate.iter().filter(falls_back).cloned().collect();
        self.emulating.extend(fallen.iter().cloned());
        !fallen.is_empty()
    }

    /// Whether a builder is left that takes it.
    fn has_builder(&self, unbuilt: &Unbuilt<'_>) -> bool {
        let Ok(system) = unbuilt.system.parse() else {
            return false;
        };
        let mut builders = self.builders.iter();
        builders.any(|builder| builder.takes(&system, unbuilt.features))
    }

    /// Whether it may be built after all: by a builder, or here, where it is emulated.
    pub(super) fn may_build(&self, unbuilt: &Unbuilt<'_>) -> bool {
        let mut emulating = self.emulating.iter();
        emulating.any(|system| system.as_str() == unbuilt.system) || self.has_builder(unbuilt)
    }

    /// Nothing is sent to this builder any more; whether anything was before.
    pub(super) fn drop_builder(&mut self, name: &str) -> bool {
        let before = self.builders.len();
        self.builders
            .retain(|builder| !builder.address.is_called(name));
        let dropped = self.builders.len() < before;
        self.say |= dropped;
        dropped
    }

    /// For `nix build`.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut option = |name: &str, value: String| {
            arguments.extend(["--option".to_owned(), name.to_owned(), value]);
        };
        if self.say {
            let lines: Vec<String> = self.builders.iter().map(ToString::to_string).collect();
            option("builders", lines.join(" ; "));
        }
        if self.use_substitutes {
            option("builders-use-substitutes", "true".to_owned());
        }
        let is_left = |platform: &&String| {
            let system: Option<System> = platform.parse().ok();
            system.is_none_or(|system| {
                is_own(&system)
                    || !self.remote.contains(&system)
                    || self.emulating.contains(&system)
            })
        };
        let mut left: Vec<String> = self.platforms.iter().filter(is_left).cloned().collect();
        // What Nix has not been told of yet, it is told now.
        let emulating = self.emulating.iter().map(ToString::to_string);
        let untold: Vec<String> = emulating.filter(|system| !left.contains(system)).collect();
        left.extend(untold);
        if left != self.platforms {
            option("extra-platforms", left.join(" "));
        }
        arguments
    }
}

/// Whether this machine's processor runs it without an emulator.
fn is_own(system: &System) -> bool {
    let host = System::host();
    *system == host || (host.cpu(), system.cpu(), system.os()) == ("x86_64", "i686", host.os())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn means() -> Means {
        let aarch64: System = "aarch64-linux".parse().unwrap();
        Means {
            builders: Builder::parse_all("ssh://arm aarch64-linux,i686-linux", &|_| unreachable!())
                .unwrap(),
            say: true,
            emulate: vec![aarch64.clone()],
            remote: BTreeSet::from([aarch64, "i686-linux".parse().unwrap()]),
            platforms: [
                "aarch64-linux",
                "i686-linux",
                "riscv64-linux",
                "x86_64-v2-linux",
            ]
            .map(str::to_owned)
            .to_vec(),
            ..Means::none()
        }
    }

    fn platforms(means: &Means) -> Option<String> {
        let arguments = means.arguments();
        let at = arguments
            .iter()
            .position(|word| word == "extra-platforms")?;
        arguments.get(at + 1).cloned()
    }

    #[test]
    fn what_a_builder_builds_is_not_emulated_and_all_else_is_as_before() {
        // i686 is no emulation on x86_64, and x86_64-v2 no system of ours.
        if System::host().cpu() == "x86_64" {
            let left = "i686-linux riscv64-linux x86_64-v2-linux";
            assert_eq!(platforms(&means()).as_deref(), Some(left));
        }
        assert_eq!(means().arguments()[..2], ["--option", "builders"]);
        assert_eq!(Means::none().arguments(), Vec::<String>::new());
    }

    #[test]
    fn it_is_emulated_when_no_builder_is_left_and_that_is_allowed() {
        let mut means = means();
        assert!(!means.fall_back(&[]), "a builder is left");
        assert!(means.drop_builder("ssh://arm"));
        assert!(!means.drop_builder("ssh://arm"));
        let mut forbidden = Means {
            emulate: Vec::new(),
            ..means.clone()
        };
        assert!(!forbidden.fall_back(&[]));
        let mut untold = Means {
            platforms: Vec::new(),
            ..means.clone()
        };
        assert!(untold.fall_back(&[]));
        assert_eq!(platforms(&untold).as_deref(), Some("aarch64-linux"));
        assert!(means.fall_back(&[]) && !means.fall_back(&[]));
        assert!(platforms(&means).is_none_or(|left| left.contains("aarch64-linux")));
        assert!(platforms(&forbidden).is_some_and(|left| !left.contains("aarch64-linux")));
    }
}
