//! The registry's URLs, taken apart once.
//!
//! Repository names contain slashes, so a path is read from its end. Grammar:
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#endpoints>

use super::refusal::Refusal;
use crate::digest::is_digest;

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Ping,
    Token,
    Blob { name: String, digest: String },
    Uploads { name: String },
    Upload { name: String, session: String },
    Manifest { name: String, reference: String },
    Tags { name: String },
    Referrers { name: String, digest: String },
}

impl Route {
    pub(super) fn parse(path: &str) -> Result<Self, Refusal> {
        if path == "/token" {
            return Ok(Self::Token);
        }
        let rest = match path.strip_prefix("/v2") {
            Some("" | "/") => return Ok(Self::Ping),
            Some(rest) => rest.strip_prefix('/').ok_or_else(Refusal::no_such_page)?,
            None => return Err(Refusal::no_such_page()),
        };
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Ok(Self::Tags {
                name: valid_name(name)?,
            });
        }
        let (collection, last) = rest.rsplit_once('/').ok_or_else(Refusal::no_such_page)?;
        let last = last.to_owned();
        if let Some(name) = collection.strip_suffix("/blobs/uploads") {
            let name = valid_name(name)?;
            return Ok(if last.is_empty() {
                Self::Uploads { name }
            } else {
                Self::Upload {
                    name,
                    session: last,
                }
            });
        }
        if let Some(name) = collection.strip_suffix("/blobs") {
            return Ok(Self::Blob {
                name: valid_name(name)?,
                digest: valid_digest(last)?,
            });
        }
        if let Some(name) = collection.strip_suffix("/manifests") {
            return Ok(Self::Manifest {
                name: valid_name(name)?,
                reference: valid_reference(last)?,
            });
        }
        if let Some(name) = collection.strip_suffix("/referrers") {
            return Ok(Self::Referrers {
                name: valid_name(name)?,
                digest: valid_digest(last)?,
            });
        }
        Err(Refusal::no_such_page())
    }

    /// The repository that is meant, if any.
    pub(super) fn repository(&self) -> Option<&str> {
        match self {
            Self::Ping | Self::Token => None,
            Self::Blob { name, .. }
            | Self::Uploads { name }
            | Self::Upload { name, .. }
            | Self::Manifest { name, .. }
            | Self::Tags { name }
            | Self::Referrers { name, .. } => Some(name),
        }
    }
}

/// Whether this is a tag: at most 128 of `[A-Za-z0-9_.-]`, not beginning with `.` or `-`.
pub(super) fn is_tag(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

/// Whether this is a repository's name:
/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= 255 && text.split('/').all(is_component)
}

fn is_component(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separator = |run: &str| matches!(run, "." | "_" | "__") || run.bytes().all(|b| b == b'-');
    text.starts_with(plain)
        && text.ends_with(plain)
        && text
            .split(plain)
            .filter(|run| !run.is_empty())
            .all(separator)
}

fn valid_name(text: &str) -> Result<String, Refusal> {
    if !is_name(text) {
        return Err(Refusal::new(
            400,
            "NAME_INVALID",
            format!("invalid repository name {text:?}"),
        ));
    }
    Ok(text.to_owned())
}

fn valid_digest(text: String) -> Result<String, Refusal> {
    if !is_digest(&text) {
        return Err(Refusal::new(
            400,
            "DIGEST_INVALID",
            format!("{text:?} is not a digest"),
        ));
    }
    Ok(text)
}

fn valid_reference(text: String) -> Result<String, Refusal> {
    if is_digest(&text) || is_tag(&text) {
        return Ok(text);
    }
    Err(Refusal::new(
        400,
        "MANIFEST_INVALID",
        format!("{text:?} is neither a digest nor a tag"),
    ))
}
