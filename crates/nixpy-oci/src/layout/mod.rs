//! An OCI image layout directory: the destination that needs no server.
//!
//! `oci-layout`, `index.json` and `blobs/sha256/<hex>`, by the image
//! specification (`image-layout.md`). A blob appears under its name only when
//! it is whole, and `index.json` is replaced last and in one step, so that a
//! reader never sees half an image and a full disk leaves the old one in place.
//! A layout that is dropped before it was tagged takes back what it has added,
//! down to the directories above it: a run that fails leaves what it found. It
//! takes nothing back while another run is in the layout ([`presence`]), and
//! never what a tag stands for by now.
//!
//! Bytes are on the disk, not only on their way to it, before a tag names them.
//! What a crash has damaged nevertheless is found when it is needed again
//! ([`whole`]), and made again.

mod error;
mod index;
mod presence;
mod whole;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;
use serde_json::{Value, json};

pub use self::error::LayoutError;
use self::error::LayoutErrorKind;
use self::index::IndexFile;
use crate::blob::Content;
use crate::destination::Stored;
use crate::digest::{Digest, Hashing};
use crate::manifest::{Descriptor, media_type, to_bytes};
use crate::name::Tag;

const MARKER: &str = "oci-layout";
const BLOBS: &str = "blobs/sha256";

/// A layout directory that exists.
#[derive(Debug)]
pub struct Layout {
    path: PathBuf,
    /// Tells other runs that this one is here.
    entered: Option<File>,
    /// What this value has added and no tag stands for yet.
    added: Mutex<Added>,
}

#[derive(Debug, Default)]
struct Added {
    /// Everything a layout consists of.
    layout: bool,
    /// The directory that holds it and those above, the innermost first.
    directories: Vec<PathBuf>,
    /// Blobs that were not there.
    blobs: Vec<Digest>,
    /// Files of which a power cut might leave nothing but the name.
    unsynced: Vec<PathBuf>,
}

type Result<T, E = LayoutError> = std::result::Result<T, E>;

impl Layout {
    /// Opens a layout, or makes one where there is nothing or an empty directory.
    ///
    /// # Errors
    /// The directory cannot be written, or holds something that is not a layout.
    pub fn open(path: &Path) -> Result<Self> {
        let mut layout = Self::at(path);
        match layout.enter() {
            Ok(entered) => layout.entered = Some(entered),
            Err(kind) => return Err(layout.error("make", kind)),
        }
        // Rather now than after the build.
        tempfile::tempfile_in(path.join(BLOBS)).map_err(|e| layout.error("write", e.into()))?;
        Ok(layout)
    }

    /// Opens a layout that is there, to read what is in it. Nothing is written, and no
    /// other run is told: what is seen may be gone a moment later.
    ///
    /// # Errors
    /// There is none, or it may not be read.
    pub fn look(path: &Path) -> Result<Self> {
        let layout = Self::at(path);
        match fs::metadata(path.join(MARKER)) {
            Ok(_) => Ok(layout),
            Err(e) => Err(layout.error("read", e.into())),
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// See [`crate::destination::Destination::resolve`].
    pub(crate) fn resolve(&self, tag: &Tag) -> Result<Option<Stored>> {
        let index = self.index()?;
        let Some(entry) = index.get(tag) else {
            return Ok(None);
        };
        match index::digest(entry).map(str::parse) {
            Some(Ok(digest)) => self.document(digest, index::kind(entry)),
            // Another algorithm: somebody else's, and of no use.
            _ => Ok(None),
        }
    }

    /// See [`crate::destination::Destination::manifest`]. What is damaged is not there.
    pub(crate) fn manifest(&self, digest: Digest) -> Result<Option<Stored>> {
        self.document(digest, None)
    }

    /// See [`crate::destination::Destination::has_blob`].
    ///
    /// That its length is right is seen when a manifest names it: an empty
    /// file, which no blob of an image is, is what a power cut leaves.
    pub(crate) fn has_blob(&self, digest: Digest) -> bool {
        fs::metadata(self.blob_path(digest)).is_ok_and(|found| found.is_file() && found.len() > 0)
    }

    /// Where a blob's bytes are, if they are there.
    pub fn blob_path(&self, digest: Digest) -> PathBuf {
        self.path.join(BLOBS).join(digest.hex())
    }

    /// See [`crate::destination::Destination::put_blob`].
    pub(crate) fn put_blob(&self, descriptor: &Descriptor, content: &Content) -> Result<()> {
        let write = || -> Result<(), LayoutErrorKind> {
            let file = tempfile::NamedTempFile::new_in(self.path.join(BLOBS))?;
            let mut hashing = Hashing::new(file);
            content.copy_to(&mut hashing)?;
            let (file, digest, _) = hashing.finish();
            if digest != descriptor.digest {
                return Err(LayoutErrorKind::WrongDigest(descriptor.digest, digest));
            }
            let path = self.blob_path(digest);
            let new = !path.exists();
            persist(file, &path)?;
            let mut added = self.added();
            if new {
                added.blobs.push(digest);
            }
            added.unsynced.push(path);
            Ok(())
        };
        write().map_err(|kind| self.error("write", kind))
    }

    /// See [`crate::destination::Destination::put_manifest`].
    pub(crate) fn put_manifest(&self, kind: &str, bytes: &[u8]) -> Result<()> {
        self.check_parts(kind, bytes)?;
        let descriptor = Descriptor::of(kind, bytes);
        if fs::read(self.blob_path(descriptor.digest)).is_ok_and(|found| found == bytes) {
            return Ok(());
        }
        self.put_blob(&descriptor, &Content::Memory(bytes.to_vec().into()))
    }

    /// See [`crate::destination::Destination::tag`].
    pub(crate) fn tag(&self, tag: &Tag, kind: &str, bytes: &[u8]) -> Result<()> {
        self.put_manifest(kind, bytes)?;
        self.sync().map_err(|e| self.error("write", e.into()))?;

        let locked = presence::lock_directory(&self.path)
            .and_then(|locked| locked.ok_or_else(|| io::ErrorKind::NotFound.into()));
        let _locked = locked.map_err(|e| self.error("write", e.into()))?;
        self.check_all(kind, bytes)?;
        let mut index = self.index()?;
        if index.set(tag, Descriptor::of(kind, bytes)) {
            self.write_index(&index)
                .map_err(|e| self.error("write", e.into()))?;
        }
        *self.added() = Added::default();
        Ok(())
    }

    fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            entered: None,
            added: Mutex::default(),
        }
    }

    fn added(&self) -> MutexGuard<'_, Added> {
        self.added.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes what is missing of a layout, and tells other runs that this one is here.
    fn enter(&self) -> Result<File, LayoutErrorKind> {
        if self.path.metadata().is_ok_and(|found| !found.is_dir()) {
            return Err(LayoutErrorKind::NotADirectory);
        }
        self.added().directories = presence::missing_directories(&self.path);
        let _locked = presence::make_and_lock_directory(&self.path)?;
        let marker = self.path.join(MARKER);
        let found = fs::metadata(&marker).ok().map(|found| found.len());
        if found.is_none() {
            if fs::read_dir(&self.path)?.next().is_some() {
                return Err(LayoutErrorKind::Foreign);
            }
            self.added().layout = true;
        }
        // An empty one is that of a run which was killed here.
        if found.unwrap_or(0) == 0 {
            let version = json!({ "imageLayoutVersion": "1.0.0" }).to_string();
            fs::write(&marker, version)?;
            self.added().unsynced.push(marker.clone());
        }
        let entered = presence::enter(&marker)?;
        fs::create_dir_all(self.path.join(BLOBS))?;
        if found.is_none() {
            self.write_index(&IndexFile::empty())?;
        }
        Ok(entered)
    }

    fn document(&self, digest: Digest, kind: Option<&str>) -> Result<Option<Stored>> {
        let bytes = match fs::read(self.blob_path(digest)) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(self.error("read", e.into())),
        };
        if Digest::of(&bytes) != digest {
            return Ok(None);
        }
        let Ok(document @ Value::Object(_)) = serde_json::from_slice(&bytes) else {
            return Ok(None);
        };
        // The field is optional, and then the descriptor's says it.
        let by_form = match document.get("manifests") {
            Some(_) => media_type::INDEX,
            None => media_type::MANIFEST,
        };
        let kind = index::kind(&document).or(kind).unwrap_or(by_form);
        Ok(Some(Stored {
            descriptor: Descriptor::of(kind, &bytes),
            bytes,
        }))
    }

    fn index(&self) -> Result<IndexFile> {
        let bytes = match fs::read(self.path.join("index.json")) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(self.error("read", e.into())),
        };
        IndexFile::parse(&bytes).map_err(|e| self.error("read", LayoutErrorKind::Index(e)))
    }

    fn write_index(&self, index: &IndexFile) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.path)?;
        file.write_all(&to_bytes(index))?;
        file.as_file().sync_all()?;
        persist(file, &self.path.join("index.json"))?;
        sync(&self.path)
    }

    /// Brings what was added to the disk. At once, so that the disk sees many
    /// requests and not one after the other.
    fn sync(&self) -> io::Result<()> {
        let mut files = std::mem::take(&mut self.added().unsynced);
        if files.is_empty() {
            return Ok(());
        }
        files.extend([self.path.join(BLOBS), self.path.join("blobs")]);
        files.par_iter().try_for_each(|file| sync(file))
    }

    /// Takes back what no tag stands for, if nobody else is here.
    fn take_back(&self, added: &Added) -> io::Result<()> {
        let locked = presence::lock_directory(&self.path)?;
        if locked.is_none() || !presence::is_alone(self.entered.as_ref(), &self.path.join(MARKER)) {
            return Ok(());
        }
        if !added.blobs.is_empty()
            && let Ok(index) = self.index()
            && let Some(reachable) = index.reachable(&self.path)
        {
            let lost = added.blobs.iter();
            for blob in lost.filter(|blob| !reachable.contains(&blob.to_string())) {
                let _ = fs::remove_file(self.blob_path(*blob));
            }
        }
        // Directories only while they are empty: others may have put something there.
        if added.layout && self.index().is_ok_and(|index| index.is_empty()) {
            for directory in [BLOBS, "blobs"] {
                match fs::remove_dir(self.path.join(directory)) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
            }
            for file in ["index.json", MARKER] {
                let _ = fs::remove_file(self.path.join(file));
            }
        }
        // Still locked: another run may be about to make its layout in here.
        if !added.directories.is_empty() {
            let _ = fs::remove_dir(&self.path);
        }
        Ok(())
    }

    fn error(&self, act: &'static str, kind: LayoutErrorKind) -> LayoutError {
        LayoutError {
            act,
            path: self.path.clone(),
            kind: Box::new(kind),
        }
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        let added = std::mem::take(&mut *self.added());
        // Nothing can be done, nor told, about what cannot be removed.
        if added.layout || !added.blobs.is_empty() || !added.directories.is_empty() {
            let _ = self.take_back(&added);
        }
        for directory in added.directories.iter().skip(1) {
            let _ = fs::remove_dir(directory);
        }
    }
}

/// Gives a finished temporary file its name, readable by everybody as the
/// umask would have it: layouts are handed to other programs and users.
fn persist(file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(0o644))?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// Brings a file or the names in a directory to the disk.
fn sync(path: &Path) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, NotFound, Unsupported};
    match File::open(path).and_then(|file| file.sync_all()) {
        // Whether it is there is asked later; and some file systems cannot do it.
        Err(e) if matches!(e.kind(), NotFound | InvalidInput | Unsupported) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests;
