//! Doing a plan's steps, one at a time, and looking again afterwards.

use super::hand::Hand;
use super::step::{self, SOCKET_FOLDER};
use super::{
    Invocation, Machine, Privilege, Runner, SetupError, SetupErrorKind, SetupPlan, Site, Step,
    nix_conf, registering, upstream,
};

/// What happens while a plan is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetupEvent {
    /// A step begins.
    Started {
        /// Its place, from 1.
        number: usize,
        /// How many there are.
        of: usize,
        /// What it does.
        step: Step,
    },
    /// A step is done.
    Finished {
        /// Its place, from 1.
        number: usize,
    },
    /// A step had nothing left to do.
    Unneeded {
        /// Its place, from 1.
        number: usize,
        /// Why.
        why: &'static str,
    },
    /// All steps are done, and the machine is looked at again.
    Verifying,
    /// It is as was wanted.
    Ready {
        /// What was found as it should be.
        found: Vec<String>,
    },
}

/// Does the steps of `plan`, stopping at the first that fails, and then makes
/// sure: it looks at the machine anew, and runs a program of each processor.
///
/// `http` is asked for nothing but upstream's release of Nix.
pub async fn apply<R: Runner>(
    plan: &SetupPlan,
    site: &Site<'_, R>,
    http: &reqwest::Client,
    mut on_event: impl FnMut(SetupEvent),
) -> Result<(), SetupError> {
    if !plan.impossible.is_empty() {
        return Err(SetupError {
            subject: "this machine".to_owned(),
            act: "set it up",
            cure: "see to the obstacles first".to_owned(),
            kind: SetupErrorKind::Impossible(plan.impossible.len()),
        });
    }
    let hand = Hand {
        root: site.root,
        runner: site.runner,
        privilege: plan.privilege,
    };
    for (number, step) in (1..).zip(&plan.steps) {
        on_event(SetupEvent::Started {
            number,
            of: plan.steps.len(),
            step: step.clone(),
        });
        match perform(step, &hand, http).await {
            Ok(None) => on_event(SetupEvent::Finished { number }),
            Ok(Some(why)) => on_event(SetupEvent::Unneeded { number, why }),
            Err(kind) => return Err(explain(step, plan.privilege, kind)),
        }
    }
    on_event(SetupEvent::Verifying);
    let found = verify(plan, site).await?;
    on_event(SetupEvent::Ready { found });
    Ok(())
}

/// Returns why nothing had to be done, or `None` when it was done.
async fn perform<R: Runner>(
    step: &Step,
    hand: &Hand<'_, R>,
    http: &reqwest::Client,
) -> Result<Option<&'static str>, SetupErrorKind> {
    match step {
        Step::InstallPackages { packages, update } => {
            if *update {
                hand.run_as_root(step::apt_get(&["update"])).await?;
            }
            let names = packages.iter().map(String::as_str);
            let args: Vec<_> = ["install", "--no-install-recommends", "-y"]
                .into_iter()
                .chain(names)
                .collect();
            hand.run_as_root(step::apt_get(&args)).await?;
        }
        Step::InstallUpstreamNix { release, daemon } => {
            upstream::install(hand, http, release, *daemon).await?
        }
        Step::MakeStoreFolder { owner } => {
            hand.run_as_root(Invocation::new(
                "install",
                ["-d", "-m", "755", "-o", owner, "/nix"],
            ))
            .await?;
        }
        Step::MountBinfmt => return registering::mount(hand).await,
        Step::RegisterBinfmt {
            arch,
            via,
            replaces,
            ..
        } => {
            let replaces = replaces.as_ref().map(|(name, _)| name.as_str());
            return registering::register(hand, *arch, *via, replaces).await;
        }
        Step::WriteNixConf {
            path, edits, own, ..
        } => {
            // The file as it is by now: a package may just have brought it.
            let text = hand.root.read(path).unwrap_or_default();
            let (changes, text) = nix_conf::edit(&text, edits);
            if changes.is_empty() {
                return Ok(Some("the file says so"));
            }
            hand.replace(path, &text, *own).await?;
        }
        Step::RestartDaemon => {
            hand.run_as_root(Invocation::new(
                "systemctl",
                ["restart", "nix-daemon.service"],
            ))
            .await?;
        }
        Step::JoinGroup { user, group } => {
            hand.run_as_root(Invocation::new("usermod", ["-aG", group, user]))
                .await?;
        }
        Step::OpenDaemonSocket => {
            hand.run_as_root(Invocation::new("chmod", ["755", SOCKET_FOLDER]))
                .await?;
        }
    }
    Ok(None)
}

/// A new look, and a new decision: it has to find nothing left to do. A group
/// that counts from the next login on is the one thing that may be outstanding.
async fn verify<R: Runner>(
    plan: &SetupPlan,
    site: &Site<'_, R>,
) -> Result<Vec<String>, SetupError> {
    let machine = Machine::probe(site).await;
    let again = SetupPlan::make(&machine, &plan.wanted);
    let late = |step: &&Step| !matches!(step, Step::JoinGroup { .. } | Step::OpenDaemonSocket);
    let missing: Vec<_> = again
        .steps
        .iter()
        .filter(late)
        .map(Step::describe)
        .chain(
            again
                .impossible
                .iter()
                .map(|obstacle| format!("{}: {}", obstacle.what, obstacle.why)),
        )
        .chain(machine.failures(&plan.wanted))
        .collect();
    if missing.is_empty() {
        return Ok(again.already);
    }
    Err(SetupError {
        subject: "this machine".to_owned(),
        act: "be made ready, although every step went well",
        cure: "run setup again to see what it finds now, and please report it with that output"
            .to_owned(),
        kind: SetupErrorKind::StillMissing(missing),
    })
}

fn explain(step: &Step, privilege: Privilege, kind: SetupErrorKind) -> SetupError {
    let commands = || step.shell().join(" && ");
    let (act, cure) = match step {
        Step::InstallPackages { .. } => (
            "install packages",
            "see what apt-get says, mend that, and run setup again".to_owned(),
        ),
        Step::InstallUpstreamNix { release, .. } => match &kind {
            SetupErrorKind::Hash { .. } => (
                "trust the download",
                format!(
                    "nothing was run; find out who changed {}, or name another release",
                    release.url
                ),
            ),
            SetupErrorKind::Download(_) => (
                "fetch Nix",
                format!(
                    "see whether {} can be reached from here, or install Nix by hand",
                    release.url
                ),
            ),
            _ => (
                "install Nix",
                "see what its installer says, mend that, and run setup again".to_owned(),
            ),
        },
        Step::MountBinfmt | Step::RegisterBinfmt { .. } => {
            ("register the emulator", registering::CURE.to_owned())
        }
        Step::WriteNixConf { path, .. } => (
            "change it",
            format!("make {} writable, or edit it by hand", path.display()),
        ),
        Step::RestartDaemon => ("restart it", "see `systemctl status nix-daemon`".to_owned()),
        _ if privilege == Privilege::Sudo => {
            ("change it", format!("try by hand: sudo {}", commands()))
        }
        _ => ("change it", format!("try by hand: {}", commands())),
    };
    SetupError {
        subject: step.describe(),
        act,
        cure,
        kind,
    }
}
