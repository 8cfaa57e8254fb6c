//! Publishing to a layout: what is made, what is recognised, what is refused.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use std::cell::RefCell;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use nixpy_oci::compress::Compression;
use nixpy_oci::destination::Destination;
use nixpy_oci::digest::Digest;
use nixpy_oci::finished::{Finished, Packing};
use nixpy_oci::image::{Archive, Body, Config, ConfigTemplate, How, Image, Pushed};
use nixpy_oci::layer::{Entry, Identity, Layer, Source};
use nixpy_oci::layout::Layout;
use nixpy_oci::manifest::{Annotations, Index, Manifest, annotation, media_type, to_bytes};
use nixpy_oci::name::Tag;
use nixpy_oci::platform::Platform;
use nixpy_oci::prior::Prior;
use nixpy_oci::publish::{Options, PublishError, Publisher, Site};
use nixpy_oci::tarball::Stamp;
use nixpy_testkit::archive::{Damage, DockerArchive};

struct Place {
    dir: tempfile::TempDir,
    sites: Vec<Site>,
    compression: Compression,
}

impl Place {
    fn new() -> Self {
        Self::compressing(Compression::Gzip(6))
    }

    fn compressing(compression: Compression) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(&dir.path().join("layout")).unwrap();
        Self {
            sites: vec![Site::new(Destination::Layout(layout), Prior::default())],
            compression,
            dir,
        }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn blob(&self, digest: Digest) -> PathBuf {
        self.dir
            .path()
            .join("layout/blobs/sha256")
            .join(digest.hex())
    }

    async fn publish(&mut self, image: &Image) -> Result<Pushed, PublishError> {
        let tag: Tag = "latest".parse().unwrap();
        let platforms = [image.platform.clone()];
        let site = &mut self.sites[0];
        site.prior = Prior::read(&site.destination, &tag, &platforms).await?;
        let options = Options {
            compression: self.compression,
            makers: 2,
            uploads: 2,
            spool_dir: self.dir.path().to_owned(),
        };
        let told = RefCell::new(0);
        let publisher = Publisher {
            sites: &self.sites,
            options: &options,
            on_layer: &|_| *told.borrow_mut() += 1,
            making: true,
        };
        let pushed = publisher.publish(image).await?;
        assert_eq!(
            *told.borrow(),
            pushed.layers.len(),
            "each layer is told once"
        );
        let index = to_bytes(&Index::new(
            vec![pushed.manifest.clone()],
            Annotations::new(),
        ));
        self.sites[0]
            .destination
            .tag(&tag, media_type::INDEX, &index)
            .await?;
        Ok(pushed)
    }

    fn manifest(&self, pushed: &Pushed) -> Manifest {
        serde_json::from_slice(&fs::read(self.blob(pushed.manifest.digest)).unwrap()).unwrap()
    }
}

fn image(body: Body) -> Image {
    Image {
        platform: Platform::linux("amd64"),
        body,
        annotations: Annotations::new(),
    }
}

fn described(contents: &[&str]) -> Image {
    let layers = contents.iter().map(|content| layer(content)).collect();
    let config = Config::Template(ConfigTemplate {
        created: "1970-01-01T00:00:01+00:00".to_owned(),
        platform: Platform::linux("amd64"),
        config: serde_json::json!({ "Cmd": ["x"] }),
    });
    image(Body::Layers {
        base: None,
        layers,
        config,
    })
}

fn layer(content: &str) -> Layer {
    let entries = vec![Entry::File("file".to_owned(), 0o644, content.to_owned())];
    Layer {
        identity: Identity::of("test/1", &entries),
        source: Source::Entries {
            entries,
            stamp: Stamp::root(),
        },
        size_hint: 0,
        stated_diff_id: None,
        comment: content.to_owned(),
        contents: Vec::new(),
    }
}

fn archive(path: PathBuf) -> Image {
    let identity = Identity::of("test-archive/1", &path);
    image(Body::Archive {
        archive: Archive::File(path),
        identity,
    })
}

fn ways(pushed: &Pushed) -> Vec<How> {
    pushed.layers.iter().map(|layer| layer.how).collect()
}

#[tokio::test]
async fn only_the_layer_that_changed_is_made_again() {
    let mut place = Place::new();
    let first = place
        .publish(&described(&["glibc", "python", "app"]))
        .await
        .unwrap();
    assert_eq!(ways(&first), [How::Sent; 3]);
    let second = place
        .publish(&described(&["glibc", "python", "new app"]))
        .await
        .unwrap();
    assert_eq!(ways(&second), [How::Described, How::Described, How::Sent]);
    let third = place
        .publish(&described(&["glibc", "python", "new app"]))
        .await
        .unwrap();
    assert_eq!(ways(&third), [How::Described; 3]);
    assert_eq!(third.manifest, second.manifest);
}

#[tokio::test]
async fn what_is_recognised_has_the_same_bytes_as_what_is_made() {
    let (mut grown, mut fresh) = (Place::new(), Place::new());
    grown.publish(&described(&["one", "two"])).await.unwrap();
    let grown = grown.publish(&described(&["one", "three"])).await.unwrap();
    let fresh = fresh.publish(&described(&["one", "three"])).await.unwrap();
    assert_eq!(grown.manifest, fresh.manifest);
}

#[tokio::test]
async fn a_layer_that_the_place_has_lost_is_made_again() {
    let mut place = Place::new();
    let first = place.publish(&described(&["one", "two"])).await.unwrap();
    fs::remove_file(place.blob(first.layers[1].digest)).unwrap();
    let second = place.publish(&described(&["one", "two"])).await.unwrap();
    assert_eq!(ways(&second), [How::Described, How::Sent]);
    assert_eq!(second.manifest, first.manifest);
}

#[tokio::test]
async fn another_compression_is_another_layer() {
    let mut place = Place::new();
    place.publish(&described(&["one"])).await.unwrap();
    for (compression, media_type) in [
        (Compression::Zstd(3), media_type::LAYER_ZSTD),
        (Compression::None, media_type::LAYER_TAR),
        (Compression::Gzip(9), media_type::LAYER_GZIP),
    ] {
        place.compression = compression;
        let pushed = place.publish(&described(&["one"])).await.unwrap();
        assert_eq!(place.manifest(&pushed).layers[0].media_type, media_type);
    }
}

#[tokio::test]
async fn a_stated_diff_id_that_is_wrong_is_refused() {
    let mut wrong = layer("one");
    wrong.stated_diff_id = Some(Digest::of(b"something else"));
    let config = Config::Template(ConfigTemplate {
        created: String::new(),
        platform: Platform::linux("amd64"),
        config: serde_json::Value::Null,
    });
    let layers = vec![wrong];
    let result = Place::new()
        .publish(&image(Body::Layers {
            base: None,
            layers,
            config,
        }))
        .await;
    assert!(
        matches!(result, Err(PublishError::DiffId { .. })),
        "{result:?}"
    );
}

/// An image of one finished blob, after a change of it.
fn finished(path: &Path, blob: &[u8], packing: Packing, change: impl Fn(&mut Layer)) -> Image {
    let finished = Finished {
        path: path.to_owned(),
        packing,
        digest: Digest::of(blob),
    };
    let mut layer = Layer {
        identity: Identity::of("test/blob", &finished.digest),
        source: Source::Blob(finished),
        stated_diff_id: Some(Digest::of(TAR)),
        ..layer("finished")
    };
    change(&mut layer);
    let config = Config::Whole {
        platform: Platform::linux("amd64"),
        bytes: b"{}".to_vec(),
    };
    image(Body::Layers {
        base: None,
        layers: vec![layer],
        config,
    })
}

const TAR: &[u8] = &[0; 1024];

#[tokio::test]
async fn a_finished_blob_is_published_as_it_is_and_known_again_in_every_run() {
    for (packing, how, media_type) in [
        (Packing::None, "none", media_type::LAYER_TAR),
        (Packing::Gzip, "gzip", media_type::LAYER_GZIP),
        (Packing::Zstd, "zstd", media_type::LAYER_ZSTD),
    ] {
        let mut place = Place::compressing(Compression::Gzip(6));
        let blob = compressed(TAR, how);
        let path = place.file("blob", &blob);
        let image = finished(&path, &blob, packing, |_| {});
        let pushed = place.publish(&image).await.unwrap();
        let [layer] = &place.manifest(&pushed).layers[..] else {
            panic!("one layer")
        };
        assert_eq!(
            (layer.digest, layer.media_type.as_str()),
            (Digest::of(&blob), media_type)
        );
        assert_eq!(fs::read(place.blob(layer.digest)).unwrap(), blob);
        assert_eq!(pushed.image_id, Digest::of(b"{}"));

        fs::remove_file(&path).unwrap();
        place.compression = Compression::Zstd(3);
        let pushed = place.publish(&image).await.unwrap();
        assert_eq!(pushed.layers[0].how, How::Described);
    }
}

#[tokio::test]
async fn a_finished_blob_that_is_not_what_was_stated_is_refused() {
    let mut place = Place::new();
    let blob = compressed(TAR, "gzip");
    let path = place.file("blob", &blob);
    let cut = place.file("cut", &blob[..blob.len() / 2]);
    let gone = place.dir.path().join("gone");
    let mut refused = async |path: &Path, blob: &[u8], packing, change: &dyn Fn(&mut Layer)| {
        let image = finished(path, blob, packing, change);
        place.publish(&image).await.unwrap_err().to_string()
    };
    let other = refused(&path, b"another", Packing::Gzip, &|_| {}).await;
    assert!(
        other.contains("has the digest") && other.contains("damaged"),
        "{other}"
    );
    let wrong = |layer: &mut Layer| layer.stated_diff_id = Some(Digest::of(b"another"));
    let other = refused(&path, &blob, Packing::Gzip, &wrong).await;
    assert!(
        other.contains("diff ID") && other.contains("damaged"),
        "{other}"
    );

    for (path, blob, packing) in [
        (&cut, &blob[..blob.len() / 2], Packing::Gzip),
        (&path, &blob[..], Packing::Zstd),
        (&gone, &blob[..], Packing::Gzip),
    ] {
        let error = refused(path, blob, packing, &|_| {}).await;
        assert!(
            error.contains(&format!("cannot read the layer {}", path.display())),
            "{error}"
        );
    }
}

fn two_layers() -> DockerArchive {
    let big = "x".repeat(3_000_000);
    DockerArchive::of("api:latest")
        .layer(&[("nix/store/a", b"a")])
        .layer(&[("nix/store/b", big.as_bytes())])
}

fn compressed(bytes: &[u8], how: &str) -> Vec<u8> {
    match how {
        "gzip" => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        }
        "zstd" => zstd::encode_all(bytes, 1).unwrap(),
        "xz" => {
            let mut out = liblzma::write::XzEncoder::new(Vec::new(), 1);
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        }
        _ => bytes.to_vec(),
    }
}

#[tokio::test]
async fn an_archive_is_read_however_it_is_compressed() {
    let archived = two_layers();
    let mut digests = Vec::new();
    for how in ["plain", "gzip", "zstd", "xz"] {
        let mut place = Place::new();
        let file = place.file("image", &compressed(&archived.build(), how));
        let pushed = place.publish(&archive(file)).await.unwrap();
        let config = fs::read(place.blob(pushed.image_id)).unwrap();
        assert_eq!(config, archived.config_bytes(), "the config stays as it is");
        let diff_ids: Vec<String> = pushed
            .layers
            .iter()
            .map(|layer| layer.diff_id.to_string())
            .collect();
        assert_eq!(diff_ids, archived.diff_ids());
        digests.push(place.manifest(&pushed).layers);
    }
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn an_archive_with_its_manifest_first_is_read_as_well() {
    let mut place = Place::new();
    let file = place.file("image", &two_layers().manifest_first().build());
    assert_eq!(place.publish(&archive(file)).await.unwrap().layers.len(), 2);
}

#[tokio::test]
async fn an_archive_with_one_new_layer_sends_that_one() {
    let mut place = Place::new();
    let file = place.file("one", &two_layers().build());
    place.publish(&archive(file)).await.unwrap();
    let file = place.file("two", &two_layers().layer(&[("nix/store/c", b"c")]).build());
    let pushed = place.publish(&archive(file)).await.unwrap();
    assert_eq!(ways(&pushed), [How::Described, How::Described, How::Sent]);
}

#[tokio::test]
async fn damaged_archives_are_refused_and_leave_no_tag() {
    for (damage, said) in [
        (Damage::Truncated, "cut short"),
        (Damage::LayerDigestMismatch, "diff ID"),
        (Damage::NoManifest, "it has no \"manifest.json\""),
        (Damage::BrokenManifest, "is not what a docker-archive has"),
        (Damage::MissingLayer, "it has no layer"),
        (Damage::MissingConfig, "it has no"),
    ] {
        let mut place = Place::new();
        let file = place.file("image", &two_layers().damaged(damage).build());
        let error = place.publish(&archive(file)).await.unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        let text = format!("{error}: {}", source.unwrap_or_default());
        assert!(text.contains(said), "{damage:?}: {text}");
        let index = fs::read_to_string(place.dir.path().join("layout/index.json")).unwrap();
        assert!(index.contains("\"manifests\":[]"), "{damage:?}: {index}");
    }
}

#[tokio::test]
async fn names_in_an_archive_never_become_paths() {
    for damage in [Damage::EscapingEntry, Damage::EscapingLayerName] {
        let mut place = Place::new();
        let inner = place.dir.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        let file = place.file("image", &two_layers().damaged(damage).build());
        let before = everything_in(place.dir.path());
        let _ = place.publish(&archive(file)).await;
        let after = everything_in(place.dir.path());
        let new: Vec<_> = after.iter().filter(|path| !before.contains(path)).collect();
        let blobs = place.dir.path().join("layout");
        assert!(new.iter().all(|path| path.starts_with(&blobs)), "{new:?}");
    }
}

fn everything_in(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(everything_in(&path));
        }
        found.push(path);
    }
    found
}

#[tokio::test]
async fn an_image_for_another_machine_than_was_planned_is_refused() {
    let mut place = Place::new();
    let other = two_layers().config("architecture", "arm64".into());
    let file = place.file("image", &other.build());
    let error = place.publish(&archive(file)).await.unwrap_err();
    assert!(matches!(error, PublishError::Platform { .. }), "{error}");
}

/// A record that maps a layer's diff ID to foreign bytes, for an archive whose
/// file names claim that layer: the bytes decide.
#[tokio::test]
async fn a_file_name_that_claims_a_known_layer_does_not_make_it_that_layer() {
    let mut place = Place::new();
    let file = place.file("one", &two_layers().build());
    let first = place.publish(&archive(file)).await.unwrap();
    let known = first.layers[0].diff_id;
    let other = DockerArchive::of("api:latest").layer(&[("nix/store/evil", b"evil")]);
    let bytes = renamed(&other.build(), &other.diff_ids()[0], &known.to_string());
    let file = place.file("two", &bytes);
    let error = place.publish(&archive(file)).await.unwrap_err();
    assert!(matches!(error, PublishError::DiffId { .. }), "{error}");
}

/// The same archive with its layer's file, and the manifest's name of it, called otherwise.
fn renamed(archive: &[u8], from: &str, to: &str) -> Vec<u8> {
    let (from, to) = (&from["sha256:".len()..], &to["sha256:".len()..]);
    let mut tar = tar::Archive::new(archive);
    let mut out = tar::Builder::new(Vec::new());
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry
            .path()
            .unwrap()
            .display()
            .to_string()
            .replace(from, to);
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        if name == "manifest.json" {
            content = String::from_utf8(content)
                .unwrap()
                .replace(&format!("{from}/"), &format!("{to}/"))
                .into_bytes();
        }
        let mut header = entry.header().clone();
        header.set_size(content.len() as u64);
        out.append_data(&mut header, name, content.as_slice())
            .unwrap();
    }
    out.into_inner().unwrap()
}

#[tokio::test]
async fn what_is_published_is_what_oci_spec_reads() {
    let mut place = Place::new();
    let pushed = place.publish(&described(&["one"])).await.unwrap();
    let manifest = place.manifest(&pushed);
    let path = place.blob(manifest.config.digest);
    let config = oci_spec::image::ImageConfiguration::from_file(path).unwrap();
    assert_eq!(
        config.rootfs().diff_ids()[0],
        pushed.layers[0].diff_id.to_string()
    );
    assert!(
        manifest.layers[0]
            .annotations
            .contains_key(annotation::IDENTITY)
    );
}
