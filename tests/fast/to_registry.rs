//! From a flake to a registry: what is sent, what is not, and in which order.

use std::time::Duration;

use nixpy_oci::image::How;
use nixpy_pipeline::report::Report;
use nixpy_testkit::registry::{Fault, Method, Recorded, Registry};

use crate::scenario::{Image, Scenario};

#[test]
fn a_push_puts_an_index_with_both_platforms_under_the_tag() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    let target = repository(&registry);
    let ended = scenario
        .run(["-r", &target, "-t", "v1"])
        .ended()
        .succeeded();
    ended.prints(&format!("{target}:v1"));
    for architecture in ["amd64", "arm64"] {
        let image = Image::in_registry(&registry, "base-api", "v1", architecture);
        assert!(image.has("bin/base-api"));
    }
    assert_eq!(registry.tags("base-api"), ["v1"]);
    assert_eq!(registry.open_uploads(), 0);
    assert!(!scenario.has("oci-image"), "no layout is made beside it");
}

#[test]
fn every_form_can_be_pushed() {
    for scenario in [
        Scenario::stream(),
        Scenario::image(|archive| archive.build()),
    ] {
        let registry = Registry::start();
        scenario
            .run(["-r", &repository(&registry)])
            .ended()
            .succeeded();
        let image = Image::in_registry(&registry, "base-api", "latest", "arm64");
        assert_eq!(image.configured("Cmd"), "serve");
    }
}

#[test]
fn the_tag_is_the_last_thing_that_is_written() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    let arguments = ["-r", &repository(&registry), "-t", "v1", "-t", "stable"];
    scenario.run(arguments).ended().succeeded();
    let requests = registry.requests();
    let writes: Vec<&Recorded> = requests
        .iter()
        .filter(|r| r.method != Method::GET && r.method != Method::HEAD)
        .collect();
    let (before, tags) = writes.split_at(writes.len() - 2);
    assert!(tags[0].path.ends_with("/manifests/v1"));
    assert!(tags[1].path.ends_with("/manifests/stable"));
    assert!(
        before
            .iter()
            .all(|write| !write.path.contains("/manifests/") || write.path.contains("sha256:"))
    );
}

#[test]
fn a_push_of_what_is_there_sends_no_layer_and_few_requests() {
    for scenario in [
        Scenario::app(),
        Scenario::stream(),
        Scenario::image(|archive| archive.build()),
    ] {
        let (registry, scenario) = (Registry::start(), scenario.built());
        let target = repository(&registry);
        scenario.run(["-r", &target]).ended().succeeded();
        let first = registry.tag("base-api", "latest");
        registry.reset_counts();

        let report = scenario
            .run(["-r", &target, "--json"])
            .ended()
            .succeeded()
            .report();
        assert_eq!(registry.layer_bytes_received(), 0);
        assert!(registry.requests().len() <= 8, "{:#?}", registry.requests());
        assert!(how(&report).iter().all(|how| *how == How::Described));
        assert_eq!(registry.tag("base-api", "latest"), first);
    }
}

#[test]
fn of_a_new_release_only_the_path_that_changed_is_sent() {
    let (registry, mut scenario) = (Registry::start(), Scenario::app());
    let target = repository(&registry);
    scenario.run(["-r", &target]).ended().succeeded();
    scenario.release("0.2.0");
    registry.reset_counts();

    let report = scenario
        .run(["-r", &target, "--json"])
        .ended()
        .succeeded()
        .report();
    for image in &report.platforms {
        let sent: Vec<_> = image
            .layers
            .iter()
            .filter(|layer| layer.how == How::Sent)
            .collect();
        assert_eq!(sent.len(), 1, "{:?}", image.layers);
        assert!(
            sent[0].comment.contains("base-api-0.2.0"),
            "{}",
            sent[0].comment
        );
    }
    // A layer and a config for each platform.
    assert_eq!(registry.count(Method::PUT, "/blobs/uploads/"), 4);
    let image = Image::in_registry(&registry, "base-api", "latest", "amd64");
    assert!(image.configured("Entrypoint").contains("base-api-0.2.0"));
}

#[test]
fn a_layer_that_both_platforms_have_is_sent_once() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    // Slow enough for both platforms to ask before either has sent anything.
    let slowly = Fault::hang(Duration::from_millis(200)).on(Method::HEAD, "/blobs/");
    registry.fail(slowly.always());
    scenario
        .run(["-r", &repository(&registry)])
        .ended()
        .succeeded();
    let images = ["amd64", "arm64"].map(|a| Image::in_registry(&registry, "base-api", "latest", a));
    let mut layers: Vec<String> = images.iter().flat_map(Image::layer_digests).collect();
    let all = layers.len();
    layers.sort();
    layers.dedup();
    assert_eq!(
        all - layers.len(),
        2,
        "the base layer and one path are shared"
    );
    let configs = 2;
    assert_eq!(
        registry.count(Method::PUT, "/blobs/uploads/"),
        layers.len() + configs
    );
}

#[test]
fn another_tag_of_the_same_repository_sends_no_layer_again() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    let target = repository(&registry);
    scenario
        .run(["-r", &target, "-t", "v1"])
        .ended()
        .succeeded();
    registry.reset_counts();
    scenario
        .run(["-r", &target, "-t", "v2"])
        .ended()
        .succeeded();
    assert_eq!(registry.layer_bytes_received(), 0);
    assert_eq!(
        registry.tag("base-api", "v1"),
        registry.tag("base-api", "v2")
    );
}

#[test]
fn what_others_have_under_the_tag_is_replaced() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    let config = registry.put_blob("base-api", "{}".as_bytes());
    let theirs = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": { "mediaType": "application/vnd.docker.container.image.v1+json", "digest": config, "size": 2 },
        "layers": [],
    });
    registry.put_manifest("base-api", "latest", &theirs);
    scenario
        .run(["-r", &repository(&registry)])
        .ended()
        .succeeded();
    Image::in_registry(&registry, "base-api", "latest", "arm64");
}

#[test]
fn a_layout_and_a_registry_get_the_same_index() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    scenario
        .run(["-r", &repository(&registry)])
        .ended()
        .succeeded();
    scenario.run([]).ended().succeeded();
    let index = scenario.layout().index_digest("latest");
    assert_eq!(registry.tag("base-api", "latest"), Some(index));
}

fn repository(registry: &Registry) -> String {
    format!("{}/base-api", registry.host())
}

fn how(report: &Report) -> Vec<How> {
    let layers = report.platforms.iter().flat_map(|image| &image.layers);
    layers.map(|layer| layer.how).collect()
}
