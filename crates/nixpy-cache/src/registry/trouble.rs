//! What a registry did not do, said as what a cache did not do.

use nixpy_oci::registry::{RemoteError, RemoteErrorKind};

use crate::error::{CacheError, CacheErrorKind};

/// As a cache's trouble: what to do about it depends on the kind.
pub(super) fn kind_of(error: &RemoteError) -> CacheErrorKind {
    use RemoteErrorKind as Kind;
    let message = error.to_string();
    match error.kind() {
        Kind::Refused {
            status: 429 | 503, ..
        } => CacheErrorKind::Throttled {
            retry_after: error.retry_after(),
        },
        Kind::Refused {
            status: 413 | 507, ..
        } => CacheErrorKind::Full(message),
        Kind::Refused { status: 405, .. } => CacheErrorKind::Refused {
            message,
            cure: "have the registry set up for it (for deleting, distribution wants \
                   REGISTRY_STORAGE_DELETE_ENABLED=true; ghcr.io deletes only by its own API)"
                .to_owned(),
        },
        Kind::Unauthenticated { .. } | Kind::Denied(_) => CacheErrorKind::Refused {
            message,
            cure: format!(
                "log in to {} as somebody who may push to {}, or let the cache be read only",
                error.repository().registry(),
                error.repository()
            ),
        },
        Kind::Unreadable => CacheErrorKind::Here(message),
        Kind::MissingBlob(_) | Kind::NotFound(_) | Kind::Protocol(_) | Kind::Certificates(_) => {
            CacheErrorKind::Broken(message)
        }
        _ => CacheErrorKind::Unreachable(message),
    }
}

/// The same kind, for another path that it befell.
pub(super) fn again(kind: &CacheErrorKind) -> CacheErrorKind {
    use CacheErrorKind as Kind;
    match kind {
        Kind::Refused { message, cure } => Kind::Refused {
            message: message.clone(),
            cure: cure.clone(),
        },
        Kind::Throttled { retry_after } => Kind::Throttled {
            retry_after: *retry_after,
        },
        Kind::Full(text) => Kind::Full(text.clone()),
        Kind::Unreachable(text) => Kind::Unreachable(text.clone()),
        Kind::Broken(text) => Kind::Broken(text.clone()),
        Kind::Here(text) => Kind::Here(text.clone()),
    }
}

/// The same error, for whoever asks next.
pub(super) fn same(error: &CacheError) -> CacheError {
    CacheError::new(&error.cache, &error.act, again(&error.kind))
}
