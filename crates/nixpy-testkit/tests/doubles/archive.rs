//! Docker-archives: whole ones read as such, and each damage is the one it says.

use std::collections::BTreeMap;
use std::io::Read as _;

use nixpy_testkit::archive::{Damage, DockerArchive};
use nixpy_testkit::digest;
use serde_json::Value;

fn api() -> DockerArchive {
    DockerArchive::of("api:v1")
        .layer(&[("app/main.py", b"print()\n"), ("bin/run", b"#!/bin/sh\n")])
        .layer(&[("etc/passwd", b"root:x:0:0\n")])
}

/// Name to content; an error if the tar ends too early.
fn read(archive: &[u8]) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        if content.len() as u64 != entry.size() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        found.insert(
            String::from_utf8_lossy(&entry.path_bytes()).into_owned(),
            content,
        );
    }
    Ok(found)
}

#[test]
fn everything_in_a_whole_archive_agrees() {
    let entries = read(&api().build()).unwrap();
    let manifest: Value = serde_json::from_slice(&entries["manifest.json"]).unwrap();
    assert_eq!(manifest[0]["RepoTags"][0], "api:v1");
    let config_name = manifest[0]["Config"].as_str().unwrap();
    let config: Value = serde_json::from_slice(&entries[config_name]).unwrap();
    assert_eq!(
        format!("sha256:{}", config_name.replace(".json", "")),
        digest(&entries[config_name])
    );
    for (place, layer) in manifest[0]["Layers"].as_array().unwrap().iter().enumerate() {
        assert_eq!(
            config["rootfs"]["diff_ids"][place],
            digest(&entries[layer.as_str().unwrap()])
        );
    }
    assert_eq!(api().build(), api().build());
}

#[test]
fn each_damage_is_the_one_it_says() {
    let damaged = |damage| read(&api().damaged(damage).build());
    assert!(damaged(Damage::Truncated).is_err());
    assert!(
        !damaged(Damage::NoManifest)
            .unwrap()
            .contains_key("manifest.json")
    );
    let broken = damaged(Damage::BrokenManifest).unwrap();
    assert!(serde_json::from_slice::<Value>(&broken["manifest.json"]).is_err());
    assert!(
        damaged(Damage::EscapingEntry)
            .unwrap()
            .contains_key("../../outside")
    );

    let layers_match = |entries: &BTreeMap<String, Vec<u8>>| {
        let layers = entries
            .iter()
            .filter(|(name, _)| name.ends_with("/layer.tar"));
        layers.fold(true, |fine, (name, bytes)| {
            fine && digest(bytes).contains(name.trim_end_matches("/layer.tar"))
        })
    };
    assert!(layers_match(&read(&api().build()).unwrap()));
    assert!(!layers_match(
        &damaged(Damage::LayerDigestMismatch).unwrap()
    ));

    for damage in [
        Damage::MissingLayer,
        Damage::MissingConfig,
        Damage::EscapingLayerName,
    ] {
        let entries = damaged(damage).unwrap();
        let manifest: Value = serde_json::from_slice(&entries["manifest.json"]).unwrap();
        let named = manifest[0]["Layers"]
            .as_array()
            .unwrap()
            .iter()
            .chain([&manifest[0]["Config"]]);
        let missing = named
            .filter(|name| !entries.contains_key(name.as_str().unwrap()))
            .count();
        assert_eq!(missing, 1, "{damage:?}");
    }
}
