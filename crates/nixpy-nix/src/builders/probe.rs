//! Asks every builder whether it can be used, all at once, before anything depends on it.

use std::time::Duration;

use futures_util::future::join_all;

use super::configured::hello;
use super::trouble::{Trouble, TroubleKind};
use super::{Address, Answer, Builder, Builders, Known, Origin, host_key};
use crate::program::Nix;
use crate::run::run;

/// How much sooner than we ssh gives up, so that it says why.
const AHEAD: Duration = Duration::from_secs(2);

impl Builders {
    /// Asks each that is wanted, and waits so long; in the order of [`Builders::all`]. It
    /// takes no longer than the slowest.
    pub async fn probe(
        &self,
        nix: &Nix,
        patience: Duration,
        is_wanted: impl Fn(&Builder) -> bool,
    ) -> Vec<Answer> {
        let to_connect = patience.saturating_sub(AHEAD).as_secs().max(1);
        let nix = match &self.ssh {
            // Nobody is there to be asked for a passphrase; and this is our own connection,
            // also where a daemon makes those that build.
            Some(ssh) => nix.clone().with_variable(
                "NIX_SSHOPTS",
                format!(
                    "{} -oBatchMode=yes -oConnectTimeout={to_connect}",
                    ssh.options()
                ),
            ),
            None => nix.clone(),
        };
        let wanted = self.all.iter().filter(|known| is_wanted(&known.builder));
        let asked = wanted.map(|known| async {
            let answer = self.ask(&nix, known, patience).await;
            (known.builder.clone(), answer)
        });
        join_all(asked).await
    }

    async fn ask(&self, nix: &Nix, known: &Known, patience: Duration) -> Result<(), Trouble> {
        known.line.clone()?;
        // A daemon's own builders are opened by keys that we may not read.
        if known.origin == Origin::Configured && self.configuration.through_daemon {
            return Ok(());
        }
        let uri = uri(&known.builder, known.origin);
        let mut arguments = hello(nix).await;
        arguments.extend(["--store".to_owned(), uri]);
        let mut ignored = |_| {};
        let called = run(nix, &arguments, &mut ignored);
        let ended = match tokio::time::timeout(patience, called).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(error)) => return Err(Trouble::new(TroubleKind::Other, error.to_string())),
            Err(_) => {
                let words = format!("no answer within {} seconds", patience.as_secs());
                return Err(Trouble::new(TroubleKind::TimedOut, words));
            }
        };
        let said: Vec<String> = ended
            .messages
            .iter()
            .map(|message| message.text.clone())
            .collect();
        let distrusts = said.iter().any(|line| line.trim() == "Trusted: 0");
        if ended.success && !distrusts {
            return Ok(());
        }
        let mut trouble = Trouble::recognise(said.iter().map(String::as_str));
        let is_about_host_key = matches!(
            trouble.kind,
            TroubleKind::HostKeyUnknown | TroubleKind::HostKeyChanged
        );
        if let (true, Address::Ssh(address), Some(ssh)) =
            (is_about_host_key, &known.builder.address, &self.ssh)
        {
            trouble.host_key = Some(host_key::shown(address, ssh, nix, &said).await);
        }
        Err(trouble)
    }
}

/// The store, with what its line says about opening it. Of our own builders ssh's
/// configuration knows the port.
fn uri(builder: &Builder, origin: Origin) -> String {
    let address = match origin {
        Origin::Wanted => builder.address.clone().without_port(),
        Origin::Configured => builder.address.clone(),
    };
    let Address::Ssh(mut ssh) = address else {
        return address.to_string();
    };
    let mut parameters: Vec<String> = ssh.parameters.into_iter().collect();
    if let Some(file) = &builder.key_file {
        parameters.push(format!("ssh-key={}", file.display()));
    }
    let host_key = super::line::in_base64(builder);
    if let Some(key) = host_key {
        // A plus is a blank in a URL.
        parameters.push(format!(
            "base64-ssh-public-host-key={}",
            key.replace('+', "%2B")
        ));
    }
    ssh.parameters = (!parameters.is_empty()).then(|| parameters.join("&"));
    ssh.to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_is_asked_as_it_would_be_used() {
        let all = Builder::parse_all(
            "ssh-ng://root@arm:2222\nssh://b?compress=true - /k 1 1 - - c3NoLWVkMjU1MTkgQUFBQQ==",
            &|_| unreachable!(),
        );
        let all = all.unwrap();
        assert_eq!(uri(&all[0], Origin::Wanted), "ssh-ng://root@arm");
        assert_eq!(uri(&all[0], Origin::Configured), "ssh-ng://root@arm:2222");
        assert_eq!(
            uri(&all[1], Origin::Configured),
            "ssh://b?compress=true&ssh-key=/k&base64-ssh-public-host-key=c3NoLWVkMjU1MTkgQUFBQQ=="
        );
    }
}
