//! Machines that build for this one: those of our settings and those of Nix's own.
//!
//! [`Builders::prepare`] takes what Nix is configured to use, adds what is wanted, and
//! writes what ssh needs into a folder that lives as long as the value.
//! [`Builders::probe`] asks each whether it can be used; [`Builders::means`] says how a
//! build is to use those that can ([`crate::build`] does it, round by round).
//!
//! Who connects decides who has to know the key. Without a daemon it is a child of ours,
//! which hears of it by `NIX_SSHOPTS`. With one it is the daemon, which is another user
//! and has an environment of its own: there the names of the files stand in the line.

mod address;
mod configured;
mod host_key;
mod key;
mod line;
mod probe;
mod ssh;
mod trouble;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

pub use address::{Address, Scheme, SshAddress};
pub use host_key::is_known_host;
pub use key::{SshKey, SshKeyError};
pub use line::{Builder, LineError};
pub use trouble::{HostKey, Trouble, TroubleKind};

use configured::Configuration;
use ssh::{Given, Ssh};

use crate::abilities::Abilities;
use crate::build::Means;
use crate::program::Nix;
use crate::system::System;

/// What is wanted, beside what Nix is configured to use.
#[derive(Debug, Clone, PartialEq)]
pub struct BuilderSettings {
    /// The builders.
    pub wanted: Vec<Builder>,
    /// Opens those whose line names no key file.
    pub key: Option<SshKey>,
    /// Lines of a known_hosts file.
    pub known_hosts: Vec<String>,
    /// Let builders fetch from caches what they can.
    pub use_substitutes: bool,
    /// A builder that says nothing for so long is given up.
    pub silence: Duration,
    /// What the environment's `NIX_SSHOPTS` says.
    pub ssh_options: String,
    /// Where temporary files go.
    pub place: PathBuf,
}

impl Default for BuilderSettings {
    fn default() -> Self {
        Self {
            wanted: Vec::new(),
            key: None,
            known_hosts: Vec::new(),
            use_substitutes: false,
            silence: Duration::from_secs(30 * 60),
            ssh_options: String::new(),
            place: PathBuf::from("/tmp"),
        }
    }
}

/// Builders cannot be used: the folder for the key could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot write what ssh needs for the builders into {}: {source}", place.display())]
pub struct BuildersError {
    place: PathBuf,
    source: std::io::Error,
}

/// Two builders are one to ssh, which is told one port for each name.
#[derive(Debug, thiserror::Error)]
#[error(
    "the builders {0} and {1} have one name and two ports: give one of them a name of its own in \
     ~/.ssh/config (Host, HostName, Port), and use that"
)]
pub struct AlikeError(String, String);

/// All builders that are known, and what is needed to reach them.
#[derive(Debug)]
pub struct Builders {
    all: Vec<Known>,
    ssh: Option<Ssh>,
    configuration: Configuration,
    use_substitutes: bool,
    silence: Duration,
}

/// A builder that was asked, and what is wrong with it.
pub type Answer = (Builder, Result<(), Trouble>);

/// A builder, and who knows it.
#[derive(Clone, Debug)]
struct Known {
    builder: Builder,
    origin: Origin,
    /// What is given to Nix; something else where Nix cannot be told all.
    line: Result<Builder, Trouble>,
}

/// Where a builder comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// Our settings.
    Wanted,
    /// Nix's.
    Configured,
}

impl Builders {
    /// Makes everything ready.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub async fn prepare(
        nix: &Nix,
        settings: &BuilderSettings,
        abilities: &Abilities,
    ) -> Result<Self, BuildersError> {
        let configuration = Configuration::of(abilities);
        // What is said twice, with and without a key perhaps, is said better by us.
        let others = configuration.builders.iter().filter(|configured| {
            let is_wanted = |wanted: &Builder| wanted.name() == configured.name();
            !settings.wanted.iter().any(is_wanted)
        });
        let others: Vec<Builder> = others.cloned().collect();
        let is_ssh = |builder: &Builder| matches!(builder.address, Address::Ssh(_));
        let ssh = match settings.wanted.iter().chain(&others).any(is_ssh) {
            false => None,
            true => {
                let given = Given {
                    key: settings.key.as_ref(),
                    known_hosts: &settings.known_hosts,
                    options: &settings.ssh_options,
                };
                let ssh = Ssh::prepare(&settings.place, &given, &settings.wanted);
                Some(ssh.map_err(|source| BuildersError {
                    place: settings.place.clone(),
                    source,
                })?)
            }
        };
        let mut all = Vec::new();
        for builder in &settings.wanted {
            let line = match (&ssh, configuration.through_daemon) {
                (_, true) if configuration.is_distrusted => {
                    Err(Trouble::new(TroubleKind::NotAllowed, String::new()))
                }
                (Some(ssh), true) => {
                    configured::for_daemon(builder, ssh, nix, !settings.known_hosts.is_empty())
                        .await
                }
                _ => Ok(Builder {
                    address: builder.address.clone().without_port(),
                    ..builder.clone()
                }),
            };
            all.push(Known {
                builder: builder.clone(),
                origin: Origin::Wanted,
                line,
            });
        }
        all.extend(others.into_iter().map(|builder| Known {
            line: Ok(builder.clone()),
            origin: Origin::Configured,
            builder,
        }));
        Ok(Self {
            all,
            ssh,
            configuration,
            use_substitutes: settings.use_substitutes,
            silence: settings.silence,
        })
    }

    /// All of them: those of the settings first.
    pub fn all(&self) -> impl Iterator<Item = &Builder> {
        self.all.iter().map(|known| &known.builder)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Those that build what is for a system and requires nothing else.
    pub fn for_system(&self, system: &System) -> Vec<&Builder> {
        self.all()
            .filter(|builder| builder.builds(system))
            .collect()
    }

    /// What is built elsewhere, if it requires nothing that only some builders have.
    fn remote(&self) -> BTreeSet<System> {
        let all = self
            .all()
            .flat_map(|builder| builder.systems().into_iter().map(move |it| (builder, it)));
        all.filter(|(builder, system)| builder.builds(system))
            .map(|(_, system)| system)
            .collect()
    }

    /// Nix, as it has to be called so that it reaches the builders.
    pub fn nix(&self, nix: &Nix) -> Nix {
        match &self.ssh {
            Some(ssh) if !self.configuration.through_daemon => nix
                .clone()
                .with_variable("NIX_SSHOPTS", ssh.options().to_owned()),
            _ => nix.clone(),
        }
    }

    /// The line by which Nix is told of a builder.
    ///
    /// # Errors
    /// What Nix cannot be told about it.
    pub fn line(&self, builder: &Builder) -> Result<Builder, Trouble> {
        let known = self.all.iter().find(|known| known.builder == *builder);
        known.map_or_else(|| Ok(builder.clone()), |known| known.line.clone())
    }

    /// How a build is to use those builders that were found sound, or that nobody has
    /// asked, but for those of a system that is to be built here (`not_for`). `emulate` is
    /// what may be emulated on this machine where no builder is left.
    pub fn means(&self, probed: &[Answer], not_for: &[System], emulate: Vec<System>) -> Means {
        let is_sound = |known: &&Known| {
            let result = probed.iter().find(|(builder, _)| *builder == known.builder);
            let is_avoided = not_for.iter().any(|system| known.builder.is_for(system));
            result.is_none_or(|(_, result)| result.is_ok()) && !is_avoided
        };
        let sound = self.all.iter().filter(is_sound);
        let left: Vec<&Known> = sound.filter(|known| known.line.is_ok()).collect();
        let configured = |known: &&Known| known.origin == Origin::Configured;
        let all_configured = self.all.iter().filter(configured).count();
        Means {
            // What Nix knows itself need not be said, and may not be by everybody.
            say: left.len() != all_configured || !left.iter().all(configured),
            builders: left
                .iter()
                .filter_map(|known| known.line.clone().ok())
                .collect(),
            remote: self.remote(),
            use_substitutes: self.use_substitutes,
            silence: self.silence,
            through_daemon: self.configuration.through_daemon,
            ..Means::here(self.configuration.platforms.clone(), emulate)
        }
    }
}

/// Whether ssh can be told of all of them.
///
/// # Errors
/// It cannot tell two of them apart.
pub fn tell_apart(builders: &[Builder]) -> Result<(), AlikeError> {
    let place = |builder: &Builder| match &builder.address {
        Address::Ssh(ssh) => Some((ssh.host.clone(), ssh.port)),
        Address::Other(_) => None,
    };
    for (index, one) in builders.iter().enumerate() {
        let Some((host, port)) = place(one) else {
            continue;
        };
        let is_alike = |other: &&Builder| {
            place(other).is_some_and(|(its_host, its_port)| its_host == host && its_port != port)
        };
        if let Some(other) = builders[..index].iter().find(is_alike) {
            return Err(AlikeError(other.name(), one.name()));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_name_with_two_ports_is_refused_whatever_the_protocol_and_the_user() {
        for (lines, is_refused) in [
            ("ssh://arm:22\nssh-ng://root@arm:2222", true),
            ("ssh://arm\nssh://arm:2222", true),
            ("ssh://arm:2222\nssh-ng://root@arm:2222", false),
            ("ssh://arm:22\nssh://other:2222", false),
        ] {
            let builders = Builder::parse_all(lines, &|_| unreachable!()).unwrap();
            assert_eq!(tell_apart(&builders).is_err(), is_refused, "{lines}");
        }
    }
}
