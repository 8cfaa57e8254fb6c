//! The decision about one foreign processor: does it run, and if not, how to make it.

use super::draft::Draft;
use super::{Arch, Binfmt, Os, PackageManager, Runs, Step, Via, packages};

/// What to do about a processor whose programs the kernel does not run; and why setup
/// cannot, where it cannot.
pub(crate) fn without_binfmt(arch: Arch, binfmt: &Binfmt) -> (Option<String>, String) {
    match binfmt {
        Binfmt::Off => (
            Some("binfmt_misc is switched off as a whole".to_owned()),
            "As root: echo 1 > /proc/sys/fs/binfmt_misc/status".to_owned(),
        ),
        Binfmt::Unavailable(why) => (
            Some(why.clone()),
            format!(
                "On the host, once: `docker run --privileged --rm tonistiigi/binfmt --install {}`. Or start this container with --privileged, build on a runner of that processor (ubuntu-24.04-arm), or name a remote builder.",
                arch.platform()
            ),
        ),
        Binfmt::Mounted(_) | Binfmt::Mountable => (
            None,
            format!("As root: nixpy-ci setup --system {}", arch.system()),
        ),
    }
}

impl Draft<'_> {
    pub(super) fn emulator(&mut self, arch: Arch) -> Option<Step> {
        let machine = self.machine;
        let what = format!("running {} programs", arch.name());
        let ours = match &machine.binfmt {
            Binfmt::Mounted(registrations) => registrations
                .iter()
                .filter(|entry| entry.handles(arch))
                .collect(),
            _ => Vec::new(),
        };
        // The kernel asks the newest first, and does not say which that is.
        let wrong = ours
            .iter()
            .find_map(|entry| Some((&entry.name, entry.fault()?)));
        let runs = match machine.runs.get(&arch) {
            Some(Runs::Untried) => !ours.is_empty(),
            runs => runs == Some(&Runs::Yes),
        };
        match wrong {
            None if runs => {
                let by = ours.first().map_or(String::new(), |entry| {
                    format!(
                        ", by {} (registration `{}`, flags {})",
                        entry.interpreter, entry.name, entry.flags
                    )
                });
                self.plan
                    .already
                    .push(format!("{} programs run here{by}", arch.name()));
                return None;
            }
            _ => {}
        }
        if let (Some(why), cure) = without_binfmt(arch, &machine.binfmt) {
            self.cannot(&what, &why, &cure);
            return None;
        }
        let interpreter = match machine.qemu.get(&arch) {
            Some(path) => path.clone(),
            None => self.qemu_package(arch)?,
        };
        let replaces = match (wrong, ours.first(), machine.runs.get(&arch)) {
            (Some((name, fault)), ..) => Some((name.clone(), fault.to_owned())),
            (None, Some(entry), Some(Runs::No(why))) => {
                Some((entry.name.clone(), format!("a program failed: {why}")))
            }
            _ => None,
        };
        let via = if machine.systemd {
            Via::Systemd
        } else if machine.update_binfmts || self.packages.contains(&"binfmt-support") {
            Via::UpdateBinfmts
        } else {
            self.plan
                .notes
                .push("the registration is gone after a restart; run setup again then".to_owned());
            Via::Direct
        };
        Some(Step::RegisterBinfmt {
            arch,
            via,
            interpreter,
            replaces,
        })
    }

    /// Has the package installed; the path is where it will put the program.
    fn qemu_package(&mut self, arch: Arch) -> Option<String> {
        let machine = self.machine;
        let names = match (&machine.os, machine.package_manager) {
            (Os::Linux(distribution), Some(PackageManager::Apt)) => {
                packages::qemu(&machine.offers, distribution)
            }
            _ => Vec::new(),
        };
        if names.is_empty() {
            let command = machine
                .package_manager
                .map(|manager| manager.qemu_command(arch));
            let install = command.map_or(
                "Install a statically linked qemu-user".to_owned(),
                |command| format!("Install one: `{command}`"),
            );
            self.cannot(
                &format!("running {} programs", arch.name()),
                "there is no statically linked qemu for them here, and setup installs packages with apt-get only",
                &format!("{install}; then run setup again."),
            );
            return None;
        }
        self.packages.extend(names);
        // Containers have nothing that would register again at a restart.
        self.packages.extend(
            (!machine.systemd && !machine.container && !machine.update_binfmts)
                .then_some("binfmt-support"),
        );
        self.packages.sort_by_key(|name| !name.starts_with("nix"));
        self.packages.dedup();
        Some(format!("/usr/libexec/qemu-binfmt/{}-binfmt-P", arch.name()))
    }
}
