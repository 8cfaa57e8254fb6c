//! What Nix's configuration says, as this user's calls have it: the system's nix.conf,
//! the user's own, `NIX_CONFIG` and the options of the command line, all in one answer of
//! `nix show-config --json`.
//!
//! Whether that counts is another question: a daemon goes by its own nix.conf, and by
//! these only where it trusts the user; see [`crate::abilities`].

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::{NixError, NixErrorKind};
use crate::program::Nix;
use crate::run::run;

/// The settings that matter here. A setting that Nix does not tell has its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What this Nix was made for, or is told that it is.
    pub system: String,
    /// What it builds besides.
    pub extra_platforms: Vec<String>,
    /// What it builds besides where nothing is said: what its processor runs anyway.
    pub default_platforms: Vec<String>,
    /// Remote builders: lines, or `@FILE`; [`crate::builders`] reads them.
    pub builders: String,
    /// So many builds at once on this machine; 0 sends all to builders. `None` is one a processor.
    pub max_jobs: Option<u64>,
    /// Where paths are taken from, unless [`Settings::substitute`] is off.
    pub substituters: Vec<String>,
    /// Where paths are taken from where nothing is said.
    pub default_substituters: Vec<String>,
    /// Whether paths are taken from anywhere at all.
    pub substitute: bool,
    /// Whether only what is signed or content-addressed is taken.
    pub require_sigs: bool,
    /// `NAME:BASE64`.
    pub trusted_public_keys: Vec<String>,
    /// The same where nothing is said.
    pub default_public_keys: Vec<String>,
    /// Where what opens caches stands.
    pub netrc_file: String,
    /// Whether builds see nothing but their inputs.
    pub sandbox: Sandbox,
    /// The store as it is configured, `auto` for the most part.
    pub store: String,
}

/// Whether builds see nothing but their inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sandbox {
    /// All of them.
    On,
    /// All but those that ask not to.
    Relaxed,
    /// None.
    Off,
}

impl Settings {
    /// Asks; some 15 ms.
    ///
    /// # Errors
    /// When Nix does not start, or says no.
    pub async fn ask(nix: &Nix) -> Result<Self, NixError> {
        // The old name goes on as an alias, so that the version need not be known.
        let two_words = nix
            .known_version()
            .is_some_and(|version| version.shows_config_by_two_words());
        let verb: &[&str] = match two_words {
            true => &["config", "show", "--json"],
            false => &["show-config", "--json"],
        };
        let arguments: Vec<String> = verb.iter().map(|word| (*word).to_owned()).collect();
        let ended = run(nix, &arguments, &mut |_| {}).await?;
        if !ended.success {
            let message = ended.complaint();
            let kind = crate::evaluate::store_failure(&message)
                .unwrap_or(NixErrorKind::Failed { message });
            return Err(NixError::new("read", "Nix's configuration", kind));
        }
        Self::read(&ended.stdout).ok_or_else(|| {
            let program = nix.described();
            NixError::unparseable("read", "Nix's configuration", program, &ended.stdout)
        })
    }

    /// Reads the JSON of any version.
    pub(crate) fn read(answer: &str) -> Option<Self> {
        let settings: Map<String, Value> = serde_json::from_str(answer).ok()?;
        let value = |name: &str| settings.get(name).and_then(|setting| setting.get("value"));
        let text = |name: &str| value(name).and_then(Value::as_str).map(str::to_owned);
        let words = |value: &Value| Vec::<String>::deserialize(value).unwrap_or_default();
        let list = |name: &str| value(name).map(words).unwrap_or_default();
        let by_default = |name: &str| {
            let value = settings.get(name)?.get("defaultValue")?;
            Some(words(value))
        };
        Some(Self {
            // Every version has these two.
            system: text("system")?,
            store: text("store")?,
            extra_platforms: list("extra-platforms"),
            default_platforms: by_default("extra-platforms").unwrap_or_default(),
            builders: text("builders").unwrap_or_default(),
            max_jobs: value("max-jobs").map_or(Some(1), Value::as_u64),
            substituters: list("substituters"),
            default_substituters: by_default("substituters").unwrap_or_default(),
            substitute: value("substitute") != Some(&Value::Bool(false)),
            require_sigs: value("require-sigs") != Some(&Value::Bool(false)),
            trusted_public_keys: list("trusted-public-keys"),
            default_public_keys: by_default("trusted-public-keys").unwrap_or_default(),
            netrc_file: text("netrc-file").unwrap_or_default(),
            sandbox: match value("sandbox") {
                Some(Value::Bool(false)) => Sandbox::Off,
                Some(Value::String(word)) if word == "relaxed" => Sandbox::Relaxed,
                _ => Sandbox::On,
            },
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn recorded(version: &str) -> Settings {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
        let text = std::fs::read_to_string(format!("{folder}/{version}/config.json")).unwrap();
        Settings::read(&text).unwrap()
    }

    #[test]
    fn every_version_tells_the_same() {
        let settings = recorded("2.8.0");
        assert_eq!(settings.system, "x86_64-linux");
        assert_eq!(settings.extra_platforms, ["aarch64-linux"]);
        assert_eq!(settings.builders, "@/srv/demo/etc/machines");
        assert_eq!(
            (settings.store.as_str(), settings.max_jobs),
            ("auto", Some(2))
        );
        assert_eq!(settings.sandbox, Sandbox::On);
        assert!(settings.substitute && settings.require_sigs);
        assert_eq!(settings.trusted_public_keys.len(), 1);
        for newer in ["2.26.3", "2.34.8"] {
            assert_eq!(recorded(newer), settings, "{newer}");
        }
    }

    #[test]
    fn signatures_are_required_unless_nix_says_that_they_are_not() {
        let start = r#"{"system": {"value": "x86_64-linux"}, "store": {"value": "auto"}"#;
        for (rest, required) in [
            (r#", "require-sigs": {"value": true}"#, true),
            (r#", "require-sigs": {"value": false}"#, false),
            (r#", "require-sigs": {"value": "false"}"#, true),
            ("", true),
        ] {
            let settings = Settings::read(&format!("{start}{rest}}}")).unwrap();
            assert_eq!(settings.require_sigs, required, "{rest}");
        }
        assert!(Settings::read("{}").is_none());
        assert!(Settings::read("").is_none());
    }
}
