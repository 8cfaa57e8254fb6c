//! What a user types for a cache: where it is, whether it is read or written, and by which
//! keys it is signed.
//!
//! ```text
//! cache = place { " " word }
//! place = "registry" | "oci://" repository | "cachix:" [ server ":" ] name | "attic:" server ":" name
//!       | a store as Nix writes it: "file://…", "s3://…", "https://…", "ssh-ng://…"
//! word  = "read" | "write" | "key=" public key
//! ```

use std::fmt;
use std::str::FromStr;

use nixpy_nix::signing::PublicKey;
use nixpy_oci::name::Repository;

/// A cache as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Where it is.
    pub place: Place,
    /// Whether paths are taken from it.
    pub read: bool,
    /// Whether paths are put there.
    pub write: bool,
    /// By which its paths are signed, beside those of the settings.
    pub keys: Vec<PublicKey>,
}

/// Where a cache is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Beside the image, in the first registry that it goes to.
    BesideImage,
    /// A repository of a registry.
    Registry(Repository),
    /// One of cachix.org, or of another server that speaks as it does.
    Cachix {
        /// `https://cachix.org`.
        server: String,
        /// The cache's name there.
        cache: String,
    },
    /// One of an Attic server.
    Attic {
        /// `https://attic.example.org`.
        server: String,
        /// The cache's name there.
        cache: String,
    },
    /// Any store that Nix speaks to.
    Nix(String),
}

/// A text that is no cache.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is no cache: {problem}")]
pub struct SpecError {
    text: String,
    problem: String,
}

const CACHIX: &str = "https://cachix.org";
/// The schemes of stores that paths are copied to.
const SCHEMES: [&str; 7] = ["file", "s3", "http", "https", "ssh", "ssh-ng", "unix"];

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |problem: String| SpecError {
            text: without_secrets(text),
            problem,
        };
        let mut words = text.split_ascii_whitespace();
        let place = place(words.next().unwrap_or_default()).map_err(wrong)?;
        let (mut read, mut write, mut keys) = (false, false, Vec::new());
        for word in words {
            match (word, word.strip_prefix("key=")) {
                ("read", _) => read = true,
                ("write", _) => write = true,
                (_, Some(key)) => keys.push(key.parse().map_err(|e| wrong(format!("{e}")))?),
                _ => {
                    let problem = format!("{word:?} is none of read, write, key=NAME:BASE64");
                    return Err(wrong(problem));
                }
            }
        }
        // Who says neither means both.
        let both = read == write;
        Ok(Self {
            place,
            read: read || both,
            write: write || both,
            keys,
        })
    }
}

fn place(word: &str) -> Result<Place, String> {
    let example = "as in registry, oci://ghcr.io/owner/cache, cachix:NAME, attic:https://SERVER:NAME, \
                   s3://bucket, https://cache.example.org, file:///srv/cache, ssh-ng://root@host";
    if word == "registry" {
        return Ok(Place::BesideImage);
    }
    if let Some(repository) = word.strip_prefix("oci://") {
        return repository
            .parse()
            .map(Place::Registry)
            .map_err(|e| format!("{e}"));
    }
    if let Some(rest) = word.strip_prefix("cachix:") {
        let (server, cache) = match rest.contains(':') {
            true => served(rest).ok_or("write cachix:NAME, or cachix:https://SERVER:NAME")?,
            false => (CACHIX.to_owned(), named(rest).ok_or("write cachix:NAME")?),
        };
        return Ok(Place::Cachix { server, cache });
    }
    if let Some(rest) = word.strip_prefix("attic:") {
        let (server, cache) = served(rest).ok_or("write attic:https://SERVER:NAME")?;
        return Ok(Place::Attic { server, cache });
    }
    match word.split_once("://") {
        Some((scheme, rest)) if SCHEMES.contains(&scheme) && !rest.is_empty() => {
            if has_password(rest) {
                return Err(
                    "a password in an address is seen by everybody: give it in NIXPY_CACHE_TOKEN"
                        .to_owned(),
                );
            }
            Ok(Place::Nix(word.trim_end_matches('/').to_owned()))
        }
        _ => Err(format!("write where it is, {example}")),
    }
}

/// `SERVER:NAME`.
fn served(text: &str) -> Option<(String, String)> {
    let (server, cache) = text.rsplit_once(':')?;
    let server = match server.split_once("://") {
        Some(("http" | "https", host)) if !host.is_empty() => server.to_owned(),
        None if !server.is_empty() => format!("https://{server}"),
        _ => return None,
    };
    Some((server.trim_end_matches('/').to_owned(), named(cache)?))
}

fn named(name: &str) -> Option<String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (!name.is_empty() && name.bytes().all(good)).then(|| name.to_owned())
}

fn has_password(rest: &str) -> bool {
    let host = rest.split('/').next().unwrap_or_default();
    host.rsplit_once('@')
        .is_some_and(|(user, _)| user.contains(':'))
}

/// As it may be shown: without what may be a password.
fn without_secrets(text: &str) -> String {
    match text.split_once("://") {
        Some((scheme, rest)) if has_password(rest) => {
            let shown = rest.rsplit_once('@').map_or("", |(_, host)| host);
            format!("{scheme}://***@{shown}")
        }
        _ => text.to_owned(),
    }
}

/// As it was typed.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BesideImage => f.write_str("registry"),
            Self::Registry(repository) => write!(f, "oci://{repository}"),
            Self::Cachix { server, cache } if server == CACHIX => write!(f, "cachix:{cache}"),
            Self::Cachix { server, cache } => write!(f, "cachix:{server}:{cache}"),
            Self::Attic { server, cache } => write!(f, "attic:{server}:{cache}"),
            Self::Nix(url) => f.write_str(url),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn spec(text: &str) -> Spec {
        text.parse().unwrap()
    }

    #[test]
    fn places_are_shown_as_they_are_typed() {
        for place in [
            "registry",
            "oci://ghcr.io/owner/cache",
            "cachix:acme",
            "cachix:http://127.0.0.1:8080:acme",
            "attic:https://attic.example.org:8080:acme",
            "file:///srv/cache",
            "s3://bucket?region=eu-west-1&endpoint=http://127.0.0.1:9000",
            "https://cache.example.org",
            "ssh-ng://root@host",
        ] {
            assert_eq!(spec(place).place.to_string(), place);
        }
        assert_eq!(
            spec("attic:example.org:acme").place,
            spec("attic:https://example.org:acme").place
        );
    }

    #[test]
    fn who_says_neither_reads_and_writes() {
        let access = |text: &str| (spec(text).read, spec(text).write);
        assert_eq!(access("registry"), (true, true));
        assert_eq!(access("registry read"), (true, false));
        assert_eq!(access("registry write"), (false, true));
        assert_eq!(access("registry read write"), (true, true));
        let key = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=";
        assert_eq!(
            spec(&format!("https://a.b read key={key}")).keys,
            [key.parse().unwrap()]
        );
    }

    #[test]
    fn what_is_no_cache_is_told_and_a_password_is_not() {
        for text in [
            "",
            "cachix:",
            "cachix:a/b",
            "attic:a",
            "attic:a:",
            "gopher://x",
            "file://",
            "oci://",
            "registry all",
            "registry key=a",
            "cache.example.org",
        ] {
            assert!(text.parse::<Spec>().is_err(), "{text:?}");
        }
        let error = "https://me:hunter2@example.org"
            .parse::<Spec>()
            .unwrap_err()
            .to_string();
        assert!(
            !error.contains("hunter2") && error.contains("NIXPY_CACHE_TOKEN"),
            "{error}"
        );
    }
}
