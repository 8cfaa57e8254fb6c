//! What was published before, and what it tells about the image to be published.
//!
//! A manifest of ours says of each layer what it was made from
//! ([`annotation::IDENTITY`]) and the digest of its tar. A later run on an empty
//! machine reads it by tag and needs to make only what is new. At home a file on
//! this machine ([`crate::ledger`]) remembers more than one tag tells.
//!
//! # Who is believed
//!
//! An identity is a hash that anybody can compute; that it belongs to a digest is
//! a claim. It is believed where the claimant could as well have put a wrong
//! layer where this run's readers look: under the tags that the caller names, in
//! the very repository that is about to be written, and in the user's own file.
//! No other tag is read, no other repository, and no cache that others can write.

use std::collections::HashMap;

use crate::contents::{self, Content};
use crate::destination::{Destination, DestinationError};
use crate::digest::Digest;
use crate::layer::Identity;
use crate::manifest::{Descriptor, Index, Manifest, annotation, media_type};
use crate::name::{Repository, Tag};
use crate::platform::Platform;

/// What is known of a place before this run.
#[derive(Debug, Default)]
pub struct Prior {
    /// The manifests in the index under the first tag that was read, whoever made it.
    pub tagged: Option<Vec<Descriptor>>,
    /// Those of the tag that was read first come first.
    images: Vec<PriorImage>,
    /// Layers that this machine remembers to have put there, by identity.
    pub remembered: HashMap<String, Descriptor>,
    /// Layers that it remembers to have put into other repositories of the same registry.
    pub elsewhere: HashMap<String, (Repository, Descriptor)>,
}

/// One platform of an image.
#[derive(Debug)]
pub struct PriorImage {
    /// What pointed to it.
    pub tag: Tag,
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
        let mut prior = Self::default();
        prior.read_also(destination, tag, platforms).await?;
        Ok(prior)
    }

    /// Reads what another tag points to, for what the first did not tell.
    ///
    /// # Errors
    /// The destination cannot be read.
    pub async fn read_also(
        &mut self,
        destination: &Destination,
        tag: &Tag,
        platforms: &[Platform],
    ) -> Result<(), DestinationError> {
        let Some(stored) = destination.resolve(tag).await? else {
            return Ok(());
        };
        let Ok(index) = serde_json::from_slice::<Index>(&stored.bytes) else {
            self.tagged.get_or_insert_default();
            return Ok(());
        };
        self.tagged.get_or_insert_with(|| index.manifests.clone());
        // The first of each platform: nobody's index makes us fetch more.
        for wanted in platforms {
            let entry = index.manifests.iter().find(|entry| {
                let platform = entry.platform.as_ref();
                platform.is_some_and(|platform| platform.matches(wanted))
                    && entry.media_type == media_type::MANIFEST
            });
            let Some((entry, platform)) = entry.and_then(|e| Some((e, e.platform.clone()?))) else {
                continue;
            };
            let Some(stored) = destination.manifest(entry.digest).await? else {
                continue;
            };
            if let Ok(manifest) = serde_json::from_slice::<Manifest>(&stored.bytes) {
                self.images.push(PriorImage {
                    tag: tag.clone(),
                    platform,
                    manifest,
                    bytes: stored.bytes,
                });
            }
        }
        Ok(())
    }

    /// The image of this platform under the tag that was read first.
    pub fn image(&self, platform: &Platform) -> Option<&PriorImage> {
        self.images
            .iter()
            .find(|image| image.platform.matches(platform))
    }

    /// The image of this platform under this tag, if the tag was read.
    pub fn image_under(&self, tag: &Tag, platform: &Platform) -> Option<&PriorImage> {
        let mut images = self.images.iter();
        images.find(|image| image.tag == *tag && image.platform.matches(platform))
    }

    /// Whether nothing of ours is known to be there.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty() && self.remembered.is_empty() && self.elsewhere.is_empty()
    }

    /// The image that was made from exactly this.
    pub(crate) fn made_from(&self, platform: &Platform, identity: Identity) -> Option<&PriorImage> {
        let identity = identity.to_string();
        self.images.iter().find(|image| {
            image.platform.matches(platform)
                && image.manifest.annotations.get(annotation::IDENTITY) == Some(&identity)
        })
    }

    /// The layer that was made from this: one of another platform serves as well.
    pub(crate) fn layer(&self, identity: &str) -> Option<&Descriptor> {
        let told = self.layers().find(|layer| {
            let stated = layer.annotations.get(annotation::IDENTITY);
            stated.is_some_and(|stated| stated == identity)
        });
        told.or_else(|| self.remembered.get(identity))
    }

    /// All layers of images by the digest of their tar.
    pub(crate) fn by_diff_id(&self) -> HashMap<Digest, Descriptor> {
        self.layers()
            .filter_map(|layer| Some((diff_id(layer)?, layer.clone())))
            .collect()
    }

    /// What one image tells.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn of(image: PriorImage) -> Self {
        Self {
            images: vec![image],
            ..Self::default()
        }
    }

    fn layers(&self) -> impl Iterator<Item = &Descriptor> {
        self.images.iter().flat_map(|image| &image.manifest.layers)
    }
}

impl PriorImage {
    /// What is in each layer, from the bottom up, as far as they say so.
    pub fn contents(&self) -> Vec<Vec<Content>> {
        let layers = self.manifest.layers.iter();
        let stated = layers.map(|layer| layer.annotations.get(annotation::CONTENTS));
        stated
            .map(|text| text.map_or_else(Vec::new, |text| contents::read(text)))
            .collect()
    }
}

/// The diff ID that a layer of ours states.
pub(crate) fn diff_id(layer: &Descriptor) -> Option<Digest> {
    layer.annotations.get(annotation::DIFF_ID)?.parse().ok()
}
