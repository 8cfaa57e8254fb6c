//! The files of a layout, by their names in it: a directory's, or a tar's.
//!
//! A directory is the outcome of a build that others have written. Names in it that
//! are looked for are fixed or made of a digest, so none leads out; links do. They
//! are followed, because in a store a blob may be a link to the path that holds it,
//! but only to a regular file, and only within the folder that the caller states.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::limit;
use super::{StoredError, tarred};
use crate::archive::MAX_DOCUMENT;
use crate::blob::Content;
use crate::digest::{Digest, Hashing};

/// Where a layout is.
pub(super) enum Place {
    Directory {
        path: PathBuf,
        /// Nothing outside of it is read.
        within: PathBuf,
    },
    Tar(BTreeMap<String, Bytes>),
}

/// Where the bytes of a file are.
#[derive(Clone, Debug)]
pub(super) enum Bytes {
    File {
        path: PathBuf,
        size: u64,
    },
    Section {
        file: Arc<File>,
        start: u64,
        size: u64,
    },
}

impl Bytes {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::File { size, .. } | Self::Section { size, .. } => *size,
        }
    }

    /// Of the bytes as they are.
    pub(super) fn digest(&self) -> io::Result<Digest> {
        let mut hashing = Hashing::new(io::sink());
        self.content()?.copy_to(&mut hashing)?;
        Ok(hashing.finish().1)
    }

    /// As it is sent.
    pub(super) fn content(&self) -> io::Result<Content> {
        Ok(match self {
            Self::File { path, size } => Content::File(File::open(path)?, *size),
            Self::Section { file, start, size } => Content::Section {
                file: Arc::clone(file),
                start: *start,
                size: *size,
            },
        })
    }
}

impl Place {
    pub(super) fn open(
        layout: &Path,
        within: &Path,
        spool_dir: &Path,
    ) -> Result<Self, StoredError> {
        let unreadable = |source| StoredError::Read {
            file: "directory".to_owned(),
            source,
        };
        if !fs::metadata(layout).map_err(unreadable)?.is_dir() {
            return tarred::read(layout, spool_dir).map(Self::Tar);
        }
        Ok(Self::Directory {
            path: layout.to_owned(),
            within: fs::canonicalize(within).map_err(unreadable)?,
        })
    }

    /// A file, if it is there.
    pub(super) fn find(&self, name: &str) -> Result<Option<Bytes>, StoredError> {
        let (layout, within) = match self {
            Self::Tar(files) => return Ok(files.get(name).cloned()),
            Self::Directory { path, within } => (path, within),
        };
        let unreadable = |source| StoredError::Read {
            file: name.to_owned(),
            source,
        };
        let path = match fs::canonicalize(layout.join(name)) {
            Ok(path) => path,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(unreadable(e)),
        };
        if !path.starts_with(within) {
            return Err(StoredError::Outside {
                file: name.to_owned(),
                target: path,
            });
        }
        // Before it is opened: that would wait at a pipe, and may do more at a device.
        let found = fs::symlink_metadata(&path).map_err(unreadable)?;
        if !found.is_file() {
            return Err(StoredError::NotAFile(name.to_owned()));
        }
        let size = found.len();
        Ok(Some(Bytes::File { path, size }))
    }

    /// All of a small file.
    pub(super) fn document(&self, name: &str, bytes: &Bytes) -> Result<Vec<u8>, StoredError> {
        if bytes.len() > MAX_DOCUMENT {
            return Err(limit("bytes in a document", MAX_DOCUMENT));
        }
        let mut document = Vec::new();
        let content = bytes.content();
        content
            .and_then(|content| content.copy_to(&mut document))
            .map_err(|source| StoredError::Read {
                file: name.to_owned(),
                source,
            })?;
        Ok(document)
    }
}
