//! The variables that matter here, given by whoever may read the environment.

use std::path::PathBuf;

/// What the caller's environment says. Nothing below reads a variable itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// Folders of `PATH`, in order.
    pub path: Vec<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub config_home: Option<PathBuf>,
    /// `NIX_CONF_DIR`: where Nix looks for nix.conf instead of /etc/nix.
    pub nix_conf_dir: Option<PathBuf>,
    /// `NIX_CONFIG`: settings that win over those of the file.
    pub nix_config: Option<String>,
    /// `NIX_STATE_DIR`: where Nix keeps its database instead of /nix/var/nix.
    pub nix_state_dir: Option<PathBuf>,
}

impl Environment {
    /// Picks what matters out of all variables.
    pub fn from_vars(vars: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in vars {
            if value.is_empty() {
                continue;
            }
            match name.as_str() {
                "PATH" => {
                    environment.path = value
                        .split(':')
                        .filter(|s| !s.is_empty())
                        .map(PathBuf::from)
                        .collect()
                }
                "HOME" => environment.home = Some(value.into()),
                "XDG_CONFIG_HOME" => environment.config_home = Some(value.into()),
                "NIX_CONF_DIR" => environment.nix_conf_dir = Some(value.into()),
                "NIX_CONFIG" => environment.nix_config = Some(value),
                "NIX_STATE_DIR" => environment.nix_state_dir = Some(value.into()),
                _ => {}
            }
        }
        environment
    }

    /// The user's own nix.conf.
    #[must_use]
    pub fn user_conf(&self) -> Option<PathBuf> {
        let folder = self
            .config_home
            .clone()
            .or_else(|| Some(self.home.as_ref()?.join(".config")))?;
        Some(folder.join("nix/nix.conf"))
    }
}
