//! Layers over a base image, as `dockerTools` puts them with `fromImage`.

use std::fs;

use crate::place::Place;
use nixpy_oci::digest::Digest;
use nixpy_oci::image::{Archive, Base, Body, Config, ConfigTemplate, How, Pushed};
use nixpy_oci::layer::{Entry, Identity, Layer, Source};
use nixpy_oci::platform::Platform;
use nixpy_oci::tarball::Stamp;
use nixpy_testkit::archive::DockerArchive;
use serde_json::{Value, json};

/// A base with two layers and three variables.
fn base() -> DockerArchive {
    DockerArchive::of("base:v1")
        .config(
            "config",
            json!({ "Env": ["PATH=/bin", "LANG=C", "EMPTY="], "Cmd": ["sh"] }),
        )
        .layer(&[("bin/sh", b"#!")])
        .layer(&[("etc/os-release", b"ID=base\n")])
}

/// One layer over the base, with this configuration.
fn over(place: &Place, base: &DockerArchive, content: &str, config: Value) -> Body {
    let path = place.dir.path().join("base.tar");
    let bytes = base.build();
    fs::write(&path, &bytes).unwrap();
    let entries = vec![Entry::File("app".to_owned(), 0o755, content.to_owned())];
    Body::Layers {
        base: Some(Base {
            identity: Identity::of("test-base/1", &Digest::of(&bytes)),
            archive: Archive::File(path),
            comment: |name| format!("from {name}"),
        }),
        layers: vec![Layer {
            identity: Identity::of("test/1", &entries),
            source: Source::Entries {
                entries,
                stamp: Stamp::root(),
            },
            size_hint: 0,
            stated_diff_id: None,
            comment: "the app".to_owned(),
            contents: Vec::new(),
        }],
        config: Config::Template(ConfigTemplate {
            created: "1970-01-01T00:00:01+00:00".to_owned(),
            platform: Platform::linux("amd64"),
            config,
        }),
    }
}

fn config_of(place: &Place, pushed: &Pushed) -> Value {
    let blobs = place.dir.path().join("layout/blobs/sha256");
    serde_json::from_slice(&fs::read(blobs.join(pushed.image_id.hex())).unwrap()).unwrap()
}

fn ways(pushed: &Pushed) -> Vec<How> {
    pushed.layers.iter().map(|layer| layer.how).collect()
}

#[tokio::test]
async fn the_layers_of_the_base_lie_below_and_stand_in_the_history() {
    let place = Place::layout();
    let body = over(&place, &base(), "app", json!({}));
    let pushed = place.publish_body(body).await.unwrap();
    let config = config_of(&place, &pushed);
    let alone = place.publish(&base().build()).await.unwrap();
    let below: Vec<Digest> = alone.layers.iter().map(|layer| layer.diff_id).collect();
    let diff_ids: Vec<Digest> = pushed.layers.iter().map(|layer| layer.diff_id).collect();
    assert_eq!(diff_ids[..2], below);
    assert_eq!(config["rootfs"]["diff_ids"], json!(diff_ids));
    let comments: Vec<&str> = config["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["comment"].as_str().unwrap())
        .collect();
    let [first, second] = [0, 1].map(|n| format!("from {}/layer.tar", below[n].hex()));
    assert_eq!(comments, [&first, &second, "the app"]);
}

#[tokio::test]
async fn of_the_bases_config_only_variables_are_taken_over_and_the_last_value_counts() {
    for (own, expected) in [
        (
            json!({}),
            json!({ "Env": ["PATH=/bin", "LANG=C", "EMPTY="] }),
        ),
        (
            json!({ "Env": ["LANG=de=DE", "HOST=::"], "User": "1000" }),
            json!({ "Env": ["PATH=/bin", "LANG=de=DE", "EMPTY=", "HOST=::"], "User": "1000" }),
        ),
    ] {
        let place = Place::layout();
        let body = over(&place, &base(), "app", own);
        let pushed = place.publish_body(body).await.unwrap();
        assert_eq!(config_of(&place, &pushed)["config"], expected);
    }
    // No variables anywhere: none are written.
    let place = Place::layout();
    let bare = base().config("config", json!({ "Env": null }));
    let body = over(&place, &bare, "app", json!({ "Cmd": ["x"] }));
    let pushed = place.publish_body(body).await.unwrap();
    assert_eq!(
        config_of(&place, &pushed)["config"],
        json!({ "Cmd": ["x"] })
    );
}

#[tokio::test]
async fn a_change_of_the_app_leaves_the_base_where_it_is() {
    let place = Place::layout();
    let publish = async |content: &str| {
        let body = over(&place, &base(), content, json!({}));
        place.publish_body(body).await.unwrap()
    };
    assert_eq!(ways(&publish("app").await), [How::Sent; 3]);
    assert_eq!(ways(&publish("app").await), [How::Described; 3]);
    let changed = ways(&publish("another app").await);
    assert_eq!(changed, [How::Described, How::Described, How::Sent]);
}

#[tokio::test]
async fn a_base_that_is_damaged_is_refused() {
    let place = Place::layout();
    let mut body = over(&place, &base(), "app", json!({}));
    let Body::Layers {
        base: Some(base), ..
    } = &mut body
    else {
        unreachable!("it has a base");
    };
    let cut = place.dir.path().join("cut.tar");
    let bytes = fs::read(place.dir.path().join("base.tar")).unwrap();
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    base.archive = Archive::File(cut);
    let error = place.publish_body(body).await.unwrap_err();
    assert!(error.to_string().contains("cut.tar"), "{error}");
    assert!(!place.is_tagged());
}
