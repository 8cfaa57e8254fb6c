//! What was written by an earlier run, of ours or of anybody's: manifests and indexes
//! ([`crate::manifest`]), what they say of layers ([`crate::prior`],
//! [`crate::contents`]), and this machine's own file ([`crate::ledger`]).

use std::fs;
use std::time::SystemTime;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::contents;
use crate::layer::Identity;
use crate::ledger::{self, Ledger};
use crate::manifest::{Annotations, Descriptor, Index, Manifest, annotation, media_type, to_bytes};
use crate::name::Repository;
use crate::prior::{Prior, PriorImage, diff_id};

/// Larger inputs take longer, and tell nothing more.
const MOST: usize = 256 << 10;

/// What is read is written so that it reads the same, and found by what it says of itself.
pub fn records(input: &[u8]) -> bool {
    if input.len() > MOST {
        return false;
    }
    let mut understood = false;
    if let Some(manifest) = settled::<Manifest>(input) {
        is_found(manifest, input);
        understood = true;
    }
    if let Some(index) = settled::<Index>(input) {
        let sorted = to_bytes(&Index::new(index.manifests, index.annotations));
        settled::<Index>(&sorted).expect("an index of ours");
        understood = true;
    }
    if let Ok(text) = std::str::from_utf8(input) {
        words(text);
    }
    file(input);
    understood
}

/// The document, if it is one.
fn settled<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(
    input: &[u8],
) -> Option<T> {
    let document: T = serde_json::from_slice(input).ok()?;
    let written = to_bytes(&document);
    let again: T = serde_json::from_slice(&written).expect("what we have written");
    assert_eq!(again, document);
    assert_eq!(to_bytes(&again), written);
    Some(document)
}

fn is_found(manifest: Manifest, bytes: &[u8]) {
    let platform = crate::platform::Platform::linux("amd64");
    let layers = manifest.layers.clone();
    let image = PriorImage {
        tag: "latest".parse().expect("a tag"),
        platform,
        manifest,
        bytes: bytes.to_vec(),
    };
    let told = image.contents();
    assert_eq!(told.len(), layers.len());
    for (layer, told) in layers.iter().zip(told) {
        let stated = layer.annotations.get(annotation::CONTENTS);
        assert_eq!(contents::read(stated.map_or("", |text| text)), told);
    }
    let prior = Prior::of(image);
    for layer in &layers {
        if let Some(identity) = ledger::identity(layer) {
            let found = prior.layer(identity).expect("it is there");
            assert_eq!(ledger::identity(found), Some(identity));
        }
        if let Some(diff_id) = diff_id(layer) {
            let found = &prior.by_diff_id()[&diff_id];
            assert_eq!(self::diff_id(found), Some(diff_id));
        }
    }
}

/// The contents of a layer.
fn words(text: &str) {
    let read = contents::read(text);
    assert_eq!(contents::read(&contents::written(&read)), read);
}

/// Whatever the file was, a layer that is noted is remembered, and so is what was.
fn file(input: &[u8]) {
    let dir = tempfile::tempdir().expect("there is room");
    fs::write(dir.path().join("published.json"), input).expect("there is room");
    let before = Ledger::read(dir.path());
    let written = to_bytes(&before);
    let again: Ledger = serde_json::from_slice(&written).expect("what we have written");
    assert_eq!(to_bytes(&again), written);

    let repository: Repository = "registry.example/fuzz/noted".parse().expect("a name");
    let identity = Identity::of("fuzz/1", &"noted").to_string();
    let noted = Descriptor {
        annotations: Annotations::from([(annotation::IDENTITY.to_owned(), identity)]),
        ..Descriptor::of(media_type::LAYER_GZIP, b"noted")
    };
    let known = before
        .of(&repository)
        .filter(|layer| ledger::identity(layer).is_some());
    let known: Vec<Descriptor> = known.cloned().collect();
    Ledger::note(
        dir.path(),
        &repository,
        std::slice::from_ref(&noted),
        SystemTime::UNIX_EPOCH,
    )
    .expect("there is room");
    let after = Ledger::read(dir.path());
    let mut layers = after.of(&repository);
    assert_eq!(layers.next(), Some(&noted));
    let left: Vec<&Descriptor> = layers.collect();
    assert!(left.len() <= known.len());
    assert!(left.iter().all(|layer| known.contains(layer)));
}
