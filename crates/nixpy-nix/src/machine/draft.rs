//! The decisions of a plan, one subject after another.

use super::configuring::{flakes, platforms};
use super::{
    Arch, Binfmt, Machine, Obstacle, Os, PackageManager, Release, Runs, SetupPlan, Step, packages,
};

/// How Nix will come onto the machine.
#[derive(PartialEq, Eq)]
pub(super) enum Installs {
    Package,
    Upstream,
}

pub(super) struct Draft<'a> {
    pub(super) machine: &'a Machine,
    pub(super) plan: SetupPlan,
    pub(super) packages: Vec<&'static str>,
    pub(super) installs: Option<Installs>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(machine: &'a Machine, plan: SetupPlan) -> Self {
        Self {
            machine,
            plan,
            packages: Vec::new(),
            installs: None,
        }
    }

    pub(super) fn finish(mut self) -> SetupPlan {
        if let Some(foreign) = self.foreign() {
            self.decide(&foreign);
        }
        self.plan
    }

    /// The processors to be emulated; `None` when this is no machine for it.
    fn foreign(&mut self) -> Option<Vec<Arch>> {
        let linux = match &self.machine.os {
            Os::Linux(_) if self.machine.wsl1 => {
                self.cannot(
                    "building here",
                    "this is WSL 1, which has no Linux kernel",
                    "Convert the distribution to WSL 2: `wsl --set-version <name> 2`.",
                );
                return None;
            }
            Os::Linux(distribution) => distribution.clone(),
            Os::MacOs => {
                self.cannot(
                    "Linux builds on this Mac",
                    "binfmt_misc and Nix's Linux sandbox belong to Linux",
                    "Give Nix a Linux builder (`nix run nixpkgs#darwin.linux-builder`, or `nix.linux-builder.enable = true` with nix-darwin), or run nixpy-ci on a Linux machine.",
                );
                return None;
            }
            Os::Other(name) => {
                self.cannot(
                    "building here",
                    &format!("setup knows Linux only, and this is `{name}`"),
                    "Run nixpy-ci on a Linux machine.",
                );
                return None;
            }
        };
        let Some(host) = self.machine.arch else {
            self.cannot(
                "building here",
                "the processor is neither x86_64 nor aarch64",
                "Run nixpy-ci on a machine with one of these.",
            );
            return None;
        };
        let mut foreign = Vec::new();
        for system in self.plan.wanted.systems.clone() {
            match Arch::of_system(&system) {
                Some(arch) if arch == host || foreign.contains(&arch) => {}
                Some(arch) => foreign.push(arch),
                None => self.cannot(
                    &format!("builds for `{system}`"),
                    "setup emulates x86_64-linux and aarch64-linux only",
                    "Leave this system out, or name a remote builder for it.",
                ),
            }
        }
        if linux.id == "nixos" {
            self.nixos(&foreign);
            return None;
        }
        Some(foreign)
    }

    /// NixOS is configured in one place, which is not ours to edit.
    fn nixos(&mut self, foreign: &[Arch]) {
        let flakes = flakes().is_met(&self.machine.conf.effective);
        let runs = foreign
            .iter()
            .all(|arch| self.machine.runs.get(arch) == Some(&Runs::Yes));
        if flakes && runs && platforms(foreign).is_met(&self.machine.conf.effective) {
            self.plan
                .already
                .push("NixOS is configured for it".to_owned());
            return;
        }
        let mut lines = vec!["Add to configuration.nix, then `nixos-rebuild switch`:".to_owned()];
        if !foreign.is_empty() {
            let systems = foreign.iter().map(|arch| format!("\"{}\"", arch.system()));
            let systems = systems.collect::<Vec<_>>().join(" ");
            lines.push(format!("boot.binfmt.emulatedSystems = [ {systems} ];"));
        }
        lines
            .push(r#"nix.settings.experimental-features = [ "nix-command" "flakes" ];"#.to_owned());
        self.cannot(
            "changing NixOS",
            "its configuration is written in Nix, and would be lost at the next rebuild",
            &lines.join("\n"),
        );
    }

    fn decide(&mut self, foreign: &[Arch]) {
        let mut before = Vec::new();
        let nix = self.nix();
        for &arch in foreign {
            before.extend(self.emulator(arch));
        }
        if before
            .iter()
            .any(|step| matches!(step, Step::RegisterBinfmt { .. }))
            && self.machine.binfmt == Binfmt::Mountable
        {
            before.insert(0, Step::MountBinfmt);
        }
        if !self.packages.is_empty() {
            let packages = self
                .packages
                .iter()
                .map(|name| (*name).to_owned())
                .collect();
            self.plan.steps.push(Step::InstallPackages {
                packages,
                update: self.machine.offers.is_empty(),
            });
        }
        self.plan.steps.append(&mut before);
        let conf = self.conf(foreign);
        let configures = conf.is_some();
        // A single-user install by root starts Nix, which wants its
        // build-users-group settled by then. The other installer writes a
        // nix.conf of its own, which is edited afterwards.
        if matches!(nix, Some(Step::InstallUpstreamNix { daemon: false, .. })) {
            self.plan.steps.extend(conf.into_iter().chain(nix));
        } else {
            self.plan.steps.extend(nix.into_iter().chain(conf));
        }
        self.daemon(configures);
    }

    fn nix(&mut self) -> Option<Step> {
        let machine = self.machine;
        let Os::Linux(distribution) = &machine.os else {
            return None;
        };
        if let Some(nix) = &machine.nix {
            if packages::version_pair(&nix.version) >= (2, 8) {
                self.plan
                    .already
                    .push(format!("Nix {} at {}", nix.version, nix.path.display()));
            } else {
                self.cannot(
                    &format!("flakes with {}", nix.path.display()),
                    &format!("it is Nix {}, and flakes need 2.8 or newer", nix.version),
                    "Upgrade Nix, or uninstall it and run setup again.",
                );
            }
            return None;
        }
        let apt = machine.package_manager == Some(PackageManager::Apt);
        if let Some(name) = packages::nix(&machine.offers, distribution).filter(|_| apt) {
            self.installs = Some(Installs::Package);
            self.packages.push(name);
            // The daemon, its users and its units; useless where no systemd runs.
            self.packages
                .extend(machine.systemd.then_some("nix-setup-systemd"));
            return None;
        }
        if machine.selinux_enforcing {
            self.cannot(
                "installing Nix",
                "upstream's installer refuses where SELinux is enforcing",
                "Install Nix from the distribution (`dnf install nix`, Fedora 42 and newer) or with an installer that knows SELinux, then run setup again.",
            );
            return None;
        }
        if !machine.has_xz {
            if apt {
                self.packages.push("xz-utils");
            } else {
                self.cannot(
                    "installing Nix",
                    "`tar` or `xz` is missing, and upstream's release is a .tar.xz",
                    "Install both, then run setup again.",
                );
            }
        }
        self.installs = Some(Installs::Upstream);
        let release = self
            .plan
            .wanted
            .nix
            .clone()
            .or_else(|| machine.arch.map(Release::pinned))?;
        Some(Step::InstallUpstreamNix {
            release,
            daemon: machine.systemd,
        })
    }

    pub(super) fn cannot(&mut self, what: &str, why: &str, cure: &str) {
        let obstacle = Obstacle {
            what: what.to_owned(),
            why: why.to_owned(),
            cure: cure.to_owned(),
        };
        self.plan.impossible.push(obstacle);
    }
}
