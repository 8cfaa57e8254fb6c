//! The documents that make an image: descriptor, image manifest and image
//! index, by the OCI image specification 1.1
//! (<https://github.com/opencontainers/image-spec>).
//!
//! The types are our own rather than `oci-spec`'s because a manifest is
//! addressed by its bytes: annotations there are hash maps, written in an order
//! that changes from run to run. The tests read every document back through
//! `oci-spec`, so that the two never part.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::platform::Platform;

/// Media types as the specification names them.
pub mod media_type {
    /// An image manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An image index, Docker's "manifest list".
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// An image configuration.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// An uncompressed layer.
    pub const LAYER_TAR: &str = "application/vnd.oci.image.layer.v1.tar";
    /// A gzip-compressed layer.
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A zstd-compressed layer.
    pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker's manifest list, which other tools may have left under a tag.
    pub const DOCKER_MANIFEST_LIST: &str =
        "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker's image manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
}

/// Annotations of this project's own.
pub mod annotation {
    /// How all of their names begin.
    pub const OURS: &str = "dev.nixpy-ci.";
    /// On a layer, and on a manifest: what it was made from ([`crate::layer::Identity`]).
    pub const IDENTITY: &str = "dev.nixpy-ci.identity";
    /// On a layer: the digest of its uncompressed tar, so that a config can be
    /// written again without reading the layer.
    pub const DIFF_ID: &str = "dev.nixpy-ci.diff-id";
    /// On a layer: what is in it ([`crate::contents`]), so that a later run can keep
    /// together what was together, and tell what has changed.
    pub const CONTENTS: &str = "dev.nixpy-ci.contents";
    /// On an entry of a layout's `index.json`: the tag it is published under.
    pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
}

/// Annotations, sorted by key.
pub type Annotations = BTreeMap<String, String>;

/// A reference to a blob or manifest by content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the bytes are.
    pub media_type: String,
    /// Of the bytes.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// In an index: what the manifest's image runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Further facts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
}

/// One platform's image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// [`media_type::MANIFEST`].
    pub media_type: String,
    /// The configuration blob.
    pub config: Descriptor,
    /// From the bottom to the top.
    pub layers: Vec<Descriptor>,
    /// Further facts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
}

/// An image for several platforms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// [`media_type::INDEX`].
    #[serde(default = "index_media_type")]
    pub media_type: String,
    /// One descriptor a platform.
    pub manifests: Vec<Descriptor>,
    /// Further facts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
}

fn index_media_type() -> String {
    media_type::INDEX.to_owned()
}

impl Descriptor {
    /// Describes these bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            platform: None,
            annotations: Annotations::new(),
        }
    }
}

impl Manifest {
    /// A manifest of these parts.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>, annotations: Annotations) -> Self {
        Self {
            schema_version: 2,
            media_type: media_type::MANIFEST.to_owned(),
            config,
            layers,
            annotations,
        }
    }
}

impl Index {
    /// An index over these manifests, sorted by platform: the same images give
    /// the same bytes in whatever order they were finished.
    pub fn new(mut manifests: Vec<Descriptor>, annotations: Annotations) -> Self {
        manifests.sort_by(|a, b| (&a.platform, a.digest).cmp(&(&b.platform, b.digest)));
        Self {
            schema_version: 2,
            media_type: media_type::INDEX.to_owned(),
            manifests,
            annotations,
        }
    }
}

/// The bytes of a document: compact JSON in a fixed order of keys.
pub fn to_bytes(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("documents have string keys and no failing values")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn manifest(architecture: &str) -> Descriptor {
        Descriptor {
            platform: Some(Platform::linux(architecture)),
            ..Descriptor::of(media_type::MANIFEST, architecture.as_bytes())
        }
    }

    #[test]
    fn an_index_has_the_same_bytes_in_whatever_order_platforms_finish() {
        let one = Index::new(
            vec![manifest("arm64"), manifest("amd64")],
            Annotations::new(),
        );
        let other = Index::new(
            vec![manifest("amd64"), manifest("arm64")],
            Annotations::new(),
        );
        assert_eq!(to_bytes(&one), to_bytes(&other));
    }

    #[test]
    fn the_documents_are_what_oci_spec_reads() {
        let mut config = Descriptor::of(media_type::CONFIG, b"{}");
        config.annotations.insert("a".into(), "b".into());
        let layers = vec![Descriptor::of(media_type::LAYER_ZSTD, b"layer")];
        let bytes = to_bytes(&Manifest::new(config, layers, Annotations::new()));
        let read = oci_spec::image::ImageManifest::from_reader(bytes.as_slice()).unwrap();
        assert_eq!(read.layers()[0].size(), 5);

        let bytes = to_bytes(&Index::new(vec![manifest("arm64")], Annotations::new()));
        let read = oci_spec::image::ImageIndex::from_reader(bytes.as_slice()).unwrap();
        let platform = read.manifests()[0].platform().clone().unwrap();
        assert_eq!(platform.architecture().to_string(), "arm64");
        assert_eq!(platform.variant().as_deref(), Some("v8"));
    }
}
