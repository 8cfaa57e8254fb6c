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
    LookFor(Digest),
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
        let Details { repository, act, failure } = &*self.0;
        f.write_str("cannot ")?;
        match act {
            Act::Connect => write!(f, "connect to {repository}"),
            Act::ReadTag(tag) => write!(f, "read {repository}:{tag}"),
            Act::ReadManifest(digest) => write!(f, "read {repository}@{digest}"),
            Act::LookFor(digest) => write!(f, "look for {digest} in {repository}"),
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
        Self { kind, retry_after: None, source: None }
    }

    pub(super) fn caused_by(self, source: impl StdError + Send + Sync + 'static) -> Self {
        Self { source: Some(Box::new(source)), ..self }
    }

    pub(super) fn protocol(what: impl Into<String>) -> Self {
        Self::new(RemoteErrorKind::Protocol(what.into()))
    }

    pub(super) fn while_(self, act: Act, repository: &Repository) -> RemoteError {
        RemoteError(Box::new(Details { repository: repository.clone(), act, failure: self }))
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

/// What happened, and the cure.
fn explain(kind: &RemoteErrorKind, repository: &Repository) -> String {
    use RemoteErrorKind as Kind;
    let host = repository.registry();
    let login = match host {
        "docker.io" => "docker login".to_owned(),
        host => format!("docker login {host}"),
    };
    match kind {
        Kind::UnknownHost => format!(
            "the name of {host} has no address; check its spelling, and the name servers in /etc/resolv.conf"
        ),
        Kind::Unreachable => {
            format!("nobody answers at {host}; check that it is up, and HTTPS_PROXY if there is a proxy")
        }
        Kind::Untrusted => format!(
            "the certificate of {host} is not trusted; name a file with its authority's certificate, or set SSL_CERT_FILE"
        ),
        Kind::NotTls => format!("{host} does not speak TLS; ask for plain HTTP if that is meant"),
        Kind::Broken => "the connection broke off each time it was tried; try again".to_owned(),
        Kind::Timeout => "the registry stopped answering; try again".to_owned(),
        Kind::Unauthenticated { anonymous: false } => format!(
            "the registry refused the credentials (401); log in with `{login}`, or give --username and a password"
        ),
        Kind::Unauthenticated { anonymous: true } => format!(
            "the registry wants credentials (401), and none were found for {host}; log in with `{login}`, or give --username and a password"
        ),
        Kind::Denied(message) => denied(message, repository),
        Kind::NotFound(message) => format!(
            "the registry has no such repository (404{}); create it there first, or check its name",
            said(message)
        ),
        Kind::MissingBlob(message) => {
            format!("the registry lacks a part of it{}; push it again", said(message))
        }
        Kind::UploadLost => "the registry forgot the upload each time; try again".to_owned(),
        Kind::TokenService(message) => {
            format!("its token service gave no token{}; try again", said(message))
        }
        Kind::Refused { status: 429, message, .. } => {
            format!("the registry has had too many requests (429{}); try again later", said(message))
        }
        Kind::Refused { status, code, message } => {
            let code = code.as_ref().map(|code| format!(" {code}")).unwrap_or_default();
            let cure = if *status >= 500 { "; try again later" } else { "" };
            format!("the registry answered {status}{code}{}{cure}", said(message))
        }
        Kind::Protocol(what) => {
            format!("{what}, against the OCI distribution specification; check what answers at {host}")
        }
        Kind::Unreadable => {
            "its bytes cannot be read back; check the disk that temporary files are on".to_owned()
        }
        Kind::Certificates(file) => format!(
            "{} has no certificates; give a file with the authority's certificate in PEM form",
            file.display()
        ),
    }
}

fn denied(message: &str, repository: &Repository) -> String {
    let what = format!("the registry does not allow it (403{})", said(message));
    if repository.registry() != "ghcr.io" {
        return format!("{what}; give the user the right to push to {repository}");
    }
    // The most asked question of its kind; the cure has to be complete.
    format!(
        "{what}; in a workflow give the job\n\npermissions:\n  packages: write\n\nand if the package is \
         older than that, give the repository write access under \"Manage Actions access\" in the package's \
         settings; elsewhere use a token with the scope write:packages"
    )
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}
