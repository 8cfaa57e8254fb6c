//! The private key that opens builders, in a type whose text cannot be printed.

use std::fmt;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// A private key as OpenSSH writes it. Formatting it, in whatever way, gives `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct SshKey(String);

/// A text that is not the key of anything. It is not repeated: it may be a secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SshKeyError {
    /// Something else.
    #[error(
        "this is not a private key: it begins with -----BEGIN … PRIVATE KEY----- and ends with its -----END line; \
         give the text of a file such as ~/.ssh/id_ed25519, not its path"
    )]
    NotAKey,
    /// The half that everybody may know.
    #[error("this is a public key: the private one is in the file of that name without .pub")]
    Public,
}

impl SshKey {
    /// Takes a key into custody: with the ends of lines that ssh wants, also where the
    /// text came through something that has only one line and writes `\n`.
    ///
    /// # Errors
    /// [`SshKeyError`] when it is something else.
    pub fn parse(text: &str) -> Result<Self, SshKeyError> {
        let text = text.replace("\\n", "\n").replace("\r\n", "\n");
        let text = text.trim();
        let (first, last) = (text.lines().next(), text.lines().last());
        let is_edge = |line: Option<&str>, word: &str| {
            line.is_some_and(|line| {
                let line = line.trim();
                line.starts_with(&format!("-----{word} ")) && line.ends_with("PRIVATE KEY-----")
            })
        };
        if is_edge(first, "BEGIN") && is_edge(last, "END") {
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            return Ok(Self(lines.join("\n") + "\n"));
        }
        let public = ["ssh-", "ecdsa-", "sk-"]
            .iter()
            .any(|kind| text.starts_with(kind));
        Err(if public {
            SshKeyError::Public
        } else {
            SshKeyError::NotAKey
        })
    }

    /// Writes a new file that nobody but this user can read.
    pub(super) fn write(&self, file: &Path) -> std::io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file)?;
        file.write_all(self.0.as_bytes())
    }
}

impl fmt::Debug for SshKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const KEY: &str =
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbg\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";

    #[test]
    fn a_key_has_the_line_ends_that_ssh_wants_however_it_came() {
        for text in [
            KEY.to_owned(),
            KEY.trim_end().to_owned(),
            KEY.replace('\n', "\\n"),
            KEY.replace('\n', "\r\n"),
            format!("\n  {}", KEY.replace('\n', "\n  ")),
        ] {
            assert_eq!(SshKey::parse(&text).unwrap().0, KEY, "{text:?}");
        }
    }

    #[test]
    fn it_cannot_be_printed() {
        assert_eq!(format!("{:?}", SshKey::parse(KEY).unwrap()), "***");
    }

    #[test]
    fn what_is_no_key_is_not_repeated() {
        let cut = KEY.replace("-----END", "");
        for (text, error) in [
            ("ssh-ed25519 AAAAC3Nz me@here", SshKeyError::Public),
            ("/home/me/.ssh/id_ed25519", SshKeyError::NotAKey),
            ("", SshKeyError::NotAKey),
            (cut.as_str(), SshKeyError::NotAKey),
        ] {
            assert_eq!(SshKey::parse(text).unwrap_err(), error);
        }
        let said = SshKey::parse("hunter2").unwrap_err().to_string();
        assert!(!said.contains("hunter2"));
    }
}
