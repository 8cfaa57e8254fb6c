//! What ssh has to know to reach the builders, in a folder that is gone afterwards.
//!
//! The key and the host keys that were given are files there, and so is a
//! configuration which says what they are for, and then includes the user's own: aliases,
//! agents and jump hosts go on working. Nix hands it to ssh because `NIX_SSHOPTS` names it,
//! and nothing but its name is seen from outside.
//!
//! Only this user can look into the folder. A process that was killed leaves its folder
//! behind; the next one finds that nobody holds its lock any more, and removes it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::key::SshKey;
use super::line::Builder;
use super::{Address, SshAddress};

const PREFIX: &str = "nixpy-ci-ssh-";
const LOCK: &str = "lock";

/// A machine that is off is noticed in seconds (a probe says itself in how many); a link
/// that is dead, after three unanswered questions, in some 20.
const PATIENCE: &str = "  ConnectTimeout 6\n  ServerAliveInterval 5\n  ServerAliveCountMax 3\n";

/// The folder; dropping it removes it.
#[derive(Debug)]
pub(super) struct Ssh {
    folder: TempDir,
    /// Held as long as the folder is wanted.
    _lock: File,
    options: String,
    key: Option<PathBuf>,
}

/// What is given for the builders of our settings.
#[derive(Debug, Default)]
pub(super) struct Given<'a> {
    pub(super) key: Option<&'a SshKey>,
    /// Lines of a known_hosts file.
    pub(super) known_hosts: &'a [String],
    /// What the environment's `NIX_SSHOPTS` says.
    pub(super) options: &'a str,
}

impl Ssh {
    /// Writes everything; `place` is where temporary files go.
    pub(super) fn prepare(
        place: &Path,
        given: &Given<'_>,
        builders: &[Builder],
    ) -> io::Result<Self> {
        // Nix cuts NIX_SSHOPTS at blanks, and newer ones heed quotes there.
        let plain = |path: &Path| {
            let text = path.to_str().unwrap_or(" ");
            text.chars()
                .all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c))
        };
        let place = if plain(place) {
            place
        } else {
            Path::new("/tmp")
        };
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(place)?;
        let lock = File::create_new(folder.path().join(LOCK))?;
        lock.lock()?;
        sweep(place, folder.path());
        let key = match given.key {
            Some(key) => {
                let file = folder.path().join("key");
                key.write(&file)?;
                Some(file)
            }
            None => None,
        };
        let known_hosts = match given.known_hosts {
            [] => None,
            lines => {
                let file = folder.path().join("known_hosts");
                fs::write(&file, lines.join("\n") + "\n")?;
                Some(file)
            }
        };
        let (own_configuration, rest) = split(given.options);
        let text = configuration(
            builders,
            key.as_deref(),
            known_hosts.as_deref(),
            own_configuration.as_deref(),
        );
        let file = folder.path().join("config");
        fs::write(&file, text)?;
        let options = format!("-F {} {rest}", file.display());
        Ok(Self {
            folder,
            _lock: lock,
            options: options.trim_end().to_owned(),
            key,
        })
    }

    /// For `NIX_SSHOPTS`.
    pub(super) fn options(&self) -> &str {
        &self.options
    }

    /// The file with the key that was given.
    pub(super) fn key(&self) -> Option<&Path> {
        self.key.as_deref()
    }

    /// The configuration.
    pub(super) fn configuration(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// The host keys that were given.
    pub(super) fn known_hosts(&self) -> PathBuf {
        self.folder.path().join("known_hosts")
    }

    /// A new file of this name.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Of options for ssh: the configuration they name, and the others. Of two `-F` ssh
/// takes the last, so theirs becomes a part of ours.
fn split(options: &str) -> (Option<String>, String) {
    let (mut configuration, mut rest) = (None, Vec::new());
    let mut words = options.split_whitespace();
    while let Some(word) = words.next() {
        match word.strip_prefix("-F") {
            Some("") => configuration = words.next().map(str::to_owned),
            Some(file) => configuration = Some(file.to_owned()),
            None => rest.push(word),
        }
    }
    (configuration, rest.join(" "))
}

/// The first that ssh reads of an option counts: ours for our builders, the user's after
/// it, and for all others our patience where the user has said nothing.
fn configuration(
    builders: &[Builder],
    key: Option<&Path>,
    known_hosts: Option<&Path>,
    own: Option<&str>,
) -> String {
    let mut text = String::new();
    for builder in builders {
        let Address::Ssh(SshAddress { host, port, .. }) = &builder.address else {
            continue;
        };
        let _ = writeln!(text, "Host {host}");
        if let Some(port) = port {
            let _ = writeln!(text, "  Port {port}");
        }
        if let (Some(key), None) = (key, &builder.key_file) {
            // No others first: after some refusals the host hangs up.
            let _ = writeln!(
                text,
                "  IdentityFile {}\n  IdentitiesOnly yes",
                key.display()
            );
        }
        if let Some(file) = known_hosts {
            let _ = writeln!(
                text,
                "  UserKnownHostsFile {} ~/.ssh/known_hosts ~/.ssh/known_hosts2",
                file.display()
            );
        }
        text.push_str("  StrictHostKeyChecking yes\n  UpdateHostKeys no\n  BatchMode yes\n");
        text.push_str(PATIENCE);
    }
    // After a Host line, an Include would only be for that host.
    match own {
        Some("none") => {}
        Some(file) => {
            // ssh looks for what it includes in ~/.ssh, and for what -F names here.
            let place = match file.starts_with('~') {
                true => PathBuf::from(file),
                false => std::path::absolute(file).unwrap_or_else(|_| PathBuf::from(file)),
            };
            let _ = writeln!(text, "Match all\nInclude {}", place.display());
        }
        None => text
            .push_str("Match all\nInclude ~/.ssh/config\nMatch all\nInclude /etc/ssh/ssh_config\n"),
    }
    text.push_str("Match all\n");
    text.push_str(PATIENCE);
    text
}

/// Removes what processes that were killed have left.
fn sweep(place: &Path, ours: &Path) {
    let Ok(user) = ours.metadata().map(|metadata| metadata.uid()) else {
        return;
    };
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let path = entry.path();
        let left = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && path != ours
            && path
                .symlink_metadata()
                .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == user)
            && File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if left {
            let _ = fs::remove_dir_all(path);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn builders(lines: &str) -> Vec<Builder> {
        Builder::parse_all(lines, &|_| unreachable!()).unwrap()
    }

    fn key() -> SshKey {
        SshKey::parse(
            "-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n-----END OPENSSH PRIVATE KEY-----",
        )
        .unwrap()
    }

    #[test]
    fn the_key_is_readable_for_this_user_alone_and_gone_afterwards() {
        let place = TempDir::new().unwrap();
        let given = Given {
            key: Some(&key()),
            ..Given::default()
        };
        let ssh = Ssh::prepare(place.path(), &given, &builders("arm")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(ssh.key().unwrap()), 0o600);
        assert_eq!(mode(ssh.folder.path()), 0o700);
        assert!(
            !fs::read_to_string(ssh.configuration())
                .unwrap()
                .contains("secret")
        );
        drop(ssh);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_a_running_one_has_is_not() {
        let place = TempDir::new().unwrap();
        let running = Ssh::prepare(place.path(), &Given::default(), &[]).unwrap();
        let left = place.path().join(format!("{PREFIX}left"));
        let (foreign, other) = (
            place.path().join("foreign"),
            place.path().join(format!("{PREFIX}no-lock")),
        );
        for folder in [&left, &foreign, &other] {
            fs::create_dir(folder).unwrap();
        }
        for folder in [&left, &foreign] {
            fs::write(folder.join(LOCK), "").unwrap();
        }
        let _second = Ssh::prepare(place.path(), &Given::default(), &[]).unwrap();
        assert!(!left.exists());
        assert!(running.folder.path().exists() && foreign.exists() && other.exists());
    }

    #[test]
    fn ours_comes_first_for_our_builders_and_the_users_own_goes_on_working() {
        let text = configuration(
            &builders("ssh-ng://root@arm:2222\nssh://other - /their/key"),
            Some(Path::new("/k")),
            Some(Path::new("/h")),
            None,
        );
        let (ours, after) = text.split_once("Match all\n").unwrap();
        let (arm, other) = ours.split_once("Host other\n").unwrap();
        assert!(
            arm.starts_with("Host arm\n  Port 2222\n  IdentityFile /k\n"),
            "{arm}"
        );
        assert!(
            arm.contains("UserKnownHostsFile /h ~/.ssh/known_hosts"),
            "{arm}"
        );
        assert!(
            other.contains("StrictHostKeyChecking yes") && !other.contains("/k\n"),
            "{other}"
        );
        assert!(after.starts_with("Include ~/.ssh/config\n"), "{after}");
    }

    #[test]
    fn options_of_the_environment_are_kept_and_their_configuration_included() {
        let place = TempDir::new().unwrap();
        for options in ["-p 22 -F /mine -C", "-F/mine -p 22 -C"] {
            let given = Given {
                options,
                ..Given::default()
            };
            let ssh = Ssh::prepare(place.path(), &given, &[]).unwrap();
            let expected = format!("-F {} -p 22 -C", ssh.configuration().display());
            assert_eq!(ssh.options(), expected);
            let text = fs::read_to_string(ssh.configuration()).unwrap();
            assert!(
                text.contains("Include /mine\n") && !text.contains("~/.ssh/config"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_configuration_of_the_environment_is_where_ssh_would_have_looked_for_it() {
        let included = |options: &str| {
            let (own, _) = split(options);
            configuration(&[], None, None, own.as_deref())
        };
        let here = std::env::current_dir().unwrap();
        let wanted = format!("Include {}/conf/mine\n", here.display());
        assert!(included("-F conf/mine").contains(&wanted));
        assert!(included("-F ~/mine").contains("Include ~/mine\n"));
    }

    #[test]
    fn a_place_that_nix_would_cut_in_two_is_not_used() {
        let place = TempDir::with_prefix("a b").unwrap();
        let ssh = Ssh::prepare(place.path(), &Given::default(), &[]).unwrap();
        assert!(
            ssh.options().starts_with("-F /tmp/nixpy-ci-ssh-"),
            "{}",
            ssh.options()
        );
    }
}
