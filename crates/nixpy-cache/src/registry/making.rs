//! A path becomes an archive: read, checked against what the store says of it, compressed.
//!
//! Small archives follow one another in a blob; each begins a zstd frame of its own, so that
//! a range of the blob is a whole archive. What is larger than a megabyte waits in an
//! unlinked file: memory depends on no size.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use nixpy_nix::narinfo::NarInfo;
use nixpy_nix::path_info::PathInfo;
use nixpy_nix::{NarHash, nar};
use nixpy_oci::blob::{self, Content};
use nixpy_oci::compress::Compression;
use nixpy_oci::digest::{Digest, Hashing};
use nixpy_oci::layer::LayerError;

use super::documents::ARCHIVES;
use super::index::url;
use crate::error::CacheErrorKind;

/// How archives are compressed: measured over a closure of 1 GB, each level more costs more
/// time than it saves in bytes at the speed of a registry nearby.
const LEVEL: Compression = Compression::Zstd(1);

/// A blob of archives that has been made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) content: Content,
    /// In order; each with its place.
    pub(super) paths: Vec<(NarInfo, u64)>,
    /// Those that could not be read, or are not what the store says.
    pub(super) failed: Vec<(PathInfo, CacheErrorKind)>,
}

/// Makes one blob of these; `None` if there is nothing to put into it.
pub(super) fn make(paths: Vec<PathInfo>, spool: &Path) -> io::Result<Made> {
    if paths.len() == 1 {
        return Ok(alone(paths, spool));
    }
    let mut made = Vec::new();
    let mut failed = Vec::new();
    let mut file = BufWriter::new(Hashing::new(tempfile::tempfile_in(spool)?));
    let mut offset = 0;
    for info in paths {
        match archive(&info, spool) {
            Ok(blob) => {
                blob.content.copy_to(&mut file)?;
                made.push((narinfo(info, &blob), offset));
                offset += blob.descriptor.size;
            }
            Err(kind) => failed.push((info, kind)),
        }
    }
    let hashing = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    let (file, digest, size) = hashing.finish();
    Ok(Made {
        digest,
        size,
        content: Content::File(file, size),
        paths: made,
        failed,
    })
}

fn alone(paths: Vec<PathInfo>, spool: &Path) -> Made {
    let (mut made, mut failed) = (Vec::new(), Vec::new());
    let mut content = Content::Memory(Vec::new().into());
    let (mut digest, mut size) = (Digest::of(b""), 0);
    for info in paths {
        match archive(&info, spool) {
            Ok(blob) => {
                (digest, size) = (blob.descriptor.digest, blob.descriptor.size);
                made.push((narinfo(info, &blob), 0));
                content = blob.content;
            }
            Err(kind) => failed.push((info, kind)),
        }
    }
    Made {
        digest,
        size,
        content,
        paths: made,
        failed,
    }
}

/// The compressed archive, if the path is what the store says of it.
fn archive(info: &PathInfo, spool: &Path) -> Result<blob::Blob, CacheErrorKind> {
    let mut size = 0;
    let made = blob::make(
        |out| {
            let mut counted = Counted {
                out,
                size: &mut size,
            };
            nar::dump(info.path.as_path(), &mut counted).map_err(LayerError::from)
        },
        LEVEL,
        spool,
    );
    let made = made.map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let cause = cause.unwrap_or_else(|| error.to_string());
        CacheErrorKind::Here(format!("its archive cannot be made: {cause}"))
    })?;
    // What a blob is before it is compressed is what a NAR hash is of.
    let is_right = made.diff_id.hex() == info.nar_hash.to_hex() && size == info.nar_size;
    match is_right {
        true => Ok(made),
        false => Err(CacheErrorKind::Here(format!(
            "it was changed since it was built: the store says {}, but it is sha256:{}; \
             `nix store repair {}` mends it",
            info.nar_hash.to_nix_base32(),
            made.diff_id.hex(),
            info.path
        ))),
    }
}

fn narinfo(info: PathInfo, blob: &blob::Blob) -> NarInfo {
    let digest = blob.descriptor.digest;
    NarInfo {
        url: url(info.path.hash_part(), digest),
        compression: "zstd".to_owned(),
        file_hash: digest.hex().parse::<NarHash>().ok(),
        file_size: Some(blob.descriptor.size),
        info,
    }
}

/// Counts what passes.
struct Counted<'a> {
    out: &'a mut dyn Write,
    size: &'a mut u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.out.write(buf)?;
        *self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// As a layer of a pack.
pub(super) const MEDIA_TYPE: &str = ARCHIVES;
