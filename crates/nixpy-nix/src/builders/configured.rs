//! What Nix is configured to use: its own builders, what this machine builds for, and
//! whether a daemon does the building.

use std::path::Path;

use super::host_key;
use super::line::Builder;
use super::ssh::Ssh;
use super::trouble::{Trouble, TroubleKind};
use super::{Address, SshAddress};
use crate::abilities::{Abilities, Builds, Trust};
use crate::program::Nix;

/// As far as builders are concerned.
#[derive(Clone, Debug, Default)]
pub(super) struct Configuration {
    pub(super) builders: Vec<Builder>,
    /// `extra-platforms`, as Nix spells them.
    pub(super) platforms: Vec<String>,
    /// Whether another process connects to builders, as another user.
    pub(super) through_daemon: bool,
    /// Whether that one is known to take no builders from us.
    pub(super) is_distrusted: bool,
}

impl Configuration {
    /// What is known of this machine's Nix.
    pub(super) fn of(abilities: &Abilities) -> Self {
        let read = |path: &Path| std::fs::read_to_string(path);
        // What Nix cannot read either is Nix's to complain about.
        let (builders, errors) = Builder::parse_configured(&abilities.settings.builders, &read);
        if !errors.is_empty() {
            tracing::debug!(?errors, "some of Nix's builders cannot be read");
        }
        Self {
            builders,
            platforms: abilities.extra_platforms.clone(),
            through_daemon: matches!(abilities.builds, Builds::Daemon(_)),
            is_distrusted: abilities.builds == Builds::Daemon(Trust::Untrusted),
        }
    }
}

/// Asks a store to say what it is; its own, unless another is named.
pub(super) async fn hello(nix: &Nix) -> Vec<String> {
    let tells = nix
        .version()
        .await
        .is_ok_and(|version| version.tells_store_info());
    let verb = if tells { "info" } else { "ping" };
    ["store", verb].map(str::to_owned).to_vec()
}

/// The line for a daemon, which knows neither our configuration nor our environment.
pub(super) async fn for_daemon(
    builder: &Builder,
    ssh: &Ssh,
    nix: &Nix,
    are_hosts_given: bool,
) -> Result<Builder, Trouble> {
    let mut line = builder.clone();
    let Address::Ssh(SshAddress { host, port, .. }) = &builder.address else {
        return Ok(line);
    };
    let takes_ports = nix
        .version()
        .await
        .is_ok_and(|version| version.takes_ports());
    if port.is_some() && !takes_ports {
        return Err(Trouble::new(TroubleKind::NoPort, String::new()));
    }
    if line.key_file.is_none() {
        line.key_file = ssh.key().map(Path::to_owned);
    }
    if line.host_key.is_none() && are_hosts_given {
        line.host_key = host_key::given(host, *port, ssh, nix).await;
    }
    Ok(line)
}
