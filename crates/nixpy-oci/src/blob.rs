//! Making a layer's blob: tar, diff ID, compression and digest in one pass.
//!
//! The result waits in memory while it is small and in an unlinked temporary
//! file beyond that, so that it can be sent again when a connection breaks.
//! Memory does not depend on the layer's size.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek as _, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bytes::Bytes;
use tempfile::{SpooledData, SpooledTempFile};

use crate::digest::{Digest, Hashing};
use crate::layer::LayerError;
use crate::manifest::{Annotations, Descriptor, annotation, media_type};

/// Larger blobs wait on disk.
const IN_MEMORY: usize = 1 << 20;

/// How layers are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// Every client reads it. Levels 1 to 9.
    Gzip(u32),
    /// Smaller and quicker; clients of before 2020 do not read it. Levels 1 to 19.
    Zstd(i32),
}

impl Compression {
    /// The media type of a layer compressed like this.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::None => media_type::LAYER_TAR,
            Self::Gzip(_) => media_type::LAYER_GZIP,
            Self::Zstd(_) => media_type::LAYER_ZSTD,
        }
    }

    /// Names the compressor as far as its bytes depend on it; a part of a
    /// layer's identity.
    pub fn id(self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Gzip(level) => format!("gzip-{level}/zlib-rs"),
            Self::Zstd(level) => format!("zstd-{level}/libzstd"),
        }
    }
}

/// The bytes of a blob, readable at any place by several at once.
#[derive(Debug)]
pub enum Content {
    /// A small one.
    Memory(Bytes),
    /// A large one, its size, and its path if it has a name.
    File(File, u64),
}

impl Content {
    /// The number of bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_, size) => *size,
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
    /// Size of the uncompressed tar.
    pub uncompressed_size: u64,
    /// The compressed bytes.
    pub content: Content,
}

/// Makes a blob from what `write` writes. Large blobs wait in `spool_dir`.
///
/// # Errors
/// Those of `write`, and of the temporary file.
pub fn make<W>(write: W, compression: Compression, spool_dir: &Path) -> Result<Blob, LayerError>
where
    W: FnOnce(&mut dyn Write) -> Result<(), LayerError>,
{
    let spool = Hashing::new(SpooledTempFile::new_in(IN_MEMORY, spool_dir));
    // A tar is written header by header: gathered, they cost hasher and
    // compressor one call in place of hundreds.
    let mut tar =
        BufWriter::with_capacity(1 << 16, Hashing::new(Encoder::new(spool, compression)?));
    write(&mut tar).map_err(|e| e.blame_full_disk(spool_dir))?;
    let tar = tar.into_inner().map_err(io::IntoInnerError::into_error)?;
    let (encoder, diff_id, uncompressed_size) = tar.finish();
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
        uncompressed_size,
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

enum Encoder<W: Write> {
    None(W),
    Gzip(flate2::write::GzEncoder<W>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Encoder<W> {
    fn new(out: W, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::None(out),
            // No name and no time in the header: the same layer, the same bytes.
            Compression::Gzip(level) => Self::Gzip(flate2::write::GzEncoder::new(
                out,
                flate2::Compression::new(level),
            )),
            Compression::Zstd(level) => Self::Zstd(zstd::Encoder::new(out, level)?),
        })
    }

    fn finish(self) -> io::Result<W> {
        match self {
            Self::None(out) => Ok(out),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(out) => out.write(buf),
            Self::Gzip(encoder) => encoder.write(buf),
            Self::Zstd(encoder) => encoder.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // Flushing an encoder in the middle would change the bytes.
        Ok(())
    }
}
