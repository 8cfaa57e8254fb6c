//! Where a builder is: the store address that stands first in its line.
//!
//! Nix knows many kinds of stores, and any of them may be a builder; those behind ssh
//! are understood here, the others are passed on as they stand. Before 2.31 Nix takes
//! `host:port` for the name of a host, so the port can be left out
//! ([`Address::without_port`]) and told to ssh.

use std::fmt;
use std::str::FromStr;

/// A builder's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A machine that is reached by ssh.
    Ssh(SshAddress),
    /// Whatever else Nix may know: `local`, `unix:///…`.
    Other(String),
}

/// `ssh-ng://root@arm.example.org:2222?compress=true`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshAddress {
    /// `ssh-ng`, or the older `ssh`.
    pub scheme: Scheme,
    /// Who logs in; ssh's configuration says it if `None`.
    pub user: Option<String>,
    /// A name, one of ssh's configuration too, or an address; without brackets.
    pub host: String,
    /// Other than ssh's configuration says.
    pub port: Option<u16>,
    /// What follows the question mark.
    pub parameters: Option<String>,
}

/// How Nix speaks over ssh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// With `nix-daemon --stdio`.
    SshNg,
    /// With `nix-store --serve`.
    Ssh,
}

impl Address {
    /// What people call it.
    pub fn name(&self) -> String {
        match self {
            Self::Ssh(ssh) => SshAddress {
                parameters: None,
                ..ssh.clone()
            }
            .to_string(),
            Self::Other(text) => text.split('?').next().unwrap_or_default().to_owned(),
        }
    }

    /// For a Nix that takes no port.
    #[must_use]
    pub fn without_port(mut self) -> Self {
        if let Self::Ssh(ssh) = &mut self {
            ssh.port = None;
        }
        self
    }

    /// Whether Nix means this one: it may leave out the port, and say parameters of its own.
    pub fn is_called(&self, name: &str) -> bool {
        let Ok(called) = name.parse::<Self>() else {
            return false;
        };
        called.name() == self.name() || called.name() == self.clone().without_port().name()
    }
}

/// Nix takes what has no scheme for a host.
impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("ssh-ng", rest)) => (Scheme::SshNg, rest),
            Some(("ssh", rest)) => (Scheme::Ssh, rest),
            Some(_) => return Ok(Self::Other(text.to_owned())),
            None if ["local", "daemon", "auto"].contains(&text) || text.starts_with('/') => {
                return Ok(Self::Other(text.to_owned()));
            }
            None => (Scheme::Ssh, text),
        };
        let (place, parameters) = match rest.split_once('?') {
            Some((place, parameters)) => (place, Some(parameters.to_owned())),
            None => (rest, None),
        };
        let (user, place) = match place.rsplit_once('@') {
            Some((user, place)) => (Some(user.to_owned()), place),
            None => (None, place),
        };
        let (host, port) = host_and_port(place.trim_end_matches('/'))?;
        // What ssh would take for one of its options, or for more than a name.
        let is_name = |text: &str| {
            !text.is_empty()
                && !text.starts_with('-')
                && !text
                    .chars()
                    .any(|c| c.is_control() || " \t\"'*?!,/\\".contains(c))
        };
        if !is_name(&host) || !user.as_deref().is_none_or(is_name) {
            let wanted = "write where the builder is, as in ssh-ng://root@arm.example.org";
            return Err(wanted.to_owned());
        }
        Ok(Self::Ssh(SshAddress {
            scheme,
            user,
            host,
            port,
            parameters,
        }))
    }
}

fn host_and_port(place: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match place
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or(rest))),
        None => match place.split_once(':') {
            // More than one colon, and no brackets: an IPv6 address.
            Some((_, rest)) if rest.contains(':') => (place, None),
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let port = match port {
        None => None,
        Some(text) => match text.parse() {
            Ok(0) | Err(_) => return Err(format!("{text:?} is not a port")),
            Ok(port) => Some(port),
        },
    };
    Ok((host.to_owned(), port))
}

impl fmt::Display for Scheme {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::SshNg => "ssh-ng",
            Self::Ssh => "ssh",
        })
    }
}

impl fmt::Display for SshAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://", self.scheme)?;
        if let Some(user) = &self.user {
            write!(formatter, "{user}@")?;
        }
        match self.host.contains(':') {
            true => write!(formatter, "[{}]", self.host)?,
            false => formatter.write_str(&self.host)?,
        }
        if let Some(port) = self.port {
            write!(formatter, ":{port}")?;
        }
        match &self.parameters {
            Some(parameters) => write!(formatter, "?{parameters}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ssh(ssh) => ssh.fmt(formatter),
            Self::Other(text) => formatter.write_str(text),
        }
    }
}

/// A name for a file about this machine.
pub(super) fn file_name(address: &SshAddress) -> String {
    let text = address.to_string();
    text.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}
