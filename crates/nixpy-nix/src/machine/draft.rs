//! The decisions of a plan, one subject after another.

use super::probe::build_users;
use super::step::DAEMON_GROUP;
use super::{Arch, Binfmt, Daemon, Edit, Machine, Obstacle, Os, PackageManager, Privilege, Release, Runs, SetupPlan  , Step, packages};

/// How Nix will come onto the machine.
#[derive(PartialEq, Eq)]
enum Installs {
    Package,
    Upstream,
}

pub(super) struct Draft<'a> {
    pub(super) machine: &'a Machine,
    pub(super) plan: SetupPlan,
    pub(super) packages: Vec<&'static str>,
    installs: Option<Installs>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(machine: &'a Machine, plan: SetupPlan) -> Self {
        Self { machine, plan, packages: Vec::new(), installs: None }
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
                self.cannot("building here", "this is WSL 1, which has no Linux kernel", "Convert the distribution to WSL 2: `wsl --set-version <name> 2`.");
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
                self.cannot("building here", &format!("setup knows Linux only, and this is `{name}`"), "Run nixpy-ci on a Linux machine.");
                return None;
            }
        };
        let Some(host) = self.machine.arch else {
            self.cannot("building here", "the processor is neither x86_64 nor aarch64", "Run nixpy-ci on a machine with one of these.");
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
        let runs = foreign.iter().all(|arch| self.machine.runs.get(arch) == Some(&Runs::Yes));
        if flakes && runs && platforms(foreign).is_met(&self.machine.conf.effective) {
            self.plan.already.push("NixOS is configured for it".to_owned());
            return;
        }
        let systems: Vec<_> = foreign.iter().map(|arch| format!("\"{}\"", arch.system())).collect();
        self.cannot(
            "changing NixOS",
            "its configuration is written in Nix, and would be lost at the next rebuild",
            &format!(
                "Add to configuration.nix, then `nixos-rebuild switch`:\nboot.binfmt.emulatedSystems = [ {} ];\nnix.settings.experimental-features = [ \"nix-command\" \"flakes\" ];",
                systems.join(" ")
            ),
        );
    }

    fn decide(&mut self, foreign: &[Arch]) {
        let mut before = Vec::new();
        let nix = self.nix();
        for &arch in foreign {
            before.extend(self.emulator(arch));
        }
        if before.iter().any(|step| matches!(step, Step::RegisterBinfmt { .. })) && self.machine.binfmt == Binfmt::Mountable {
            before.insert(0, Step::MountBinfmt);
        }
        if !self.packages.is_empty() {
            let packages = self.packages.iter().map(|name| (*name).to_owned()).collect();
            self.plan.steps.push(Step::InstallPackages { packages, update: self.machine.offers.is_empty() });
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
        let Os::Linux(distribution) = &machine.os else { return None };
        if let Some(nix) = &machine.nix {
            if packages::version_pair(&nix.version) >= (2, 8) {
                self.plan.already.push(format!("Nix {} at {}", nix.version, nix.path.display()));
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
            self.packages.extend(machine.systemd.then_some("nix-setup-systemd"));
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
                self.cannot("installing Nix", "`tar` or `xz` is missing, and upstream's release is a .tar.xz", "Install both, then run setup again.");
            }
        }
        self.installs = Some(Installs::Upstream);
        let release = self.plan.wanted.nix.clone().or_else(|| machine.arch.map(Release::pinned))?;
        Some(Step::InstallUpstreamNix { release, daemon: machine.systemd })
    }

    fn conf(&mut self, foreign: &[Arch]) -> Option<Step> {
        let machine = self.machine;
        let conf = &machine.conf;
        let daemon = machine.daemon != Daemon::None || (self.installs.is_some() && machine.systemd);
        // What a user's NIX_CONFIG says holds for his own commands, flakes among them.
        let ours = format!("{}\n{}", conf.effective, machine.nix_config);
        let whose = if daemon { &conf.effective } else { &ours };
        let mut edits = Vec::new();
        let mut need = |edit: Edit, text: &str, plan: &mut SetupPlan, already: &str| {
            if !edit.is_met(text) {
                edits.push(edit);
            } else if !already.is_empty() {
                plan.already.push(already.to_owned());
            }
        };
        need(flakes(), &ours, &mut self.plan, "flakes are enabled");
        if !foreign.is_empty() {
            let names: Vec<_> = foreign.iter().map(|arch| arch.system()).collect();
            let already = format!("extra-platforms has {}", names.join(" "));
            need(platforms(foreign), whose, &mut self.plan, &already);
        }
        let root_alone = machine.privilege == Privilege::Root && !daemon && machine.nixbld_members == 0;
        if root_alone && build_users(conf).is_none_or(|group| !group.is_empty()) {
            let edit = Edit::Set { setting: "build-users-group", value: "" };
            need(edit, whose, &mut self.plan, "");
        }
        // A package that is still to be installed brings a nix.conf along.
        let arriving = self.packages.contains(&"nix-setup-systemd") && conf.text.is_none();
        let text = if arriving { super::nix_conf::DEBIANS } else { conf.text.as_deref().unwrap_or_default() };
        if machine.user_namespaces {
            need(Edit::TrustSandbox, if arriving { text } else { whose }, &mut self.plan, "");
        }
        let own = machine.home.as_ref().is_some_and(|home| conf.path.starts_with(home));
        Step::nix_conf(conf.path.clone(), text, edits, own)
    }

    fn daemon(&mut self, configures: bool) {
        let machine = self.machine;
        let arriving = self.installs.is_some() && machine.systemd;
        let packaged = self.installs == Some(Installs::Package);
        if configures && machine.systemd && (arriving || machine.daemon != Daemon::None) {
            self.plan.steps.push(Step::RestartDaemon);
        } else if configures && machine.daemon != Daemon::None {
            self.plan.notes.push("restart nix-daemon: it reads its configuration when it starts, and no systemd runs here to do it".to_owned());
        }
        if machine.privilege != Privilege::Sudo {
            return;
        }
        if machine.daemon == Daemon::Forbidden || (arriving && packaged) {
            if !machine.groups.iter().any(|group| group == DAEMON_GROUP) {
                self.plan.steps.push(Step::JoinGroup { user: machine.user.clone(), group: DAEMON_GROUP.to_owned() });
                self.plan.notes.push(format!("the group {DAEMON_GROUP} counts once you log in again"));
            }
            if self.plan.wanted.right_away {
                self.plan.steps.push(Step::OpenDaemonSocket);
            }
        }
        if packaged && !machine.systemd && !machine.store_folder {
            self.plan.steps.push(Step::MakeStoreFolder { owner: machine.user.clone() });
        }
    }

    pub(super) fn cannot(&mut self, what: &str, why: &str, cure: &str) {
        let obstacle = Obstacle { what: what.to_owned(), why: why.to_owned(), cure: cure.to_owned() };
        self.plan.impossible.push(obstacle);
    }
}

fn flakes() -> Edit {
    let values = ["nix-command", "flakes"].map(str::to_owned).to_vec();
    Edit::Extend { setting: "experimental-features", values }
}

fn platforms(foreign: &[Arch]) -> Edit {
    let values = foreign.iter().map(|arch| arch.system().to_owned()).collect();
    Edit::Extend { setting: "extra-platforms", values }
}
