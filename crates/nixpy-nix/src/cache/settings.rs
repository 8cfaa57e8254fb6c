//! What Nix's configuration says of binary caches, with the options of the command line.

use serde_json::Value;

use super::Caches;
use crate::program::Nix;
use crate::settings::Settings;

/// `None` if nothing is to be taken from any cache, or Nix does not tell.
pub(super) async fn caches(nix: &Nix) -> Option<Caches> {
    read(&Settings::of(nix).await?)
}

fn read(settings: &Settings) -> Option<Caches> {
    if settings.value("substitute") == Some(&Value::Bool(false)) {
        return None;
    }
    settings.value("substituters")?;
    Some(Caches {
        urls: settings.list("substituters").map(str::to_owned).collect(),
        signed_only: settings.value("require-sigs") != Some(&Value::Bool(false)),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_required_unless_nix_says_that_they_are_not() {
        let caches = r#""substituters": {"value": ["file:///a", "https://b"]}"#;
        for (rest, signed_only) in [
            (r#", "require-sigs": {"value": true}"#, true),
            (r#", "require-sigs": {"value": false}"#, false),
            (r#", "require-sigs": {"value": "false"}"#, true),
            ("", true),
        ] {
            let settings = Settings::read(&format!("{{{caches}{rest}}}")).unwrap();
            let read = read(&settings).unwrap();
            assert_eq!(read.urls, ["file:///a", "https://b"]);
            assert_eq!(read.signed_only, signed_only, "{rest}");
        }
    }

    #[test]
    fn no_cache_is_asked_where_nothing_is_to_be_substituted() {
        let settings =
            r#"{"substituters": {"value": ["file:///a"]}, "substitute": {"value": false}}"#;
        for settings in [settings, "{}"] {
            assert!(read(&Settings::read(settings).unwrap()).is_none());
        }
        assert!(Settings::read("").is_none());
    }
}
