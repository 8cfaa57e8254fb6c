//! Registering a processor's programs with binfmt_misc, and taking away what is
//! in the way. What a package's own scripts have registered meanwhile is left.

use super::hand::Hand;
use super::{Arch, Invocation, Runner, SetupErrorKind, Via, binfmt, probe, step};

/// Whether there is now a registration that works in a sandbox.
fn is_there<R>(hand: &Hand<'_, R>, arch: Arch) -> bool {
    binfmt::registrations(hand.root)
        .iter()
        .any(|entry| entry.handles(arch) && entry.enabled && entry.fixed())
}

/// Returns why nothing had to be done, or `None` when it was done.
pub(super) async fn register<R: Runner>(
    hand: &Hand<'_, R>,
    arch: Arch,
    via: Via,
    replaces: Option<&str>,
) -> Result<Option<&'static str>, SetupErrorKind> {
    if let Some(name) = replaces {
        let path = format!("{}/{name}", binfmt::FOLDER);
        // A package that was just installed may have replaced it already.
        let wrong = hand
            .root
            .read(&path)
            .and_then(|text| binfmt::Registration::parse(name, &text));
        if wrong.is_some() {
            hand.tell_kernel(&path, "-1").await?;
        }
    }
    if is_there(hand, arch) {
        return Ok(Some("the package has registered it"));
    }
    let interpreter = probe::qemu(hand.root, arch).ok_or(SetupErrorKind::NoInterpreter)?;
    let line = binfmt::line(arch, &interpreter, step::flags(&interpreter));
    match via {
        Via::Direct => {
            hand.tell_kernel(&format!("{}/register", binfmt::FOLDER), &line)
                .await?
        }
        Via::UpdateBinfmts => update_binfmts(hand, arch, &interpreter).await?,
        Via::Systemd => {
            let programs = [
                "/usr/lib/systemd/systemd-binfmt",
                "/lib/systemd/systemd-binfmt",
            ];
            let file = rule_file(hand, arch, &line).await?;
            match programs.into_iter().find(|path| hand.root.exists(path)) {
                // With a file's name it applies that file. Without one it would first
                // take away all registrations, those of others among them.
                Some(program) => drop(hand.run_as_root(Invocation::new(program, [file])).await?),
                None => {
                    hand.tell_kernel(&format!("{}/register", binfmt::FOLDER), &line)
                        .await?
                }
            }
        }
    }
    Ok(None)
}

/// Mounts binfmt_misc; its module may have to be loaded, or be built in.
pub(super) async fn mount<R: Runner>(
    hand: &Hand<'_, R>,
) -> Result<Option<&'static str>, SetupErrorKind> {
    if hand.root.exists(format!("{}/register", binfmt::FOLDER)) {
        return Ok(Some("it is mounted"));
    }
    let _no_module = hand
        .run_as_root(Invocation::new("modprobe", ["binfmt_misc"]))
        .await;
    hand.run_as_root(Invocation::new(
        "mount",
        ["-t", "binfmt_misc", "binfmt_misc", binfmt::FOLDER],
    ))
    .await?;
    Ok(None)
}

/// The package's own file, if it does what we need; else one of ours, under the
/// name that the packages use, so that there is one rule and not two.
async fn rule_file<R: Runner>(
    hand: &Hand<'_, R>,
    arch: Arch,
    line: &str,
) -> Result<String, SetupErrorKind> {
    let name = format!("{}.conf", binfmt::rule(arch));
    for folder in ["/etc/binfmt.d", "/run/binfmt.d", "/usr/lib/binfmt.d"] {
        let path = format!("{folder}/{name}");
        let rule = hand.root.read(&path).unwrap_or_default();
        let fixed = |line: &str| {
            line.rsplit(':')
                .next()
                .is_some_and(|flags| flags.contains('F'))
        };
        if rule
            .lines()
            .any(|line| line.starts_with(':') && fixed(line.trim()))
        {
            return Ok(path);
        }
    }
    let path = format!("/etc/binfmt.d/{name}");
    hand.replace(path.as_ref(), &format!("{line}\n"), false)
        .await?;
    Ok(path)
}

async fn update_binfmts<R: Runner>(
    hand: &Hand<'_, R>,
    arch: Arch,
    interpreter: &str,
) -> Result<(), SetupErrorKind> {
    let rule = binfmt::rule(arch);
    if hand.root.exists(format!("/usr/share/binfmts/{rule}")) {
        hand.run_as_root(Invocation::new("update-binfmts", ["--import", &rule]))
            .await?;
        // An imported format may be known and yet not in force, for instance
        // because binfmt_misc was not mounted when its package was installed.
        let _known = hand
            .run_as_root(Invocation::new("update-binfmts", ["--enable", &rule]))
            .await;
        if is_there(hand, arch) {
            return Ok(());
        }
    }
    let line = binfmt::line(arch, interpreter, step::flags(interpreter));
    hand.tell_kernel(&format!("{}/register", binfmt::FOLDER), &line)
        .await
}

/// What to do when the kernel refuses.
pub(super) const CURE: &str = "in a container, start it with --privileged or register qemu on its host; \
    elsewhere see what /proc/sys/fs/binfmt_misc holds";
