//! What the image published before tells about the one to be published.
//!
//! A manifest of ours says of each layer what it was made from
//! ([`annotation::IDENTITY`]) and the digest of its tar. A later run on an empty
//! machine reads it by tag and needs to make only what is new. The record is
//! read from the repository, and under the tag, that is about to be written:
//! who could forge it there could as well put the forged image there.

use std::collections::HashMap;

use crate::destination::{Destination, DestinationError};
use crate::digest::Digest;
use crate::layer::Identity;
use crate::manifest::{Descriptor, Index, Manifest, annotation, media_type};
use crate::name::Tag;
use crate::platform::Platform;

/// The image that a tag points to before this run, as far as it is ours.
#[derive(Debug, Default)]
pub struct Prior {
    /// The digest of the index, whoever made it.
    pub index: Option<Digest>,
    images: Vec<PriorImage>,
}

/// One platform of it.
#[derive(Debug)]
pub struct PriorImage {
    /// What it runs on.
    pub platform: Platform,
    /// Parsed.
    pub manifest: Manifest,
    /// As it is stored.
    pub bytes: Vec<u8>,
}

impl Prior {
    /// Reads what `tag` points to. What is not an index of ours, or of these
    /// platforms, is of no use and no error.
    ///
    /// # Errors
    /// The destination cannot be read.
    pub async fn read(
        destination: &Destination,
        tag: &Tag,
        platforms: &[Platform],
    ) -> Result<Self, DestinationError> {
        let Some(stored) = destination.resolve(tag).await? else {
            return Ok(Self::default());
        };
        let mut prior = Self {
            index: Some(stored.descriptor.digest),
            images: Vec::new(),
        };
        let Ok(index) = serde_json::from_slice::<Index>(&stored.bytes) else {
            return Ok(prior);
        };
        let wanted = index.manifests.into_iter().filter_map(|entry| {
            let platform = entry.platform.clone()?;
            let known = platforms.iter().any(|other| other.matches(&platform));
            (known && entry.media_type == media_type::MANIFEST).then_some((platform, entry))
        });
        for (platform, entry) in wanted {
            let Some(stored) = destination.manifest(entry.digest).await? else {
                continue;
            };
            if let Ok(manifest) = serde_json::from_slice::<Manifest>(&stored.bytes) {
                prior.images.push(PriorImage {
                    platform,
                    manifest,
                    bytes: stored.bytes,
                });
            }
        }
        Ok(prior)
    }

    /// The image of this platform.
    pub fn image(&self, platform: &Platform) -> Option<&PriorImage> {
        self.images
            .iter()
            .find(|image| image.platform.matches(platform))
    }

    /// All layers by what they were made from: a layer of another platform
    /// serves as well.
    pub(crate) fn by_identity(&self) -> HashMap<String, Descriptor> {
        self.layers()
            .filter_map(|layer| Some((layer.annotations.get(annotation::IDENTITY)?.clone(), layer)))
            .map(|(identity, layer)| (identity, layer.clone()))
            .collect()
    }

    /// All layers by the digest of their tar.
    pub(crate) fn by_diff_id(&self) -> HashMap<Digest, Descriptor> {
        self.layers()
            .filter_map(|layer| Some((diff_id(layer)?, layer.clone())))
            .collect()
    }

    fn layers(&self) -> impl Iterator<Item = &Descriptor> {
        self.images.iter().flat_map(|image| &image.manifest.layers)
    }
}

impl PriorImage {
    /// Whether it was made from exactly this.
    pub(crate) fn is(&self, identity: Identity) -> bool {
        self.manifest.annotations.get(annotation::IDENTITY) == Some(&identity.to_string())
    }
}

/// The diff ID that a layer of ours states.
pub(crate) fn diff_id(layer: &Descriptor) -> Option<Digest> {
    layer.annotations.get(annotation::DIFF_ID)?.parse().ok()
}
