//! What a cache gives to whoever reads it; for those that Nix cannot read itself.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use nixpy_nix::narinfo::NarInfo;

use crate::error::CacheError;

/// A cache that paths can be taken from.
pub trait Source: fmt::Debug + Send + Sync {
    /// What people call it: as it was typed.
    fn name(&self) -> &str;

    /// What it says of the path with this hash part, if it has it; signed by a key that is
    /// trusted, or else it does not count as there. Its `url` is for [`Source::nar`].
    fn narinfo<'a>(
        &'a self,
        hash_part: &'a str,
    ) -> BoxFuture<'a, Result<Option<NarInfo>, CacheError>>;

    /// The archive at this address, compressed as the narinfo says, or these of its bytes.
    fn nar<'a>(
        &'a self,
        url: &'a str,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Option<Nar>, CacheError>>;

    /// What did not count or could not be used since this was asked last, where it is not the
    /// answer to a question.
    fn troubles(&self) -> Vec<CacheError> {
        Vec::new()
    }
}

/// An archive that is read.
pub struct Nar {
    /// The size of the whole archive, as it is compressed.
    pub size: u64,
    /// What was asked for, in order.
    pub bytes: BoxStream<'static, Result<Bytes, CacheError>>,
}
