//! Finished images in an OCI image layout: a directory, or a tar of one, plain or
//! compressed with gzip, zstd or xz. `skopeo copy … oci:DIR`, `oci-archive:FILE`,
//! buildah and we write them.
//!
//! `oci-layout`, `index.json` and `blobs/sha256/<hex>`, by the image specification
//! (<https://github.com/opencontainers/image-spec/blob/main/image-layout.md>). The
//! image for one platform is found, and told as what it is: a configuration and
//! layers whose bytes can be had, neither decompressed nor changed. Documents are
//! read whole and must match their digests; a layer's bytes are only looked at when
//! somebody is about to send them ([`StoredLayer::check`]). Counts and sizes are
//! bounded. Writing a layout is [`crate::layout`]'s.

mod choice;
mod documents;
mod error;
mod media;
mod place;
mod tarred;

use std::path::{Path, PathBuf};

use crate::archive::MAX_LAYERS;
use crate::blob::{Blob, Content};
use crate::digest::Digest;
use crate::manifest::{Annotations, Descriptor, annotation};
use crate::platform::Platform;
use documents::{Marker, Reference};
pub use error::StoredError;
use error::limit;
use place::{Bytes, Place};

/// Where a layout can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// A directory, or a tar.
    pub path: PathBuf,
    /// Links in a directory are followed to regular files in this folder.
    pub within: PathBuf,
}

/// One image of a layout.
#[derive(Debug)]
pub struct StoredImage {
    /// The configuration, as it is.
    pub config: Vec<u8>,
    /// What the configuration says that it runs on.
    pub platform: Platform,
    /// From the bottom up.
    pub layers: Vec<StoredLayer>,
    /// Of the manifest, without ours.
    pub annotations: Annotations,
}

/// A layer that is a blob already.
#[derive(Clone, Debug)]
pub struct StoredLayer {
    /// With OCI's media type, and the diff ID as an annotation.
    pub descriptor: Descriptor,
    /// Of the uncompressed tar, as the configuration says.
    pub diff_id: Digest,
    bytes: Bytes,
}

/// Finds the image for a platform. What a compressed tar holds waits in `spool_dir`.
///
/// # Errors
/// [`StoredError`] says in which way the layout, or the image, is not what it should be.
pub fn read(
    source: &Source,
    platform: &Platform,
    spool_dir: &Path,
) -> Result<StoredImage, StoredError> {
    let place = Place::open(&source.path, &source.within, spool_dir)?;
    let marker: Marker = documents::read(&place, "oci-layout")?;
    if !marker.image_layout_version.starts_with("1.") {
        return Err(StoredError::Version(marker.image_layout_version));
    }
    let image = choice::choose(&place, platform)?;
    let references = image.manifest.layers.unwrap_or_default();
    if references.len() > MAX_LAYERS {
        return Err(limit("layers", MAX_LAYERS as u64));
    }
    let diff_ids = image.config.rootfs.diff_ids;
    if references.len() != diff_ids.len() {
        return Err(StoredError::Count {
            layers: references.len(),
            diff_ids: diff_ids.len(),
        });
    }
    let layers = references.into_iter().zip(diff_ids);
    Ok(StoredImage {
        config: image.config_bytes,
        platform: image.config.platform,
        layers: layers
            .map(|(reference, diff_id)| layer(&place, reference, diff_id))
            .collect::<Result<_, _>>()?,
        annotations: without_ours(image.manifest.annotations),
    })
}

impl StoredLayer {
    /// Reads the bytes once, to see that they are what their name says.
    ///
    /// # Errors
    /// They are not, or cannot be read.
    pub fn check(&self) -> Result<(), StoredError> {
        let found = self.bytes.digest().map_err(|e| self.unreadable(e))?;
        if found != self.descriptor.digest {
            return Err(StoredError::Digest {
                named: self.descriptor.digest,
                found,
            });
        }
        Ok(())
    }

    /// The blob to send.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn blob(&self) -> Result<Blob, StoredError> {
        let content: Content = self.bytes.content().map_err(|e| self.unreadable(e))?;
        Ok(Blob {
            descriptor: self.descriptor.clone(),
            diff_id: self.diff_id,
            content,
        })
    }

    fn unreadable(&self, source: std::io::Error) -> StoredError {
        StoredError::Read {
            file: format!("blob {}", self.descriptor.digest),
            source,
        }
    }
}

fn layer(place: &Place, layer: Reference, diff_id: Digest) -> Result<StoredLayer, StoredError> {
    let media_type =
        media::layer_type(&layer.media_type).map_err(|why| StoredError::LayerType {
            layer: layer.digest.clone(),
            media_type: layer.media_type.clone(),
            why,
        })?;
    let bytes = layer.find(place, "manifest")?;
    let mut annotations = without_ours(layer.annotations.clone());
    annotations.insert(annotation::DIFF_ID.to_owned(), diff_id.to_string());
    Ok(StoredLayer {
        descriptor: Descriptor {
            media_type: media_type.to_owned(),
            digest: layer.digest("manifest")?,
            size: bytes.len(),
            platform: None,
            annotations,
        },
        diff_id,
        bytes,
    })
}

/// What others have annotated. What we say of an image is said of what we have made,
/// and later runs act on it: a layout that claims it is not believed.
fn without_ours(annotations: Option<Annotations>) -> Annotations {
    let mut annotations = annotations.unwrap_or_default();
    annotations.retain(|key, _| !key.starts_with(annotation::OURS));
    annotations
}
