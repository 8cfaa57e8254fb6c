//! What a registry did not do, said as what a cache did not do.

use nixpy_oci::registry::{RemoteError, RemoteErrorKind};

use crate::error::CacheErrorKind;

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
