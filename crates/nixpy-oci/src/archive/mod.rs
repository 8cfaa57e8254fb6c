//! Docker-archives (`docker save`, `dockerTools.buildImage`), plain or
//! compressed with gzip, zstd or xz, read in one pass and never unpacked.
//!
//! A tar with `manifest.json` (`[{"Config", "RepoTags", "Layers"}]`), the config
//! it names, and layers, each a tar, compressed or not. The order of the entries
//! is free, newer `docker save` calls every file `blobs/sha256/<hex>`, and an older
//! one stores a layer that occurs twice as a link to the first: what a file is, is
//! only known at the end. So every file that is called `*.tar` or begins like a
//! layer is handed out as one when it passes, others are kept, and the manifest is
//! applied afterwards. Archives are untrusted: sizes and counts are bounded,
//! memory does not depend on them, and nothing in one names a path on this machine.
//! A tar that is an image layout and no docker-archive ([`kind`]) is read by
//! [`crate::stored`], with the same walker and the same decompressors.

pub(crate) mod compressed;
mod documents;
mod entries;
mod kind;
mod plain;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;

use crate::config::Config;
use crate::digest::Digest;
use compressed::is_compressed;
pub(crate) use compressed::{begins_compressed, decompress};
use documents::Documents;
pub(crate) use documents::MAX_DOCUMENT;
pub(crate) use entries::{Entries, Entry};
pub use kind::{Kind, kind};
pub(crate) use plain::{PlainFile, Source};

/// containerd takes 127 layers; this leaves room for archives nobody can run.
pub(crate) const MAX_LAYERS: usize = 1024;
pub(crate) const MAX_ENTRIES: usize = 16 * 1024;

/// What an archive says, with what was made of each layer.
#[derive(Debug)]
pub struct Archive<L> {
    /// The configuration, as it is.
    pub config: Vec<u8>,
    /// The diff IDs the configuration states, from the bottom up.
    pub diff_ids: Vec<Digest>,
    /// `os/architecture[/variant]` of the configuration.
    pub platform: crate::platform::Platform,
    /// One for each diff ID: the key of the layer in `made`.
    pub layers: Vec<String>,
    /// One for each diff ID: what the manifest calls the layer.
    pub names: Vec<String>,
    /// What was made of the layers, by name.
    pub made: BTreeMap<String, L>,
    /// What was made of entries whose name occurs again later: whoever knows what
    /// they hold sees to it that it is the same ([`ArchiveError::Twice`]).
    pub repeated: Vec<(String, L)>,
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
    /// A name that no file of an archive has: nothing is unpacked, but who writes
    /// it has something else in mind than an image.
    #[error("its entry {0:?} leads out of it: it is refused")]
    Escape(String),
    /// A link instead of a layer.
    #[error("its link {from:?} leads to {to:?}, which is no layer in it")]
    Link {
        /// The link.
        from: String,
        /// As far as it could be followed.
        to: String,
    },
    /// Programs that unpack it take the first or the last: nobody can tell which is meant.
    #[error("it has two entries {0:?} that differ: it is refused")]
    Twice(String),
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
            layers: self.layers,
            names: self.names,
            made,
            repeated: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ManifestEntry {
    config: String,
    layers: Vec<String>,
}

/// Reads an archive. `on_layer` gets each layer's uncompressed tar as it passes
/// and must read it to its end. What else is large waits in `spool_dir`.
///
/// # Errors
/// [`ArchiveError`] says in which way it is not a docker-archive.
pub fn read<L>(
    archive: impl Read,
    spool_dir: &Path,
    mut on_layer: impl FnMut(&str, &mut dyn Read) -> Result<L, ArchiveError>,
) -> Result<Archive<L>, ArchiveError> {
    let mut entries = Entries::of(decompress(archive).map_err(ArchiveError::Tar)?);
    let mut documents = Documents::new(spool_dir);
    let mut links = BTreeMap::new();
    let mut made = BTreeMap::new();
    let mut repeated = Vec::new();
    let mut number = 0;
    while let Some(entry) = entries.next()? {
        number += 1;
        if number > MAX_ENTRIES {
            return Err(limit("entries", MAX_ENTRIES as u64));
        }
        let name = plain(&entry.name).to_owned();
        if leads_out(&name) {
            return Err(ArchiveError::Escape(name));
        }
        match (entry.kind, entry.target) {
            (tar::EntryType::Regular, _) => {
                let mut head = Vec::new();
                let mut first = entries.by_ref().take(HEAD);
                first.read_to_end(&mut head).map_err(ArchiveError::Tar)?;
                let mut content = head.as_slice().chain(&mut entries);
                if name.ends_with(".tar") || begins_like_a_layer(&head) {
                    if made.len() + repeated.len() >= MAX_LAYERS {
                        return Err(limit("layers", MAX_LAYERS as u64));
                    }
                    let mut tar = decompress(content).map_err(ArchiveError::Tar)?;
                    let layer = on_layer(&name, &mut tar)?;
                    if let Some(before) = made.insert(name.clone(), layer) {
                        repeated.push((name, before));
                    }
                } else {
                    documents.keep(name, entry.size, &mut content)?;
                }
            }
            (tar::EntryType::Symlink | tar::EntryType::Link, Some(target)) => {
                let target = resolve_link(&name, &target);
                if links
                    .insert(name.clone(), target.clone())
                    .is_some_and(|t| t != target)
                {
                    return Err(ArchiveError::Twice(name));
                }
            }
            _ => {}
        }
    }
    no_two_kinds(&made, &documents, &links)?;

    let (_, images): (_, Vec<ManifestEntry>) = parse(&mut documents, "manifest.json")?;
    let count = images.len();
    let Ok([image]) = <[ManifestEntry; 1]>::try_from(images) else {
        return Err(ArchiveError::Images(count));
    };
    let (config_bytes, config): (_, Config) = parse(&mut documents, plain(&image.config))?;
    let diff_ids = config.rootfs.diff_ids;
    if image.layers.len() > MAX_LAYERS {
        return Err(limit("layers", MAX_LAYERS as u64));
    }
    let mut layers = Vec::new();
    for name in &image.layers {
        let named = plain(name).to_owned();
        let link = links.get(&named);
        let name = link.cloned().unwrap_or_else(|| named.clone());
        // An empty tar is all zeros: if it is not called `*.tar`, it was kept.
        if !made.contains_key(&name) {
            let bytes = documents.get(&name)?.ok_or_else(|| match link {
                Some(to) => ArchiveError::Link {
                    from: named,
                    to: to.clone(),
                },
                None => ArchiveError::Missing(format!("layer {name:?}")),
            })?;
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
        platform: config.platform,
        config: config_bytes,
        diff_ids,
        layers,
        names: image.layers,
        made,
        repeated,
    })
}

/// That no name is that of a layer, of a document or of a link at once.
fn no_two_kinds<L>(
    made: &BTreeMap<String, L>,
    documents: &Documents,
    links: &BTreeMap<String, String>,
) -> Result<(), ArchiveError> {
    let names = made.keys().chain(documents.names()).chain(links.keys());
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(ArchiveError::Twice(name.clone()));
        }
    }
    Ok(())
}

pub(crate) fn limit(what: &'static str, limit: u64) -> ArchiveError {
    ArchiveError::Limit { what, limit }
}

/// The document, as it is and as it reads.
fn parse<T: for<'de> Deserialize<'de>>(
    documents: &mut Documents,
    file: &str,
) -> Result<(Vec<u8>, T), ArchiveError> {
    let bytes = documents
        .get(file)?
        .ok_or_else(|| ArchiveError::Missing(format!("{file:?}")))?;
    let parsed = serde_json::from_slice(&bytes).map_err(|source| ArchiveError::Document {
        file: file.to_owned(),
        source,
    })?;
    Ok((bytes, parsed))
}

/// Names are keys here, never paths: only a leading `./` is taken off.
pub(crate) fn plain(name: &str) -> &str {
    name.strip_prefix("./").unwrap_or(name)
}

/// Whether a program that unpacks would have to write elsewhere.
pub(crate) fn leads_out(name: &str) -> bool {
    name.starts_with('/') || name.split('/').any(|part| part == "..")
}

/// `a/layer.tar` → `../b/layer.tar` is `b/layer.tar`: what `docker save` wrote.
fn resolve_link(from: &str, target: &str) -> String {
    let target = plain(target);
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    if !target.starts_with("..") {
        return target.to_owned();
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

/// What tells a layer from a document: a tar's first header.
const HEAD: u64 = 512;
/// A tar, or something compressed: no document is.
fn begins_like_a_layer(head: &[u8]) -> bool {
    entries::is_header(head) || is_compressed(head)
}
