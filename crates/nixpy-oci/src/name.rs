//! Names of things in a registry: `HOST[:PORT]/PATH`, and tags, by the grammar
//! of the OCI distribution specification.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A repository of a registry, for instance `ghcr.io/acme/base-api`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Repository {
    registry: String,
    path: String,
}

/// A tag: at most 128 characters of `[A-Za-z0-9_.-]`, not beginning with `.` or `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Tag(String);

/// A name that no registry would take.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not a {what}: {cure}")]
pub struct InvalidName {
    what: &'static str,
    text: String,
    cure: String,
}

impl Repository {
    /// Host and port.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path within the registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// One that belongs to this one: `ghcr.io/acme/api` and `nix-cache` make
    /// `ghcr.io/acme/api/nix-cache`. Docker Hub has no third level: there it is
    /// `docker.io/acme/api-nix-cache`.
    ///
    /// # Errors
    /// Both together are no name.
    pub fn beside(&self, name: &str) -> Result<Self, InvalidName> {
        let is_hub = matches!(
            self.registry.as_str(),
            "docker.io" | "index.docker.io" | "registry-1.docker.io"
        );
        let joint = if is_hub { '-' } else { '/' };
        format!("{self}{joint}{name}").parse()
    }

    /// Whether the registry is this machine, where plain HTTP is safe.
    pub fn is_loopback(&self) -> bool {
        let host = match self.registry.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => &self.registry,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for Repository {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = |cure: &str| InvalidName {
            what: "repository",
            text: text.to_owned(),
            cure: cure.to_owned(),
        };
        if text.contains("://") {
            return Err(invalid("leave the scheme out, as in ghcr.io/owner/name"));
        }
        let (registry, path) = text
            .split_once('/')
            .ok_or_else(|| invalid("write HOST/NAME, as in ghcr.io/owner/name"))?;
        // Docker's rule for telling a host from the first part of a path.
        if !(registry.contains(['.', ':']) || registry == "localhost") {
            return Err(invalid(&format!(
                "{registry:?} is not a host; for Docker Hub write docker.io/{text}"
            )));
        }
        if let Some(bad) = registry
            .chars()
            .find(|c| !(c.is_ascii_alphanumeric() || ".:-[]".contains(*c)))
        {
            return Err(invalid(&format!("the host has a {bad:?}")));
        }
        if let Some((name, tag)) = path.rsplit_once(':') {
            return Err(invalid(&format!(
                "give the tag by itself: --repository {registry}/{name} --tag {tag}"
            )));
        }
        if path.chars().any(|c| c.is_ascii_uppercase()) {
            return Err(invalid(&format!(
                "names are lower case, as in {registry}/{}",
                path.to_ascii_lowercase()
            )));
        }
        if text.len() > 255 {
            return Err(invalid("it is longer than 255 characters"));
        }
        for component in path.split('/') {
            if !is_path_component(component) {
                return Err(invalid(&format!(
                    "{component:?} must be lower-case letters and digits, joined by one of . _ __ or -"
                )));
            }
        }
        Ok(Self {
            registry: registry.to_owned(),
            path: path.to_owned(),
        })
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text
            .split(alphanumeric)
            .all(|joint| matches!(joint, "" | "." | "_" | "__") || joint.bytes().all(|b| b == b'-'))
}

impl FromStr for Tag {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let well_formed = !text.is_empty()
            && text.len() <= 128
            && !text.starts_with(['.', '-'])
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        if !well_formed {
            return Err(InvalidName {
                what: "tag",
                text: text.to_owned(),
                cure: "use at most 128 letters, digits, _ . or -, not beginning with . or -"
                    .to_owned(),
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Tag {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<Repository> for String {
    fn from(repository: Repository) -> Self {
        repository.to_string()
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0
    }
}

impl TryFrom<String> for Repository {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl TryFrom<String> for Tag {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn repositories_are_a_host_and_a_path() {
        let repository: Repository = "ghcr.io/acme/base-api".parse().unwrap();
        assert_eq!(
            (repository.registry(), repository.path()),
            ("ghcr.io", "acme/base-api")
        );
        for local in [
            "localhost/a",
            "localhost:5000/a",
            "127.0.0.1:1/a",
            "[::1]:5000/a",
        ] {
            assert!(
                local.parse::<Repository>().unwrap().is_loopback(),
                "{local}"
            );
        }
        assert!(!repository.is_loopback());
    }

    #[test]
    fn what_belongs_to_a_repository_is_below_it_or_beside_it() {
        for (image, cache) in [
            ("ghcr.io/acme/api", "ghcr.io/acme/api/nix-cache"),
            ("127.0.0.1:5000/api", "127.0.0.1:5000/api/nix-cache"),
            ("docker.io/acme/api", "docker.io/acme/api-nix-cache"),
        ] {
            let image: Repository = image.parse().unwrap();
            assert_eq!(image.beside("nix-cache").unwrap().to_string(), cache);
        }
        let long: Repository = format!("a.b/{}", "a".repeat(250)).parse().unwrap();
        assert!(long.beside("nix-cache").is_err());
    }

    #[test]
    fn a_bad_repository_says_what_to_write_instead() {
        for (text, cure) in [
            ("base-api", "write HOST/NAME"),
            ("acme/base-api", "docker.io/acme/base-api"),
            ("https://ghcr.io/a/b", "leave the scheme out"),
            ("ghcr.io/Acme/API", "ghcr.io/acme/api"),
            ("ghcr.io/acme/api:v1", "--tag v1"),
            ("ghcr.io/acme//api", "\"\" must be"),
            ("ghcr.io/acme/a..b", "\"a..b\" must be"),
            ("gh cr.io/acme/api", "the host has a ' '"),
        ] {
            let error = text.parse::<Repository>().unwrap_err().to_string();
            assert!(error.contains(cure), "{text}: {error}");
        }
    }

    #[test]
    fn tags_follow_the_grammar() {
        for good in ["v1", "latest", "_x", "1.2.3-rc.1", &"a".repeat(128)] {
            assert!(good.parse::<Tag>().is_ok(), "{good}");
        }
        for bad in ["", ".x", "-x", "a b", "a/b", "a:b", "ä", &"a".repeat(129)] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
    }
}
