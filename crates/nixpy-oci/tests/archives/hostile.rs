//! Archives that somebody has made to do harm, or that were harmed.

use nixpy_oci::digest::Digest;
use nixpy_testkit::archive::layer_tar;
use serde_json::{Value, json};
use tar::EntryType;

use crate::bytes::{archive_of, gzip, header, link, many_layers, named, packed};
use crate::place::{Place, promptly, told};

/// What is told of it; nothing that it has stands in an image.
fn refused(archive: &[u8]) -> String {
    let archive = archive.to_vec();
    let (error, tagged) = promptly(move || async move {
        let place = Place::layout();
        let error = place.publish(&archive).await.unwrap_err();
        (error, place.is_tagged())
    });
    assert!(!tagged);
    told(&error)
}

#[track_caller]
fn says(told: &str, texts: &[&str]) {
    for text in texts {
        assert!(told.contains(text), "{text:?} is not in: {told}");
    }
}

#[test]
fn entries_that_lead_out_are_refused() {
    for name in [
        "../outside",
        "a/../../outside",
        "/etc/outside",
        "./../outside",
    ] {
        for kind in [EntryType::Regular, EntryType::Directory, EntryType::Symlink] {
            let told = refused(&archive_of(|tar| named(tar, name, kind, b"")));
            says(&told, &["leads out of it", name.trim_start_matches("./")]);
        }
    }
}

/// What `docker save` wrote before version 25: a layer that occurs again is a link.
#[test]
fn a_link_to_a_layer_is_that_layer() {
    let archive = linked(|tar| link(tar, "b/layer.tar", "../a/layer.tar"));
    let pushed = promptly(|| async move { Place::layout().publish(&archive).await });
    let layers = pushed.unwrap().layers;
    assert_eq!(layers[0], layers[1]);
}

#[test]
fn links_that_lead_to_no_layer_are_refused() {
    for target in [
        "/etc/passwd",
        "../../../etc/passwd",
        "../c/layer.tar",
        // In a circle, of one and of two.
        "../b/layer.tar",
        "../circle",
    ] {
        let told = refused(&linked(|tar| {
            link(tar, "circle", "b/layer.tar");
            link(tar, "b/layer.tar", target);
        }));
        says(&told, &["its link \"b/layer.tar\" leads to", "no layer"]);
    }
}

/// An archive with the layer `a/layer.tar`, whose manifest names `b/layer.tar` as well.
fn linked(links: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let layer = layer_tar(&[("a", b"a")]);
    let diff_id = Digest::of(&layer);
    let mut tar = tar::Builder::new(Vec::new());
    named(&mut tar, "a/layer.tar", EntryType::Regular, &layer);
    links(&mut tar);
    let config = config(&json!([diff_id, diff_id])).to_string();
    named(&mut tar, "c.json", EntryType::Regular, config.as_bytes());
    let manifest = json!([{ "Config": "c.json", "Layers": ["a/layer.tar", "b/layer.tar"] }]);
    named(
        &mut tar,
        "manifest.json",
        EntryType::Regular,
        manifest.to_string().as_bytes(),
    );
    tar.into_inner().unwrap()
}

fn config(diff_ids: &Value) -> Value {
    json!({ "architecture": "amd64", "os": "linux", "rootfs": { "diff_ids": diff_ids } })
}

#[test]
fn two_contents_under_one_name_are_refused() {
    let built = many_layers(1);
    let layer = format!("{}/layer.tar", &built.diff_ids()[0]["sha256:".len()..]);
    let other = layer_tar(&[("evil", b"evil")]);
    let sound = layer_tar(&[("layer-0", b"content")]);
    for (name, bytes) in [
        (layer.as_str(), other.as_slice()),
        (&layer, b"no layer at all"),
        ("manifest.json", b"[]"),
        ("manifest.json", &vec![b' '; 9 << 20]),
        ("manifest.json", &other),
    ] {
        let told = refused(&archive_of(|tar| {
            named(tar, name, EntryType::Regular, bytes)
        }));
        says(&told, &["two entries", name, "differ"]);
    }
    let told = refused(&archive_of(|tar| link(tar, &layer, "manifest.json")));
    says(&told, &["two entries", &layer]);

    let told = refused(&archive_of(|tar| {
        link(tar, "a", &layer);
        link(tar, "a", "manifest.json");
    }));
    says(&told, &["two entries", "\"a\"", "differ"]);

    // Base images have the same empty layer several times, and archivers pack it each time.
    let twice = archive_of(|tar| named(tar, &layer, EntryType::Regular, &sound));
    let pushed = promptly(|| async move { Place::layout().publish(&twice).await });
    assert_eq!(pushed.unwrap().layers.len(), 1);
}

#[test]
fn ten_thousand_layers_are_refused() {
    let layer = layer_tar(&[]);
    let entries: Vec<_> = (0..10_000)
        .map(|n| (format!("{n}.tar"), layer.clone()))
        .collect();
    says(&refused(&packed(&entries)), &["more than 1024 layers"]);

    // One layer, ten thousand times.
    let diff_ids = vec![Digest::of(&layer); 10_000];
    let manifest = json!([{ "Config": "c.json", "Layers": vec!["0.tar"; 10_000] }]);
    let told = refused(&packed(&[
        ("0.tar".to_owned(), layer),
        (
            "c.json".to_owned(),
            config(&json!(diff_ids)).to_string().into(),
        ),
        ("manifest.json".to_owned(), manifest.to_string().into()),
    ]));
    says(&told, &["more than 1024 layers"]);
}

#[test]
fn more_entries_than_an_image_can_have_are_refused() {
    let entries: Vec<_> = (0..20_000)
        .map(|n| (format!("{n}.json"), Vec::new()))
        .collect();
    says(&refused(&packed(&entries)), &["more than 16384 entries"]);
}

#[test]
fn hostile_json_is_refused() {
    let deep = "[".repeat(100_000);
    for (manifest, text) in [
        (deep.clone(), "not what a docker-archive has"),
        (
            format!("[{{\"Config\":{deep}"),
            "not what a docker-archive has",
        ),
        ("[".to_owned() + &" ".repeat(9 << 20), "bytes in a document"),
        ("{}".to_owned(), "not what a docker-archive has"),
        ("[7]".to_owned(), "not what a docker-archive has"),
        (
            "[{\"Config\":[],\"Layers\":{}}]".to_owned(),
            "not what a docker-archive has",
        ),
        ("[]".to_owned(), "holds 0 images"),
        (String::new(), "not what a docker-archive has"),
    ] {
        let archive = packed(&[("manifest.json".to_owned(), manifest.into())]);
        says(&refused(&archive), &[text]);
    }
    for config in [
        json!(7),
        json!({ "os": "linux" }),
        config(&json!([7])),
        config(&json!(["sha512:00"])),
        config(&json!({})),
    ] {
        let manifest = json!([{ "Config": "c.json", "Layers": [] }]);
        let told = refused(&packed(&[
            ("c.json".to_owned(), config.to_string().into()),
            ("manifest.json".to_owned(), manifest.to_string().into()),
        ]));
        says(&told, &["c.json", "not what a docker-archive has"]);
    }
}

#[test]
fn sixty_megabytes_of_documents_are_enough() {
    let document = vec![b' '; 8 << 20];
    let entries: Vec<_> = (0..9)
        .map(|n| (format!("{n}.json"), document.clone()))
        .collect();
    says(&refused(&gzip(&packed(&entries))), &["bytes of documents"]);
}

#[test]
fn an_archive_that_is_cut_short_is_refused() {
    let whole = many_layers(2).build();
    let packed = gzip(&whole);
    for cut in [
        &whole[..whole.len() / 3],
        &packed[..packed.len() / 2],
        // Only the checksum is missing.
        &packed[..packed.len() - 4],
    ] {
        says(&refused(cut), &["cut short"]);
    }
}

#[test]
fn a_size_that_is_only_declared_is_not_believed() {
    for size in [1 << 40, u64::MAX - 511] {
        let mut bytes = header("a/layer.tar", EntryType::Regular, size)
            .as_bytes()
            .to_vec();
        bytes.extend(layer_tar(&[("a", b"a")]));
        says(&refused(&bytes), &["cut short"]);
    }
}

/// A sound archive that has a layer more, under what an extended header says.
fn extended(records: &[u8]) -> Vec<u8> {
    archive_of(|tar| {
        let mut header = header("pax", EntryType::XHeader, records.len() as u64);
        header.set_cksum();
        tar.append(&header, records).unwrap();
        named(tar, "other.tar", EntryType::Regular, &layer_tar(&[]));
    })
}

/// Go and Python take a line end for a part of the value; who ends the record there
/// sees another name than they do.
#[test]
fn a_record_is_as_long_as_it_says() {
    let archive = extended(b"30 comment=x\n17 path=/outside\n");
    promptly(|| async move { Place::layout().publish(&archive).await }).unwrap();
}

#[test]
fn extended_headers_that_are_damaged_or_sparse_are_refused() {
    for records in [
        &b"x path=a\n"[..],
        b"99 path=a\n",
        b"8 path=a\n",
        b"10 path=a\n\0\0",
        b"7 path\n",
        b"11 size=-1\n",
        b"22 GNU.sparse.major=1\n",
    ] {
        says(&refused(&extended(records)), &["cannot be read as a tar"]);
    }
    let twice = b"11 path=aa\n12 path=../\n";
    says(&refused(&extended(&twice[..])), &["leads out of it"]);
}
