//! What is wrong with a builder: recognised in what ssh and Nix say about it, because
//! neither has codes, and told with a cure.

use std::fmt;

/// Why a builder cannot be used, or is not used any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What kind of trouble.
    pub kind: TroubleKind,
    /// What ssh, Nix or the builder said, in one line; may be empty.
    pub words: String,
    /// Of a host key that is unknown or has changed.
    pub host_key: Option<HostKey>,
}

/// The kinds of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// No such host, nothing listens there, no way to it.
    Unreachable,
    /// No answer within the time.
    TimedOut,
    /// It shows a key that nobody has said is its own.
    HostKeyUnknown,
    /// It shows another key than it should.
    HostKeyChanged,
    /// It does not let us in.
    KeyRefused,
    /// There is no Nix, or none for the user that we log in as.
    NoNix,
    /// Its Nix does not take what this user sends.
    NotTrusted,
    /// Its disk is full.
    DiskFull,
    /// The connection ended in the middle of a build.
    Lost,
    /// It said nothing for longer than is allowed.
    Silent,
    /// The daemon here does not take builders from this user.
    NotAllowed,
    /// It listens on a port of its own, which the daemon here cannot be told.
    NoPort,
    /// Something else.
    Other,
}

/// Lines of a known_hosts file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostKey {
    /// What the machine shows.
    pub offered: Option<String>,
    /// What it should show.
    pub expected: Option<String>,
}

impl Trouble {
    /// With what was said about it.
    pub(crate) fn new(kind: TroubleKind, words: impl Into<String>) -> Self {
        let words = words.into();
        Self {
            kind,
            words,
            host_key: None,
        }
    }

    /// What these lines of ssh and Nix mean.
    pub fn recognise<'a>(said: impl IntoIterator<Item = &'a str>) -> Self {
        let lines: Vec<&str> = said
            .into_iter()
            .flat_map(str::lines)
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        for (kind, signs) in SIGNS {
            let telling = |line: &&&str| signs.iter().any(|sign| line.contains(sign));
            if let Some(line) = lines.iter().find(telling) {
                return Self::new(*kind, *line);
            }
        }
        Self::new(
            TroubleKind::Other,
            lines.last().copied().unwrap_or_default(),
        )
    }

    /// What to do about it.
    pub fn cure(&self) -> Option<String> {
        let offered = self.host_key.as_ref().and_then(|key| key.offered.as_ref());
        Some(match self.kind {
            TroubleKind::Unreachable | TroubleKind::TimedOut => {
                "check that it is on, and that its name and port are right".to_owned()
            }
            TroubleKind::HostKeyUnknown => match offered {
                Some(line) => format!(
                    "after checking that it is the machine's key (there: `ssh-keygen -lf /etc/ssh/ssh_host_…_key.pub`), \
                     add this line to --builder-known-hosts: {line}"
                ),
                None => "add its line of `ssh-keyscan` to --builder-known-hosts, after checking it".to_owned(),
            },
            TroubleKind::HostKeyChanged => {
                "somebody may be listening in; only if the machine was given a new key, replace the old \
                 one in --builder-known-hosts or ~/.ssh/known_hosts"
                    .to_owned()
            }
            TroubleKind::KeyRefused => {
                "check the user in the builder's address, and that the public half of NIXPY_BUILDER_SSH_KEY \
                 is in that user's ~/.ssh/authorized_keys there"
                    .to_owned()
            }
            TroubleKind::NoNix => {
                "install Nix there, so that `ssh … nix-daemon --version` finds it without a login shell; \
                 or add ?remote-program=… to its address"
                    .to_owned()
            }
            TroubleKind::NotTrusted => {
                "name the user that logs in there in `trusted-users` of its /etc/nix/nix.conf".to_owned()
            }
            TroubleKind::DiskFull => "free space there: `nix store gc`".to_owned(),
            TroubleKind::NotAllowed => {
                "name this user in `trusted-users` of /etc/nix/nix.conf, and restart the daemon; or write \
                 the builders into its `builders`"
                    .to_owned()
            }
            TroubleKind::NoPort => {
                "give it a name in /root/.ssh/config (Host, HostName, Port), and use that as its address; \
                 Nix 2.31 takes a port"
                    .to_owned()
            }
            TroubleKind::Silent => {
                "look at what runs there; --builder-silence says how long to wait".to_owned()
            }
            TroubleKind::Lost | TroubleKind::Other => return None,
        })
    }
}

/// In the order in which they tell: what ssh says first may only be a consequence.
const SIGNS: &[(TroubleKind, &[&str])] = &[
    (
        TroubleKind::HostKeyChanged,
        &[
            "REMOTE HOST IDENTIFICATION HAS CHANGED",
            "has changed and you have requested strict",
        ],
    ),
    (
        TroubleKind::HostKeyUnknown,
        &["host key is known for", "Host key verification failed"],
    ),
    (
        TroubleKind::KeyRefused,
        &[
            "Permission denied (",
            "Too many authentication failures",
            "Load key ",
        ],
    ),
    (
        TroubleKind::DiskFull,
        &["No space left on device", "database or disk is full"],
    ),
    (
        TroubleKind::NotTrusted,
        &[
            "lacks a signature by a trusted key",
            "lacks a valid signature",
            "not a trusted user",
            "Trusted: 0",
        ],
    ),
    (
        TroubleKind::NoNix,
        &[
            "command not found",
            ": not found",
            "nix-daemon: No such file",
            "nix-store: No such file",
        ],
    ),
    (TroubleKind::TimedOut, &["timed out", "not responding"]),
    (
        TroubleKind::Unreachable,
        &[
            "Could not resolve hostname",
            "Connection refused",
            "No route to host",
            "Network is unreachable",
            "Connection closed by",
            "Connection reset by",
        ],
    ),
];

impl fmt::Display for TroubleKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unreachable => "it cannot be reached",
            Self::TimedOut => "it does not answer in time",
            Self::HostKeyUnknown => "its host key is not known",
            Self::HostKeyChanged => "ITS HOST KEY IS NOT THE ONE IT SHOULD HAVE",
            Self::KeyRefused => "it does not let us in",
            Self::NoNix => "it has no Nix",
            Self::NotTrusted => "it does not trust the user that logs in",
            Self::DiskFull => "its disk is full",
            Self::Lost => "the connection was lost in mid-build",
            Self::Silent => "it fell silent in mid-build",
            Self::NotAllowed => "the Nix daemon takes no builders from this user",
            Self::NoPort => "the Nix daemon of this version cannot be told its port",
            Self::Other => "it failed",
        })
    }
}

/// What happened, in its own words; the cure is not part of it.
impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(formatter)?;
        if self.kind == TroubleKind::HostKeyChanged
            && let Some(key) = &self.host_key
        {
            let or_unknown =
                |line: &Option<String>| line.clone().unwrap_or_else(|| "another".to_owned());
            return write!(
                formatter,
                ": it shows `{}`, expected is `{}`",
                or_unknown(&key.offered),
                or_unknown(&key.expected)
            );
        }
        match self.words.is_empty() {
            true => Ok(()),
            false => write!(formatter, ": {}", self.words),
        }
    }
}

#[cfg(test)]
mod tests;
