//! A layout to be read: made of files, changed in any way, written as a directory or a tar.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use nixpy_oci::digest::Digest;
use nixpy_oci::image::{Body, Pushed};
use nixpy_oci::layer::Identity;
use nixpy_oci::manifest::media_type;
use nixpy_oci::publish::PublishError;
use nixpy_oci::stored::Source;
use nixpy_testkit::archive::layer_tar;
use serde_json::{Value, json};

use crate::place::Place;

/// The files of a layout, by name.
#[derive(Clone, Debug)]
pub struct Files(pub BTreeMap<String, Vec<u8>>);

/// One image of a layout.
#[derive(Clone, Debug)]
pub struct Image {
    pub config: Value,
    /// Blobs with their media types.
    pub layers: Vec<(String, Vec<u8>)>,
    /// Fields of the manifest.
    pub manifest: Value,
}

impl Image {
    /// For linux/amd64, with a gzip'd and a plain layer.
    pub fn small() -> Self {
        Self::of("amd64")
    }

    pub fn of(architecture: &str) -> Self {
        let tars = [b"one", b"two"].map(|text| layer_tar(&[(architecture, text)]));
        let [one, two] = tars.clone();
        Self {
            config: json!({
                "architecture": architecture, "os": "linux", "config": { "Cmd": ["x"] },
                "rootfs": { "type": "layers", "diff_ids": tars.map(|tar| Digest::of(&tar)) },
            }),
            layers: vec![
                (media_type::LAYER_GZIP.to_owned(), gzip(&one)),
                (media_type::LAYER_TAR.to_owned(), two),
            ],
            manifest: json!({ "mediaType": media_type::MANIFEST }),
        }
    }

    pub fn layer_digests(&self) -> Vec<Digest> {
        self.layers
            .iter()
            .map(|layer| Digest::of(&layer.1))
            .collect()
    }
}

impl Files {
    /// A layout of this image alone, as skopeo writes it: without a platform.
    pub fn of(image: &Image) -> Self {
        let mut files = Self::empty();
        let entry = files.add(image);
        files.index(&[entry]);
        files
    }

    pub fn empty() -> Self {
        let marker = br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec();
        Self(BTreeMap::from([("oci-layout".to_owned(), marker)]))
    }

    /// The descriptor of the image's manifest.
    pub fn add(&mut self, image: &Image) -> Value {
        let config = self.json(media_type::CONFIG, &image.config);
        let layers = image.layers.iter();
        let layers: Vec<Value> = layers.map(|(kind, bytes)| self.blob(kind, bytes)).collect();
        let mut manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
        for (key, value) in image.manifest.as_object().unwrap() {
            manifest[key] = value.clone();
        }
        let kind = image.manifest["mediaType"].as_str();
        self.json(kind.unwrap_or(media_type::MANIFEST), &manifest)
    }

    /// The descriptor of an index.
    pub fn add_index(&mut self, entries: &[Value]) -> Value {
        self.json(
            media_type::INDEX,
            &json!({ "schemaVersion": 2, "manifests": entries }),
        )
    }

    pub fn index(&mut self, entries: &[Value]) {
        let index = json!({ "schemaVersion": 2, "manifests": entries });
        self.put("index.json", index.to_string());
    }

    pub fn json(&mut self, kind: &str, document: &Value) -> Value {
        self.blob(kind, document.to_string().as_bytes())
    }

    pub fn blob(&mut self, kind: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        self.put(&blob(digest), bytes);
        json!({ "mediaType": kind, "digest": digest, "size": bytes.len() })
    }

    pub fn put(&mut self, name: &str, bytes: impl AsRef<[u8]>) {
        self.0.insert(name.to_owned(), bytes.as_ref().to_vec());
    }

    pub fn directory(&self, path: &Path) -> PathBuf {
        for (name, bytes) in &self.0 {
            let file = path.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, bytes).unwrap();
        }
        path.to_owned()
    }

    /// As skopeo writes it: folders, blobs, and then what names them.
    pub fn tar(&self) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for folder in ["blobs/", "blobs/sha256/"] {
            entry(&mut tar, folder, tar::EntryType::Directory, &[]);
        }
        for (name, bytes) in &self.0 {
            entry(&mut tar, name, tar::EntryType::Regular, bytes);
        }
        tar.into_inner().unwrap()
    }

    /// The tar with more at its end.
    pub fn tar_and(&self, more: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut bytes = self.tar();
        bytes.truncate(bytes.len() - 1024);
        let mut tar = tar::Builder::new(bytes);
        more(&mut tar);
        tar.into_inner().unwrap()
    }
}

/// Whatever the name is.
pub fn entry(tar: &mut tar::Builder<Vec<u8>>, name: &str, kind: tar::EntryType, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    tar.append(&header, bytes).unwrap();
}

pub fn blob(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

impl Place {
    /// Blobs and tags in the layout.
    pub fn published(&self) -> usize {
        let blobs = self.dir.path().join("layout/blobs/sha256");
        usize::from(self.is_tagged()) + fs::read_dir(blobs).unwrap().count()
    }

    /// A blob of the layout.
    pub fn blob(&self, digest: Digest) -> Vec<u8> {
        fs::read(self.dir.path().join("layout").join(blob(digest))).unwrap()
    }

    /// Publishes what is at a path; links are followed within the folder that it is in.
    pub async fn take(&self, path: &Path) -> Result<Pushed, PublishError> {
        let layout = Source {
            path: path.to_owned(),
            within: path.parent().unwrap().to_owned(),
        };
        let identity = Identity::of("test-layout/1", &path);
        self.publish_body(Body::Stored { layout, identity }).await
    }

    /// Publishes these files, as a directory.
    pub async fn take_files(&self, files: &Files) -> Result<Pushed, PublishError> {
        self.take(&files.directory(&self.dir.path().join("store/image")))
            .await
    }

    /// Publishes a tar.
    pub async fn take_tar(&self, tar: &[u8]) -> Result<Pushed, PublishError> {
        let path = self.dir.path().join("image.tar");
        fs::write(&path, tar).unwrap();
        self.take(&path).await
    }
}
