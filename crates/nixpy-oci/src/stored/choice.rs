//! Which of the images in a layout is the one that is wanted.
//!
//! `index.json` names images, or further indexes that do, with or without their
//! platforms: skopeo leaves them out, and then the config tells. An image that is
//! the only one is taken, whatever it is for; who publishes it compares that with
//! what was built.

use std::collections::BTreeMap;

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
    let mut images = BTreeMap::new();
    collect(place, index, INDEX, 1, &mut images)?;
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

/// Everything that may be an image, by the digest of its manifest: one that has two
/// names is one.
fn collect(
    place: &Place,
    index: Index,
    name: &str,
    depth: usize,
    images: &mut BTreeMap<Digest, Reference>,
) -> Result<(), StoredError> {
    if depth > MAX_DEPTH {
        return Err(limit("indexes within each other", MAX_DEPTH as u64));
    }
    for entry in index.entries()? {
        if entry.is_index() {
            let (_, inner): (_, Index) = entry.read(place, name)?;
            collect(place, inner, &entry.digest, depth + 1, images)?;
        } else if entry.may_be_image() {
            images.insert(entry.digest(name)?, entry);
        }
        if images.len() > MAX_IMAGES {
            return Err(limit("images", MAX_IMAGES as u64));
        }
    }
    Ok(())
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
