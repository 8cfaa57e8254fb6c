//! Docker-archives (`docker save`, `dockerTools.buildImage`), plain or
//! compressed with gzip, zstd or xz, read in one pass and never unpacked.
//!
//! A tar with `manifest.json` (`[{"Config", "RepoTags", "Layers"}]`), the config
//! it names, and layers, each a tar. The order of the entries is free, and an
//! older `docker save` stores a layer that occurs twice as a link to the first:
//! what a file is, is only known at the end. So every file whose name ends in
//! `.tar` is handed out as a layer when it passes, small others are kept, and
//! the manifest is applied afterwards. Archives are untrusted: sizes and counts
//! are bounded, and nothing in one names a path on this machine.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read};

use serde::Deserialize;

use crate::digest::{Digest, InvalidDigest};

/// Documents larger than this are not kept.
const MAX_DOCUMENT: u64 = 8 << 20;
/// All documents together.
const MAX_DOCUMENTS: u64 = 64 << 20;
/// containerd takes 127 layers; this leaves room for archives nobody can run.
const MAX_LAYERS: usize = 1024;
const MAX_ENTRIES: usize = 16 * 1024;

/// What an archive says, with what was made of each layer.
#[derive(Debug)]
pub struct Archive<L> {
    /// The configuration, as it is.
    pub config: Vec<u8>,
    /// The diff IDs the configuration states, from the bottom up.
    pub diff_ids: Vec<Digest>,
    /// `os/architecture[/variant]` of the configuration.
    pub platform: crate::platform::Platform,
    /// Names it asks to be loaded under.
    pub repo_tags: Vec<String>,
    /// One for each diff ID: the key of the layer in `made`.
    pub layers: Vec<String>,
    /// What was made of the layers, by name.
    pub made: BTreeMap<String, L>,
}

/// An archive is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Broken off, or not a tar, or not readable.
    #[error("it cannot be read as a tar: it may be cut short or damaged")]
    Tar(#[source] io::Error),
    /// A document is missing.
    #[error("it has no {0}: it is not a docker-archive, or is cut short")]
    Missing(String),
    /// A document cannot be parsed.
    #[error("its {file} is not what a docker-archive has")]
    Document {
        /// Which.
        file: String,
        /// Why.
        source: serde_json::Error,
    },
    /// More than one image.
    #[error("it holds {0} images; one is expected")]
    Images(usize),
    /// The config and the manifest disagree.
    #[error("its manifest names {layers} layers, its config {diff_ids}")]
    Count {
        /// In `manifest.json`.
        layers: usize,
        /// In the config.
        diff_ids: usize,
    },
    /// A digest in the config is none.
    #[error("its config states a diff ID that is none")]
    DiffId(#[from] InvalidDigest),
    /// Too large or too many.
    #[error("it has more than {limit} {what}: it is refused")]
    Limit {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// The caller could not use a layer.
    #[error(transparent)]
    Layer(#[from] crate::layer::LayerError),
}

impl<L> Archive<L> {
    /// The same archive with something else made of its layers.
    pub fn with<M>(self, made: BTreeMap<String, M>) -> Archive<M> {
        Archive {
            config: self.config,
            diff_ids: self.diff_ids,
            platform: self.platform,
            repo_tags: self.repo_tags,
            layers: self.layers,
            made,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ManifestEntry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct Config {
    architecture: String,
    os: String,
    #[serde(default)]
    variant: Option<String>,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

/// Reads an archive. `on_layer` gets each layer's tar as it passes and must
/// read it to its end.
///
/// # Errors
/// [`ArchiveError`] says in which way it is not a docker-archive.
pub fn read<L>(
    archive: impl Read,
    mut on_layer: impl FnMut(&str, &mut dyn Read) -> Result<L, ArchiveError>,
) -> Result<Archive<L>, ArchiveError> {
    let mut tar = tar::Archive::new(decompress(archive).map_err(ArchiveError::Tar)?);
    let mut documents = BTreeMap::new();
    let mut kept = 0;
    let mut links = BTreeMap::new();
    let mut made = BTreeMap::new();
    for (number, entry) in tar.entries().map_err(ArchiveError::Tar)?.enumerate() {
        let mut entry = entry.map_err(ArchiveError::Tar)?;
        if number >= MAX_ENTRIES {
            return Err(limit("entries", MAX_ENTRIES as u64));
        }
        let name = plain_name(&entry.path_bytes());
        match entry.header().entry_type() {
            tar::EntryType::Regular if name.ends_with(".tar") => {
                if made.len() >= MAX_LAYERS {
                    return Err(limit("layers", MAX_LAYERS as u64));
                }
                let layer = on_layer(&name, &mut entry)?;
                made.insert(name, layer);
            }
            tar::EntryType::Regular => {
                kept += entry.size().min(MAX_DOCUMENT);
                if kept > MAX_DOCUMENTS {
                    return Err(limit("bytes of documents", MAX_DOCUMENTS));
                }
                // Layers may go by any name (`blobs/sha256/…` in newer `docker save`).
                if entry.size() > MAX_DOCUMENT {
                    let layer = on_layer(&name, &mut entry)?;
                    made.insert(name, layer);
                } else {
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes).map_err(ArchiveError::Tar)?;
                    documents.insert(name, bytes);
                }
            }
            tar::EntryType::Symlink | tar::EntryType::Link => {
                if let Some(target) = entry.link_name_bytes() {
                    links.insert(name.clone(), resolve_link(&name, &target));
                }
            }
            _ => {}
        }
    }

    let images: Vec<ManifestEntry> = parse(&documents, "manifest.json")?;
    let count = images.len();
    let Ok([image]) = <[ManifestEntry; 1]>::try_from(images) else {
        return Err(ArchiveError::Images(count));
    };
    let config: Config = parse(&documents, &image.config)?;
    let diff_ids = config
        .rootfs
        .diff_ids
        .iter()
        .map(|text| text.parse())
        .collect::<Result<Vec<Digest>, _>>()?;
    let mut layers = Vec::new();
    for name in image.layers {
        let name = links.get(&name).cloned().unwrap_or(name);
        // A small layer that goes by another name than `*.tar` was kept as a document.
        if !made.contains_key(&name) {
            let bytes = documents
                .get(&name)
                .ok_or_else(|| ArchiveError::Missing(format!("layer {name:?}")))?;
            let layer = on_layer(&name, &mut bytes.as_slice())?;
            made.insert(name.clone(), layer);
        }
        layers.push(name);
    }
    if layers.len() != diff_ids.len() {
        return Err(ArchiveError::Count {
            layers: layers.len(),
            diff_ids: diff_ids.len(),
        });
    }
    Ok(Archive {
        platform: crate::platform::Platform {
            architecture: config.architecture,
            os: config.os,
            variant: config.variant,
        },
        config: documents.remove(&image.config).unwrap_or_default(),
        diff_ids,
        repo_tags: image.repo_tags.unwrap_or_default(),
        layers,
        made,
    })
}

fn limit(what: &'static str, limit: u64) -> ArchiveError {
    ArchiveError::Limit { what, limit }
}

fn parse<T: for<'de> Deserialize<'de>>(
    documents: &BTreeMap<String, Vec<u8>>,
    file: &str,
) -> Result<T, ArchiveError> {
    let bytes = documents
        .get(file)
        .ok_or_else(|| ArchiveError::Missing(format!("{file:?}")))?;
    serde_json::from_slice(bytes).map_err(|source| ArchiveError::Document {
        file: file.to_owned(),
        source,
    })
}

/// Names are keys here, never paths: only a leading `./` is taken off.
fn plain_name(bytes: &[u8]) -> String {
    let name = String::from_utf8_lossy(bytes);
    name.strip_prefix("./").unwrap_or(&name).to_owned()
}

/// `a/layer.tar` → `../b/layer.tar` is `b/layer.tar`: what `docker save` wrote.
fn resolve_link(from: &str, target: &[u8]) -> String {
    let target = plain_name(target);
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    if !target.starts_with("..") {
        return target;
    }
    for part in target.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Looks at the first bytes, not at the name: in a store an archive may be
/// called anything.
fn decompress<'a>(archive: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut archive = BufReader::with_capacity(1 << 17, archive);
    Ok(match archive.fill_buf()? {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(archive)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::Decoder::with_buffer(archive)?),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => {
            Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(archive))
        }
        _ => Box::new(archive),
    })
}
