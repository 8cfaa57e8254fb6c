//! The documents of a layout as others write them: OCI's and Docker's, which differ
//! in their media types, with fields left out or `null` as Go writes them.
//!
//! Digests stay text here: an index may name things by other algorithms that nobody
//! asks for.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::StoredError;
use super::error::limit;
use super::place::{Bytes, Place};
use crate::digest::Digest;
use crate::manifest::{Annotations, media_type};
use crate::platform::Platform;

/// An entry of an index, or a part of a manifest.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reference {
    pub media_type: String,
    pub digest: String,
    pub size: u64,
    #[serde(default)]
    pub platform: Option<Platform>,
    #[serde(default)]
    pub annotations: Option<Annotations>,
    /// What is there instead of an image.
    #[serde(default)]
    pub artifact_type: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Index {
    pub manifests: Option<Vec<Reference>>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Manifest {
    pub config: Reference,
    pub layers: Option<Vec<Reference>>,
    #[serde(default)]
    pub annotations: Option<Annotations>,
}

/// The file `oci-layout`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Marker {
    pub image_layout_version: String,
}

const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

impl Reference {
    pub(super) fn is_index(&self) -> bool {
        [media_type::INDEX, media_type::DOCKER_MANIFEST_LIST].contains(&&*self.media_type)
    }

    /// Whether it may be an image: what says of itself that it is something else, as
    /// an attestation of buildkit and an artifact do, is not.
    pub(super) fn may_be_image(&self) -> bool {
        let unknown = |p: &Platform| p.os == "unknown" && p.architecture == "unknown";
        [media_type::MANIFEST, media_type::DOCKER_MANIFEST].contains(&&*self.media_type)
            && self.artifact_type.is_none()
            && !self.platform.as_ref().is_some_and(unknown)
    }

    /// Whether it is the configuration of an image.
    pub(super) fn is_config(&self) -> bool {
        [media_type::CONFIG, DOCKER_CONFIG].contains(&&*self.media_type)
    }

    /// The digest, if it is one that can be published.
    pub(super) fn digest(&self, named_by: &str) -> Result<Digest, StoredError> {
        self.digest
            .parse()
            .map_err(|source| StoredError::Algorithm {
                named_by: named_by.to_owned(),
                source,
            })
    }

    /// Where the bytes are: as many as stated.
    pub(super) fn find(&self, place: &Place, named_by: &str) -> Result<Bytes, StoredError> {
        let digest = self.digest(named_by)?;
        let named_by = named_by.to_owned();
        let Some(bytes) = place.find(&blob(digest))? else {
            return Err(StoredError::MissingBlob { digest, named_by });
        };
        if bytes.len() != self.size {
            return Err(StoredError::Size {
                digest,
                named_by,
                stated: self.size,
                found: bytes.len(),
            });
        }
        Ok(bytes)
    }

    /// The document, as it is, and as it reads.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        place: &Place,
        named_by: &str,
    ) -> Result<(Vec<u8>, T), StoredError> {
        let named = self.digest(named_by)?;
        let name = blob(named);
        let bytes = place.document(&name, &self.find(place, named_by)?)?;
        let found = Digest::of(&bytes);
        if found != named {
            return Err(StoredError::Digest { named, found });
        }
        let document = parse(&name, &bytes)?;
        Ok((bytes, document))
    }
}

impl Index {
    /// The entries; not more than anybody needs.
    pub(super) fn entries(self) -> Result<Vec<Reference>, StoredError> {
        let entries = self.manifests.unwrap_or_default();
        if entries.len() > MAX_IMAGES {
            return Err(limit("images", MAX_IMAGES as u64));
        }
        Ok(entries)
    }
}

/// Of an index, and of all indexes of a layout together.
pub(super) const MAX_IMAGES: usize = 1024;

fn blob(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Reads a document that every layout has.
pub(super) fn read<T: DeserializeOwned>(
    place: &Place,
    name: &'static str,
) -> Result<T, StoredError> {
    let bytes = place.find(name)?.ok_or(StoredError::Missing(name))?;
    parse(name, &place.document(name, &bytes)?)
}

fn parse<T: DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<T, StoredError> {
    serde_json::from_slice(bytes).map_err(|source| StoredError::Document {
        file: file.to_owned(),
        source,
    })
}
