//! Layouts whose documents are wrong: told in a line, and nothing is published.

use nixpy_oci::digest::Digest;
use nixpy_oci::manifest::media_type;
use nixpy_oci::publish::PublishError;
use serde_json::{Value, json};

use crate::layout::{Files, Image, blob};
use crate::place::{Place, promptly, told};

#[track_caller]
fn refused(files: &Files, texts: &[&str]) {
    let files = files.clone();
    let (error, published) = promptly(move || async move {
        let place = Place::layout();
        let error = place.take_files(&files).await.unwrap_err();
        (error, place.published())
    });
    assert_eq!(published, 0, "something was published");
    assert!(matches!(error, PublishError::Stored { .. }), "{error}");
    let told = told(&error);
    for text in ["store/image"].iter().chain(texts) {
        assert!(told.contains(text), "{text:?} is not in: {told}");
    }
}

/// The name of the file that holds the manifest of the only image.
fn manifest_of(files: &Files) -> Digest {
    let index: Value = serde_json::from_slice(&files.0["index.json"]).unwrap();
    let digest = &index["manifests"][0]["digest"];
    digest.as_str().unwrap().parse().unwrap()
}

#[test]
fn a_layer_with_other_bytes_is_named_and_none_is_sent() {
    let image = Image::small();
    let mut files = Files::of(&image);
    let last = image.layer_digests()[1];
    let mut bytes = files.0[&blob(last)].clone();
    bytes[600] ^= 1;
    files.put(&blob(last), bytes);
    refused(&files, &[&last.to_string(), "damaged or was changed"]);
}

#[test]
fn a_manifest_or_config_with_other_bytes_is_named() {
    let image = Image::small();
    let config = Digest::of(image.config.to_string().as_bytes());
    for named in [config, manifest_of(&Files::of(&image))] {
        let mut files = Files::of(&image);
        let changed = String::from_utf8(files.0[&blob(named)].clone()).unwrap();
        files.put(&blob(named), changed.replace("config", "confiG"));
        refused(&files, &[&named.to_string(), "damaged or was changed"]);
    }
}

#[test]
fn a_blob_that_is_missing_is_named() {
    let image = Image::small();
    let config = Digest::of(image.config.to_string().as_bytes());
    let files = Files::of(&image);
    for missing in [config, manifest_of(&files), image.layer_digests()[0]] {
        let mut files = files.clone();
        files.0.remove(&blob(missing));
        refused(&files, &["has no blob", &missing.to_string()]);
    }
}

#[test]
fn a_layer_of_another_length_than_stated_is_named() {
    let image = Image::small();
    let mut files = Files::of(&image);
    let first = image.layer_digests()[0];
    files.put(&blob(first), b"short");
    refused(&files, &[&first.to_string(), "has 5 bytes"]);
}

#[test]
fn a_digest_of_another_algorithm_is_refused() {
    let mut image = Image::small();
    let mut files = Files::of(&image);
    let layer = json!({
        "mediaType": media_type::LAYER_TAR, "digest": format!("sha512:{}", "0".repeat(128)),
        "size": 5,
    });
    image.manifest["layers"] = json!([layer.clone(), layer]);
    let entry = files.add(&image);
    files.index(&[entry]);
    refused(&files, &["manifest names", "sha512:000", "not a digest"]);
}

#[test]
fn a_digest_that_would_be_a_path_is_refused() {
    let mut files = Files::of(&Image::small());
    let entry = json!({
        "mediaType": media_type::MANIFEST, "digest": "sha256:../../../etc/passwd", "size": 5,
    });
    files.index(&[entry]);
    refused(&files, &["index.json names", "not a digest"]);
}

#[test]
fn an_index_without_the_platform_tells_which_there_are() {
    let mut files = Files::empty();
    let entries = ["arm64", "s390x"].map(|architecture| files.add(&Image::of(architecture)));
    files.index(&entries);
    refused(
        &files,
        &["no image for linux/amd64", "linux/arm64", "linux/s390x"],
    );
}

#[test]
fn an_attestation_is_no_second_image() {
    let mut files = Files::empty();
    let image = files.add(&Image::of("arm64"));
    let mut attestation = files.add(&Image::of("s390x"));
    attestation["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
    files.index(&[image, attestation]);
    let error = promptly(move || async move { Place::layout().take_files(&files).await });
    let error = error.unwrap_err();
    assert!(matches!(error, PublishError::Platform { .. }), "{error}");
}

#[test]
fn two_images_of_one_platform_are_not_chosen_between() {
    let (one, mut other) = (Image::small(), Image::small());
    other.config["created"] = json!("2026-01-01T00:00:00Z");
    let mut files = Files::empty();
    let entries = [files.add(&one), files.add(&other)];
    files.index(&entries);
    refused(&files, &["several images for linux/amd64", "leave one"]);
}

#[test]
fn a_layout_without_an_image_is_refused() {
    let mut files = Files::empty();
    files.put("index.json", r#"{"schemaVersion":2,"manifests":null}"#);
    refused(&files, &["holds no image"]);
}

#[test]
fn indexes_within_indexes_come_to_an_end() {
    let mut files = Files::empty();
    let mut entry = files.add(&Image::small());
    for _ in 0..4 {
        entry = files.add_index(&[entry]);
    }
    files.index(&[entry]);
    refused(&files, &["more than 4 indexes within each other"]);
}

/// A thousand million ways to one image.
#[test]
fn an_index_that_is_named_many_times_is_read_once() {
    let mut files = Files::empty();
    let mut entry = files.add(&Image::of("arm64"));
    for _ in 0..3 {
        entry = files.add_index(&vec![entry; 1000]);
    }
    files.index(&vec![entry; 1000]);
    let error = promptly(move || async move { Place::layout().take_files(&files).await });
    let error = error.unwrap_err();
    assert!(matches!(error, PublishError::Platform { .. }), "{error}");
}

#[test]
fn images_of_many_indexes_are_too_many_together() {
    let mut files = Files::empty();
    let entry = |n: u32| {
        let digest = Digest::of(&n.to_be_bytes());
        json!({ "mediaType": media_type::MANIFEST, "digest": digest, "size": 5 })
    };
    let two = [0, 600].map(|first| (first..first + 600).map(entry).collect::<Vec<_>>());
    let indexes = two.map(|entries| files.add_index(&entries));
    files.index(&indexes);
    refused(&files, &["more than 1024 images"]);
}

/// A digest cannot stand in the bytes it is of: whoever says so is found out at once.
#[test]
fn an_index_that_names_itself_is_refused() {
    let named = Digest::of(b"a loop");
    let index = json!({ "manifests": [
        { "mediaType": media_type::INDEX, "digest": named, "size": 181 },
    ] });
    let mut files = Files::empty();
    let entry = json!({
        "mediaType": media_type::INDEX, "digest": named, "size": index.to_string().len(),
    });
    files.put(&blob(named), index.to_string());
    files.index(&[entry]);
    refused(&files, &[&named.to_string(), "damaged or was changed"]);
}

#[test]
fn layers_that_cannot_be_published_as_they_are_are_refused() {
    for (kind, why) in [
        (
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "may not be distributed",
        ),
        (
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
            "may not be distributed",
        ),
        (
            "application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
            "encrypted",
        ),
        ("text/plain", "not that of a layer"),
    ] {
        let mut image = Image::small();
        image.layers[1].0 = kind.to_owned();
        let digest = image.layer_digests()[1].to_string();
        refused(&Files::of(&image), &[&digest, kind, why]);
    }
}

#[test]
fn a_config_that_has_other_layers_than_the_manifest_is_refused() {
    let mut image = Image::small();
    image.layers.pop();
    refused(&Files::of(&image), &["names 1 layers, its config 2"]);
}

#[test]
fn ten_thousand_layers_are_refused() {
    let mut image = Image::small();
    image.layers = vec![image.layers[0].clone(); 10_000];
    image.config["rootfs"]["diff_ids"] = json!(vec![Digest::of(b"layer"); 10_000]);
    refused(&Files::of(&image), &["more than 1024 layers"]);
}

#[test]
fn ten_thousand_images_are_refused() {
    let mut files = Files::empty();
    let entry = files.add(&Image::small());
    files.index(&vec![entry; 10_000]);
    refused(&files, &["more than 1024 images"]);
}

#[test]
fn hostile_json_is_refused() {
    for (index, text) in [
        ("[".repeat(100_000), "not what the specification says"),
        (
            format!("{{\"manifests\":{}", "[{\"a\":".repeat(100_000)),
            "not what the specification",
        ),
        (
            format!("{{\"x\":\"{}\"}}", "x".repeat(9 << 20)),
            "bytes in a document",
        ),
        (
            "{\"manifests\":7}".to_owned(),
            "not what the specification says",
        ),
        (
            "{\"manifests\":[{\"digest\":[]}]}".to_owned(),
            "not what the specification says",
        ),
        ("\0".to_owned(), "not what the specification says"),
        (String::new(), "not what the specification says"),
    ] {
        let mut files = Files::of(&Image::small());
        files.put("index.json", &index);
        refused(&files, &[text]);
    }
    // Deep in what nobody asks for.
    let mut image = Image::small();
    let depth = 100_000;
    image.config["config"] = json!("deep");
    let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let config = image.config.to_string().replace("\"deep\"", &deep);
    let mut files = Files::empty();
    image.manifest["config"] = files.blob(media_type::CONFIG, config.as_bytes());
    let entry = files.add(&image);
    files.index(&[entry]);
    let pushed = promptly(move || async move { Place::layout().take_files(&files).await });
    assert!(pushed.is_err());
}

#[test]
fn a_layout_of_a_later_version_is_refused() {
    let mut files = Files::of(&Image::small());
    files.put("oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#);
    refused(&files, &["oci-layout", "\"2.0.0\""]);
}

#[test]
fn a_layout_without_an_index_is_refused() {
    let mut files = Files::of(&Image::small());
    files.0.remove("index.json");
    refused(&files, &["has no index.json"]);
}
