//! Logins for caches that Nix reads, where Nix looks for them: a netrc file, of which
//! curl's manual has the form. It is in a folder of our own that nobody else may enter, and
//! goes with the value that holds it; what a process that was killed has left is removed by
//! the next. What stands in the user's own file is in it too, since Nix reads one only.

use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nixpy_oci::registry::Secret;
use tempfile::TempDir;

const PREFIX: &str = "nixpy-ci-netrc-";
const LOCK: &str = "lock";

/// What opens one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    machine: String,
    user: Option<String>,
    password: Secret,
}

/// The file; gone with this.
#[derive(Debug)]
pub struct Netrc {
    folder: TempDir,
    /// As long as this is held, others leave the folder alone.
    _lock: File,
}

impl Login {
    /// For the host of this address: a token, or `USER:PASSWORD` where `has_user`. Nothing
    /// where there is no host, or what cannot be written in such a file.
    pub fn of(url: &str, token: &Secret, has_user: bool) -> Option<Self> {
        let (_, rest) = url.split_once("://")?;
        let host = rest.split(['/', '?']).next()?;
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        // curl looks for the host without its port.
        let machine = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let (user, password) = match token.expose().split_once(':') {
            Some((user, password)) if has_user => (Some(user), password),
            _ => (None, token.expose()),
        };
        let words = [machine, user.unwrap_or("-"), password];
        words.iter().all(|word| is_word(word)).then(|| Self {
            machine: machine.to_owned(),
            user: user.map(str::to_owned),
            password: Secret::new(password),
        })
    }

    fn line(&self, text: &mut String) {
        let _ = write!(text, "machine {}", self.machine);
        if let Some(user) = &self.user {
            let _ = write!(text, " login {user}");
        }
        let _ = writeln!(text, " password {}", self.password.expose());
    }
}

/// What stands in such a file as it is, without quotes.
fn is_word(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '#');
    !text.is_empty() && text.chars().all(plain)
}

impl Netrc {
    /// Writes it, below `place`, with what is in the user's own file behind ours: the first
    /// line for a host counts.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(place: &Path, logins: &[Login], own: Option<&Path>) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(place)?;
        // Under its name it is seen only when it is held: a lock that nobody holds is left.
        let unseen = folder.path().join(format!("{LOCK}.new"));
        let lock = File::create_new(&unseen)?;
        lock.lock()?;
        fs::rename(&unseen, folder.path().join(LOCK))?;
        sweep(place, folder.path());
        let mut text = String::new();
        logins.iter().for_each(|login| login.line(&mut text));
        // One that is not there, or not for us to read, Nix would not read either.
        text.extend(own.and_then(|own| fs::read_to_string(own).ok()));
        let netrc = Self {
            folder,
            _lock: lock,
        };
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(netrc.file())?;
        file.write_all(text.as_bytes())?;
        Ok(netrc)
    }

    /// Where it is.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("netrc")
    }
}

/// Removes what processes that were killed have left.
fn sweep(place: &Path, ours: &Path) {
    let Ok(user) = ours.metadata().map(|metadata| metadata.uid()) else {
        return;
    };
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_left = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && path != ours
            && path
                .symlink_metadata()
                .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == user)
            && File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if is_left {
            let _ = fs::remove_dir_all(path);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn login(url: &str, token: &str) -> Option<Login> {
        Login::of(url, &Secret::new(token), true)
    }

    #[test]
    fn only_this_user_reads_it_and_it_is_gone_afterwards() {
        let place = TempDir::new().unwrap();
        let own = place.path().join("own");
        fs::write(&own, "machine c.org password theirs\n").unwrap();
        let logins = [
            login("https://a.org:8443/x?y=z", "me:pass:word").unwrap(),
            login("http://b.org", "token").unwrap(),
        ];
        let netrc = Netrc::write(place.path(), &logins, Some(&own)).unwrap();
        assert_eq!(
            fs::read_to_string(netrc.file()).unwrap(),
            "machine a.org login me password pass:word\n\
             machine b.org password token\n\
             machine c.org password theirs\n"
        );
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&netrc.file()), 0o600);
        assert_eq!(mode(netrc.folder.path()), 0o700);
        let file = netrc.file();
        drop(netrc);
        assert!(!file.exists());
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_is_in_use_is_not() {
        let place = TempDir::new().unwrap();
        let left = place.path().join(format!("{PREFIX}left"));
        fs::create_dir(&left).unwrap();
        File::create(left.join(LOCK)).unwrap();
        fs::write(left.join("netrc"), "machine a.org password b").unwrap();
        let first = Netrc::write(place.path(), &[], None).unwrap();
        assert!(!left.exists());
        let _second = Netrc::write(place.path(), &[], None).unwrap();
        assert!(first.file().exists());
    }

    #[test]
    fn what_would_be_read_as_something_else_is_not_written() {
        for token in ["", "a b", "a\nmachine b.org", "\"a\"", "me:", ":a", "ä"] {
            assert_eq!(login("https://a.org", token), None, "{token:?}");
        }
        assert_eq!(login("file", "a"), None);
        let login = login("https://a.org", "hunter2").unwrap();
        assert!(!format!("{login:?}").contains("hunter2"));
    }
}
