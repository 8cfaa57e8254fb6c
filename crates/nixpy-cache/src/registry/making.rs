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
use tempfile::{SpooledData, SpooledTempFile};

use super::documents::ARCHIVES;
use super::index::url;
use crate::error::CacheErrorKind;

/// Of zstd. Compressing is what a push waits for on a machine of few processors, and the
/// lowest level takes the least of it, for archives that are somewhat larger.
const LEVEL: u8 = 1;
/// Smaller archives are compressed by one thread each, several at a time: that takes less
/// memory, and no thread waits for another.
const HUGE: u64 = 256 << 20;
/// Larger ones wait on disk.
const IN_MEMORY: usize = 1 << 20;

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
        match self::archive(&info, spool) {
            Ok(archive) => {
                archive.content.copy_to(&mut file)?;
                made.push((narinfo(info, &archive), offset));
                offset += archive.size;
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
        match self::archive(&info, spool) {
            Ok(archive) => {
                (digest, size) = (archive.digest, archive.size);
                made.push((narinfo(info, &archive), 0));
                content = archive.content;
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

/// A compressed archive.
struct Archive {
    digest: Digest,
    size: u64,
    content: Content,
    /// Of what it is before it is compressed.
    nar: Digest,
}

/// The compressed archive, if the path is what the store says of it.
fn archive(info: &PathInfo, spool: &Path) -> Result<Archive, CacheErrorKind> {
    let mut size = 0;
    let made = match info.nar_size >= HUGE {
        true => by_all(info, spool, &mut size),
        false => by_one(info, spool, &mut size),
    };
    let made =
        made.map_err(|error| CacheErrorKind::Here(format!("its archive cannot be made: {error}")))?;
    match made.nar.hex() == info.nar_hash.to_hex() && size == info.nar_size {
        true => Ok(made),
        false => Err(CacheErrorKind::Here(format!(
            "it was changed since it was built: the store says {}, but it is sha256:{}; \
             `nix store repair {}` mends it",
            info.nar_hash.to_nix_base32(),
            made.nar.hex(),
            info.path
        ))),
    }
}

/// On this thread: others make other archives meanwhile.
fn by_one(info: &PathInfo, spool: &Path, nar_size: &mut u64) -> io::Result<Archive> {
    let spool = Hashing::new(SpooledTempFile::new_in(IN_MEMORY, spool));
    let encoder = zstd::Encoder::new(spool, i32::from(LEVEL))?;
    let mut out = BufWriter::with_capacity(1 << 16, Hashing::new(encoder));
    nar::dump(info.path.as_path(), &mut out)?;
    let hashing = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    let (encoder, nar, size) = hashing.finish();
    *nar_size = size;
    let (spool, digest, size) = encoder.finish()?.finish();
    let content = match spool.into_inner() {
        SpooledData::InMemory(cursor) => Content::Memory(cursor.into_inner().into()),
        SpooledData::OnDisk(file) => Content::File(file, size),
    };
    Ok(Archive {
        digest,
        size,
        content,
        nar,
    })
}

/// On all processors, as a layer is made: what a blob is before it is compressed is what a
/// NAR hash is of.
fn by_all(info: &PathInfo, spool: &Path, nar_size: &mut u64) -> io::Result<Archive> {
    let made = blob::make(
        |out| {
            let mut counted = Counted {
                out,
                size: nar_size,
            };
            nar::dump(info.path.as_path(), &mut counted).map_err(LayerError::from)
        },
        Compression::Zstd(LEVEL),
        spool,
    );
    let made = made.map_err(io::Error::other)?;
    Ok(Archive {
        digest: made.descriptor.digest,
        size: made.descriptor.size,
        content: made.content,
        nar: made.diff_id,
    })
}

fn narinfo(info: PathInfo, archive: &Archive) -> NarInfo {
    let digest = archive.digest;
    NarInfo {
        url: url(info.path.hash_part(), digest),
        compression: "zstd".to_owned(),
        file_hash: digest.hex().parse::<NarHash>().ok(),
        file_size: Some(archive.size),
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
