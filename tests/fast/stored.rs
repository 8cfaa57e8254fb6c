//! Flakes that offer an image as an OCI layout: a directory, or a tar.

use std::io::Write as _;

use nixpy_pipeline::plan::Form;
use nixpy_testkit::archive::layer_tar;
use nixpy_testkit::store::{FakePath, FakeStore, Item};

use crate::scenario::Scenario;

type Files = Vec<(String, Vec<u8>)>;

fn directory(store: &mut FakeStore, item: Item, files: Files) -> FakePath {
    store.add(
        files
            .iter()
            .fold(item, |item, (name, bytes)| item.file(name, bytes)),
    )
}

fn tar(files: &Files) -> Vec<u8> {
    let files: Vec<_> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    layer_tar(&files)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// Blobs that are no documents are links to paths of their own, as where layers are
/// derivations.
fn linked(store: &mut FakeStore, item: Item, files: Files) -> FakePath {
    let mut item = item;
    for (name, bytes) in files {
        item = if bytes.starts_with(b"{") {
            item.file(&name, bytes)
        } else {
            let layer = store.add(Item::named(&name.replace('/', "-")).file("layer.tar", bytes));
            item.symlink(&name, &format!("{layer}/layer.tar"))
                .references([&layer])
        };
    }
    store.add(item)
}

#[test]
fn its_blobs_are_published_as_they_are_and_not_sent_again() {
    let mut published = Vec::new();
    for scenario in [
        Scenario::stored(directory),
        Scenario::stored(linked),
        Scenario::stored(|store, item, files| store.add(item.file("", tar(&files)))),
        Scenario::stored(|store, item, files| store.add(item.file("", gzip(&tar(&files))))),
    ] {
        let first = scenario.run(["--json"]).ended().succeeded().report();
        assert!(first.platforms.iter().all(|p| p.form == Form::Layout));
        let image = scenario.layout().image("amd64");
        assert!(image.has("opt/app.py"));
        let kinds = image.manifest["layers"].as_array().unwrap().iter();
        let kinds: Vec<_> = kinds.map(|l| l["mediaType"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["application/vnd.oci.image.layer.v1.tar"; 2]);
        published.push(image.layer_digests());

        let second = scenario.run(["--json"]).ended().succeeded().report();
        assert_eq!(second.index, first.index);
        assert!(second.platforms.iter().all(|p| p.sent_size == 0));
        assert_eq!(std::fs::read_dir(scenario.temporary()).unwrap().count(), 0);
    }
    assert!(published.windows(2).all(|pair| pair[0] == pair[1]));
}

#[track_caller]
fn refused(scenario: &Scenario, code: i32, texts: &[&str]) {
    let ended = scenario.run([]).ended().with_code(code).prints_nothing();
    ended.with_the_error(texts);
    assert!(!scenario.has("oci-image"), "half a layout is left");
    assert_eq!(std::fs::read_dir(scenario.temporary()).unwrap().count(), 0);
}

/// With the largest blob, a layer, in another way.
fn spoiled(spoil: impl Fn(&mut Vec<u8>)) -> Scenario {
    Scenario::stored(move |store, item, mut files| {
        let layer = files.iter_mut().max_by_key(|(_, bytes)| bytes.len());
        spoil(&mut layer.unwrap().1);
        directory(store, item, files)
    })
}

#[test]
fn a_damaged_blob_is_named_in_a_line_and_nothing_is_published() {
    let scenario = spoiled(|layer| layer[600] ^= 1);
    refused(
        &scenario,
        1,
        &["oci-base-api-", "blob sha256:", "damaged or was changed"],
    );
    let scenario = spoiled(|layer| layer.truncate(600));
    refused(&scenario, 1, &["sha256:", "has 600 bytes"]);
}

#[test]
fn a_link_out_of_the_store_is_not_followed() {
    let scenario = Scenario::stored(|store, item, files| {
        let files = files.into_iter().filter(|(name, _)| name != "index.json");
        let item = item.symlink("index.json", "/etc/hostname");
        directory(store, item, files.collect())
    });
    refused(
        &scenario,
        1,
        &["index.json", "link to /etc/hostname", "the store"],
    );
}

#[test]
fn a_tar_that_is_cut_short_is_refused() {
    for compress in [gzip, <[u8]>::to_vec as fn(&[u8]) -> Vec<u8>] {
        let scenario = Scenario::stored(|store, item, files| {
            let whole = compress(&tar(&files));
            store.add(item.file("", &whole[..whole.len() / 2]))
        });
        refused(&scenario, 1, &["cannot be used", "cut short"]);
    }
}
