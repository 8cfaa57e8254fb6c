//! What has to change on a machine, decided from facts alone.

use std::fmt;

use super::packages;
use super::probe::build_users;
use super::step::DAEMON_GROUP;
use super::{Arch, Binfmt, Daemon, Edit, Machine, Os, PackageManager, Privilege, Release, Runs, Step, Via};

/// What the user asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Nix systems that shall build here, such as `aarch64-linux`.
    pub systems: Vec<String>,
    /// A release of Nix in place of the pinned one.
    pub nix: Option<Release>,
    /// Whether the same process goes on to build, as `run --setup` does: a
    /// membership that counts from the next login on is then too late.
    pub right_away: bool,
}

/// Something that cannot be done here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What was wanted.
    pub what: String,
    /// Why it is out of reach.
    pub why: String,
    /// What to do instead; several lines where there is something to type.
    pub cure: String,
}

/// What to change, what needs no change, and what stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupPlan {
    /// In the order in which they are done.
    pub steps: Vec<Step>,
    /// What was found as it should be.
    pub already: Vec<String>,
    /// When there is any, nothing is changed at all.
    pub impossible: Vec<Obstacle>,
    /// What the user should know afterwards.
    pub notes: Vec<String>,
    pub(super) privilege: Privilege,
    pub(super) wanted: Wanted,
}

impl SetupPlan {
    /// Decides. The same facts give the same plan.
    #[must_use]
    pub fn make(machine: &Machine, wanted: &Wanted) -> Self {
        let plan = Self {
            steps: Vec::new(),
            already: Vec::new(),
            impossible: Vec::new(),
            notes: Vec::new(),
            privilege: machine.privilege,
            wanted: wanted.clone(),
        };
        let mut draft = Draft { machine, plan, packages: Vec::new(), installs: None };
        if let Some(foreign) = draft.foreign() {
            draft.decide(&foreign);
        }
        draft.plan.without_means(machine)
    }

    /// Whether there is nothing to do, and nothing in the way.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.steps.is_empty() && self.impossible.is_empty()
    }

    /// Without root's rights the steps become commands for whoever has them.
    fn without_means(mut self, machine: &Machine) -> Self {
        let blocked = machine.privilege == Privilege::None && self.steps.iter().any(Step::needs_root);
        if blocked && self.impossible.is_empty() {
            let commands: Vec<_> = self.steps.iter().flat_map(Step::shell).collect();
            self.impossible.push(Obstacle {
                what: "changing this machine".to_owned(),
                why: format!("{} is not root, and sudo is missing or asks for a password", machine.user),
                cure: format!("Have root type this, then run setup again:\n{}", commands.join("\n")),
            });
            self.steps.clear();
        }
        self
    }
}

impl fmt::Display for SetupPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for done in &self.already {
            writeln!(f, "already so: {done}")?;
        }
        for (number, step) in (1..).zip(&self.steps) {
            writeln!(f, "{number}. {step}")?;
        }
        for Obstacle { what, why, cure } in &self.impossible {
            writeln!(f, "cannot: {what}: {why}\n  {}", cure.replace('\n', "\n    "))?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}

/// How Nix will come onto the machine.
#[derive(PartialEq, Eq)]
enum Installs {
    Package,
    Upstream,
}

struct Draft<'a> {
    machine: &'a Machine,
    plan: SetupPlan,
    packages: Vec<&'static str>,
    installs: Option<Installs>,
}

impl Draft<'_> {
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

    fn emulator(&mut self, arch: Arch) -> Option<Step> {
        let machine = self.machine;
        let what = format!("running {} programs", arch.name());
        let ours = match &machine.binfmt {
            Binfmt::Mounted(registrations) => registrations.iter().filter(|entry| entry.handles(arch)).collect(),
            _ => Vec::new(),
        };
        // The kernel asks the newest first, and does not say which that is.
        let wrong = ours.iter().find(|entry| !entry.enabled || !entry.fixed());
        match (machine.runs.get(&arch), wrong) {
            (Some(Runs::Yes), None) => {
                let by = ours.first().map_or(String::new(), |entry| {
                    format!(", by {} (registration `{}`, flags {})", entry.interpreter, entry.name, entry.flags)
                });
                self.plan.already.push(format!("{} programs run here{by}", arch.name()));
                return None;
            }
            _ if machine.binfmt == Binfmt::Off => {
                self.cannot(&what, "binfmt_misc is switched off as a whole", "As root: echo 1 > /proc/sys/fs/binfmt_misc/status");
                return None;
            }
            _ => {}
        }
        if let Binfmt::Unavailable(why) = &machine.binfmt {
            self.cannot(&what, why, &format!(
                "On the host, once: `docker run --privileged --rm tonistiigi/binfmt --install {}`. Or start this container with --privileged, build on a runner of that processor (ubuntu-24.04-arm), or name a remote builder.",
                arch.platform()
            ));
            return None;
        }
        let interpreter = match machine.qemu.get(&arch) {
            Some(path) => path.clone(),
            None => self.qemu_package(arch)?,
        };
        let replaces = match (wrong, ours.first(), machine.runs.get(&arch)) {
            (Some(entry), ..) if !entry.enabled => Some((entry.name.clone(), "it is disabled".to_owned())),
            (Some(entry), ..) => Some((entry.name.clone(), "it lacks the flag F".to_owned())),
            (None, Some(entry), Some(Runs::No(why))) => Some((entry.name.clone(), format!("a program failed: {why}"))),
            _ => None,
        };
        let via = if machine.systemd {
            Via::Systemd
        } else if machine.update_binfmts || self.packages.contains(&"binfmt-support") {
            Via::UpdateBinfmts
        } else {
            self.plan.notes.push("the registration is gone after a restart; run setup again then".to_owned());
            Via::Direct
        };
        Some(Step::RegisterBinfmt { arch, via, interpreter, replaces })
    }

    /// Has the package installed; the path is where it will put the program.
    fn qemu_package(&mut self, arch: Arch) -> Option<String> {
        let machine = self.machine;
        let names = match (&machine.os, machine.package_manager) {
            (Os::Linux(distribution), Some(PackageManager::Apt)) => packages::qemu(&machine.offers, distribution),
            _ => Vec::new(),
        };
        if names.is_empty() {
            let command = machine.package_manager.map(|manager| manager.qemu_command(arch));
            let install = command.map_or("Install a statically linked qemu-user".to_owned(), |command| format!("Install one: `{command}`"));
            self.cannot(
                &format!("running {} programs", arch.name()),
                "there is no statically linked qemu for them here, and setup installs packages with apt-get only",
                &format!("{install}; then run setup again."),
            );
            return None;
        }
        let path = if names.contains(&"qemu-user") { "/usr/bin/qemu-" } else { "/usr/libexec/qemu-binfmt/" };
        let suffix = if names.contains(&"qemu-user") { "" } else { "-binfmt-P" };
        self.packages.extend(names);
        // Containers have nothing that would register again at a restart.
        self.packages.extend((!machine.systemd && !machine.container && !machine.update_binfmts).then_some("binfmt-support"));
        self.packages.sort_by_key(|name| !name.starts_with("nix"));
        self.packages.dedup();
        Some(format!("{path}{}{suffix}", arch.name()))
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
        let inherited = if conf.text.as_deref() == Some(conf.effective.trim_end()) { "" } else { &conf.effective };
        let own = machine.home.as_ref().is_some_and(|home| conf.path.starts_with(home));
        Step::nix_conf(conf.path.clone(), text, inherited, edits, own)
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

    fn cannot(&mut self, what: &str, why: &str, cure: &str) {
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
