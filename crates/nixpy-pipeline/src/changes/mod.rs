//! What is different from the image that was published before.
//!
//! Two manifests are enough: a layer of ours says by name and size what is in it
//! ([`nixpy_oci::contents`]), so no layer is read and nothing is built a second time. Where
//! one of the two does not say it, as images of archives and of other tools, only sizes are
//! compared. What the names tell is [`parts`]' affair.

mod parts;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use nixpy_oci::contents::{self, Content};
use nixpy_oci::digest::Digest;
use nixpy_oci::image::Pushed;
use nixpy_oci::manifest::{Descriptor, Manifest, annotation};
use nixpy_oci::platform::Platform;
use serde::{Deserialize, Serialize};

use self::parts::Parts;
use crate::lockfile::LockFile;

/// So many of the paths that grew are told.
const MOST_GROWN: usize = 10;

/// One platform's image against the one that it will replace.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    /// Which.
    pub platform: Platform,
    /// What it is held against, as in `ghcr.io/acme/api:main`.
    pub baseline: String,
    /// Of that one's manifest.
    pub digest: Digest,
    /// What a client downloads that has none of it, in bytes: before.
    pub size_before: u64,
    /// The same now.
    pub size: u64,
    /// Whether both images say what is in them; if not, only sizes are known.
    #[serde(default)]
    pub contents_known: bool,
    /// Packages of Python, by name.
    pub python: Vec<Moved>,
    /// Everything else, by name.
    pub libraries: Vec<Moved>,
    /// Paths that are another build of the same version.
    #[serde(default)]
    pub rebuilt: usize,
    /// The store paths that grew most, uncompressed; at most ten.
    pub grown: Vec<Grown>,
}

/// Something that is in another version now, came, or went.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Moved {
    /// Without a version.
    pub name: String,
    /// The version before; `None` if it was not there, empty if it has none.
    pub before: Option<String>,
    /// The version now; `None` if it is gone, empty if it has none.
    pub after: Option<String>,
}

/// A store path that is larger now.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Grown {
    /// Its name, without the hash.
    pub name: String,
    /// In bytes; 0 if it was not there.
    pub before: u64,
    /// In bytes.
    pub after: u64,
}

/// One platform's image, as far as its manifest tells.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Of the manifest.
    pub digest: Digest,
    /// As the manifest describes them, from the bottom up.
    pub layers: &'a [Descriptor],
}

impl<'a> Seen<'a> {
    /// An image that was read from a registry or a layout.
    pub fn of(digest: Digest, manifest: &'a Manifest) -> Self {
        let layers = &manifest.layers;
        Self { digest, layers }
    }

    /// An image that was published just now.
    pub fn pushed(pushed: &'a Pushed) -> Self {
        Self {
            digest: pushed.manifest.digest,
            layers: &pushed.descriptors,
        }
    }

    /// What a client downloads that has none of it: what occurs twice comes once.
    pub fn compressed_size(&self) -> u64 {
        let layers = self.layers.iter();
        let distinct: BTreeMap<Digest, u64> =
            layers.map(|layer| (layer.digest, layer.size)).collect();
        distinct.into_values().fold(0, u64::saturating_add)
    }

    /// What is in each layer, from the bottom up, as far as they say so.
    pub fn contents(&self) -> Vec<Vec<Content>> {
        let stated = self
            .layers
            .iter()
            .map(|layer| layer.annotations.get(annotation::CONTENTS));
        stated
            .map(|text| text.map_or_else(Vec::new, |text| contents::read(text)))
            .collect()
    }
}

/// What is different between two images of one platform. `baseline` is what people call
/// the one before; the lock file tells wheels from libraries where names do not.
pub fn between(
    platform: &Platform,
    baseline: &str,
    before: Seen<'_>,
    after: Seen<'_>,
    lock: Option<&LockFile>,
) -> Changes {
    let contents = [before.contents().concat(), after.contents().concat()];
    let contents_known = contents.iter().all(|contents| !contents.is_empty());
    let mut changes = Changes {
        platform: platform.clone(),
        baseline: baseline.to_owned(),
        digest: before.digest,
        size_before: before.compressed_size(),
        size: after.compressed_size(),
        contents_known,
        python: Vec::new(),
        libraries: Vec::new(),
        rebuilt: 0,
        grown: Vec::new(),
    };
    if contents_known {
        let [before, after] = contents.each_ref().map(|contents| Parts::of(contents));
        (changes.python, changes.libraries) = parts::moved(&before, &after, lock);
        changes.rebuilt = parts::rebuilt(&before, &after);
        changes.grown = parts::grown(&before, &after);
        changes.grown.truncate(MOST_GROWN);
    }
    changes
}

impl Changes {
    /// How much more a client downloads now; negative if it is less.
    pub fn growth(&self) -> i64 {
        let [now, before] =
            [self.size, self.size_before].map(|size| i64::try_from(size).unwrap_or(i64::MAX));
        now - before
    }

    /// Whether this is the very same image.
    pub fn are_none(&self, now: Digest) -> bool {
        self.digest == now
    }
}
