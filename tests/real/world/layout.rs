//! Reading an OCI image layout, by nothing but its specification.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::program::output_of;

/// A layout directory.
pub struct Layout {
    path: PathBuf,
}

/// Kinds of processors in the header of an ELF file: `e_machine`.
pub const X86_64: u16 = 62;
pub const AARCH64: u16 = 183;

impl Layout {
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// `index.json`.
    pub fn index(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path.join("index.json")).unwrap()).unwrap()
    }

    /// The tags, in the order of `index.json`.
    pub fn tags(&self) -> Vec<String> {
        let index = self.index();
        let entries = index["manifests"].as_array().unwrap().iter();
        let name =
            |entry: &Value| entry["annotations"]["org.opencontainers.image.ref.name"].clone();
        entries
            .map(|entry| name(entry).as_str().unwrap().to_owned())
            .collect()
    }

    /// The descriptors of a tag's platforms, by architecture.
    pub fn platforms(&self, tag: &str) -> BTreeMap<String, Value> {
        let index = self.index();
        let entries = index["manifests"].as_array().unwrap();
        let entry = entries
            .iter()
            .find(|entry| entry["annotations"]["org.opencontainers.image.ref.name"] == tag);
        let index = self.json(&entry.unwrap()["digest"]);
        let platforms = index["manifests"].as_array().unwrap().iter();
        platforms
            .map(|one| {
                (
                    one["platform"]["architecture"].as_str().unwrap().to_owned(),
                    one.clone(),
                )
            })
            .collect()
    }

    /// A blob that is JSON.
    pub fn json(&self, digest: &Value) -> Value {
        serde_json::from_slice(&fs::read(self.blob(digest)).unwrap()).unwrap()
    }

    /// Unpacks all layers of a platform's image into a folder.
    pub fn unpack(&self, tag: &str, architecture: &str, folder: &Path) {
        let manifest = self.json(&self.platforms(tag)[architecture]["digest"]);
        for layer in manifest["layers"].as_array().unwrap() {
            let blob = self.blob(&layer["digest"]);
            output_of("tar", [Path::new("-xf"), &blob, Path::new("-C"), folder]);
        }
    }

    fn blob(&self, digest: &Value) -> PathBuf {
        let digest = digest.as_str().unwrap();
        self.path.join("blobs").join(digest.replace(':', "/"))
    }
}

/// The kind of processor of each ELF file below a folder.
pub fn elf_machines(folder: &Path) -> Vec<(PathBuf, u16)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            found.extend(elf_machines(&path));
        } else if kind.is_file() {
            let bytes = fs::read(&path).unwrap();
            if bytes.starts_with(b"\x7fELF") {
                found.push((path, u16::from_le_bytes([bytes[18], bytes[19]])));
            }
        }
    }
    found
}
