//! Docker-archives of every program that writes them, and damaged ones.

use std::io::Write as _;

use nixpy_testkit::archive::{Damage, DockerArchive, layer_tar};
use nixpy_testkit::digest;
use serde_json::json;
use tar::{Builder, EntryType, Header};

use crate::Seeds;

pub fn seeds() -> Seeds {
    let one = DockerArchive::of("api:1").layer(&[("a", b"a")]);
    let two = one.clone().layer(&[("b", b"b")]);
    let whole = one.build();
    let mut seeds = vec![
        ("one-layer", whole.clone()),
        ("two-layers", two.build()),
        (
            "same-layer-twice",
            one.clone().layer(&[("a", b"a")]).build(),
        ),
        ("manifest-first", two.clone().manifest_first().build()),
        ("no-layer", DockerArchive::of("api:1").build()),
        ("gzip", gzip(&whole)),
        (
            "gzip-members",
            [gzip(&whole[..2048]), gzip(&whole[2048..])].concat(),
        ),
        ("zstd", zstd::encode_all(whole.as_slice(), 3).unwrap()),
        ("xz", xz(&whole)),
        ("docker-25", newer_docker()),
        ("linked-layer", linked()),
        ("long-names-gnu", long_names(false)),
        ("long-names-pax", long_names(true)),
    ];
    for (name, damage) in [
        ("truncated", Damage::Truncated),
        ("other-layer", Damage::LayerDigestMismatch),
        ("no-manifest", Damage::NoManifest),
        ("broken-manifest", Damage::BrokenManifest),
        ("missing-layer", Damage::MissingLayer),
        ("missing-config", Damage::MissingConfig),
        ("escaping-entry", Damage::EscapingEntry),
        ("escaping-layer", Damage::EscapingLayerName),
    ] {
        seeds.push((name, one.clone().damaged(damage).build()));
    }
    seeds
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

pub fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut out = liblzma::write::XzEncoder::new(Vec::new(), 1);
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn config(tar: &[u8], layers: usize) -> Vec<u8> {
    let diff_ids = vec![digest(tar); layers];
    let config =
        json!({ "architecture": "amd64", "os": "linux", "rootfs": { "diff_ids": diff_ids } });
    config.to_string().into_bytes()
}

/// An image layout that is a docker-archive too; one layer is compressed, one is empty.
fn newer_docker() -> Vec<u8> {
    let layer = gzip(&layer_tar(&[("a", b"a")]));
    let manifest = json!([{ "Config": "blobs/sha256/c", "RepoTags": null, "Layers": ["blobs/sha256/a", "blobs/sha256/e"] }]);
    packed(&[
        ("blobs/sha256/a", &layer),
        ("blobs/sha256/e", &[0; 1024]),
        ("blobs/sha256/c", &config(&layer, 2)),
        ("index.json", b"{\"manifests\":[]}"),
        ("manifest.json", manifest.to_string().as_bytes()),
        ("oci-layout", b"{}"),
    ])
}

fn linked() -> Vec<u8> {
    let layer = layer_tar(&[("a", b"a")]);
    let manifest = json!([{ "Config": "c.json", "Layers": ["a/layer.tar", "b/layer.tar"] }]);
    let mut tar = Builder::new(Vec::new());
    add(&mut tar, "./a/layer.tar", &layer);
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Symlink);
    tar.append_link(&mut header, "b/layer.tar", "../a/layer.tar")
        .unwrap();
    add(&mut tar, "c.json", &config(&layer, 2));
    add(&mut tar, "manifest.json", manifest.to_string().as_bytes());
    tar.into_inner().unwrap()
}

fn long_names(pax: bool) -> Vec<u8> {
    let layer = layer_tar(&[("a", b"a")]);
    let name = format!("{}/layer.tar", "d".repeat(110));
    let manifest = json!([{ "Config": "c.json", "Layers": [name] }]);
    let mut tar = Builder::new(Vec::new());
    if pax {
        let size = layer.len().to_string();
        let records = [("path", name.as_bytes()), ("size", size.as_bytes())];
        tar.append_pax_extensions(records).unwrap();
        add(&mut tar, "short", &layer);
    } else {
        add(&mut tar, &name, &layer);
    }
    add(&mut tar, "c.json", &config(&layer, 1));
    add(&mut tar, "manifest.json", manifest.to_string().as_bytes());
    tar.into_inner().unwrap()
}

pub fn packed(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, bytes) in entries {
        add(&mut tar, name, bytes);
    }
    tar.into_inner().unwrap()
}

fn add(tar: &mut Builder<Vec<u8>>, name: &str, bytes: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, name, bytes).unwrap();
}
