//! Host keys: which one was given for a machine, and which one it shows.
//!
//! Both are asked of OpenSSH's own programs, which know hashed names, patterns, ports,
//! aliases and jump hosts.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::ssh::Ssh;
use super::trouble::HostKey;
use super::{SshAddress, address};
use crate::program::Nix;

/// For one question.
const PATIENCE: Duration = Duration::from_secs(8);

/// The first key that the given lines have for a machine: `ssh-ed25519 AAAA…`.
pub(super) async fn given(host: &str, port: Option<u16>, ssh: &Ssh, nix: &Nix) -> Option<String> {
    let name = match port {
        Some(port) if port != 22 => format!("[{host}]:{port}"),
        _ => host.to_owned(),
    };
    let mut command = nix.other_program("ssh-keygen");
    command.args(["-F", &name, "-f"]).arg(ssh.known_hosts());
    let found = output(&mut command).await?;
    let line = found.lines().find(|line| !line.starts_with(['#', '@']))?;
    let (_, key) = line.split_once(' ')?;
    let mut words = key.split_whitespace();
    Some(format!("{} {}", words.next()?, words.next()?))
}

/// What a machine shows, as the line that known_hosts would need, and what it should show;
/// `said` is ssh's complaint. Asked of ssh itself, without logging in: it goes the way that
/// the user's configuration describes, and names the machine as it will look it up.
pub(super) async fn shown(address: &SshAddress, ssh: &Ssh, nix: &Nix, said: &[String]) -> HostKey {
    let name = format!("shown-{}", address::file_name(address));
    let file = ssh.file(&name);
    let mut command = nix.other_program("ssh");
    command
        .arg("-F")
        .arg(ssh.configuration())
        .args([
            "-o",
            "StrictHostKeyChecking=accept-new",
            "-o",
            "GlobalKnownHostsFile=/dev/null",
        ])
        .args([
            "-o",
            "HashKnownHosts=no",
            "-o",
            "PreferredAuthentications=none",
        ])
        .args([
            "-o",
            "BatchMode=yes",
            "-o",
            "ControlPath=none",
            "-o",
            "CheckHostIP=no",
        ])
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", file.display()));
    if let Some(user) = &address.user {
        command.args(["-l", user]);
    }
    command.args(["--", &address.host, "true"]);
    command.kill_on_drop(true);
    // It is refused, as it should be; what counts is what it noted before.
    let _ = tokio::time::timeout(PATIENCE, command.output()).await;
    HostKey {
        offered: first_line(&file),
        expected: said.iter().find_map(|line| expected(line)),
    }
}

/// `Offending ED25519 key in /root/.ssh/known_hosts:3`
fn expected(said: &str) -> Option<String> {
    let (_, place) = said
        .trim()
        .strip_prefix("Offending ")?
        .split_once(" key in ")?;
    let (file, number) = place.rsplit_once(':')?;
    let number: usize = number.parse().ok()?;
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().nth(number.checked_sub(1)?).map(str::to_owned)
}

fn first_line(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().next().map(|line| line.trim().to_owned())
}

async fn output(command: &mut Command) -> Option<String> {
    command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .ok()?
        .ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
