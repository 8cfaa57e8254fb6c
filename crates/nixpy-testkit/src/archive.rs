//! Docker-archives as dockerTools makes them, whole and damaged.
//!
//! A tar of `<layer sha256>/layer.tar`, `<config sha256>.json` and
//! `manifest.json`, last because a stream has to end with what it could not know
//! at its beginning. It is plain: who wants it compressed does that to the bytes.

use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use crate::digest::digest;

/// An archive to be made.
#[derive(Clone, Debug)]
pub struct DockerArchive {
    tag: String,
    layers: Vec<Vec<u8>>,
    config: Value,
    manifest_first: bool,
    damage: Option<Damage>,
}

/// What can be wrong with an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It ends in the middle of its largest entry.
    Truncated,
    /// The last layer's bytes are not those that its diff ID says.
    LayerDigestMismatch,
    /// There is no `manifest.json`.
    NoManifest,
    /// `manifest.json` is not JSON.
    BrokenManifest,
    /// `manifest.json` names a layer that is not there.
    MissingLayer,
    /// `manifest.json` names a config that is not there.
    MissingConfig,
    /// The archive has an entry that would be written outside, by `..`.
    EscapingEntry,
    /// `manifest.json` names a layer outside, by `..`.
    EscapingLayerName,
}

impl DockerArchive {
    /// An archive of an image called this, with no layer yet, for linux/amd64.
    pub fn of(tag: &str) -> Self {
        let config = json!({ "architecture": "amd64", "os": "linux", "created": "1970-01-01T00:00:01Z", "config": {} });
        Self {
            tag: tag.to_owned(),
            layers: Vec::new(),
            config,
            manifest_first: false,
            damage: None,
        }
    }

    /// With a layer of these files on top.
    pub fn layer(self, files: &[(&str, &[u8])]) -> Self {
        self.layer_bytes(layer_tar(files))
    }

    /// With a layer of these bytes on top.
    pub fn layer_bytes(mut self, tar: Vec<u8>) -> Self {
        self.layers.push(tar);
        self
    }

    /// With this in a field of the config: `architecture`, `config`, `history`.
    pub fn config(mut self, field: &str, value: Value) -> Self {
        self.config[field] = value;
        self
    }

    /// With `manifest.json` as its first entry, as `docker save` may have it.
    pub fn manifest_first(mut self) -> Self {
        self.manifest_first = true;
        self
    }

    /// Damaged in this way.
    pub fn damaged(mut self, damage: Damage) -> Self {
        self.damage = Some(damage);
        self
    }

    /// The digests of the layers, as the config has them.
    pub fn diff_ids(&self) -> Vec<String> {
        self.layers.iter().map(|layer| digest(layer)).collect()
    }

    /// The config's bytes.
    pub fn config_bytes(&self) -> Vec<u8> {
        let mut config = self.config.clone();
        config["rootfs"] = json!({ "type": "layers", "diff_ids": self.diff_ids() });
        config.to_string().into_bytes()
    }

    /// The files of an OCI image layout with the same image, undamaged, as skopeo
    /// writes it: one manifest, without a platform.
    pub fn layout(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = vec![(
            "oci-layout".to_owned(),
            br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
        )];
        let mut blob = |kind: &str, bytes: Vec<u8>| {
            let digest = digest(&bytes);
            let kind = format!("application/vnd.oci.image.{kind}");
            let descriptor = json!({ "mediaType": kind, "digest": digest, "size": bytes.len() });
            files.push((format!("blobs/sha256/{}", hex_of(&bytes)), bytes));
            descriptor
        };
        let layers: Vec<Value> = self
            .layers
            .iter()
            .map(|layer| blob("layer.v1.tar", layer.clone()))
            .collect();
        let config = blob("config.v1+json", self.config_bytes());
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
        let manifest = blob("manifest.v1+json", manifest.to_string().into_bytes());
        let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
        files.push(("index.json".to_owned(), index.to_string().into_bytes()));
        files
    }

    /// The archive.
    pub fn build(&self) -> Vec<u8> {
        let mut entries: Vec<(String, Vec<u8>)> = Vec::new();
        let mut names = Vec::new();
        for layer in &self.layers {
            let name = format!("{}/layer.tar", hex_of(layer));
            // Two equal layers are one entry, named twice.
            if !names.contains(&name) {
                entries.push((name.clone(), layer.clone()));
            }
            names.push(name);
        }
        let config = self.config_bytes();
        let config_name = format!("{}.json", hex_of(&config));
        if self.damage == Some(Damage::LayerDigestMismatch) {
            let (_, bytes) = entries.last_mut().expect("an archive with a layer");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        if self.damage != Some(Damage::MissingConfig) {
            entries.push((config_name.clone(), config));
        }
        match self.damage {
            Some(Damage::MissingLayer) => names.push(format!(
                "{}/layer.tar",
                hex_of(b"a layer that is not there")
            )),
            Some(Damage::EscapingLayerName) => names.push("../../outside/layer.tar".to_owned()),
            Some(Damage::EscapingEntry) => {
                entries.push(("../../outside".to_owned(), b"escaped".to_vec()))
            }
            _ => {}
        }
        let manifest =
            json!([{ "Config": config_name, "RepoTags": [self.tag], "Layers": names }]).to_string();
        let manifest = match self.damage {
            Some(Damage::NoManifest) => None,
            Some(Damage::BrokenManifest) => Some(manifest.replace(']', "")),
            _ => Some(manifest),
        };
        if let Some(manifest) = manifest {
            let place = if self.manifest_first {
                0
            } else {
                entries.len()
            };
            entries.insert(place, ("manifest.json".to_owned(), manifest.into_bytes()));
        }
        let archive = pack(
            entries
                .iter()
                .map(|(name, bytes)| (name.as_str(), bytes.as_slice())),
        );
        if self.damage == Some(Damage::Truncated) {
            cut_largest(&archive, &entries)
        } else {
            archive
        }
    }
}

/// A tar of these files, as a layer: mode 0644 (0755 under `bin/`), owner 0:0, from
/// the epoch. A name may be one that a careful reader refuses.
pub fn layer_tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    pack(files.iter().copied())
}

fn pack<'a>(entries: impl Iterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = Header::new_ustar();
        // Not set_path: that refuses `..`, which is what some of these are for.
        let field = &mut header.as_old_mut().name;
        assert!(
            name.len() < field.len(),
            "{name} is too long for a plain header"
        );
        field[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(if name.contains("bin/") { 0o755 } else { 0o644 });
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_entry_type(EntryType::Regular);
        header.set_cksum();
        archive.append(&header, bytes).unwrap();
    }
    archive.into_inner().unwrap()
}

/// Up to the middle of the largest entry's content.
fn cut_largest(archive: &[u8], entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut at = 0;
    let mut cut = (0, 0);
    for (_, bytes) in entries {
        at += 512;
        cut = cut.max((bytes.len(), at + bytes.len() / 2));
        at += bytes.len().next_multiple_of(512);
    }
    archive[..cut.1].to_vec()
}

fn hex_of(bytes: &[u8]) -> String {
    digest(bytes).replace("sha256:", "")
}
