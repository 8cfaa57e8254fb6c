//! One platform's image before it is published, and what is known of it after.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::compress::Compression;
use crate::digest::Digest;
use crate::layer::{Identity, Layer};
use crate::manifest::{Annotations, Descriptor};
use crate::platform::Platform;
use crate::stored;

/// One platform's image to be.
#[derive(Clone, Debug)]
pub struct Image {
    /// What it runs on.
    pub platform: Platform,
    /// What it is made from.
    pub body: Body,
    /// For the manifest.
    pub annotations: Annotations,
}

/// The ways in which an image comes to us.
#[derive(Clone, Debug)]
pub enum Body {
    /// Described: every layer can be made, or recognised, by itself.
    Layers {
        /// From the bottom up.
        layers: Vec<Layer>,
        /// Everything in the config but the diff IDs.
        config: ConfigTemplate,
    },
    /// A docker-archive, of which nothing is known until it is read.
    Archive {
        /// The archive.
        archive: Archive,
        /// Names its content.
        identity: Identity,
    },
    /// Finished, in an image layout: its blobs are taken as they are.
    Stored {
        /// The layout.
        layout: stored::Source,
        /// Names its content.
        identity: Identity,
    },
}

/// Where a docker-archive can be read.
#[derive(Clone)]
pub enum Archive {
    /// A file.
    File(PathBuf),
    /// Somebody writes it while it is read.
    Stream {
        /// Who, for messages.
        name: PathBuf,
        /// Begins. Reading fails at the end when the writer has failed.
        open: Arc<dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync>,
    },
}

impl Archive {
    /// Begins to read.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        match self {
            Self::File(path) => Ok(Box::new(File::open(path)?)),
            Self::Stream { open, .. } => open(),
        }
    }

    /// The file, or the program that writes the archive.
    pub fn name(&self) -> &Path {
        match self {
            Self::File(path) | Self::Stream { name: path, .. } => path,
        }
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)
    }
}

/// A config that lacks only the diff IDs.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigTemplate {
    /// RFC 3339; for the image and each step of its history.
    pub created: String,
    /// `architecture`, `os` and, if it is to be written, `variant`.
    pub platform: Platform,
    /// `Entrypoint`, `Env` and so on.
    pub config: Value,
}

impl ConfigTemplate {
    /// The config of an image with these layers: diff ID and comment of each.
    pub fn finish<'a>(&self, layers: impl Iterator<Item = (Digest, &'a str)> + Clone) -> Vec<u8> {
        let diff_ids: Vec<Digest> = layers.clone().map(|(diff_id, _)| diff_id).collect();
        let history: Vec<Value> = layers
            .map(|(_, comment)| json!({ "created": self.created, "comment": comment }))
            .collect();
        let mut config = json!({
            "created": self.created,
            "architecture": self.platform.architecture,
            "os": self.platform.os,
            "config": self.config,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": history,
        });
        if let Some(variant) = &self.platform.variant {
            config["variant"] = json!(variant);
        }
        crate::manifest::to_bytes(&config)
    }
}

impl Image {
    /// Names everything that decides about the image's bytes.
    pub fn identity(&self, compression: Compression) -> Identity {
        let body = match &self.body {
            Body::Layers { layers, config } => {
                // The comments stand in the config's history.
                let layers: Vec<(String, &str)> = layers
                    .iter()
                    .map(|layer| (layer.identity.to_string(), layer.comment.as_str()))
                    .collect();
                Identity::of("layers/2", &(layers, config))
            }
            Body::Archive { identity, .. } | Body::Stored { identity, .. } => *identity,
        };
        let compression = match &self.body {
            Body::Layers { .. } | Body::Archive { .. } => Some(compression.id()),
            Body::Stored { .. } => None,
        };
        let parts = (
            body.to_string(),
            compression,
            &self.platform,
            &self.annotations,
        );
        Identity::of("image/1", &parts)
    }
}

/// One platform's image as it was published.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Pushed {
    /// What it runs on.
    pub platform: Platform,
    /// Of the manifest.
    pub manifest: Descriptor,
    /// Digest of the config: what docker and podman call the image's ID.
    pub image_id: Digest,
    /// From the bottom up.
    pub layers: Vec<PushedLayer>,
}

impl Pushed {
    /// What a client downloads that has none of it: layers and config are not
    /// stored twice when they occur twice.
    pub fn compressed_size(&self) -> u64 {
        let distinct: std::collections::BTreeMap<Digest, u64> = self
            .layers
            .iter()
            .map(|layer| (layer.digest, layer.size))
            .collect();
        distinct.values().sum()
    }

    /// Bytes of layers that had to be sent.
    pub fn sent_size(&self) -> u64 {
        self.layers
            .iter()
            .filter(|layer| layer.how == How::Sent)
            .map(|layer| layer.size)
            .sum()
    }
}

/// One layer of a published image.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PushedLayer {
    /// Of the compressed bytes.
    pub digest: Digest,
    /// Of the compressed bytes.
    pub size: u64,
    /// Of the tar.
    pub diff_id: Digest,
    /// What it cost.
    pub how: How,
    /// What is in it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// How a layer came to be where it is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// Known from the image published before: neither read nor made nor sent.
    Described,
    /// Made, or finished from the beginning, and found to be there.
    Present,
    /// Sent.
    Sent,
}
