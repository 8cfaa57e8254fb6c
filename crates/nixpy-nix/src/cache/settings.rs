//! What Nix's configuration says of binary caches, with the options of the command line.

use serde_json::Value;

use super::Caches;
use crate::program::Nix;
use crate::run::run;

/// `None` if nothing is to be taken from any cache, or Nix does not tell.
pub(super) async fn caches(nix: &Nix) -> Option<Caches> {
    let verb: &[&str] = match nix.version().await.ok()?.shows_config_by_two_words() {
        true => &["config", "show", "--json"],
        false => &["show-config", "--json"],
    };
    let arguments: Vec<String> = verb.iter().map(|word| (*word).to_owned()).collect();
    let ended = run(nix, &arguments, &mut |_| {}).await.ok()?;
    read(&ended.stdout)
}

fn read(settings: &str) -> Option<Caches> {
    let settings: Value = serde_json::from_str(settings).ok()?;
    let setting = |name: &str| settings.get(name)?.get("value");
    if setting("substitute") == Some(&Value::Bool(false)) {
        return None;
    }
    let urls = setting("substituters")?.as_array()?.iter();
    Some(Caches {
        urls: urls.filter_map(Value::as_str).map(str::to_owned).collect(),
        signed_only: setting("require-sigs") != Some(&Value::Bool(false)),
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
            let read = read(&format!("{{{caches}{rest}}}")).unwrap();
            assert_eq!(read.urls, ["file:///a", "https://b"]);
            assert_eq!(read.signed_only, signed_only, "{rest}");
        }
    }

    #[test]
    fn no_cache_is_asked_where_nothing_is_to_be_substituted() {
        let settings =
            r#"{"substituters": {"value": ["file:///a"]}, "substitute": {"value": false}}"#;
        assert!(read(settings).is_none());
        assert!(read("{}").is_none());
        assert!(read("").is_none());
    }
}
