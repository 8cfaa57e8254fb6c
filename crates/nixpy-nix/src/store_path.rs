//! `StorePath`: the absolute path of one object in a Nix store, such as
//! `/nix/store/w2qimm4z19p47n21khqccpg90ra91spf-base-api-env`.
//!
//! The store's directory is part of the value, because a store may live anywhere;
//! nothing here looks at the disk. Files inside an object are not store paths:
//! [`StorePath::split`] takes them apart.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::as_text::as_text;

use crate::base32;

const HASH_LENGTH: usize = 32;

/// An object in a Nix store: store directory, hash and name. Ordered by its text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StorePath {
    text: String,
    base: usize,
}

/// Why a text is not the path of a store object.
#[derive(Debug, thiserror::Error)]
#[error("'{text}' is not a store path: {reason} (expected <store>/<32 characters>-<name>)")]
pub struct StorePathError {
    /// The text as it was given.
    pub text: String,
    reason: &'static str,
}

impl StorePath {
    /// The object called `base` (`<hash>-<name>`) in the store at `store_dir`.
    ///
    /// # Errors
    /// When `store_dir` is not absolute or `base` is not a hash and a name.
    pub fn in_store(store_dir: &str, base: &str) -> Result<Self, StorePathError> {
        format!("{}/{base}", store_dir.trim_end_matches('/')).parse()
    }

    /// Takes the path of a file apart into the store object that holds it and the
    /// rest, without a leading slash (empty for the object itself).
    pub fn split(path: &str) -> Option<(Self, &str)> {
        let mut start = 0;
        while let Some(slash) = path[start..].find('/').map(|at| at + start) {
            let end = path[slash + 1..]
                .find('/')
                .map_or(path.len(), |at| at + slash + 1);
            if let Ok(found) = path[..end].parse() {
                return Some((found, path[end..].trim_start_matches('/')));
            }
            start = slash + 1;
        }
        None
    }

    /// The whole path as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The whole path.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.text)
    }

    /// The directory of the store, without a slash at the end.
    pub fn store_dir(&self) -> &str {
        &self.text[..self.base - 1]
    }

    /// `<hash>-<name>`, the last component.
    pub fn base_name(&self) -> &str {
        &self.text[self.base..]
    }

    /// The 32 characters that identify the object.
    pub fn hash_part(&self) -> &str {
        &self.base_name()[..HASH_LENGTH]
    }

    /// What follows the hash: `base-api-env`, `app.drv`.
    pub fn name(&self) -> &str {
        &self.base_name()[HASH_LENGTH + 1..]
    }

    /// Whether this is a derivation (its name ends in `.drv`).
    pub fn is_derivation(&self) -> bool {
        self.name().ends_with(".drv")
    }
}

impl FromStr for StorePath {
    type Err = StorePathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |reason| {
            Err(StorePathError {
                text: text.to_owned(),
                reason,
            })
        };
        let Some(slash) = text
            .rfind('/')
            .filter(|slash| *slash > 0 && text.starts_with('/'))
        else {
            return refuse("it is not an absolute path below a store");
        };
        // Told by others, it must not lead elsewhere than it seems to.
        if text[..slash].split('/').any(|part| part == "..") {
            return refuse("its store lies behind \"..\"");
        }
        let base = &text[slash + 1..];
        let Some((hash, name)) = base.split_once('-') else {
            return refuse("it has no hash");
        };
        if hash.len() != HASH_LENGTH || !base32::is_base32(hash) {
            return refuse("its hash is not 32 characters of Nix's base 32");
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte);
        if name.is_empty() || name.len() > 211 || !name.bytes().all(allowed) {
            return refuse("its name has characters that Nix does not allow");
        }
        Ok(Self {
            text: text.to_owned(),
            base: slash + 1,
        })
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for StorePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

as_text!(StorePath);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ENV: &str = "/nix/store/w2qimm4z19p47n21khqccpg90ra91spf-base-api-env";

    #[test]
    fn a_store_path_gives_back_its_parts() {
        let path: StorePath = ENV.parse().unwrap();
        assert_eq!(path.store_dir(), "/nix/store");
        assert_eq!(path.hash_part(), "w2qimm4z19p47n21khqccpg90ra91spf");
        assert_eq!(path.name(), "base-api-env");
        assert_eq!(path.to_string(), ENV);
        assert!(!path.is_derivation());
    }

    #[test]
    fn a_store_may_live_anywhere() {
        let path =
            StorePath::in_store("/srv/store/", "w2qimm4z19p47n21khqccpg90ra91spf-a.drv").unwrap();
        assert_eq!(path.store_dir(), "/srv/store");
        assert!(path.is_derivation());
    }

    #[test]
    fn what_is_no_store_path_is_refused_with_the_reason() {
        for (text, reason) in [
            ("w2qimm4z19p47n21khqccpg90ra91spf-a", "not an absolute"),
            ("/nix/store/short-a", "32 characters"),
            ("/nix/store/../w2qimm4z19p47n21khqccpg90ra91spf-a", "\"..\""),
            (
                "/nix/store/e2qimm4z19p47n21khqccpg90ra91spf-a",
                "32 characters",
            ),
            (
                "/nix/store/w2qimm4z19p47n21khqccpg90ra91spf-",
                "characters that Nix",
            ),
            (
                "/nix/store/w2qimm4z19p47n21khqccpg90ra91spf-a b",
                "characters that Nix",
            ),
            (
                "/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9",
                "not an absolute",
            ),
            ("", "not an absolute"),
        ] {
            let error = text.parse::<StorePath>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_file_is_split_into_its_object_and_the_rest() {
        let file = format!("{ENV}/bin/base-api");
        let (path, rest) = StorePath::split(&file).unwrap();
        assert_eq!((path.as_str(), rest), (ENV, "bin/base-api"));
        assert_eq!(StorePath::split(ENV).unwrap().1, "");
        assert!(StorePath::split("/etc/passwd").is_none());
        assert!(StorePath::split("").is_none());
    }
}
