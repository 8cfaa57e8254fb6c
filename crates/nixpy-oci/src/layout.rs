//! An OCI image layout directory: the destination that needs no server.
//!
//! `oci-layout`, `index.json` and `blobs/sha256/<hex>`, by the image
//! specification (`image-layout.md`). A blob appears under its name only when
//! it is whole, and `index.json` is replaced last and in one step, so that a
//! reader never sees half an image and a full disk leaves the old one in place.
//! A layout that is dropped before it was tagged takes back what it has added,
//! down to the directory itself: a run that fails leaves what it found.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::json;

use crate::blob::Content;
use crate::destination::Stored;
use crate::digest::{Digest, Hashing};
use crate::manifest::{Annotations, Descriptor, Index, Manifest, annotation, media_type, to_bytes};
use crate::name::Tag;

/// A layout directory that exists.
#[derive(Debug)]
pub struct Layout {
    path: PathBuf,
    /// What this value has added and no tag stands for yet.
    added: Mutex<Added>,
}

#[derive(Debug, Default)]
struct Added {
    /// Everything a layout consists of.
    layout: bool,
    /// The directory that holds it.
    directory: bool,
    blobs: Vec<PathBuf>,
}

/// A layout could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} the image layout {path}{cure}")]
pub struct LayoutError {
    act: &'static str,
    path: PathBuf,
    cure: &'static str,
    #[source]
    kind: Box<LayoutErrorKind>,
}

#[derive(Debug, thiserror::Error)]
enum LayoutErrorKind {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{file} is not what the specification says")]
    Json {
        file: &'static str,
        source: serde_json::Error,
    },
    #[error("the blob {0} is not there")]
    MissingBlob(Digest),
    #[error("the bytes of {0} have the digest {1}")]
    WrongDigest(Digest, Digest),
    #[error("the directory holds other files")]
    Foreign,
}

type Result<T> = std::result::Result<T, LayoutError>;

impl Layout {
    /// Opens a layout, or makes one where there is nothing or an empty directory.
    ///
    /// # Errors
    /// The directory cannot be written, or holds something that is not a layout.
    pub fn open(path: &Path) -> Result<Self> {
        let layout = Self {
            path: path.to_owned(),
            added: Mutex::new(Added::default()),
        };
        if !path.join("oci-layout").exists() {
            let foreign = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
            if foreign {
                return Err(layout.error("make", LayoutErrorKind::Foreign));
            }
            *layout.added() = Added {
                layout: true,
                directory: fs::symlink_metadata(path).is_err(),
                blobs: Vec::new(),
            };
            layout
                .create()
                .map_err(|e| layout.error("make", e.into()))?;
        }
        Ok(layout)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// See [`crate::destination::Destination::resolve`].
    pub(crate) fn resolve(&self, tag: &Tag) -> Result<Option<Stored>> {
        let index = self.index()?;
        let entry = index.manifests.iter().find(|entry| names(entry, tag));
        match entry {
            Some(entry) => self.manifest(entry.digest),
            None => Ok(None),
        }
    }

    /// See [`crate::destination::Destination::manifest`].
    pub(crate) fn manifest(&self, digest: Digest) -> Result<Option<Stored>> {
        let bytes = match fs::read(self.blob_path(digest)) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(self.error("read", e.into())),
        };
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(self.error("read", LayoutErrorKind::WrongDigest(digest, found)));
        }
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Typed {
            media_type: String,
        }
        let typed: Typed = serde_json::from_slice(&bytes).map_err(|source| {
            let file = "a manifest";
            self.error("read", LayoutErrorKind::Json { file, source })
        })?;
        Ok(Some(Stored {
            descriptor: Descriptor::of(&typed.media_type, &bytes),
            bytes,
        }))
    }

    /// See [`crate::destination::Destination::has_blob`].
    pub(crate) fn has_blob(&self, digest: Digest) -> bool {
        self.blob_path(digest).is_file()
    }

    /// Where a blob's bytes are, if they are there.
    pub fn blob_path(&self, digest: Digest) -> PathBuf {
        self.path.join("blobs/sha256").join(digest.hex())
    }

    /// See [`crate::destination::Destination::put_blob`].
    pub(crate) fn put_blob(&self, descriptor: &Descriptor, content: &Content) -> Result<()> {
        let write = || -> std::result::Result<(), LayoutErrorKind> {
            let file = tempfile::NamedTempFile::new_in(self.path.join("blobs/sha256"))?;
            let mut hashing = Hashing::new(file);
            content.copy_to(&mut hashing)?;
            let (file, digest, _) = hashing.finish();
            if digest != descriptor.digest {
                return Err(LayoutErrorKind::WrongDigest(descriptor.digest, digest));
            }
            let path = self.blob_path(digest);
            let new = !path.exists();
            persist(file, &path)?;
            if new {
                self.added().blobs.push(path);
            }
            Ok(())
        };
        write().map_err(|e| self.error("write", e))
    }

    /// See [`crate::destination::Destination::put_manifest`].
    pub(crate) fn put_manifest(&self, kind: &str, bytes: &[u8]) -> Result<()> {
        for part in self.parts(kind, bytes)? {
            if !self.has_blob(part) {
                return Err(self.error("write", LayoutErrorKind::MissingBlob(part)));
            }
        }
        let content = Content::Memory(bytes.to_vec().into());
        self.put_blob(&Descriptor::of(kind, bytes), &content)
    }

    /// See [`crate::destination::Destination::tag`].
    pub(crate) fn tag(&self, tag: &Tag, kind: &str, bytes: &[u8]) -> Result<()> {
        self.put_manifest(kind, bytes)?;
        let mut entry = Descriptor::of(kind, bytes);
        entry
            .annotations
            .insert(annotation::REF_NAME.to_owned(), tag.to_string());
        let mut index = self.index()?;
        index.manifests.retain(|other| !names(other, tag));
        index.manifests.push(entry);
        index
            .manifests
            .sort_by(|a, b| a.annotations.cmp(&b.annotations));
        self.write_index(&index)
            .map_err(|e| self.error("write", e.into()))?;
        *self.added() = Added::default();
        Ok(())
    }

    fn added(&self) -> MutexGuard<'_, Added> {
        self.added.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn create(&self) -> io::Result<()> {
        fs::create_dir_all(self.path.join("blobs/sha256"))?;
        self.write_index(&Index::new(Vec::new(), Annotations::new()))?;
        let marker = json!({ "imageLayoutVersion": "1.0.0" }).to_string();
        fs::write(self.path.join("oci-layout"), marker)
    }

    fn index(&self) -> Result<Index> {
        let bytes =
            fs::read(self.path.join("index.json")).map_err(|e| self.error("read", e.into()))?;
        serde_json::from_slice(&bytes).map_err(|source| {
            let file = "index.json";
            self.error("read", LayoutErrorKind::Json { file, source })
        })
    }

    fn write_index(&self, index: &Index) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.path)?;
        file.write_all(&to_bytes(index))?;
        persist(file, &self.path.join("index.json"))
    }

    /// The digests that a manifest or index names.
    fn parts(&self, kind: &str, bytes: &[u8]) -> Result<Vec<Digest>> {
        let not_json = |source| {
            let file = "a manifest";
            self.error("write", LayoutErrorKind::Json { file, source })
        };
        Ok(if kind == media_type::INDEX {
            let index: Index = serde_json::from_slice(bytes).map_err(not_json)?;
            index.manifests.iter().map(|entry| entry.digest).collect()
        } else {
            let manifest: Manifest = serde_json::from_slice(bytes).map_err(not_json)?;
            let layers = manifest.layers.iter().map(|layer| layer.digest);
            layers.chain([manifest.config.digest]).collect()
        })
    }

    fn error(&self, act: &'static str, kind: LayoutErrorKind) -> LayoutError {
        let cure = match &kind {
            LayoutErrorKind::Io(e) if e.kind() == io::ErrorKind::StorageFull => {
                ": the disk is full; make room there, or name another place with --layout"
            }
            LayoutErrorKind::Io(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                ": name a place you may write to with --layout"
            }
            LayoutErrorKind::Foreign => ": name a new or an empty directory with --layout",
            LayoutErrorKind::Json { .. } | LayoutErrorKind::WrongDigest(..) => {
                ": it is damaged; remove it and run again"
            }
            _ => "",
        };
        LayoutError {
            act,
            path: self.path.clone(),
            cure,
            kind: Box::new(kind),
        }
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        let added = std::mem::take(&mut *self.added());
        // Nothing can be done, nor told, about what cannot be removed.
        for blob in added.blobs {
            let _ = fs::remove_file(blob);
        }
        // Only what is ours, by name: others may have put something there meanwhile.
        if added.layout {
            let _ = fs::remove_dir_all(self.path.join("blobs"));
            let _ = fs::remove_file(self.path.join("index.json"));
            let _ = fs::remove_file(self.path.join("oci-layout"));
        }
        if added.directory {
            let _ = fs::remove_dir(&self.path);
        }
    }
}

impl LayoutError {
    /// Whether the directory is somebody else's: another has to be named.
    pub fn is_foreign(&self) -> bool {
        matches!(*self.kind, LayoutErrorKind::Foreign)
    }

    pub(crate) fn is_missing_blob(&self) -> bool {
        matches!(*self.kind, LayoutErrorKind::MissingBlob(_))
    }
}

fn names(entry: &Descriptor, tag: &Tag) -> bool {
    entry
        .annotations
        .get(annotation::REF_NAME)
        .map(String::as_str)
        == Some(tag.as_ref())
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn layout() -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(&dir.path().join("image")).unwrap();
        (dir, layout)
    }

    #[test]
    fn a_tag_is_moved_and_others_stay() {
        let (_dir, layout) = layout();
        let index = |n: &str| {
            let note = Annotations::from([("n".to_owned(), n.to_owned())]);
            to_bytes(&Index::new(Vec::new(), note))
        };
        let (v1, v2): (Tag, Tag) = ("v1".parse().unwrap(), "v2".parse().unwrap());
        layout.tag(&v1, media_type::INDEX, &index("one")).unwrap();
        layout.tag(&v2, media_type::INDEX, &index("two")).unwrap();
        layout.tag(&v1, media_type::INDEX, &index("three")).unwrap();
        assert_eq!(layout.resolve(&v1).unwrap().unwrap().bytes, index("three"));
        assert_eq!(layout.resolve(&v2).unwrap().unwrap().bytes, index("two"));
    }

    #[test]
    fn a_manifest_whose_blobs_are_missing_is_refused() {
        let (_dir, layout) = layout();
        let config = Descriptor::of(media_type::CONFIG, b"{}");
        let bytes = to_bytes(&Manifest::new(
            config.clone(),
            Vec::new(),
            Annotations::new(),
        ));
        let error = layout
            .put_manifest(media_type::MANIFEST, &bytes)
            .unwrap_err();
        assert!(error.is_missing_blob());
        let content = Content::Memory(b"{}".to_vec().into());
        layout.put_blob(&config, &content).unwrap();
        layout.put_manifest(media_type::MANIFEST, &bytes).unwrap();
    }

    #[test]
    fn bytes_that_do_not_match_their_digest_are_not_kept() {
        let (_dir, layout) = layout();
        let descriptor = Descriptor::of(media_type::CONFIG, b"one");
        let content = Content::Memory(b"two".to_vec().into());
        assert!(layout.put_blob(&descriptor, &content).is_err());
        assert!(!layout.has_blob(descriptor.digest));
        let left = fs::read_dir(layout.path.join("blobs/sha256"))
            .unwrap()
            .count();
        assert_eq!(left, 0, "no temporary file is left");
    }

    #[test]
    fn what_was_added_for_no_tag_is_taken_back() {
        let (dir, layout) = layout();
        let path = dir.path().join("image");
        let content = Content::Memory(b"{}".to_vec().into());
        let config = Descriptor::of(media_type::CONFIG, b"{}");
        layout.put_blob(&config, &content).unwrap();
        drop(layout);
        assert!(!path.exists(), "the directory was made for nothing");

        let layout = Layout::open(&path).unwrap();
        let empty = to_bytes(&Index::new(Vec::new(), Annotations::new()));
        let tag = "v1".parse().unwrap();
        layout.tag(&tag, media_type::INDEX, &empty).unwrap();
        layout.put_blob(&config, &content).unwrap();
        drop(layout);
        let layout = Layout::open(&path).unwrap();
        assert!(!layout.has_blob(config.digest));
        assert!(
            layout.resolve(&tag).unwrap().is_some(),
            "what has a tag stays"
        );
    }

    #[test]
    fn a_directory_with_other_things_in_it_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("notes.txt"), "mine").unwrap();
        let error = Layout::open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("--layout"), "{error}");
    }
}
