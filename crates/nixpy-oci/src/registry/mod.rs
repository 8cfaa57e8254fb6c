//! A repository of a registry, spoken to by the OCI distribution specification 1.1
//! (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md>).
//!
//! | module | subject |
//! |---|---|
//! | `credentials`, `auth_file`, `helper` | whom to log in as: docker's and podman's files and helpers |
//! | `login` | the token of a run |
//! | `trust` | roots, names, proxies: the client underneath |
//! | `line`, `wire`, `retry` | one request; one with a login; the same again |
//! | `refusal`, `transport` | an answer that is no; no answer |
//! | `manifests`, `upload`, `sending` | manifests; blobs; a blob as a body |
//! | `reading`, `tags` | a blob, or a part of it, as it comes; what there is, and taking it away |
//! | `error`, `explain` | what did not work; the cure |
//!
//! A push that changes nothing costs one GET for each tag and manifest that is
//! looked at and one PUT for each that is written; on top of these two requests
//! log in, once a run. A blob costs two requests, one more if it is asked for.

mod auth_file;
mod credentials;
mod error;
mod explain;
mod helper;
mod line;
mod login;
mod manifests;
mod reading;
mod refusal;
pub mod retry;
mod secret;
pub mod sending;
mod tags;
#[cfg(test)]
mod tests;
mod transport;
mod trust;
mod upload;
mod wire;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oci_client::Reference;
use reqwest::Url;

pub use credentials::{CredentialEnvironment, Credentials, CredentialsError, CredentialsErrorKind};
pub use error::{RemoteError, RemoteErrorKind};
pub use reading::Reading;
pub use refusal::one_line;
pub use secret::Secret;
pub use transport::no_answer;
pub use trust::{http_client, http_client_that_stays};

use crate::blob::Content;
use crate::destination::Stored;
use crate::digest::Digest;
use crate::manifest::Descriptor;
use crate::name::{Repository, Tag};
use error::{Act, Failure};
use line::Line;
use login::Login;
use wire::Wire;

/// A repository of a registry.
#[derive(Debug)]
pub struct Registry {
    repository: Repository,
    wire: Arc<Wire>,
}

/// How a registry is spoken to.
#[derive(Clone, Debug)]
pub struct RegistryOptions {
    /// Without TLS. A registry on this machine is spoken to without it anyway.
    pub plain_http: bool,
    /// Certificates in PEM form to believe in besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Repositories from which blobs may be taken over, where they are of the same
    /// registry: a token has to be asked for them as well.
    pub mount_from: Vec<Repository>,
    /// How often a request is repeated that failed for a passing reason.
    pub retries: u32,
    /// How often of that after it stood still, which takes longest to find out.
    pub stalls: u32,
    /// The wait before the first repetition; it doubles from there.
    pub first_wait: Duration,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long a request may go without a byte moving.
    pub stall_timeout: Duration,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            plain_http: false,
            ca_file: None,
            mount_from: Vec::new(),
            retries: 4,
            stalls: 4,
            first_wait: Duration::from_millis(250),
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(60),
        }
    }
}

impl Registry {
    /// Prepares everything; the first request is made when something is asked.
    ///
    /// # Errors
    /// The file of certificates cannot be used.
    pub fn new(
        repository: Repository,
        credentials: Credentials,
        options: RegistryOptions,
    ) -> Result<Self, RemoteError> {
        match wire_to(&repository, credentials, &options) {
            Ok(wire) => Ok(Self {
                repository,
                wire: Arc::new(wire),
            }),
            Err(failure) => Err(failure.while_(Act::Connect, &repository)),
        }
    }

    /// The repository's name.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The manifest or index that a tag points to, if there is one.
    ///
    /// A registry that knows who asks and still will not show it (403, or 401 in
    /// spite of a fresh token) counts as not having it: many answer so where there
    /// is no repository yet, and a first push has to be possible. If the user may
    /// really not read it, the push that follows says so.
    ///
    /// # Errors
    /// The registry cannot be read.
    pub async fn resolve(&self, tag: &Tag) -> Result<Option<Stored>, RemoteError> {
        let found = self.wire.manifest(tag.as_ref(), None).await;
        found.map_err(|failure| failure.while_(Act::ReadTag(tag.clone()), &self.repository))
    }

    /// The manifest or index with this digest, if it is there, by the rules of
    /// [`Registry::resolve`].
    ///
    /// # Errors
    /// The registry cannot be read, or gives other bytes.
    pub async fn manifest(&self, digest: Digest) -> Result<Option<Stored>, RemoteError> {
        let found = self.wire.manifest(&digest.to_string(), Some(digest)).await;
        found.map_err(|failure| failure.while_(Act::ReadManifest(digest), &self.repository))
    }

    /// Whether a blob is there, by the rules of [`Registry::resolve`].
    ///
    /// # Errors
    /// The registry cannot be asked.
    pub async fn has_blob(&self, digest: Digest) -> Result<bool, RemoteError> {
        let found = self.wire.retrying(|_| self.wire.has(digest)).await;
        found.map_err(|failure| failure.while_(Act::LookFor(digest), &self.repository))
    }

    /// The bytes of a blob, or these of them, as they come; `None` if it is not there, by the
    /// rules of [`Registry::resolve`].
    ///
    /// # Errors
    /// The registry cannot be read; what happens later is told in the stream.
    pub async fn read_blob(
        &self,
        digest: Digest,
        range: Option<Range<u64>>,
    ) -> Result<Option<Reading>, RemoteError> {
        let read = reading::read(&self.wire, &self.repository, digest, range).await;
        read.map_err(|failure| failure.while_(Act::ReadBlob(digest), &self.repository))
    }

    /// All tags of the repository; none where there is no repository yet, by the rules of
    /// [`Registry::resolve`].
    ///
    /// # Errors
    /// The registry cannot be read.
    pub async fn tags(&self) -> Result<BTreeSet<Tag>, RemoteError> {
        let tags = self.wire.tags().await;
        tags.map_err(|failure| failure.while_(Act::ListTags, &self.repository))
    }

    /// Takes a manifest away, and every tag that leads to it; its blobs are the registry's
    /// affair. `false` if it was not there.
    ///
    /// # Errors
    /// The registry does not let us, or not at all: 405 where it is not set up for it.
    pub async fn delete_manifest(&self, digest: Digest) -> Result<bool, RemoteError> {
        let deleted = self.wire.delete_manifest(digest).await;
        deleted.map_err(|failure| failure.while_(Act::Delete(digest), &self.repository))
    }

    /// Whether the manifest of this digest and size is there, by the rules of
    /// [`Registry::resolve`].
    ///
    /// # Errors
    /// The registry cannot be asked.
    pub async fn has_manifest(&self, manifest: &Descriptor) -> Result<bool, RemoteError> {
        let found = self
            .wire
            .retrying(|_| self.wire.has_manifest(manifest))
            .await;
        found
            .map_err(|failure| failure.while_(Act::ReadManifest(manifest.digest), &self.repository))
    }

    /// Whether this user may push: an upload is begun, and cancelled.
    ///
    /// # Errors
    /// The registry does not let him, or cannot be asked.
    pub async fn may_push(&self) -> Result<(), RemoteError> {
        let begun = self.wire.retrying(|_| self.wire.begin_and_cancel()).await;
        begun.map_err(|failure| failure.while_(Act::BeginPush, &self.repository))
    }

    /// Stores a blob. Whoever calls has seen that it is not there.
    ///
    /// # Errors
    /// It could not be stored whole; then it is not there at all.
    pub async fn put_blob(
        &self,
        descriptor: &Descriptor,
        content: &Content,
    ) -> Result<(), RemoteError> {
        let digest = descriptor.digest;
        let put = self.wire.push(digest, content).await;
        put.map_err(|failure| failure.while_(Act::PushBlob(digest), &self.repository))
    }

    /// Takes a blob over from another repository of the same registry; `false` if the
    /// registry does not, for whatever reason: then the blob has to be sent.
    pub async fn mount(&self, digest: Digest, from: &Repository) -> bool {
        if from.registry() != self.repository.registry() || *from == self.repository {
            return false;
        }
        match self.wire.mount(digest, from.path()).await {
            Ok(mounted) => mounted,
            Err(failure) => {
                tracing::debug!(kind = ?failure.kind, %digest, %from, "not mounted");
                false
            }
        }
    }

    /// Stores a manifest or index, under its digest or, if one is given, a tag.
    ///
    /// # Errors
    /// [`RemoteError::is_missing_blob`] when it names what is not there.
    pub async fn put_manifest(
        &self,
        media_type: &str,
        bytes: &[u8],
        tag: Option<&Tag>,
    ) -> Result<(), RemoteError> {
        let digest = Digest::of(bytes);
        let reference = tag.map_or_else(|| digest.to_string(), Tag::to_string);
        let put = self.wire.put_manifest(&reference, media_type, bytes).await;
        put.map_err(|failure| {
            let act = tag.map_or(Act::PushManifest(digest), |tag| Act::PointTag(tag.clone()));
            failure.while_(act, &self.repository)
        })
    }
}

fn wire_to(
    repository: &Repository,
    credentials: Credentials,
    options: &RegistryOptions,
) -> Result<Wire, Failure> {
    let http = trust::client(options)?;
    let reference = Reference::with_tag(
        repository.registry().to_owned(),
        repository.path().to_owned(),
        "latest".to_owned(),
    );
    let plain_http = options.plain_http || repository.is_loopback();
    let scheme = if plain_http { "http" } else { "https" };
    // Docker Hub's API is at another host than its name says.
    let ping = format!("{scheme}://{}/v2/", reference.resolve_registry());
    let invalid = |error| Failure::protocol("it has no valid URL").caused_by(error);
    let ping = Url::parse(&ping).map_err(invalid)?;
    let base = ping
        .join(&format!("{}/", repository.path()))
        .map_err(invalid)?;
    let stall = options.stall_timeout;
    let line = Arc::new(Line {
        http,
        stall,
        hold: Mutex::default(),
    });
    let sources = options.mount_from.iter();
    let sources = sources
        .filter(|from| from.registry() == repository.registry() && *from != repository)
        .map(|from| from.path().to_owned());
    let login = Login {
        mount_from: sources.collect(),
        line: Arc::clone(&line),
        ping,
        path: repository.path().to_owned(),
        credentials,
        pass: tokio::sync::Mutex::default(),
        deletes: std::sync::atomic::AtomicBool::new(false),
    };
    let (retries, stalls) = (options.retries, options.stalls);
    let first_wait = options.first_wait;
    Ok(Wire {
        line,
        login,
        base,
        retries,
        stalls,
        first_wait,
    })
}
