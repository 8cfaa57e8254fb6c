//! Which of the images in a layout is the one that is wanted.
//!
//! `index.json` names images, or further indexes that do, with or without their
//! platforms: skopeo leaves them out, and then the config tells. An image that is
//! the only one is taken, whatever it is for; who publishes it compares that with
//! what was built.

use std::collections::{BTreeMap, BTreeSet};

use super::StoredError;
use super::documents::{self, Index, MAX_IMAGES, Manifest, Reference};
use super::error::limit;
use super::place::Place;
use crate::config::Config;
use crate::digest::Digest;
use crate::platform::Platform;

/// Indexes within indexes: one for a tag, one of platforms, and one to spare.
const MAX_DEPTH: usize = 4;

const INDEX: &str = "index.json";

/// An image in a layout.
pub(super) struct Chosen {
    pub manifest: Manifest,
    /// The configuration, as it is.
    pub config_bytes: Vec<u8>,
    /// The configuration, as it reads.
    pub config: Config,
}

/// The image for this platform.
pub(super) fn choose(place: &Place, wanted: &Platform) -> Result<Chosen, StoredError> {
    let index: Index = documents::read(place, INDEX)?;
    let mut named = Named::default();
    named.collect(place, index, INDEX, 1)?;
    let images = named.images;
    if let [only] = images.values().collect::<Vec<_>>()[..] {
        return open(place, only)?.ok_or(StoredError::NoImage);
    }
    let mut platforms = BTreeMap::new();
    for (digest, image) in &images {
        let platform = match &image.platform {
            Some(platform) => Some(platform.clone()),
            None => open(place, image)?.map(|image| image.config.platform),
        };
        platforms.extend(platform.map(|platform| (*digest, platform)));
    }
    let matching: Vec<Digest> = platforms
        .iter()
        .filter_map(|(digest, platform)| wanted.matches(platform).then_some(*digest))
        .collect();
    match matching[..] {
        [only] => open(place, &images[&only])?.ok_or(StoredError::NoImage),
        [] if platforms.is_empty() => Err(StoredError::NoImage),
        [] => Err(StoredError::NoPlatform {
            wanted: wanted.clone(),
            found: platforms.into_values().collect(),
        }),
        _ => Err(StoredError::Several {
            platform: wanted.clone(),
            manifests: matching,
        }),
    }
}

/// What the indexes of a layout name.
#[derive(Default)]
struct Named {
    /// Everything that may be an image, by the digest of its manifest: one that has
    /// two names is one.
    images: BTreeMap<Digest, Reference>,
    /// Indexes that have been read: few that name each other many times are many paths.
    indexes: BTreeSet<Digest>,
}

impl Named {
    fn collect(
        &mut self,
        place: &Place,
        index: Index,
        name: &str,
        depth: usize,
    ) -> Result<(), StoredError> {
        if depth > MAX_DEPTH {
            return Err(limit("indexes within each other", MAX_DEPTH as u64));
        }
        for entry in index.entries()? {
            if entry.is_index() {
                if self.indexes.insert(entry.digest(name)?) {
                    let (_, inner): (_, Index) = entry.read(place, name)?;
                    self.collect(place, inner, &entry.digest, depth + 1)?;
                }
            } else if entry.may_be_image() {
                self.images.insert(entry.digest(name)?, entry);
            }
            if self.images.len() + self.indexes.len() > MAX_IMAGES {
                return Err(limit("images", MAX_IMAGES as u64));
            }
        }
        Ok(())
    }
}

/// `None` for an artifact that has the form of an image, such as a signature.
fn open(place: &Place, image: &Reference) -> Result<Option<Chosen>, StoredError> {
    let (_, manifest): (_, Manifest) = image.read(place, INDEX)?;
    if !manifest.config.is_config() {
        return match image.platform {
            Some(_) => Err(StoredError::ConfigType(manifest.config.media_type)),
            None => Ok(None),
        };
    }
    let (config_bytes, config) = manifest.config.read(place, &image.digest)?;
    Ok(Some(Chosen {
        manifest,
        config_bytes,
        config,
    }))
}
