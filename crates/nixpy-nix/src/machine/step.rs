//! The changes that setup knows. The list is closed: what is not here, it never does.

use std::fmt;
use std::path::PathBuf;

use super::nix_conf::Change;
use super::runner::quoted;
use super::{Arch, Edit, Invocation, Release, binfmt};

/// The folder of the daemon's socket.
pub(super) const SOCKET_FOLDER: &str = "/nix/var/nix/daemon-socket";
/// Debian's group of those who may ask the daemon.
pub(super) const DAEMON_GROUP: &str = "nix-users";

/// How a registration is made, and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// By systemd-binfmt, from a file in `binfmt.d`: again at every start.
    Systemd,
    /// By Debian's `update-binfmts`: again at every start.
    UpdateBinfmts,
    /// By a line to the kernel: until the machine restarts.
    Direct,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Packages of the distribution, by apt-get.
    InstallPackages {
        /// Their names.
        packages: Vec<String>,
        /// Whether the lists of packages are fetched first.
        update: bool,
    },
    /// Upstream's release, checked by hash.
    InstallUpstreamNix {
        /// What is fetched.
        release: Release,
        /// With a daemon for all users, or for this user alone.
        daemon: bool,
    },
    /// `/nix`, for a user who builds without a daemon.
    MakeStoreFolder {
        /// Whose it will be.
        owner: String,
    },
    /// The kernel's list of foreign formats.
    MountBinfmt,
    /// A processor's programs.
    RegisterBinfmt {
        /// Whose programs.
        arch: Arch,
        /// How.
        via: Via,
        /// The program that will run them.
        interpreter: String,
        /// A registration to take away first, and what is wrong with it.
        replaces: Option<(String, String)>,
    },
    /// Lines of a nix.conf.
    WriteNixConf {
        /// The file.
        path: PathBuf,
        /// What it shall say.
        edits: Vec<Edit>,
        /// What is expected to change, as far as can be foreseen.
        #[doc(hidden)]
        changes: Vec<String>,
        /// The same for a shell.
        #[doc(hidden)]
        shell: Vec<String>,
        /// Whether the file is the user's own.
        own: bool,
    },
    /// The daemon reads its configuration when it starts.
    RestartDaemon,
    /// Membership in the group that may ask the daemon, from the next login on.
    JoinGroup {
        /// Who.
        user: String,
        /// Which.
        group: String,
    },
    /// The daemon's socket for all users, until the machine restarts.
    OpenDaemonSocket,
}

impl Step {
    /// One line for people; for a nix.conf one per line that changes.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::InstallPackages { packages, update } => {
                let update = if *update {
                    "fetch the package lists, then "
                } else {
                    ""
                };
                format!("{update}install packages: {}", packages.join(" "))
            }
            Self::InstallUpstreamNix { release, daemon } => {
                let kind = if *daemon {
                    "with its daemon"
                } else {
                    "for this user alone"
                };
                format!(
                    "install Nix {kind} from {} (sha256 {})",
                    release.url, release.sha256
                )
            }
            Self::MakeStoreFolder { owner } => format!("make the folder /nix, owned by {owner}"),
            Self::MountBinfmt => format!("mount binfmt_misc on {}", binfmt::FOLDER),
            Self::RegisterBinfmt {
                arch,
                via,
                interpreter,
                replaces,
            } => {
                let replaces = match replaces {
                    Some((name, why)) => {
                        format!("take away the registration `{name}` ({why}) and ")
                    }
                    None => String::new(),
                };
                let kept = match via {
                    Via::Systemd => "through systemd-binfmt, kept after a restart",
                    Via::UpdateBinfmts => "through update-binfmts, kept after a restart",
                    Via::Direct => "with the kernel, until the machine restarts",
                };
                format!(
                    "{replaces}register {interpreter} for {} programs {kept}; with the fix-binary flag F, \
                     so that it works inside the build sandbox",
                    arch.name()
                )
            }
            Self::WriteNixConf { path, changes, .. } => {
                format!("{}: {}", path.display(), changes.join("; "))
            }
            Self::RestartDaemon => {
                "restart nix-daemon, which reads its configuration when it starts".to_owned()
            }
            Self::JoinGroup { user, group } => {
                format!(
                    "add {user} to the group {group}, which may use nix-daemon; counts from the next login on"
                )
            }
            Self::OpenDaemonSocket => {
                format!("open {SOCKET_FOLDER} to all users until the machine restarts (mode 0755)")
            }
        }
    }

    /// Whether only root can do it.
    #[must_use]
    pub fn needs_root(&self) -> bool {
        // Upstream's installer asks `sudo` itself, and cannot do without.
        !matches!(self, Self::WriteNixConf { own: true, .. })
    }

    /// The same for people who have to type it, as root.
    #[must_use]
    pub fn shell(&self) -> Vec<String> {
        match self {
            Self::InstallPackages { packages, update } => {
                let mut lines = Vec::new();
                lines.extend(update.then(|| "apt-get update".to_owned()));
                lines.push(format!(
                    "apt-get install --no-install-recommends -y {}",
                    packages.join(" ")
                ));
                lines
            }
            Self::InstallUpstreamNix { release, daemon } => {
                let mode = if *daemon {
                    "--daemon --yes"
                } else {
                    "--no-daemon"
                };
                vec![
                    format!("curl -fL -o nix.tar.xz {}", quoted(&release.url)),
                    format!("echo '{}  nix.tar.xz' | sha256sum --check", release.sha256),
                    format!("tar -xJf nix.tar.xz && sh nix-*/install {mode} --no-channel-add"),
                ]
            }
            Self::MakeStoreFolder { owner } => {
                vec![format!("install -d -m 755 -o {} /nix", quoted(owner))]
            }
            Self::MountBinfmt => vec![format!(
                "mount -t binfmt_misc binfmt_misc {}",
                binfmt::FOLDER
            )],
            Self::RegisterBinfmt {
                arch,
                interpreter,
                replaces,
                ..
            } => {
                let mut lines = Vec::new();
                lines.extend(
                    replaces
                        .iter()
                        .map(|(name, _)| format!("echo -1 > {}/{}", binfmt::FOLDER, quoted(name))),
                );
                let line = binfmt::line(*arch, interpreter, flags(interpreter));
                lines.push(format!(
                    "printf '%s' '{line}' > {}/register",
                    binfmt::FOLDER
                ));
                lines
            }
            Self::WriteNixConf { shell, .. } => shell.clone(),
            Self::RestartDaemon => vec!["systemctl restart nix-daemon".to_owned()],
            Self::JoinGroup { user, group } => {
                vec![format!("usermod -aG {group} {}", quoted(user))]
            }
            Self::OpenDaemonSocket => vec![format!("chmod 755 {SOCKET_FOLDER}")],
        }
    }

    /// The step that makes `path` say `edits`, as foreseen from its text.
    pub(super) fn nix_conf(path: PathBuf, text: &str, edits: Vec<Edit>, own: bool) -> Option<Self> {
        let (foreseen, _) = super::nix_conf::edit(text, &edits);
        let file = quoted(&path.to_string_lossy());
        let (mut changes, mut shell) = (Vec::new(), Vec::new());
        for change in foreseen {
            match change {
                Change::Add(line) => {
                    shell.push(format!("echo '{line}' >> {file}"));
                    changes.push(format!("add `{line}`"));
                }
                Change::Replace { from, to } => {
                    shell.push(format!("sed -i 's|^{from}$|{to}|' {file}"));
                    changes.push(format!("change `{from}` to `{to}`"));
                }
            }
        }
        (!changes.is_empty()).then_some(Self::WriteNixConf {
            path,
            edits,
            changes,
            shell,
            own,
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

/// `apt-get`, which must neither ask nor replace a configuration that is there.
pub(super) fn apt_get(args: &[&str]) -> Invocation {
    let keep = [
        "-o",
        "Dpkg::Options::=--force-confdef",
        "-o",
        "Dpkg::Options::=--force-confold",
    ];
    Invocation::new("apt-get", keep.into_iter().chain(args.iter().copied()))
        .with_env("DEBIAN_FRONTEND", "noninteractive")
}

/// The flags of a registration that setup makes.
pub(super) fn flags(interpreter: &str) -> &'static str {
    if interpreter.ends_with("-P") {
        "PF"
    } else {
        "F"
    }
}
