//! In which way a layout is not what it should be.

use std::io;
use std::path::PathBuf;

use crate::archive::ArchiveError;
use crate::digest::{Digest, InvalidDigest};
use crate::layer::LayerError;
use crate::platform::Platform;

/// An image cannot be taken from a layout.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// The tar around it.
    #[error(transparent)]
    Tar(#[from] ArchiveError),
    /// What has to be unpacked cannot be kept.
    #[error(transparent)]
    Spool(#[from] LayerError),
    /// Not readable.
    #[error("its {file} cannot be read")]
    Read {
        /// Relative to the layout.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// A file that every layout has.
    #[error("it has no {0}: it is not an image layout, or is cut short")]
    Missing(&'static str),
    /// A blob that something names.
    #[error("it has no blob {digest}, which its {named_by} names")]
    MissingBlob {
        /// Of the blob.
        digest: Digest,
        /// The document.
        named_by: String,
    },
    /// A link, or a link on the way, to where nothing is read.
    #[error(
        "its {file} is a link to {target}, which is neither in it nor in the store: \
         copy the file into the layout"
    )]
    Outside {
        /// Relative to the layout.
        file: String,
        /// Where the link leads.
        target: PathBuf,
    },
    /// A device, a directory, or in a tar also a link.
    #[error("its {0:?} is not a regular file: it is refused")]
    NotAFile(String),
    /// A version of layouts that is not known.
    #[error("its oci-layout states version {0:?}; 1.x.x is understood")]
    Version(String),
    /// A document cannot be parsed.
    #[error("its {file} is not what the specification says")]
    Document {
        /// Which.
        file: String,
        /// Why.
        source: serde_json::Error,
    },
    /// SHA-512, or no digest.
    #[error("its {named_by} names something that cannot be published")]
    Algorithm {
        /// The document.
        named_by: String,
        /// The digest.
        source: InvalidDigest,
    },
    /// Bytes that do not match their name.
    #[error("its blob {named} has the digest {found}: it is damaged or was changed")]
    Digest {
        /// The name.
        named: Digest,
        /// The bytes.
        found: Digest,
    },
    /// Bytes that are more or fewer than was stated.
    #[error("its blob {digest} has {found} bytes, but its {named_by} states {stated}")]
    Size {
        /// Of the blob.
        digest: Digest,
        /// The document.
        named_by: String,
        /// There.
        stated: u64,
        /// In the file.
        found: u64,
    },
    /// Nothing but other artifacts.
    #[error("it holds no image")]
    NoImage,
    /// Images, but not the one that is wanted.
    #[error("it holds no image for {wanted}; there are {}", list(.found))]
    NoPlatform {
        /// What was built.
        wanted: Platform,
        /// What is there.
        found: Vec<Platform>,
    },
    /// It is not said which.
    #[error("it holds several images for {platform}: {}; leave one", list(.manifests))]
    Several {
        /// What was built.
        platform: Platform,
        /// Of these.
        manifests: Vec<Digest>,
    },
    /// The manifest and the config disagree.
    #[error("its manifest names {layers} layers, its config {diff_ids}")]
    Count {
        /// In the manifest.
        layers: usize,
        /// In the config.
        diff_ids: usize,
    },
    /// A config that is none of an image.
    #[error("the config of its image has the media type {0:?}, which is not that of an image")]
    ConfigType(String),
    /// A layer that cannot be published as it is.
    #[error("its layer {layer} has the media type {media_type:?}, {why}")]
    LayerType {
        /// Digest.
        layer: String,
        /// As stated.
        media_type: String,
        /// What is the matter with it.
        why: &'static str,
    },
    /// Too large or too many.
    #[error("it has more than {limit} {what}: it is refused")]
    Limit {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
}

fn list(things: &[impl ToString]) -> String {
    let things: Vec<String> = things.iter().map(ToString::to_string).collect();
    things.join(", ")
}

pub(super) fn limit(what: &'static str, limit: u64) -> StoredError {
    StoredError::Limit { what, limit }
}
