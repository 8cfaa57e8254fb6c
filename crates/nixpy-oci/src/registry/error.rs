//! What a registry, or the way to it, did not do, and what to do about it.
//!
//! Below the public methods there are only [`Failure`]s: they know what went
//! wrong, and not yet in the course of what. A public method adds the [`Act`],
//! and the two together make the sentence that a person reads.
//!
//! What a registry answers is somebody else's text: it is cut to a line without
//! control characters before it gets here. URLs are never part of a message:
//! those of uploads, and of storage behind them, carry credentials.

use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::explain::explain;
use crate::digest::Digest;
use crate::name::{Repository, Tag};

/// A registry did not do what was asked of it.
#[derive(Debug)]
pub struct RemoteError(Box<Details>);

#[derive(Debug)]
struct Details {
    repository: Repository,
    act: Act,
    failure: Failure,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteErrorKind {
    /// The host's name has no address.
    UnknownHost,
    /// Nobody answers at the address.
    Unreachable,
    /// The registry's certificate is not one that this machine trusts.
    Untrusted,
    /// The registry does not speak TLS.
    NotTls,
    /// The connection ended before the answer.
    Broken,
    /// Nothing moved for longer than the options allow.
    Timeout,
    /// 401: without credentials, or in spite of them.
    Unauthenticated {
        /// Whether none were given.
        anonymous: bool,
    },
    /// 403: known, and not allowed to.
    Denied(String),
    /// 404: no such repository.
    NotFound(String),
    /// A manifest names a blob or a manifest that the registry does not have.
    MissingBlob(String),
    /// The registry no longer knows of an upload that is under way.
    UploadLost,
    /// The registry's token service gave no token, for a reason of its own.
    TokenService(String),
    /// Any other answer that is not a success.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The error code of the distribution specification, if there was one.
        code: Option<String>,
        /// What the registry says, cut to one line.
        message: String,
    },
    /// The registry breaks the protocol.
    Protocol(String),
    /// The blob's bytes cannot be read on this machine.
    Unreadable,
    /// The file of certificates that was given is none.
    Certificates(PathBuf),
}

/// In the course of what it went wrong.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Connect,
    ReadTag(Tag),
    ReadManifest(Digest),
    ReadBlob(Digest),
    ListTags,
    Delete(Digest),
    LookFor(Digest),
    BeginPush,
    PushBlob(Digest),
    PushManifest(Digest),
    PointTag(Tag),
}

/// A [`RemoteError`] that does not yet know of what.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: RemoteErrorKind,
    /// How long the registry asked to be left alone.
    pub(super) retry_after: Option<Duration>,
    pub(super) source: Option<Box<dyn StdError + Send + Sync>>,
}

impl RemoteError {
    /// What went wrong.
    pub fn kind(&self) -> &RemoteErrorKind {
        &self.0.failure.kind
    }

    /// Where.
    pub fn repository(&self) -> &Repository {
        &self.0.repository
    }

    /// Whether the same request may succeed later; it has been repeated already.
    pub fn is_transient(&self) -> bool {
        self.0.failure.is_transient()
    }

    /// Whether the registry refused a manifest because something it names is not there.
    pub fn is_missing_blob(&self) -> bool {
        matches!(self.kind(), RemoteErrorKind::MissingBlob(_))
    }

    /// How long the registry asked to be left alone, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.failure.retry_after
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details {
            repository,
            act,
            failure,
        } = &*self.0;
        f.write_str("cannot ")?;
        match act {
            Act::Connect => write!(f, "connect to {repository}"),
            Act::ReadTag(tag) => write!(f, "read {repository}:{tag}"),
            Act::ReadManifest(digest) => write!(f, "read {repository}@{digest}"),
            Act::ReadBlob(digest) => write!(f, "read the blob {digest} of {repository}"),
            Act::ListTags => write!(f, "list the tags of {repository}"),
            Act::Delete(digest) => write!(f, "delete {repository}@{digest}"),
            Act::LookFor(digest) => write!(f, "look for {digest} in {repository}"),
            Act::BeginPush => write!(f, "push to {repository}"),
            Act::PushBlob(digest) => write!(f, "push {digest} to {repository}"),
            Act::PushManifest(digest) => write!(f, "push the manifest {digest} to {repository}"),
            Act::PointTag(tag) => write!(f, "tag {repository}:{tag}"),
        }?;
        write!(f, ": {}", explain(&failure.kind, repository))?;
        match failure.retry_after {
            Some(wait) => write!(f, "; it asks to wait {} s", wait.as_secs().max(1)),
            None => Ok(()),
        }
    }
}

impl StdError for RemoteError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.failure.source.as_deref().map(|source| source as _)
    }
}

impl Failure {
    pub(super) fn new(kind: RemoteErrorKind) -> Self {
        Self {
            kind,
            retry_after: None,
            source: None,
        }
    }

    pub(super) fn caused_by(self, source: impl StdError + Send + Sync + 'static) -> Self {
        Self {
            source: Some(Box::new(source)),
            ..self
        }
    }

    pub(super) fn protocol(what: impl Into<String>) -> Self {
        Self::new(RemoteErrorKind::Protocol(what.into()))
    }

    pub(super) fn while_(self, act: Act, repository: &Repository) -> RemoteError {
        RemoteError(Box::new(Details {
            repository: repository.clone(),
            act,
            failure: self,
        }))
    }

    /// Connections, timeouts, and the answers that mean "not now".
    pub(super) fn is_transient(&self) -> bool {
        use RemoteErrorKind as Kind;
        match &self.kind {
            Kind::UnknownHost
            | Kind::Unreachable
            | Kind::Broken
            | Kind::Timeout
            | Kind::UploadLost
            | Kind::TokenService(_) => true,
            Kind::Refused { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }
}
