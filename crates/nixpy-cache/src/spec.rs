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

use nixpy_nix::signing::{PublicKey, without_secret_halves};
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
            problem: without_secret_halves(&problem).into_owned(),
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
                    let word = without_secrets(word);
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
    if has_secret(word) {
        let problem = "what opens a cache is seen by everybody in its address: leave out all before the @, and give it \
                       in NIXPY_CACHE_TOKEN (an @ that belongs to the address is %40; a user's name stands in ssh:// and \
                       ssh-ng:// alone, without a password)";
        return Err(problem.to_owned());
    }
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
            if has_trust(rest) {
                let problem = "trusted= has Nix take paths that nobody has signed: leave it out, and give the key that \
                               they are signed by, as in key=NAME:BASE64";
                return Err(problem.to_owned());
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

/// Whether something stands before an `@` that may be a secret. Wherever the `@` is: what is
/// before it may have a slash in it. Only of ssh a user may be named, and files have names
/// with whatever in them.
fn has_secret(word: &str) -> bool {
    let (scheme, rest) = word.split_once("://").unwrap_or(("", word));
    match scheme {
        "file" | "unix" => false,
        "ssh" | "ssh-ng" => rest
            .split_once('@')
            .is_some_and(|(user, _)| user.contains(':')),
        _ => rest.contains('@'),
    }
}

/// Whether a parameter is `trusted`, which turns the check of signatures off; of one that is
/// written in another way nobody knows what Nix would read.
fn has_trust(rest: &str) -> bool {
    let mut parameters = rest.split(['?', '&', ';', '#']).skip(1);
    parameters.any(|parameter| {
        let (name, _) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim().eq_ignore_ascii_case("trusted") || name.contains('%')
    })
}

/// As it may be shown: without what may open something, or sign.
fn without_secrets(text: &str) -> String {
    let words = without_secret_halves(text);
    let words = words.split(' ').map(|word| match word.rsplit_once('@') {
        Some((_, end)) if has_secret(word) => match word.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://***@{end}"),
            None => format!("***@{end}"),
        },
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
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
    }

    #[test]
    fn no_address_opens_a_cache_and_what_would_is_not_shown() {
        for text in [
            "https://me:hunter2@example.org",
            "https://hunter2@example.org/a",
            "https://me:a/hunter2@example.org",
            "https://me:hunter2@x@example.org read",
            "s3://hunter2@acme",
            "ssh://me:hunter2@example.org",
            "ssh-ng://me:a/hunter2@example.org",
            "oci://me:hunter2@example.org/a",
            "cachix:https://hunter2@example.org:acme",
            "attic:hunter2@example.org:acme",
            "hunter2@example.org",
            "read https://me:hunter2@example.org",
        ] {
            let error = text.parse::<Spec>().unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
            let is_told = error.contains("NIXPY_CACHE_TOKEN") || text.starts_with("read");
            assert!(is_told, "{error}");
        }
        for good in ["ssh://root@host", "ssh-ng://root@[::1]", "file:///a:b/c@d"] {
            assert!(good.parse::<Spec>().is_ok(), "{good}");
        }
    }

    #[test]
    fn a_secret_key_is_not_shown_wherever_it_stands() {
        let key = nixpy_nix::signing::SecretKey::generate("acme-1").unwrap();
        let secret = key.expose();
        let hidden = &secret[7..];
        for text in [
            format!("registry key={secret}"),
            format!("registry {secret}"),
            format!("registry key= {hidden}"),
            format!("oci://{secret}"),
            secret.clone(),
        ] {
            let error = text.parse::<Spec>().unwrap_err().to_string();
            assert!(!error.contains(&hidden[..20]), "{error}");
        }
        let error = format!("registry key={secret}").parse::<Spec>();
        let error = error.unwrap_err().to_string();
        assert!(error.contains("secret half"), "{error}");
    }

    #[test]
    fn nobody_turns_the_check_of_signatures_off() {
        for text in [
            "file:///srv/cache?trusted=true",
            "https://a.b?priority=1&trusted=1 read",
            "s3://acme#x?trusted=true",
            "ssh-ng://root@host?trusted",
            "https://a.b?%74rusted=true",
        ] {
            let error = text.parse::<Spec>().unwrap_err().to_string();
            assert!(error.contains("signed"), "{error}");
        }
        assert!("https://a.b/trusted?priority=1".parse::<Spec>().is_ok());
    }
}
