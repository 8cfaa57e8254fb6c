//! An image as a client reads it: from the index down to the files, every digest
//! and size checked on the way. Nothing here is the product's own code.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use nixpy_testkit::digest;
use nixpy_testkit::registry::Registry;
use serde_json::Value;

/// An OCI image layout directory.
pub struct Layout {
    dir: PathBuf,
}

/// One platform's image.
pub struct Image {
    pub platform: Value,
    pub manifest: Value,
    pub config: Value,
    /// Uncompressed.
    layers: Vec<Vec<u8>>,
}

impl Layout {
    pub fn at(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// The tags there are.
    pub fn tags(&self) -> Vec<String> {
        let entries = self.entries().into_iter();
        entries.map(|(tag, _)| tag).collect()
    }

    /// The digest of the index under a tag.
    pub fn index_digest(&self, tag: &str) -> String {
        let entries = self.entries().into_iter();
        let mut found = entries.filter(|(name, _)| name == tag);
        let (_, entry) = found.next().expect("the tag is there");
        assert!(found.next().is_none(), "{tag} is there twice");
        entry["digest"].as_str().unwrap().to_owned()
    }

    /// The images under a tag, in the order of the index.
    pub fn images(&self, tag: &str) -> Vec<Image> {
        let marker = self.json("oci-layout");
        assert_eq!(marker["imageLayoutVersion"], "1.0.0");
        let index = self
            .blob(&self.index_digest(tag))
            .expect("the index is there");
        images(&index, &|digest| self.blob(digest))
    }

    /// The image of an architecture under `latest`.
    pub fn image(&self, architecture: &str) -> Image {
        of_architecture(self.images("latest"), architecture)
    }

    /// The names of all blobs; each is checked to be the digest of its file.
    pub fn blobs(&self) -> Vec<String> {
        let files = fs::read_dir(self.dir.join("blobs/sha256")).unwrap();
        let mut digests: Vec<String> = files
            .map(|file| {
                let file = file.unwrap();
                let named = format!("sha256:{}", file.file_name().to_str().unwrap());
                assert_eq!(digest(&fs::read(file.path()).unwrap()), named);
                named
            })
            .collect();
        digests.sort();
        digests
    }

    /// Takes a blob away.
    pub fn lose(&self, digest: &str) {
        let hex = digest.strip_prefix("sha256:").unwrap();
        fs::remove_file(self.dir.join("blobs/sha256").join(hex)).unwrap();
    }

    fn entries(&self) -> Vec<(String, Value)> {
        let index = self.json("index.json");
        let entries = index["manifests"].as_array().unwrap().iter();
        entries
            .map(|entry| {
                let tag = &entry["annotations"]["org.opencontainers.image.ref.name"];
                (tag.as_str().unwrap().to_owned(), entry.clone())
            })
            .collect()
    }

    fn blob(&self, digest: &str) -> Option<Vec<u8>> {
        let hex = digest.strip_prefix("sha256:").unwrap();
        fs::read(self.dir.join("blobs/sha256").join(hex)).ok()
    }

    fn json(&self, file: &str) -> Value {
        serde_json::from_slice(&fs::read(self.dir.join(file)).unwrap()).unwrap()
    }
}

impl Image {
    /// The image of an architecture under a tag of a registry.
    pub fn in_registry(registry: &Registry, name: &str, tag: &str, architecture: &str) -> Self {
        let index = registry
            .manifest_bytes(name, tag)
            .expect("the tag is there");
        let found = images(&index, &|digest| {
            let manifest = registry.manifest_bytes(name, digest);
            let bytes = manifest.or_else(|| registry.blob(digest))?;
            Some(bytes.to_vec())
        });
        of_architecture(found, architecture)
    }

    fn read(entry: &Value, blob: &impl Fn(&str) -> Option<Vec<u8>>) -> Self {
        let manifest: Value = serde_json::from_slice(&described(entry, blob)).unwrap();
        let config = described(&manifest["config"], blob);
        let config: Value = serde_json::from_slice(&config).unwrap();
        let descriptors = manifest["layers"].as_array().unwrap();
        let layers: Vec<Vec<u8>> = descriptors
            .iter()
            .map(|layer| {
                let bytes = described(layer, blob);
                uncompressed(layer["mediaType"].as_str().unwrap(), &bytes)
            })
            .collect();
        let diff_ids: Vec<&str> = strings(&config["rootfs"]["diff_ids"]);
        let found: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
        assert_eq!(diff_ids, found, "the config tells what the layers are");
        assert_eq!(config["architecture"], entry["platform"]["architecture"]);
        assert_eq!(config["os"], entry["platform"]["os"]);
        Self {
            platform: entry["platform"].clone(),
            manifest,
            config,
            layers,
        }
    }

    /// A string or a list of the container's configuration, as it would be typed.
    pub fn configured(&self, key: &str) -> String {
        match &self.config["config"][key] {
            Value::String(text) => text.clone(),
            Value::Array(_) => strings(&self.config["config"][key]).join(" "),
            Value::Object(map) => map.keys().cloned().collect::<Vec<_>>().join(" "),
            other => other.to_string(),
        }
    }

    /// The digests of the compressed layers, from the bottom up.
    pub fn layer_digests(&self) -> Vec<String> {
        let layers = self.manifest["layers"].as_array().unwrap().iter();
        layers
            .map(|layer| layer["digest"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The names of all entries of all layers, as they are written.
    pub fn files(&self) -> Vec<String> {
        let mut names = Vec::new();
        for layer in &self.layers {
            let mut archive = tar::Archive::new(layer.as_slice());
            for entry in archive.entries().unwrap() {
                let entry = entry.unwrap();
                assert_eq!(entry.header().uid().unwrap(), 0, "owned by root");
                let path = entry.path().unwrap();
                names.push(path.to_str().unwrap().to_owned());
            }
        }
        names
    }

    /// Whether a file of this name, wherever it lies, is in the image.
    pub fn has(&self, name: &str) -> bool {
        self.files().iter().any(|file| file.ends_with(name))
    }
}

fn images(index: &[u8], blob: &impl Fn(&str) -> Option<Vec<u8>>) -> Vec<Image> {
    let index: Value = serde_json::from_slice(index).unwrap();
    assert_eq!(index["schemaVersion"], 2);
    assert_eq!(
        index["mediaType"],
        "application/vnd.oci.image.index.v1+json"
    );
    let entries = index["manifests"].as_array().unwrap().iter();
    entries.map(|entry| Image::read(entry, blob)).collect()
}

fn of_architecture(images: Vec<Image>, architecture: &str) -> Image {
    let mut images = images.into_iter();
    let found = images.find(|image| image.platform["architecture"] == architecture);
    found.expect("the index has an image of this architecture")
}

/// The bytes that a descriptor is about.
fn described(descriptor: &Value, blob: &impl Fn(&str) -> Option<Vec<u8>>) -> Vec<u8> {
    let named = descriptor["digest"].as_str().unwrap();
    let bytes = blob(named).unwrap_or_else(|| panic!("{named} is not there"));
    assert_eq!(digest(&bytes), named);
    assert_eq!(descriptor["size"], bytes.len());
    bytes
}

fn uncompressed(media_type: &str, bytes: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    match media_type.strip_prefix("application/vnd.oci.image.layer.v1.tar") {
        Some("") => tar.extend_from_slice(bytes),
        Some("+gzip") => {
            let mut decoder = flate2::read::GzDecoder::new(bytes);
            decoder.read_to_end(&mut tar).unwrap();
        }
        Some("+zstd") => tar = zstd::decode_all(bytes).unwrap(),
        _ => panic!("{media_type} is no layer"),
    }
    tar
}

fn strings(list: &Value) -> Vec<&str> {
    let items = list.as_array().unwrap().iter();
    items.map(|item| item.as_str().unwrap()).collect()
}
