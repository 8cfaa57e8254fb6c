//! Layouts that are in order: what is published is what was stored.

use std::fs;
use std::os::unix::fs::symlink;

use nixpy_oci::archive::{Kind, kind};
use nixpy_oci::compress::Compression;
use nixpy_oci::digest::Digest;
use nixpy_oci::image::{How, Pushed};
use nixpy_oci::manifest::{Manifest, annotation, media_type};
use nixpy_oci::publish::PublishError;
use nixpy_testkit::archive::DockerArchive;
use nixpy_testkit::registry::Registry as Double;
use serde_json::json;

use crate::layout::{Files, Image, blob, gzip};
use crate::place::Place;

fn digests(pushed: &Pushed) -> Vec<Digest> {
    pushed.layers.iter().map(|layer| layer.digest).collect()
}

fn ways(pushed: &Pushed) -> Vec<How> {
    pushed.layers.iter().map(|layer| layer.how).collect()
}

fn manifest(place: &Place, pushed: &Pushed) -> Manifest {
    serde_json::from_slice(&place.blob(pushed.manifest.digest)).unwrap()
}

#[tokio::test]
async fn a_directory_and_a_tar_however_it_is_compressed_give_the_same_image() {
    let image = Image::small();
    let files = Files::of(&image);
    let tar = files.tar();
    let xz = {
        let mut out = liblzma::write::XzEncoder::new(Vec::new(), 1);
        std::io::Write::write_all(&mut out, &tar).unwrap();
        out.finish().unwrap()
    };
    let zstd = zstd::encode_all(tar.as_slice(), 1).unwrap();
    let mut seen = Vec::new();
    for bytes in [None, Some(gzip(&tar)), Some(zstd), Some(xz), Some(tar)] {
        let place = Place::layout();
        let pushed = match bytes {
            None => place.take_files(&files).await.unwrap(),
            Some(tar) => place.take_tar(&tar).await.unwrap(),
        };
        assert_eq!(digests(&pushed), image.layer_digests());
        assert_eq!(ways(&pushed), [How::Sent; 2]);
        assert_eq!(
            place.blob(pushed.image_id),
            image.config.to_string().as_bytes()
        );
        for (_, layer) in &image.layers {
            assert_eq!(place.blob(Digest::of(layer)), *layer);
        }
        seen.push(manifest(&place, &pushed).layers);
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn what_is_unchanged_is_not_read_again_whatever_layers_are_compressed_with() {
    let mut place = Place::layout();
    let first = place.take_files(&Files::of(&Image::small())).await.unwrap();
    fs::remove_dir_all(place.dir.path().join("store/image/blobs")).unwrap();
    place.options.compression = Compression::Zstd(3);
    let again = place
        .take(&place.dir.path().join("store/image"))
        .await
        .unwrap();
    assert_eq!(again.manifest, first.manifest);
    assert_eq!(ways(&again), [How::Described; 2]);
}

#[tokio::test]
async fn a_layer_that_the_registry_has_is_not_sent() {
    let double = Double::start();
    let place = Place::registry(&double);
    let mut image = Image::small();
    place.take_files(&Files::of(&image)).await.unwrap();
    image.config["rootfs"]["diff_ids"][1] = json!(Digest::of(b"new"));
    image.layers[1].1 = b"new".to_vec();
    let newer = Files::of(&image).directory(&place.dir.path().join("store/newer"));
    let pushed = place.take(&newer).await.unwrap();
    assert_eq!(ways(&pushed), [How::Present, How::Sent]);
}

#[tokio::test]
async fn layers_say_their_diff_ids_and_claim_nothing_that_others_have_written() {
    let mut image = Image::small();
    let claimed = annotation::IDENTITY;
    image.manifest["annotations"] =
        json!({ "org.opencontainers.image.source": "https://example.org", claimed: "sha256:0" });
    let mut files = Files::empty();
    let mut layer = files.blob(media_type::LAYER_GZIP, &image.layers[0].1);
    layer["annotations"] = json!({ claimed: "claimed", "org.example": "kept" });
    let other = files.blob(media_type::LAYER_TAR, &image.layers[1].1);
    image.manifest["layers"] = json!([layer, other]);
    let entry = files.add(&image);
    files.index(&[entry]);

    let place = Place::layout();
    let pushed = place.take_files(&files).await.unwrap();
    let manifest = manifest(&place, &pushed);
    let identity = &manifest.annotations[claimed];
    assert!(
        identity.parse::<Digest>().is_ok(),
        "{identity} is the layout's"
    );
    assert_eq!(
        manifest.annotations["org.opencontainers.image.source"],
        "https://example.org"
    );
    let said = &manifest.layers[0].annotations;
    assert_eq!(said["org.example"], "kept");
    assert!(!said.contains_key(claimed));
    let stated = image.config["rootfs"]["diff_ids"][0].as_str().unwrap();
    assert_eq!(said[annotation::DIFF_ID], stated);
}

#[tokio::test]
async fn the_wanted_platform_is_taken_from_an_index_and_attestations_are_passed_over() {
    let mut files = Files::empty();
    let mut entries = Vec::new();
    for architecture in ["arm64", "amd64"] {
        let mut entry = files.add(&Image::of(architecture));
        entry["platform"] = json!({ "architecture": architecture, "os": "linux" });
        entries.push(entry);
    }
    let mut attestation = files.add(&Image::of("amd64"));
    attestation["digest"] = json!(Digest::of(b"not even there"));
    attestation["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
    entries.push(attestation);
    let index = files.add_index(&entries);
    // Tagged twice, as registries are.
    let signature = json!({
        "mediaType": media_type::MANIFEST, "digest": Digest::of(b""), "size": 3,
        "artifactType": "application/vnd.example.signature",
    });
    files.index(&[index.clone(), index, signature]);
    let pushed = Place::layout().take_files(&files).await.unwrap();
    assert_eq!(digests(&pushed), Image::of("amd64").layer_digests());
}

#[tokio::test]
async fn several_images_without_platforms_are_told_apart_by_their_configs() {
    let mut files = Files::empty();
    let entries = ["arm64", "amd64"].map(|architecture| files.add(&Image::of(architecture)));
    files.index(&entries);
    let pushed = Place::layout().take_files(&files).await.unwrap();
    assert_eq!(digests(&pushed), Image::of("amd64").layer_digests());
}

#[tokio::test]
async fn docker_s_media_types_become_oci_s_of_the_same_bytes() {
    let mut image = Image::small();
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    image.manifest["mediaType"] = json!(docker);
    image.layers[0].0 = "application/vnd.docker.image.rootfs.diff.tar.gzip".to_owned();
    image.layers[1].0 = "application/vnd.docker.image.rootfs.diff.tar".to_owned();
    let mut files = Files::empty();
    let bytes = image.config.to_string();
    let config = "application/vnd.docker.container.image.v1+json";
    image.manifest["config"] = files.blob(config, bytes.as_bytes());
    let entry = files.add(&image);
    files.index(&[entry]);
    let place = Place::layout();
    let pushed = place.take_files(&files).await.unwrap();
    let manifest = manifest(&place, &pushed);
    let kinds: Vec<_> = manifest
        .layers
        .iter()
        .map(|l| l.media_type.as_str())
        .collect();
    assert_eq!(kinds, [media_type::LAYER_GZIP, media_type::LAYER_TAR]);
    assert_eq!(manifest.media_type, media_type::MANIFEST);
    assert_eq!(manifest.config.media_type, media_type::CONFIG);
}

#[tokio::test]
async fn what_we_have_published_to_a_layout_is_read_back() {
    let (first, second) = (Place::layout(), Place::layout());
    let archive = DockerArchive::of("api:latest")
        .layer(&[("a", b"a")])
        .build();
    let made = first.publish(&archive).await.unwrap();
    let taken = second.take(&first.dir.path().join("layout")).await.unwrap();
    assert_eq!(digests(&taken), digests(&made));
    assert_eq!(taken.image_id, made.image_id);
}

#[tokio::test]
async fn a_blob_may_be_a_link_to_another_path_of_the_store() {
    let place = Place::layout();
    let image = Image::small();
    let layout = Files::of(&image).directory(&place.dir.path().join("store/image"));
    let file = layout.join(blob(image.layer_digests()[1]));
    let other = place.dir.path().join("store/layer");
    fs::rename(&file, &other).unwrap();
    symlink(&other, &file).unwrap();
    let pushed = place.take(&layout).await.unwrap();
    assert_eq!(digests(&pushed), image.layer_digests());
}

#[tokio::test]
async fn the_only_image_is_refused_if_it_is_for_another_machine() {
    let error = Place::layout()
        .take_files(&Files::of(&Image::of("arm64")))
        .await;
    let error = error.unwrap_err();
    assert!(matches!(error, PublishError::Platform { .. }), "{error}");
}

#[test]
fn a_tar_is_a_layout_by_its_names_unless_it_is_a_docker_archive_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let kind_of = |bytes: &[u8]| {
        let path = dir.path().join("tar");
        fs::write(&path, bytes).unwrap();
        kind(&path).unwrap()
    };
    let mut files = Files::of(&Image::small());
    assert_eq!(kind_of(&files.tar()), Kind::Layout);
    assert_eq!(kind_of(&gzip(&files.tar())), Kind::Layout);
    // Its own reader tells that it is cut short, before anything is sent.
    assert_eq!(kind_of(&files.tar()[..2048]), Kind::Layout);
    // As `docker save` writes it from version 25 on.
    files.put("manifest.json", "[]");
    assert_eq!(kind_of(&files.tar()), Kind::DockerArchive);
    assert_eq!(kind_of(&gzip(&files.tar())), Kind::DockerArchive);
    let archive = DockerArchive::of("api:latest")
        .layer(&[("a", b"a")])
        .build();
    assert_eq!(kind_of(&archive), Kind::DockerArchive);
    assert_eq!(kind_of(b"nothing of the kind"), Kind::DockerArchive);
}
