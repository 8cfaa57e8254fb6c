//! The small files of an archive, kept until it is known which of them matter.
//!
//! They wait one after the other in one temporary file, so that an archive full
//! of them costs disk, and no memory.

use std::collections::BTreeMap;
use std::io::{Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use tempfile::SpooledTempFile;

use super::{ArchiveError, limit};
use crate::layer::LayerError;

/// Larger files are no documents.
pub(crate) const MAX_DOCUMENT: u64 = 8 << 20;
/// All documents together.
const MAX_DOCUMENTS: u64 = 64 << 20;
/// More than this waits on disk.
const IN_MEMORY: usize = 1 << 20;

pub(super) struct Documents {
    spool: SpooledTempFile,
    spool_dir: PathBuf,
    end: u64,
    /// Offset and length; `None` for what is too large to be one.
    places: BTreeMap<String, Option<(u64, u64)>>,
}

impl Documents {
    pub(super) fn new(spool_dir: &Path) -> Self {
        Self {
            spool: SpooledTempFile::new_in(IN_MEMORY, spool_dir),
            spool_dir: spool_dir.to_owned(),
            end: 0,
            places: BTreeMap::new(),
        }
    }

    pub(super) fn keep(
        &mut self,
        name: String,
        size: u64,
        content: &mut impl Read,
    ) -> Result<(), ArchiveError> {
        let known = self.places.get(&name).copied();
        if size > MAX_DOCUMENT {
            self.places.insert(name.clone(), None);
            return match known {
                Some(Some(_)) => Err(ArchiveError::Twice(name)),
                _ => Ok(()),
            };
        }
        if self.end + size > MAX_DOCUMENTS {
            return Err(limit("bytes of documents", MAX_DOCUMENTS));
        }
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(ArchiveError::Tar)?;
        match known {
            None => self.append(name, &bytes),
            Some(Some(_)) if self.get(&name)? == Some(bytes) => Ok(()),
            Some(_) => Err(ArchiveError::Twice(name)),
        }
    }

    fn append(&mut self, name: String, bytes: &[u8]) -> Result<(), ArchiveError> {
        let mut write = || {
            self.spool.seek(SeekFrom::Start(self.end))?;
            self.spool.write_all(bytes)
        };
        write().map_err(|e| LayerError::Write(e).blame_full_disk(&self.spool_dir))?;
        let size = bytes.len() as u64;
        self.places.insert(name, Some((self.end, size)));
        self.end += size;
        Ok(())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.places.keys()
    }

    /// `None` when there was no such file, or a layer's.
    pub(super) fn get(&mut self, name: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        let Some(place) = self.places.get(name) else {
            return Ok(None);
        };
        let (offset, length) = place.ok_or_else(|| limit("bytes in a document", MAX_DOCUMENT))?;
        let mut bytes = Vec::new();
        let mut read = || {
            self.spool.seek(SeekFrom::Start(offset))?;
            Read::by_ref(&mut self.spool)
                .take(length)
                .read_to_end(&mut bytes)
        };
        read().map_err(LayerError::Write)?;
        Ok(Some(bytes))
    }
}
