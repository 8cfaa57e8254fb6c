//! Host keys: which one was given for a machine, and which one it shows.
//!
//! Both are asked of OpenSSH's own programs, which know hashed names, patterns, ports,
//! aliases and jump hosts.

use std::path::{Path, PathBuf};
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
    let files = known_hosts_files(address, ssh, nix).await;
    HostKey {
        offered: first_line(&file),
        expected: said.iter().find_map(|line| expected(line, &files)),
    }
}

/// Where ssh looks for the machine's key, by its own account.
async fn known_hosts_files(address: &SshAddress, ssh: &Ssh, nix: &Nix) -> Vec<PathBuf> {
    let mut command = nix.other_program("ssh");
    command.arg("-G").arg("-F").arg(ssh.configuration());
    command.args(["--", &address.host]);
    let told = output(&mut command).await.unwrap_or_default();
    let files = told.lines().filter_map(|line| {
        let line = line.strip_prefix("user").or(line.strip_prefix("global"))?;
        line.strip_prefix("knownhostsfile ")
    });
    files
        .flat_map(str::split_whitespace)
        .map(PathBuf::from)
        .collect()
}

/// `Offending ED25519 key in /root/.ssh/known_hosts:3`
///
/// The machine can say such things as well, as its greeting: so no other file is believed
/// than one that holds host keys, and of that no line that is none.
fn expected(said: &str, files: &[PathBuf]) -> Option<String> {
    let (_, place) = said
        .trim()
        .strip_prefix("Offending ")?
        .split_once(" key in ")?;
    let (file, number) = place.rsplit_once(':')?;
    let number: usize = number.parse().ok()?;
    let file = files.iter().find(|known| known.as_os_str() == file)?;
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().nth(number.checked_sub(1)?)?.trim();
    is_known_host(line).then(|| line.to_owned())
}

/// Whether a line of a known_hosts file names a machine and its key.
pub fn is_known_host(line: &str) -> bool {
    let mut words = line
        .split_whitespace()
        .skip_while(|word| word.starts_with('@'));
    let (Some(_), Some(kind), Some(key)) = (words.next(), words.next(), words.next()) else {
        return false;
    };
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    let kinds = ["ssh-", "ecdsa-", "sk-"];
    kinds.iter().any(|start| kind.starts_with(start))
        && key.chars().all(is_base64)
        && !line.starts_with('#')
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_cannot_have_us_tell_what_is_in_other_files() {
        let place = tempfile::tempdir().unwrap();
        let file = |name: &str| place.path().join(name);
        let key = "arm ssh-ed25519 AAAA";
        std::fs::write(file("known_hosts"), format!("# mine\n{key}\npassword: x\n")).unwrap();
        std::fs::write(file("secret"), format!("{key}\n")).unwrap();
        let said = |place: &str| {
            let said = format!("Offending ED25519 key in {}/{place}", file("").display());
            expected(&said.replace("//", "/"), &[file("known_hosts")])
        };
        assert_eq!(said("known_hosts:2").as_deref(), Some(key));
        for place in [
            "known_hosts:1",
            "known_hosts:3",
            "known_hosts:9",
            "secret:1",
        ] {
            assert_eq!(said(place), None, "{place}");
        }
        assert_eq!(said("x/../secret:1"), None);
    }
}
