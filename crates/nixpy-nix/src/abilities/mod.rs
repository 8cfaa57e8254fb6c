//! What this machine's Nix can build, before it is asked to build anything.
//!
//! Two calls at once, 20 ms in all: what the configuration says ([`Settings`]), and which
//! store is spoken to. The second decides whose word counts. Where this process builds,
//! the user's settings do. A daemon has settings of its own, and takes a user's only if it
//! trusts him: whoever writes `extra-platforms` in `~/.config/nix/nix.conf`, or gives it by
//! `--option`, and is not trusted, is not heard ([`Builds`]).
//!
//! With what the kernel does with foreign programs this says how a system would be
//! emulated here, and if it would not, which line in which file is missing
//! ([`Abilities::how_emulated`]). Nothing is tried: that is [`crate::prove`]'s.

mod emulation;
mod keeper;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use emulation::{Emulation, NotHeard};
pub use keeper::{Builds, Trust};

use crate::error::NixError;
use crate::machine::{Binfmt, ConfFile, Environment, Root, foreign_programs, is_nixos, setting_in};
use crate::program::Nix;
use crate::settings::Settings;
use crate::system::System;

/// Whether this machine's store was opened before. Two processes that open one for the
/// first time get into each other's way: both make the same links, and one of them ends
/// with "File exists". False as well where none is kept here.
pub fn store_was_opened(environment: &Environment) -> bool {
    was_opened(&Root::system(), environment)
}

fn was_opened(root: &Root, environment: &Environment) -> bool {
    let state = environment.nix_state_dir.as_deref();
    // Written last.
    let schema = state.unwrap_or(Path::new("/nix/var/nix")).join("db/schema");
    root.path(schema).exists()
}

/// What is known of this machine's Nix, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abilities {
    /// The configuration as this user's calls have it.
    pub settings: Settings,
    /// Who builds.
    pub builds: Builds,
    /// The version of the daemon, or of the store elsewhere, where it tells.
    pub builders_version: Option<String>,
    /// What whoever builds takes beside its own system.
    pub extra_platforms: Vec<String>,
    /// The caches that whoever builds takes from; `None` where the user's settings count,
    /// or it is not known.
    pub caches_allowed: Option<Vec<String>>,
    /// The keys that whoever builds trusts; `None` as above.
    pub keys_allowed: Option<Vec<String>>,
    /// Who asks; empty where nobody has to know.
    pub user: String,
    /// The nix.conf of whoever builds.
    pub conf: PathBuf,
    /// Whether that file is written by a rebuild of NixOS.
    pub nixos: bool,
    /// What the kernel does with programs of other processors.
    pub binfmt: Binfmt,
}

impl Abilities {
    /// Looks at this machine.
    ///
    /// # Errors
    /// Nix does not start, its configuration cannot be read, or its store is out of reach.
    pub async fn ask(nix: &Nix, environment: &Environment) -> Result<Self, NixError> {
        let root = &Root::system();
        let (settings, store) = tokio::join!(Settings::ask(nix), keeper::ask(nix));
        let (settings, store) = (settings?, store?);
        let who = match store.is_daemon() {
            true => Who::ask(nix).await,
            false => Who::default(),
        };
        Ok(Self::of(settings, store, who, root, environment))
    }

    fn of(
        settings: Settings,
        store: keeper::Store,
        who: Who,
        root: &Root,
        environment: &Environment,
    ) -> Self {
        let folder = environment.nix_conf_dir.as_deref();
        let file = folder.unwrap_or(Path::new("/etc/nix")).join("nix.conf");
        let conf = ConfFile::read(root, &file);
        let is_hidden = conf.text.is_none() && root.path(&conf.path).exists();
        let effective = (!is_hidden).then_some(conf.effective.as_str());
        let builds = store.builds(&who, effective);
        let extra_platforms = match (&builds, effective) {
            (Builds::Daemon(Trust::Trusted) | Builds::Here, _) => settings.extra_platforms.clone(),
            (Builds::Daemon(_), Some(text)) => {
                setting_in(text, "extra-platforms", &settings.default_platforms)
            }
            (Builds::Daemon(_) | Builds::Elsewhere(_), _) => settings.default_platforms.clone(),
        };
        let unheard = match (&builds, effective) {
            (Builds::Daemon(Trust::Untrusted), Some(text)) => Some(text),
            _ => None,
        };
        let caches_allowed = unheard.map(|text| {
            let mut allowed = setting_in(text, "substituters", &settings.default_substituters);
            allowed.extend(setting_in(text, "trusted-substituters", &[]));
            allowed
        });
        let by_default = &settings.default_public_keys;
        let keys_allowed = unheard.map(|text| setting_in(text, "trusted-public-keys", by_default));
        Self {
            settings,
            builds,
            caches_allowed,
            keys_allowed,
            builders_version: store.version,
            extra_platforms,
            user: who.user,
            conf: conf.path,
            nixos: is_nixos(root),
            binfmt: foreign_programs(root),
        }
    }

    /// Whether a derivation for this system is taken, by whatever means it is then run.
    pub fn takes(&self, system: &System) -> bool {
        let named = self.extra_platforms.iter();
        system.as_str() == self.settings.system
            || named.into_iter().any(|name| name == system.as_str())
    }

    /// Whether whoever builds takes paths from this cache if this user asks it to.
    pub fn may_take_from(&self, cache: &str) -> bool {
        // Nix itself compares them without the slash at the end.
        let bare = |url: &str| url.trim_end_matches('/').to_owned();
        let allowed = self.caches_allowed.as_ref();
        allowed.is_none_or(|allowed| allowed.iter().any(|url| bare(url) == bare(cache)))
    }

    /// Whether whoever builds takes what is signed by this key if this user asks it to.
    pub fn may_trust(&self, key: &str) -> bool {
        let allowed = self.keys_allowed.as_ref();
        allowed.is_none_or(|allowed| allowed.iter().any(|known| known == key))
    }

    /// Whether this machine's own processor runs what is built for the system: its own,
    /// and i686 on x86_64. Whether it is taken is another matter: [`Abilities::takes`].
    pub fn is_native(&self, system: &System) -> bool {
        let own = self.settings.system.as_str();
        let beside = own == "x86_64-linux" && matches!(system.cpu(), "i686" | "i586" | "i486");
        system.as_str() == own || (beside && system.os() == "linux")
    }
}

/// Who asks, as the daemon sees him.
#[derive(Debug, Clone, Default)]
pub(crate) struct Who {
    pub(crate) user: String,
    pub(crate) groups: Vec<String>,
}

impl Who {
    async fn ask(nix: &Nix) -> Self {
        let (user, groups) = tokio::join!(id(nix, "-un"), id(nix, "-Gn"));
        Self {
            user: user.trim().to_owned(),
            groups: groups.split_whitespace().map(str::to_owned).collect(),
        }
    }
}

/// By the program, which knows users that are in no file here; empty if it does not tell.
async fn id(nix: &Nix, what: &str) -> String {
    let told = nix.other_program("id").arg(what).output().await;
    told.map_or_else(
        |_| String::new(),
        |told| String::from_utf8_lossy(&told.stdout).into_owned(),
    )
}
