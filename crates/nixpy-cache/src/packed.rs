//! A path made ready for a cache: its archive, hashed, compared with what the store says of
//! it, and compressed with zstd, in one pass.
//!
//! What has another hash than the store says is damaged or was changed, and goes nowhere: a
//! signature vouches for the hash. Archives of more than a MiB wait in an unlinked file below
//! the settings' place, so that memory does not depend on their size; and no more than four are
//! made at once: each is hashed on one processor, and compressed on all.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nixpy_nix::NarHash;
use nixpy_nix::nar::dump;
use nixpy_nix::narinfo::NarInfo;
use nixpy_nix::path_info::PathInfo;
use nixpy_oci::blob::{self, Content};
use nixpy_oci::compress::Compression;
use nixpy_oci::digest::Digest;
use nixpy_oci::layer::LayerError;
use tokio::sync::Semaphore;

use crate::error::CacheErrorKind;

/// Quick enough that the network is the limit, for whoever writes and whoever reads.
const ZSTD: Compression = Compression::Zstd(3);

/// A path's archive, ready to be sent.
#[derive(Debug)]
pub struct Packed {
    /// What a cache is to say of it; its `url` is `nar/<file hash>.nar.zst`.
    pub narinfo: NarInfo,
    /// The SHA-256 of [`Packed::content`].
    pub digest: Digest,
    /// The compressed archive.
    pub content: Content,
}

/// Packs paths of this machine's store, a few at once.
#[derive(Debug)]
pub struct Packer {
    place: PathBuf,
    compression: Compression,
    at_once: Semaphore,
}

impl Packer {
    /// Whose larger archives wait below `place`.
    pub fn new(place: &Path) -> Self {
        Self::compressing(place, ZSTD)
    }

    /// For a server that wants archives as they are.
    pub(crate) fn of_plain_archives(place: &Path) -> Self {
        Self::compressing(place, Compression::None)
    }

    fn compressing(place: &Path, compression: Compression) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        // Each has some ten MB under way.
        let at_once = processors.min(4);
        Self {
            place: place.to_owned(),
            compression,
            at_once: Semaphore::new(at_once),
        }
    }

    /// Packs one path, where blocking is allowed.
    ///
    /// # Errors
    /// It cannot be read, is not what the store says, or there is no room for its archive.
    pub async fn pack(&self, info: &PathInfo) -> Result<Packed, CacheErrorKind> {
        // It is never closed.
        let _slot = self.at_once.acquire().await;
        let (info, place, compression) = (info.clone(), self.place.clone(), self.compression);
        let packing = tokio::task::spawn_blocking(move || pack_by(&info, &place, compression));
        let packed = packing.await;
        packed.map_err(|error| CacheErrorKind::Here(error.to_string()))?
    }
}

/// Packs one path; its archive waits below `place` if it is large.
///
/// # Errors
/// It cannot be read, is not what the store says, or there is no room for its archive.
pub fn pack(info: &PathInfo, place: &Path) -> Result<Packed, CacheErrorKind> {
    pack_by(info, place, ZSTD)
}

fn pack_by(
    info: &PathInfo,
    place: &Path,
    compression: Compression,
) -> Result<Packed, CacheErrorKind> {
    let mut size = 0;
    let write = |out: &mut dyn Write| {
        let mut counting = Counting { out, size: 0 };
        let dumped = dump(info.path.as_path(), &mut counting);
        size = counting.size;
        dumped.map_err(|source| LayerError::Tar {
            path: info.path.as_path().to_owned(),
            source,
        })
    };
    let made = blob::make(write, compression, place).map_err(|error| explain(error, place))?;
    let nar_hash = hash(&made.diff_id)?;
    if nar_hash != info.nar_hash || size != info.nar_size {
        return Err(CacheErrorKind::Here(format!(
            "it is not what the store says of it: {nar_hash} and {size} bytes, not {} and {}; \
             `nix-store --verify-path` finds what was changed, `nix-store --repair-path` mends it",
            info.nar_hash, info.nar_size
        )));
    }
    let file_hash = hash(&made.descriptor.digest)?;
    let mut info = info.clone();
    // How recent versions describe it in JSON; a narinfo has another grammar, and a
    // signature needs no such claim beside it.
    info.ca = info.ca.filter(|ca| !ca.starts_with('{'));
    let (name, extension) = match compression {
        Compression::None => ("none", ""),
        Compression::Gzip(_) => ("gzip", ".gz"),
        Compression::Zstd(_) => ("zstd", ".zst"),
    };
    Ok(Packed {
        narinfo: NarInfo {
            info,
            url: format!("nar/{}.nar{extension}", base32(file_hash)),
            compression: name.to_owned(),
            file_hash: Some(file_hash),
            file_size: Some(made.descriptor.size),
        },
        digest: made.descriptor.digest,
        content: made.content,
    })
}

/// The 52 digits, without the algorithm.
fn base32(hash: NarHash) -> String {
    hash.to_nix_base32().split_off("sha256:".len())
}

fn hash(digest: &Digest) -> Result<NarHash, CacheErrorKind> {
    let hash = digest.hex().parse::<NarHash>();
    hash.map_err(|error| CacheErrorKind::Here(error.to_string()))
}

fn explain(error: LayerError, place: &Path) -> CacheErrorKind {
    let place = place.display();
    CacheErrorKind::Here(match error {
        LayerError::DiskFull { .. } => format!(
            "the disk is full at {place}, where archives wait: make room there, or name \
             another place with TMPDIR"
        ),
        LayerError::Tar { source, .. } => format!("it cannot be read: {source}"),
        LayerError::Write(source) => format!("its archive cannot wait at {place}: {source}"),
        other => other.to_string(),
    })
}

struct Counting<'a> {
    out: &'a mut dyn Write,
    size: u64,
}

impl Write for Counting<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.out.write(buf)?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use nixpy_testkit::store::{FakeStore, Item};

    use super::*;
    use crate::stored::info_of;

    #[test]
    fn an_archive_is_hashed_compressed_and_described() {
        let mut store = FakeStore::in_place();
        let noise: Vec<u8> = (0..3_u32 << 20).map(|n| (n ^ (n >> 7)) as u8).collect();
        for (name, content) in [("small", &noise[..100]), ("large", &noise)] {
            let path = store.add(Item::named(name).file("file", content).refers_to_itself());
            let place = tempfile::tempdir().unwrap();
            let packed = pack(&info_of(&path), place.path()).unwrap();
            let mut bytes = Vec::new();
            packed.content.copy_to(&mut bytes).unwrap();
            assert_eq!(Digest::of(&bytes), packed.digest);
            assert_eq!(packed.narinfo.file_size, Some(bytes.len() as u64));
            let nar = zstd::decode_all(bytes.as_slice()).unwrap();
            assert!(nar == nixpy_testkit::nar(path.on_disk()), "{name}");
            assert_eq!(packed.narinfo.info, info_of(&path));
            let url = format!("nar/{}.nar.zst", base32(hash(&packed.digest).unwrap()));
            assert_eq!(packed.narinfo.url, url);
            assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn what_was_changed_since_it_was_built_is_not_packed() {
        let mut store = FakeStore::in_place();
        let path = store.add(Item::named("a").file("file", "as it was built"));
        let info = info_of(&path);
        let file = path.on_disk().join("file");
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, "as it is now").unwrap();
        let error = pack(&info, &std::env::temp_dir()).unwrap_err();
        assert!(error.to_string().contains("--repair-path"), "{error}");
        std::fs::remove_dir_all(path.on_disk()).unwrap();
        let error = pack(&info, &std::env::temp_dir()).unwrap_err();
        assert!(error.to_string().contains("cannot be read"), "{error}");
    }
}
