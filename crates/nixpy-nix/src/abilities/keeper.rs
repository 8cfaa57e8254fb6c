//! Who keeps the store, and so who builds: this process, a daemon, or a machine elsewhere.
//!
//! `nix store ping` tells it in the same words since 2.8; its JSON came later and has
//! changed its types. Whether it trusts us it tells since 2.14, when both sides do.

use super::Who;
use crate::error::{NixError, NixErrorKind};
use crate::evaluate::store_failure;
use crate::machine::setting_in;
use crate::program::Nix;
use crate::run::run;

/// Who builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Builds {
    /// This user's own Nix: all his settings count.
    Here,
    /// The daemon, for which he is somebody to be trusted or not.
    Daemon(Trust),
    /// A store on another machine, at this address.
    Elsewhere(String),
}

/// Whether the daemon takes settings of this user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It does.
    Trusted,
    /// It does not.
    Untrusted,
    /// It does not tell, and its nix.conf cannot be read.
    Unknown,
}

/// What the store says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Store {
    pub(crate) url: String,
    pub(crate) version: Option<String>,
    pub(crate) trusts_us: Option<bool>,
}

/// Asks; some 15 ms.
pub(super) async fn ask(nix: &Nix) -> Result<Store, NixError> {
    let arguments = ["store", "ping"].map(str::to_owned);
    let ended = run(nix, &arguments, &mut |_| {}).await?;
    if !ended.success {
        let message = ended.complaint();
        let kind = store_failure(&message).unwrap_or(NixErrorKind::Failed { message });
        return Err(NixError::new("open", "the Nix store", kind));
    }
    Ok(Store::read(
        ended.messages.iter().map(|message| message.text.as_str()),
    ))
}

impl Store {
    pub(super) fn read<'a>(messages: impl IntoIterator<Item = &'a str>) -> Self {
        let mut store = Self::default();
        for line in messages.into_iter().flat_map(str::lines) {
            match line.split_once(": ") {
                Some(("Store URL", url)) => store.url = url.trim().to_owned(),
                Some(("Version", version)) => store.version = Some(version.trim().to_owned()),
                Some(("Trusted", word)) => {
                    store.trusts_us = match word.trim() {
                        "1" | "true" => Some(true),
                        "0" | "false" => Some(false),
                        _ => None,
                    };
                }
                _ => {}
            }
        }
        store
    }

    pub(super) fn is_daemon(&self) -> bool {
        ["daemon", "unix:"]
            .iter()
            .any(|kind| self.url.starts_with(kind))
    }

    /// By what it says, else by the system's nix.conf, where it can be read.
    pub(super) fn builds(&self, who: &Who, conf: Option<&str>) -> Builds {
        let elsewhere = self.url.contains("://") && !self.url.starts_with("local");
        match (self.is_daemon(), self.trusts_us, conf) {
            (false, ..) if elsewhere => Builds::Elsewhere(self.url.clone()),
            (false, ..) => Builds::Here,
            (true, Some(true), _) => Builds::Daemon(Trust::Trusted),
            (true, Some(false), _) => Builds::Daemon(Trust::Untrusted),
            (true, None, Some(conf)) if is_among_trusted(who, conf) => {
                Builds::Daemon(Trust::Trusted)
            }
            (true, None, Some(_)) => Builds::Daemon(Trust::Untrusted),
            (true, None, None) => Builds::Daemon(Trust::Unknown),
        }
    }
}

/// As the daemon does it: a user's name, `@` and a group's, or `*` for everybody.
fn is_among_trusted(who: &Who, conf: &str) -> bool {
    let trusted = setting_in(conf, "trusted-users", &["root".to_owned()]);
    trusted.iter().any(|name| match name.strip_prefix('@') {
        Some(group) => who.groups.iter().any(|own| own == group),
        None => name == "*" || *name == who.user,
    })
}
