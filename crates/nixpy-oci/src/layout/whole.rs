//! Whether everything that a manifest or an index names is there, by the image
//! specification (`manifest.md`, `image-index.md`).
//!
//! A blob is known by its length: to hash gigabytes for every tag would take longer
//! than to make them. One of another length than its manifest states is hashed, since
//! either of the two may be wrong. Bytes that do not have their name are what a crash
//! has left: they are removed and reported as missing, so that whoever asks makes
//! them again. Bytes that do have it may be of use to other images, and stay.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::error::LayoutErrorKind;
use super::{Layout, Result};
use crate::digest::{Digest, Hashing};
use crate::manifest::{Descriptor, Index, Manifest, media_type};

impl Layout {
    /// That everything a document names is there, and all below that.
    pub(super) fn check_all(&self, kind: &str, bytes: &[u8]) -> Result<()> {
        for part in self.parts(kind, bytes)? {
            self.check(&part)?;
            if [media_type::INDEX, media_type::MANIFEST].contains(&&*part.media_type) {
                let bytes = fs::read(self.blob_path(part.digest))
                    .map_err(|e| self.error("read", e.into()))?;
                self.check_all(&part.media_type, &bytes)?;
            }
        }
        Ok(())
    }

    /// That everything a document names is there.
    pub(super) fn check_parts(&self, kind: &str, bytes: &[u8]) -> Result<()> {
        let parts = self.parts(kind, bytes)?;
        parts.iter().try_for_each(|part| self.check(part))
    }

    /// The blobs and manifests that a manifest or index names.
    fn parts(&self, kind: &str, bytes: &[u8]) -> Result<Vec<Descriptor>> {
        let not_json = |e| self.error("write", LayoutErrorKind::Manifest(e));
        Ok(if kind == media_type::INDEX {
            let index: Index = serde_json::from_slice(bytes).map_err(not_json)?;
            index.manifests
        } else {
            let manifest: Manifest = serde_json::from_slice(bytes).map_err(not_json)?;
            let mut parts = manifest.layers;
            parts.push(manifest.config);
            parts
        })
    }

    fn check(&self, part: &Descriptor) -> Result<()> {
        let path = self.blob_path(part.digest);
        let unreadable = |e: io::Error| self.error("read", e.into());
        match fs::metadata(&path) {
            Ok(found) if found.len() == part.size => return Ok(()),
            Ok(found) => {
                if found.is_file() && digest(&path).map_err(unreadable)? == part.digest {
                    let wrong = LayoutErrorKind::WrongSize {
                        blob: part.digest,
                        stated: part.size,
                        found: found.len(),
                    };
                    return Err(self.error("write", wrong));
                }
                fs::remove_file(&path).map_err(|e| self.error("write", e.into()))?;
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(unreadable(e)),
        }
        Err(self.error("write", LayoutErrorKind::MissingBlob(part.digest)))
    }
}

fn digest(file: &Path) -> io::Result<Digest> {
    let mut file = Hashing::new(File::open(file)?);
    io::copy(&mut file, &mut io::sink())?;
    let (_, digest, _) = file.finish();
    Ok(digest)
}
