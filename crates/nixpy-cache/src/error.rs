//! What a cache did not do.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

/// A cache did not do what was asked of it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the cache {cache} cannot {act}: {kind}")]
pub struct CacheError {
    /// What people call it.
    pub cache: String,
    /// What it was to do: `store /nix/store/…-hello`, `list its paths`.
    pub act: String,
    /// Why it did not.
    pub kind: CacheErrorKind,
}

/// Why a cache did not do what was asked of it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CacheErrorKind {
    /// It does not let us: no secret, a wrong one, or one that may only read.
    #[error("it refuses: {message}")]
    Refused {
        /// In its own words, without secrets.
        message: String,
        /// What to do about it.
        cure: String,
    },
    /// It asks to be left alone for a while.
    #[error("it asks for time")]
    Throttled {
        /// For how long, if it says so.
        retry_after: Option<Duration>,
    },
    /// It has no room.
    #[error("it is full: {0}")]
    Full(String),
    /// It cannot be reached, breaks off or is silent.
    #[error("{0}")]
    Unreachable(String),
    /// It answered with what makes no sense, or is damaged.
    #[error("{0}")]
    Broken(String),
    /// What was to be put there cannot be read on this machine.
    #[error("{0}")]
    Here(String),
}

impl CacheError {
    /// For whoever knows all three.
    pub fn new(cache: impl Into<String>, act: impl Into<String>, kind: CacheErrorKind) -> Self {
        Self {
            cache: cache.into(),
            act: act.into(),
            kind,
        }
    }

    /// Whether to try again is worth it.
    pub fn is_transient(&self) -> bool {
        self.kind.is_transient()
    }

    /// What to do about it, where that is known.
    pub fn cure(&self) -> Option<&str> {
        match &self.kind {
            CacheErrorKind::Refused { cure, .. } => Some(cure),
            _ => None,
        }
    }
}

impl CacheErrorKind {
    /// Whether to try again is worth it.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Unreachable(_))
    }

    /// Whether whatever else is asked of the cache now would end in the same way.
    pub(crate) fn concerns_all(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. } | Self::Throttled { .. } | Self::Full(_)
        )
    }

    /// The same once more, for another path that meets it; `None` where it concerns one.
    pub(crate) fn again(&self) -> Option<Self> {
        let concerns_one = matches!(self, Self::Broken(_) | Self::Here(_));
        (!concerns_one).then(|| self.clone())
    }

    /// What an error of this machine's file system says of a cache that lies there.
    pub(crate) fn of_folder(error: &io::Error, file: &Path) -> Self {
        let message = format!("{}: {error}", file.display());
        match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Self::Refused {
                message,
                cure: "let this user write there (chown, or mount it writable), or say `read` \
                       behind the cache"
                    .to_owned(),
            },
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full(message),
            _ => Self::Broken(message),
        }
    }
}
