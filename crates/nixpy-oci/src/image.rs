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
        /// What they lie on.
        base: Option<Base>,
        /// From the bottom up.
        layers: Vec<Layer>,
        /// What becomes of them when a container starts.
        config: Config,
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

/// An image whose layers lie below those of another.
#[derive(Clone, Debug)]
pub struct Base {
    /// Where it can be read.
    pub archive: Archive,
    /// Names its content.
    pub identity: Identity,
    /// What the history is to say of the layer with this name in the archive.
    pub comment: fn(&str) -> String,
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

/// The config of described layers.
#[derive(Clone, Debug)]
pub enum Config {
    /// Written when the layers' diff IDs are known.
    Template(ConfigTemplate),
    /// Written already, so every layer must state the diff ID that is in it.
    Whole {
        /// What it says of the machine.
        platform: Platform,
        /// The document.
        bytes: Vec<u8>,
    },
}

impl Config {
    /// What the image runs on.
    pub fn platform(&self) -> &Platform {
        match self {
            Self::Template(template) => &template.platform,
            Self::Whole { platform, .. } => platform,
        }
    }

    /// The config of an image with these layers: diff ID and comment of each.
    pub fn finish(&self, layers: &[(Digest, String)]) -> Vec<u8> {
        match self {
            Self::Template(template) => template.finish(layers),
            Self::Whole { bytes, .. } => bytes.clone(),
        }
    }

    /// The same over a base with this config. One that is written already has been
    /// written for its base.
    #[must_use]
    pub fn over(&self, base: &[u8]) -> Self {
        match self {
            Self::Template(template) => Self::Template(template.over(base)),
            whole @ Self::Whole { .. } => whole.clone(),
        }
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
    pub fn finish(&self, layers: &[(Digest, String)]) -> Vec<u8> {
        let diff_ids: Vec<Digest> = layers.iter().map(|(diff_id, _)| *diff_id).collect();
        let history: Vec<Value> = layers
            .iter()
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

    /// The same over a base with this config: its variables first, each with the
    /// value that was given last.
    #[must_use]
    pub fn over(&self, base: &[u8]) -> Self {
        let base: Value = serde_json::from_slice(base).unwrap_or_default();
        let entries = |config: &Value| -> Vec<String> {
            let entries = config["Env"].as_array().into_iter().flatten();
            entries
                .filter_map(|entry| Some(entry.as_str()?.to_owned()))
                .collect()
        };
        let mut resolved: Vec<String> = Vec::new();
        for entry in entries(&base["config"])
            .into_iter()
            .chain(entries(&self.config))
        {
            let name = |entry: &str| entry.split('=').next().map(str::to_owned);
            match resolved
                .iter_mut()
                .find(|known| name(known) == name(&entry))
            {
                Some(known) => *known = entry,
                None => resolved.push(entry),
            }
        }
        let mut over = self.clone();
        if let Value::Object(config) = &mut over.config
            && !resolved.is_empty()
        {
            config.insert("Env".to_owned(), json!(resolved));
        }
        over
    }
}

impl Image {
    /// Names everything that decides about the image's bytes.
    pub fn identity(&self, compression: Compression) -> Identity {
        let body = match &self.body {
            Body::Layers {
                base,
                layers,
                config,
            } => {
                let base = base.as_ref().map(|base| base.identity.to_string());
                // The comments stand in the config's history.
                let layers: Vec<(String, &str)> = layers
                    .iter()
                    .map(|layer| (layer.identity.to_string(), layer.comment.as_str()))
                    .collect();
                match config {
                    Config::Template(template) => {
                        Identity::of("layers/3", &(base, layers, template))
                    }
                    Config::Whole { platform, bytes } => {
                        let config = Digest::of(bytes);
                        Identity::of("layers/whole-config/1", &(layers, platform, config))
                    }
                }
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
    /// The same as the manifest describes them; not written.
    #[serde(skip)]
    pub descriptors: Vec<Descriptor>,
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
        distinct.into_values().fold(0, u64::saturating_add)
    }

    /// Bytes of layers that had to be sent.
    pub fn sent_size(&self) -> u64 {
        self.layers
            .iter()
            .filter(|layer| layer.how == How::Sent)
            .map(|layer| layer.size)
            .fold(0, u64::saturating_add)
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
    /// Taken over by the registry from another of its repositories.
    Mounted,
    /// Sent.
    Sent,
}
