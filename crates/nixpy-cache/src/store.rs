//! What every cache can do.

use std::collections::BTreeSet;
use std::fmt;

use futures_util::future::BoxFuture;
use nixpy_nix::StorePath;
use nixpy_nix::path_info::PathInfo;

use crate::error::CacheError;

/// A cache that paths can be put into.
pub trait Store: fmt::Debug + Send + Sync {
    /// What people call it: as it was typed.
    fn name(&self) -> &str;

    /// Those of these paths that it does not have, asked in as few requests as can be.
    fn missing<'a>(
        &'a self,
        paths: &'a [PathInfo],
    ) -> BoxFuture<'a, Result<BTreeSet<StorePath>, CacheError>>;

    /// Stores paths, signed already, of this machine's store. Whatever one of them refers to
    /// is there, in a cache upstream, or comes before it among them: it is stored before
    /// it, so that no reader ever sees a path without its references.
    ///
    /// One that fails takes those with it that refer to it, and no others.
    fn put<'a>(&'a self, paths: &'a [PathInfo]) -> BoxFuture<'a, Put>;

    /// Told once, when nothing more comes: this run has reached these paths, with all that
    /// they refer to.
    fn close<'a>(&'a self, reached: &'a [StorePath]) -> BoxFuture<'a, Result<(), CacheError>> {
        let _ = reached;
        Box::pin(async { Ok(()) })
    }
}

/// What became of paths that were to be stored.
#[derive(Debug, Default)]
pub struct Put {
    /// Those that are there now.
    pub stored: BTreeSet<StorePath>,
    /// Bytes that were sent for them.
    pub sent: u64,
    /// Those that are not.
    pub failed: Vec<(StorePath, CacheError)>,
}
