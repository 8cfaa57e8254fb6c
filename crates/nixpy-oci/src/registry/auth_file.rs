//! One auth file: docker's `config.json`, podman's `auth.json`; the second is a
//! part of the first.
//!
//! A helper for the registry (`credHelpers`) comes before the general one
//! (`credsStore`), and that before what is written in the file (`auths`). There,
//! a key is a host or the beginning of a repository's name, and the longest that
//! fits is taken: podman's rule, which docker's keys fit into.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::credentials::{Credentials, CredentialsErrorKind};
use super::helper;
use super::secret::Secret;
use crate::name::Repository;

/// The key that docker has used for Docker Hub from the beginning.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// The parts of the file that are about credentials.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AuthFile {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

impl AuthFile {
    /// Reads a file; `None` if there is none.
    pub(super) async fn read(path: &Path) -> Result<Option<Self>, CredentialsErrorKind> {
        let bytes = match tokio::fs::read(path).await {
            Ok(bytes) => bytes,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(CredentialsErrorKind::Unreadable(error)),
        };
        // `podman login` starts from an empty file, `docker` takes one as well.
        if bytes.trim_ascii().is_empty() {
            return Ok(None);
        }
        let malformed = |error: serde_json::Error| CredentialsErrorKind::Malformed {
            line: error.line(),
            column: error.column(),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(malformed)
    }

    /// What it has for this repository.
    pub(super) async fn find(
        &self,
        repository: &Repository,
        helper_path: Option<&OsStr>,
    ) -> Result<Option<Credentials>, CredentialsErrorKind> {
        let host = repository.registry();
        let server = if host == "docker.io" {
            DOCKER_HUB
        } else {
            host
        };
        let entry = self.entry(repository);

        let special = self
            .cred_helpers
            .iter()
            .find(|(key, _)| normal(key) == host);
        if let Some((_, name)) = special
            && let Some(found) = helper::get(name, server, helper_path).await?
        {
            return Ok(Some(found));
        }
        if !self.creds_store.is_empty() {
            match helper::get(&self.creds_store, server, helper_path).await {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                // The file has an empty entry for each login that the store keeps.
                Err(error) if entry.is_some_and(|(_, entry)| entry.is_empty()) => {
                    return Err(error);
                }
                Err(error) => tracing::warn!(%error, "going on without this credential store"),
            }
        }
        match entry {
            Some((key, entry)) => entry.credentials(key),
            None => Ok(None),
        }
    }

    /// The entry whose key fits the most of the repository's name.
    fn entry(&self, repository: &Repository) -> Option<(&str, &Entry)> {
        let name = repository.to_string();
        let fits = |key: &str| {
            let rest = name.strip_prefix(normal(key));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let fitting = self.auths.iter().filter(|(key, _)| fits(key));
        let (key, entry) = fitting.max_by_key(|(key, _)| normal(key).len())?;
        Some((key, entry))
    }
}

impl Entry {
    fn is_empty(&self) -> bool {
        [
            &self.auth,
            &self.username,
            &self.identitytoken,
            &self.registrytoken,
        ]
        .iter()
        .all(|field| field.is_empty())
    }

    fn credentials(&self, key: &str) -> Result<Option<Credentials>, CredentialsErrorKind> {
        if !self.registrytoken.is_empty() {
            return Ok(Some(Credentials::Bearer(Secret::new(&self.registrytoken))));
        }
        if !self.identitytoken.is_empty() {
            return Ok(Some(Credentials::basic("<token>", &self.identitytoken)));
        }
        if !self.auth.is_empty() {
            let decoded = STANDARD
                .decode(self.auth.trim())
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
            // Some versions of docker pad the password.
            let found = pair
                .map(|(user, password)| Credentials::basic(user, password.trim_end_matches('\0')));
            return found
                .map(Some)
                .ok_or_else(|| CredentialsErrorKind::BadAuth {
                    key: key.to_owned(),
                });
        }
        Ok((!self.username.is_empty()).then(|| Credentials::basic(&self.username, &self.password)))
    }
}

/// A key as podman writes it: no scheme, no API version, one name for Docker Hub.
fn normal(key: &str) -> &str {
    let bare = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"));
    let key = match bare {
        // With a scheme it is docker's, who only knows hosts.
        Some(bare) => bare.split('/').next().unwrap_or_default(),
        None => key.trim_end_matches('/'),
    };
    let legacy = key
        .strip_suffix("/v1")
        .or_else(|| key.strip_suffix("/v2"))
        .filter(|host| !host.contains('/'));
    match legacy.unwrap_or(key) {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        key => key,
    }
}
