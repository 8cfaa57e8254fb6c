//! The decisions about nix.conf, and about whoever reads it.

use super::draft::{Draft, Installs};
use super::probe::build_users;
use super::step::DAEMON_GROUP;
use super::{Arch, Daemon, Edit, Os, Privilege, SetupPlan, Step, nix_conf, packages};

impl Draft<'_> {
    pub(super) fn conf(&mut self, foreign: &[Arch]) -> Option<Step> {
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
        let root_alone =
            machine.privilege == Privilege::Root && !daemon && machine.nixbld_members == 0;
        if root_alone && build_users(conf).is_none_or(|group| !group.is_empty()) {
            let edit = Edit::Set {
                setting: "build-users-group",
                value: "",
            };
            need(edit, whose, &mut self.plan, "");
        }
        // A package that is still to be installed brings a nix.conf along.
        let arriving = match &machine.os {
            Os::Linux(distribution) => {
                self.packages.contains(&"nix-setup-systemd")
                    && conf.text.is_none()
                    && packages::distrusts_sandbox(&machine.offers, distribution)
            }
            _ => false,
        };
        let text = if arriving {
            nix_conf::DEBIANS
        } else {
            conf.text.as_deref().unwrap_or_default()
        };
        if machine.user_namespaces {
            need(
                Edit::TrustSandbox,
                if arriving { text } else { whose },
                &mut self.plan,
                "",
            );
        }
        let own = machine
            .home
            .as_ref()
            .is_some_and(|home| conf.path.starts_with(home));
        Step::nix_conf(conf.path.clone(), text, edits, own)
    }

    pub(super) fn daemon(&mut self, configures: bool) {
        let machine = self.machine;
        let arriving = self.installs.is_some() && machine.systemd;
        let packaged = self.installs == Some(Installs::Package);
        if configures && machine.systemd && (arriving || machine.daemon != Daemon::None) {
            self.plan.steps.push(Step::RestartDaemon);
        } else if configures && machine.daemon != Daemon::None {
            self.plan.notes.push("restart nix-daemon: it reads its configuration when it starts, and no systemd runs here to do it".to_owned());
        }
        if machine.privilege == Privilege::Root {
            return;
        }
        if machine.daemon == Daemon::Forbidden || (arriving && packaged) {
            if !machine.groups.iter().any(|group| group == DAEMON_GROUP) {
                self.plan.steps.push(Step::JoinGroup {
                    user: machine.user.clone(),
                    group: DAEMON_GROUP.to_owned(),
                });
                self.plan.notes.push(format!(
                    "the group {DAEMON_GROUP} counts once you log in again"
                ));
            }
            if self.plan.wanted.right_away {
                self.plan.steps.push(Step::OpenDaemonSocket);
            }
        }
        if packaged && !machine.systemd && !machine.store_folder {
            self.plan.steps.push(Step::MakeStoreFolder {
                owner: machine.user.clone(),
            });
        }
    }
}

pub(super) fn flakes() -> Edit {
    let values = ["nix-command", "flakes"].map(str::to_owned).to_vec();
    Edit::Extend {
        setting: "experimental-features",
        values,
    }
}

pub(super) fn platforms(foreign: &[Arch]) -> Edit {
    let values = foreign
        .iter()
        .map(|arch| arch.system().to_owned())
        .collect();
    Edit::Extend {
        setting: "extra-platforms",
        values,
    }
}
