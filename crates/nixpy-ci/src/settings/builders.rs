//! Other machines that build, and what opens them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use nixpy_nix::builders::{Address, Builder, BuilderSettings, SshKey, is_known_host, tell_apart};

use super::image::time;
use super::resolve::{Reader, Surroundings};

impl Reader<'_> {
    pub(super) fn builders(&mut self, around: &Surroundings<'_>) -> BuilderSettings {
        let default = BuilderSettings::default();
        let variable = |name: &str| around.environment.get(OsStr::new(name));
        BuilderSettings {
            wanted: self.wanted_builders(&around.cwd),
            key: self.one("builder-ssh-key", |text| {
                SshKey::parse(text).map_err(|e| e.to_string())
            }),
            known_hosts: self.many("builder-known-hosts", known_host),
            use_substitutes: self.switch("builders-use-substitutes"),
            silence: self.one("builder-silence", time).unwrap_or(default.silence),
            ssh_options: variable("NIX_SSHOPTS")
                .map(|options| options.to_string_lossy().into_owned())
                .unwrap_or_default(),
            place: variable("TMPDIR").map_or(default.place, PathBuf::from),
        }
    }

    /// Each value is one line or several; what is wrong is told of each.
    fn wanted_builders(&mut self, cwd: &Path) -> Vec<Builder> {
        let Some(raw) = self.raw.get("builders") else {
            return Vec::new();
        };
        // Nix passes over a file that is not there; whoever names one here means it.
        let read =
            |file: &Path| std::fs::read_to_string(cwd.join(file)).map_err(std::io::Error::other);
        match Builder::parse_all(&raw.values.join("\n"), &read) {
            Ok(builders) => {
                for builder in &builders {
                    if let Address::Other(address) = &builder.address {
                        let problem = format!(
                            "{address:?} is no machine behind ssh: write ssh-ng://root@arm.example.org"
                        );
                        self.fail(&raw.origin, problem);
                    }
                }
                if let Err(problem) = tell_apart(&builders) {
                    self.fail(&raw.origin, problem.to_string());
                }
                builders
            }
            Err(problems) => {
                for problem in problems {
                    self.fail(&raw.origin, problem.to_string());
                }
                Vec::new()
            }
        }
    }
}

/// Names, a kind of key, and the key; or a comment, as `ssh-keyscan` writes them.
fn known_host(line: &str) -> Result<String, String> {
    match line.starts_with('#') || is_known_host(line) {
        true => Ok(line.to_owned()),
        false => Err(format!(
            "{line:?} is not a line of a known_hosts file: write what `ssh-keyscan` prints, \
             as in arm.example.org ssh-ed25519 AAAA…"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_known_hosts_has_names_a_kind_and_a_key() {
        for line in [
            "arm.example.org ssh-ed25519 AAAA",
            "[arm]:2222,10.0.0.1 ecdsa-sha2-nistp256 AAAA root@arm",
            "@cert-authority *.example.org ssh-rsa AAAA",
            "|1|aGFzaA==|aGFzaA== ssh-ed25519 AAAA",
            "# arm:22 SSH-2.0-OpenSSH_9.2",
        ] {
            assert_eq!(known_host(line).as_deref(), Ok(line));
        }
        for line in [
            "arm",
            "ssh-ed25519 AAAA root@arm",
            "SHA256:abcdef",
            "~/.ssh/known_hosts",
        ] {
            assert!(known_host(line).is_err(), "{line}");
        }
    }
}
