//! Archives as docker, Python and Go write them.

use nixpy_oci::digest::Digest;
use nixpy_oci::image::How;
use nixpy_testkit::archive::layer_tar;
use serde_json::json;

use crate::bytes::{gzip, header, many_layers, packed};
use crate::place::{Place, promptly};

/// As `docker save` of Docker 25 and later writes it: an OCI layout that is a
/// docker-archive as well. `stored` is what becomes of a layer's tar.
fn oci_archive(tars: &[Vec<u8>], stored: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {
            "type": "layers",
            "diff_ids": tars.iter().map(|tar| Digest::of(tar)).collect::<Vec<_>>(),
        },
    });
    let config = config.to_string().into_bytes();
    let layers: Vec<Vec<u8>> = tars.iter().map(|tar| stored(tar)).collect();
    let names: Vec<String> = layers.iter().map(|layer| blob(layer)).collect();
    let manifest = json!([{
        "Config": blob(&config), "RepoTags": ["api:latest"], "Layers": names,
    }]);
    let mut entries: Vec<(String, Vec<u8>)> = layers
        .into_iter()
        .chain([config])
        .map(|bytes| (blob(&bytes), bytes))
        .collect();
    entries.push(("index.json".to_owned(), b"{\"manifests\":[]}".to_vec()));
    entries.push(("manifest.json".to_owned(), manifest.to_string().into()));
    entries.push(("oci-layout".to_owned(), b"{}".to_vec()));
    packed(&entries)
}

#[test]
fn what_newer_docker_saves_is_read_whatever_its_layers_are_compressed_with() {
    let tars = [
        layer_tar(&[("a", b"small")]),
        layer_tar(&[("b", &vec![7; 9 << 20])]),
        // An empty layer, which begins like nothing.
        vec![0; 1024],
    ];
    promptly(move || async move {
        let mut manifests = Vec::new();
        for stored in [
            |tar: &[u8]| tar.to_vec(),
            |tar: &[u8]| gzip(tar),
            |tar: &[u8]| zstd::encode_all(tar, 1).unwrap(),
        ] {
            let place = Place::layout();
            let archive = oci_archive(&tars, stored);
            let pushed = place.publish(&archive).await.unwrap();
            let found: Vec<Digest> = pushed.layers.iter().map(|layer| layer.diff_id).collect();
            let expected: Vec<Digest> = tars.iter().map(|tar| Digest::of(tar)).collect();
            assert_eq!(found, expected);
            manifests.push(pushed.layers);
        }
        assert!(manifests.windows(2).all(|pair| pair[0] == pair[1]));
    });
}

#[test]
fn an_uncompressed_layer_of_newer_docker_is_known_by_its_name() {
    let tar = |n: u8| layer_tar(&[("file", &[n])]);
    let short = oci_archive(&[tar(1)], <[u8]>::to_vec);
    let long = oci_archive(&[tar(1), tar(2)], <[u8]>::to_vec);
    let pushed = promptly(|| async move {
        let place = Place::layout();
        place.publish(&short).await.unwrap();
        place.publish(&long).await.unwrap()
    });
    let ways: Vec<How> = pushed.layers.iter().map(|layer| layer.how).collect();
    assert_eq!(ways, [How::Described, How::Sent]);
}

/// Python's tarfile and Go write the sizes and names that a plain header has no
/// room for into extended headers.
#[test]
fn sizes_and_names_in_extended_headers_hold() {
    let built = many_layers(1);
    let layer = layer_tar(&[("layer-0", b"content")]);
    let name = format!("{}/{}/layer.tar", "d".repeat(120), "e".repeat(120));
    let mut archive = tar::Builder::new(Vec::new());
    let size = layer.len().to_string();
    let records = [("path", name.as_bytes()), ("size", size.as_bytes())];
    archive.append_pax_extensions(records).unwrap();
    let short = header("short", tar::EntryType::Regular, 0);
    let mut bytes = archive.into_inner().unwrap();
    bytes.truncate(bytes.len() - 1024);
    bytes.extend_from_slice(short.as_bytes());
    bytes.extend_from_slice(&layer);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    let manifest = json!([{ "Config": "config.json", "Layers": [name] }]);
    bytes.extend(packed(&[
        ("config.json".to_owned(), built.config_bytes()),
        ("manifest.json".to_owned(), manifest.to_string().into()),
    ]));
    let pushed = promptly(|| async move { Place::layout().publish(&bytes).await });
    assert_eq!(
        pushed.unwrap().layers[0].diff_id.to_string(),
        built.diff_ids()[0]
    );
}
