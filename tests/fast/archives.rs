//! Docker-archives that are not what they should be.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use nixpy_testkit::archive::{Damage, DockerArchive};
use serde_json::{Value, json};

use crate::scenario::Scenario;

/// One line, and no tag, and nothing but blobs of no name.
#[track_caller]
fn refused(scenario: &Scenario, code: i32, texts: &[&str]) {
    let ended = scenario.run([]).ended().with_code(code).prints_nothing();
    ended.with_the_error(texts);
    assert!(!scenario.has("oci-image"), "half a layout is left");
    assert_eq!(std::fs::read_dir(scenario.temporary()).unwrap().count(), 0);
}

#[test]
fn each_kind_of_damage_is_told_in_a_line_and_publishes_nothing() {
    for (damage, texts) in [
        (Damage::Truncated, ["cannot be used", "cut short"]),
        (
            Damage::LayerDigestMismatch,
            ["layer", "damaged or was changed"],
        ),
        (
            Damage::NoManifest,
            ["no \"manifest.json\"", "not a docker-archive"],
        ),
        (
            Damage::BrokenManifest,
            ["manifest.json", "not what a docker-archive has"],
        ),
        (Damage::MissingLayer, ["has no layer", "cut short"]),
        (Damage::MissingConfig, ["it has no", ".json"]),
        (
            Damage::EscapingLayerName,
            ["has no layer", "../../outside/layer.tar"],
        ),
    ] {
        let scenario = Scenario::image(|archive| archive.damaged(damage).build());
        refused(&scenario, 1, &texts);
    }
}

#[test]
fn the_archive_that_is_damaged_is_named() {
    let scenario = Scenario::image(|archive| archive.damaged(Damage::NoManifest).build());
    refused(&scenario, 1, &["docker-image-base-api-"]);
}

#[test]
fn an_entry_that_points_outside_is_refused_and_written_nowhere() {
    let scenario = Scenario::image(|archive| archive.damaged(Damage::EscapingEntry).build());
    refused(&scenario, 1, &["\"../../outside\"", "leads out of it"]);
    for place in [
        "outside",
        "../outside",
        "../../outside",
        "oci-image/../../../outside",
    ] {
        assert!(!scenario.has(place), "{place}");
    }
}

#[test]
fn an_archive_may_be_compressed_and_in_another_order() {
    let scenario = Scenario::image(|archive| gzipped(&archive.manifest_first().build()));
    scenario.run([]).ended().succeeded();
    assert!(scenario.layout().image("arm64").has("opt/app.py"));
}

#[test]
fn a_compressed_archive_that_is_cut_short_is_refused() {
    let scenario = Scenario::image(|archive| {
        let whole = gzipped(&archive.build());
        whole[..whole.len() / 2].to_vec()
    });
    refused(&scenario, 1, &["cannot be used", "cut short"]);
}

#[test]
fn an_image_for_another_platform_than_its_system_is_refused() {
    let arm64 = |archive: DockerArchive| archive.config("architecture", json!("arm64"));
    let scenario = Scenario::image(|archive| arm64(archive).build());
    let texts = [
        "for linux/arm64",
        "linux/amd64 was built",
        "architecture of its system",
    ];
    refused(&scenario, 2, &texts);
}

#[test]
fn a_description_for_another_platform_than_its_system_is_refused() {
    let scenario = Scenario::stream_of(
        |conf| conf["architecture"] = json!("arm64"),
        |c| c,
        "exit 1",
    );
    let texts = [
        "for linux/arm64",
        "linux/amd64 was built",
        "architecture of its system",
    ];
    refused(&scenario, 2, &texts);
}

#[test]
fn a_customisation_layer_that_is_not_what_its_checksum_says_is_refused() {
    let wrong = |checksum: String| checksum.chars().rev().collect();
    let scenario = Scenario::stream_of(|_| {}, wrong, "exit 1");
    refused(
        &scenario,
        1,
        &["customisation-layer", "damaged or was changed"],
    );
}

#[test]
fn a_description_of_ten_thousand_layers_is_refused() {
    let many = |conf: &mut Value| conf["store_layers"] = json!(vec![[""; 0]; 10_000]);
    let scenario = Scenario::stream_of(many, |c| c, "exit 1");
    refused(&scenario, 2, &["more than 1024 layers"]);
}

#[test]
fn a_script_that_fails_is_named_with_its_last_words() {
    let scenario = Scenario::stream_of(
        |conf| *conf = json!("half"),
        |c| c,
        "echo no room >&2; exit 3",
    );
    // JSON of another kind is the script's affair, and the script says why it failed.
    refused(&scenario, 1, &["stream-base-api", "no room"]);
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
