//! Making a layer's blob: tar, diff ID, compression and digest in one pass.
//!
//! The result waits in memory while it is small and in an unlinked temporary
//! file beyond that, so that it can be sent again when a connection breaks.
//! Memory does not depend on the layer's size.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek as _, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tempfile::{SpooledData, SpooledTempFile};

use crate::compress::{Compression, Encoder};
use crate::digest::{Digest, Hashing};
use crate::layer::{LayerError, Source};
use crate::manifest::{Annotations, Descriptor, annotation};

/// Larger blobs wait on disk.
const IN_MEMORY: usize = 1 << 20;

/// The bytes of a blob, readable at any place by several at once.
#[derive(Debug)]
pub enum Content {
    /// A small one.
    Memory(Bytes),
    /// All of a file, and the number of its bytes.
    File(File, u64),
    /// One of several in a file.
    Section {
        /// The file.
        file: Arc<File>,
        /// Where it begins.
        start: u64,
        /// The number of its bytes.
        size: u64,
    },
}

impl Content {
    /// The number of bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_, size) | Self::Section { size, .. } => *size,
        }
    }

    /// Whether there is not a byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// At most `length` bytes from `offset` on; fewer only at the end.
    ///
    /// # Errors
    /// Those of reading the temporary file.
    pub fn read(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let left = usize::try_from(self.len().saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = length.min(left);
        match self {
            Self::Memory(bytes) => {
                let start = usize::try_from(offset)
                    .unwrap_or(bytes.len())
                    .min(bytes.len());
                Ok(bytes.slice(start..start + length))
            }
            Self::File(file, _) => {
                let mut buffer = vec![0; length];
                file.read_exact_at(&mut buffer, offset)?;
                Ok(buffer.into())
            }
            Self::Section { file, start, .. } => {
                let mut buffer = vec![0; length];
                file.read_exact_at(&mut buffer, start.saturating_add(offset))?;
                Ok(buffer.into())
            }
        }
    }

    /// Copies everything to a writer.
    ///
    /// # Errors
    /// Those of either side.
    pub fn copy_to(&self, out: &mut impl Write) -> io::Result<()> {
        let mut offset = 0;
        while offset < self.len() {
            let bytes = self.read(offset, 1 << 18)?;
            out.write_all(&bytes)?;
            offset += bytes.len() as u64;
        }
        Ok(())
    }
}

/// A layer that has been made.
#[derive(Debug)]
pub struct Blob {
    /// Of the compressed bytes; bears the diff ID as an annotation.
    pub descriptor: Descriptor,
    /// Of the uncompressed tar.
    pub diff_id: Digest,
    /// The compressed bytes.
    pub content: Content,
}

/// Makes the blob of a layer, unless it is finished already.
///
/// # Errors
/// The layer cannot be read, or a finished one is not what was stated; those of the
/// temporary file.
pub fn of(source: &Source, compression: Compression, spool_dir: &Path) -> Result<Blob, LayerError> {
    match source {
        Source::Blob(finished) => finished.blob(),
        source => make(|out| source.write_tar(out), compression, spool_dir),
    }
}

/// Makes a blob from what `write` writes. Large blobs wait in `spool_dir`.
///
/// # Errors
/// Those of `write`, and of the temporary file.
pub fn make<W>(write: W, compression: Compression, spool_dir: &Path) -> Result<Blob, LayerError>
where
    W: FnOnce(&mut dyn Write) -> Result<(), LayerError>,
{
    make_in(write, compression, spool_dir).map_err(|e| e.blame_full_disk(spool_dir))
}

/// As [`make`]: whichever write it is that finds no room, the disk is the same.
fn make_in<W>(write: W, compression: Compression, spool_dir: &Path) -> Result<Blob, LayerError>
where
    W: FnOnce(&mut dyn Write) -> Result<(), LayerError>,
{
    let spool = Hashing::new(SpooledTempFile::new_in(IN_MEMORY, spool_dir));
    // A tar is written header by header: gathered, they cost hasher and
    // compressor one call in place of hundreds.
    let mut tar = BufWriter::with_capacity(1 << 16, Hashing::new(Encoder::new(spool, compression)));
    write(&mut tar)?;
    let tar = tar.into_inner().map_err(io::IntoInnerError::into_error)?;
    let (encoder, diff_id, _) = tar.finish();
    let (spool, digest, size) = encoder.finish()?.finish();
    let content = match spool.into_inner() {
        SpooledData::InMemory(cursor) => Content::Memory(cursor.into_inner().into()),
        SpooledData::OnDisk(mut file) => {
            file.rewind()?;
            Content::File(file, size)
        }
    };
    Ok(Blob {
        descriptor: Descriptor {
            media_type: compression.media_type().to_owned(),
            digest,
            size,
            platform: None,
            annotations: Annotations::from([(annotation::DIFF_ID.to_owned(), diff_id.to_string())]),
        },
        diff_id,
        content,
    })
}

/// Makes a blob from a tar that is read.
///
/// # Errors
/// Those of the reader, and of the temporary file.
pub fn make_from(
    tar: &mut dyn Read,
    compression: Compression,
    spool_dir: &Path,
) -> Result<Blob, LayerError> {
    make(
        |mut out| {
            io::copy(tar, &mut out)?;
            Ok(())
        },
        compression,
        spool_dir,
    )
}
