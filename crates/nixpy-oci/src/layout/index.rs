//! `index.json`, which may hold the images of other tools: only the entry that
//! is set is ours, and all others stay as they are, where they are.
//!
//! For the same reason the documents behind it are walked as plain JSON here:
//! any digest algorithm, any artifact.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::manifest::{Descriptor, annotation, media_type};
use crate::name::Tag;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IndexFile {
    schema_version: Value,
    /// `null` is how Go writes an empty list.
    manifests: Option<Vec<Value>>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// An entry of the index, or another descriptor.
pub(super) fn digest(descriptor: &Value) -> Option<&str> {
    descriptor.get("digest")?.as_str()
}

/// The media type that a descriptor or a document states.
pub(super) fn kind(value: &Value) -> Option<&str> {
    value.get("mediaType")?.as_str()
}

impl IndexFile {
    /// Without any image.
    pub(super) fn empty() -> Self {
        Self {
            schema_version: 2.into(),
            manifests: Some(Vec::new()),
            others: Map::from_iter([("mediaType".to_owned(), media_type::INDEX.into())]),
        }
    }

    /// Reads the file's bytes. A file that a power cut left empty has nothing to lose.
    pub(super) fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        match bytes {
            [] => Ok(Self::empty()),
            bytes => serde_json::from_slice(bytes),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    /// The entry under this tag.
    pub(super) fn get(&self, tag: &Tag) -> Option<&Value> {
        self.entries().iter().find(|entry| names(entry, tag))
    }

    /// Puts a descriptor under a tag: where the tag was, else before the first
    /// tag that sorts after it, so that the order of the runs leaves no trace.
    /// Whether that changes anything.
    pub(super) fn set(&mut self, tag: &Tag, mut descriptor: Descriptor) -> bool {
        descriptor
            .annotations
            .insert(annotation::REF_NAME.to_owned(), tag.to_string());
        let own = serde_json::to_value(descriptor)
            .expect("descriptors have string keys and no failing values");
        let before = self.entries();
        let found = before.iter().position(|entry| names(entry, tag));
        let sorted = |entry: &Value| name(entry).is_some_and(|other| other > tag.as_ref());
        let place = found
            .or_else(|| before.iter().position(sorted))
            .unwrap_or(before.len());
        let others = |entries: &[Value]| {
            let others = entries.iter().filter(|entry| !names(entry, tag));
            others.cloned().collect::<Vec<_>>()
        };
        let mut entries = others(&before[..place]);
        entries.push(own);
        entries.extend(others(&before[place..]));
        let changed = before != entries;
        self.manifests = Some(entries);
        changed
    }

    /// The digests of everything that can be reached from the entries of a
    /// layout's index; `None` if that cannot be known.
    pub(super) fn reachable(&self, layout: &Path) -> Option<HashSet<String>> {
        let (mut found, mut walked) = (HashSet::new(), HashSet::new());
        let mut documents: Vec<Value> = self.entries().to_vec();
        while let Some(descriptor) = documents.pop() {
            let Some(digest) = digest(&descriptor) else {
                continue;
            };
            found.insert(digest.to_owned());
            if !walked.insert(digest.to_owned()) {
                continue;
            }
            let bytes = match fs::read(blob_path(layout, digest)?) {
                Ok(bytes) => bytes,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(_) => return None,
            };
            let document: Value = match serde_json::from_slice(&bytes) {
                Ok(document) => document,
                // Anything may be in an index, not only manifests.
                Err(_) if kind(&descriptor).is_some_and(|kind| !kind.ends_with("json")) => continue,
                Err(_) => return None,
            };
            let list = |key| document.get(key).and_then(Value::as_array).into_iter();
            documents.extend(list("manifests").flatten().cloned());
            documents.extend(document.get("subject").cloned());
            let leaves = list("layers").chain(list("blobs")).flatten();
            let leaves = leaves.chain(document.get("config"));
            found.extend(leaves.filter_map(self::digest).map(str::to_owned));
        }
        Some(found)
    }

    fn entries(&self) -> &[Value] {
        self.manifests.as_deref().unwrap_or_default()
    }
}

fn names(entry: &Value, tag: &Tag) -> bool {
    name(entry) == Some(tag.as_ref())
}

fn name(entry: &Value) -> Option<&str> {
    entry
        .get("annotations")?
        .get(annotation::REF_NAME)?
        .as_str()
}

/// `None` for what is no digest: it never becomes a path.
fn blob_path(layout: &Path, digest: &str) -> Option<PathBuf> {
    let (algorithm, digits) = digest.split_once(':')?;
    let plain = |text: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "+_-=".contains(c);
        !text.is_empty() && text.chars().all(allowed)
    };
    (plain(algorithm) && plain(digits)).then(|| layout.join("blobs").join(algorithm).join(digits))
}
