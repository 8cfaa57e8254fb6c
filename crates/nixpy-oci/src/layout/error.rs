//! What a layout on disk did not do, why, and what to do about it: one line.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::digest::Digest;

/// A layout could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} the image layout {path}: {kind}{}", Cure(.kind))]
pub struct LayoutError {
    pub(super) act: &'static str,
    pub(super) path: PathBuf,
    pub(super) kind: Box<LayoutErrorKind>,
}

// Causes stand in the text, because the cure comes after them.
#[derive(Debug, thiserror::Error)]
pub(super) enum LayoutErrorKind {
    #[error("{}", Cause(.0))]
    Io(io::Error),
    #[error("its index.json is not what the specification says ({0})")]
    Index(serde_json::Error),
    #[error("a manifest for it is not what the specification says ({0})")]
    Manifest(serde_json::Error),
    #[error("the blob {0} is not there")]
    MissingBlob(Digest),
    #[error("the blob {blob} has {found} bytes, but a manifest for it states {stated}")]
    WrongSize {
        blob: Digest,
        stated: u64,
        found: u64,
    },
    #[error("the bytes of {0} have the digest {1}")]
    WrongDigest(Digest, Digest),
    #[error("the directory holds other files")]
    Foreign,
    #[error("it is a file")]
    NotADirectory,
}

impl From<io::Error> for LayoutErrorKind {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl LayoutError {
    /// Whether the place is somebody else's: another has to be named.
    pub fn is_foreign(&self) -> bool {
        matches!(
            *self.kind,
            LayoutErrorKind::Foreign | LayoutErrorKind::NotADirectory
        )
    }

    pub(crate) fn is_missing_blob(&self) -> bool {
        matches!(*self.kind, LayoutErrorKind::MissingBlob(_))
    }
}

struct Cause<'a>(&'a io::Error);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind() {
            io::ErrorKind::StorageFull => f.write_str("the disk is full"),
            io::ErrorKind::QuotaExceeded => f.write_str("your quota of the disk is used up"),
            io::ErrorKind::PermissionDenied => f.write_str("you may not write there"),
            io::ErrorKind::ReadOnlyFilesystem => f.write_str("the file system is read-only"),
            io::ErrorKind::NotADirectory => f.write_str("a part of that path is a file"),
            _ => self.0.fmt(f),
        }
    }
}

struct Cure<'a>(&'a LayoutErrorKind);

impl fmt::Display for Cure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        f.write_str(match self.0 {
            LayoutErrorKind::Io(e) if matches!(e.kind(), StorageFull | QuotaExceeded) => {
                "; make room there, or name another place with --layout"
            }
            LayoutErrorKind::Foreign => "; name a new or an empty directory with --layout",
            // The other images in it may be all there: nobody is told to remove it.
            LayoutErrorKind::Io(_) | LayoutErrorKind::NotADirectory | LayoutErrorKind::Index(_) => {
                "; name another place with --layout"
            }
            LayoutErrorKind::MissingBlob(_) | LayoutErrorKind::WrongDigest(..) => "; run again",
            // Such a manifest is somebody else's, from which layers were taken over.
            LayoutErrorKind::WrongSize { .. } => "; run again with --remake",
            LayoutErrorKind::Manifest(_) => "",
        })
    }
}
