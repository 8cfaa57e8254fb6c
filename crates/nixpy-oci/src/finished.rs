//! Layers that come as finished blobs: packed by somebody else, and published with
//! the bytes, and so the digest, that they have. Every other layer is compressed as
//! the run says ([`crate::compress`]).
//!
//! Before a blob is sent it is read once, to see that it has the digest that was
//! stated and that its tar has the diff ID that the config will say.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::PathBuf;

use crate::blob::{Blob, Content};
use crate::digest::{Digest, Hashing};
use crate::layer::LayerError;
use crate::manifest::{Annotations, Descriptor, annotation, media_type};

/// A file that is a layer's blob.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The file.
    pub path: PathBuf,
    /// How the tar is in it.
    pub packing: Packing,
    /// Of the file, as somebody has stated it; other bytes are an error.
    pub digest: Digest,
}

/// How a tar is in a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// As it is.
    None,
    /// By gzip.
    Gzip,
    /// By zstd.
    Zstd,
}

impl Packing {
    /// What a media type says, OCI's or Docker's; `None` if it is not that of a layer.
    pub fn of(media_type: &str) -> Option<Self> {
        Some(match media_type {
            media_type::LAYER_TAR | "application/vnd.docker.image.rootfs.diff.tar" => Self::None,
            media_type::LAYER_GZIP | "application/vnd.docker.image.rootfs.diff.tar.gzip" => {
                Self::Gzip
            }
            media_type::LAYER_ZSTD | "application/vnd.docker.image.rootfs.diff.tar.zstd" => {
                Self::Zstd
            }
            _ => return None,
        })
    }

    /// OCI's media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::None => media_type::LAYER_TAR,
            Self::Gzip => media_type::LAYER_GZIP,
            Self::Zstd => media_type::LAYER_ZSTD,
        }
    }

    /// By what the media type says rather than by the first bytes: clients may go by either.
    fn unpack<'a>(self, blob: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::None => Box::new(blob),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::new(blob))),
            Self::Zstd => Box::new(zstd::Decoder::new(blob)?),
        })
    }
}

impl Finished {
    /// Writes the uncompressed tar.
    ///
    /// # Errors
    /// The file cannot be read or is not what was stated, or `out` failed.
    pub fn write_tar(&self, out: &mut dyn Write) -> Result<(), LayerError> {
        self.read(out).map(drop)
    }

    /// The blob, which is what was stated. Its bytes stay where they are.
    ///
    /// # Errors
    /// The file cannot be read or is not what was stated.
    pub fn blob(&self) -> Result<Blob, LayerError> {
        let mut tar = Hashing::new(io::sink());
        let (file, size) = self.read(&mut tar)?;
        let (_, diff_id, _) = tar.finish();
        Ok(Blob {
            descriptor: Descriptor {
                media_type: self.packing.media_type().to_owned(),
                digest: self.digest,
                size,
                platform: None,
                annotations: Annotations::from([(
                    annotation::DIFF_ID.to_owned(),
                    diff_id.to_string(),
                )]),
            },
            diff_id,
            content: Content::File(file, size),
        })
    }

    /// Reads the whole file once, and gives it back with its size.
    fn read(&self, out: &mut dyn Write) -> Result<(File, u64), LayerError> {
        let blame = |source| LayerError::Tar {
            path: self.path.clone(),
            source,
        };
        let mut file = Hashing::new(File::open(&self.path).map_err(blame)?);
        let unpacked = self
            .packing
            .unpack(&mut file)
            .and_then(|mut tar| io::copy(&mut tar, out));
        // What stands behind the end of the stream belongs to the blob.
        io::copy(&mut file, &mut io::sink()).map_err(blame)?;
        let (file, found, size) = file.finish();
        if found != self.digest {
            return Err(LayerError::Digest {
                path: self.path.clone(),
                stated: self.digest,
                found,
            });
        }
        unpacked.map_err(blame)?;
        Ok((file, size))
    }
}
