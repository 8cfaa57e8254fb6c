//! Several destinations in one run, and what is known from other tags, other
//! repositories and this machine's own memory.

use nixpy_oci::image::How;
use nixpy_pipeline::report::Report;
use nixpy_testkit::registry::{Fault, Method, Registry};
use serde_json::Value;

use crate::scenario::{Image, Run, Scenario};

#[test]
fn two_registries_get_the_same_image_and_every_layer_is_made_once() {
    let (one, other) = (Registry::start(), Registry::start());
    let scenario = Scenario::app();
    let report = scenario
        .run([
            "-r",
            &at(&one, "api"),
            "-r",
            &at(&other, "mirror/api"),
            "--json",
        ])
        .ended()
        .succeeded()
        .report();
    assert_eq!(one.tag("api", "latest"), other.tag("mirror/api", "latest"));
    assert_eq!(one.layer_bytes_received(), other.layer_bytes_received());
    let names = [at(&one, "api"), at(&other, "mirror/api")];
    assert_eq!(report.destinations, names);
    assert_eq!(
        report.references,
        names.map(|name| format!("{name}:latest"))
    );
    let image = Image::in_registry(&other, "mirror/api", "latest", "arm64");
    assert!(image.has("bin/base-api"));
}

#[test]
fn a_second_repository_of_a_registry_takes_the_layers_over_from_the_first() {
    let (alone, both) = (Registry::start(), Registry::start());
    let scenario = Scenario::app();
    scenario.run(["-r", &at(&alone, "api")]).ended().succeeded();
    let arguments = ["-r", &at(&both, "api"), "-r", &at(&both, "web"), "--remake"];
    scenario.run(arguments).ended().succeeded();
    assert_eq!(both.layer_bytes_received(), alone.layer_bytes_received());
    let image = Image::in_registry(&both, "web", "latest", "amd64");
    assert!(image.has("bin/base-api"));
}

#[test]
fn a_registry_that_mounts_nothing_is_sent_every_layer() {
    let registry = Registry::builder().without_mounts().start();
    let scenario = Scenario::app();
    let arguments = ["-r", &at(&registry, "api"), "-r", &at(&registry, "web")];
    scenario.run(arguments).ended().succeeded();
    for name in ["api", "web"] {
        let image = Image::in_registry(&registry, name, "latest", "amd64");
        assert!(image.has("bin/base-api"));
    }
    assert_eq!(
        registry.open_uploads(),
        0,
        "what was opened in vain is closed"
    );
}

#[test]
fn a_destination_that_fails_leaves_no_tag_at_the_others() {
    let (sound, broken) = (Registry::start(), Registry::start());
    broken.fail(
        Fault::status(403)
            .on(Method::POST, "/blobs/uploads/")
            .always(),
    );
    let arguments = ["-r", &at(&sound, "api"), "-r", &at(&broken, "api")];
    Scenario::app().run(arguments).ended().with_code(4);
    assert_eq!(sound.tags("api"), [""; 0]);
}

#[test]
fn a_password_is_not_shown_to_two_registries() {
    let scenario = Scenario::app();
    let arguments = [
        "-r",
        "ghcr.io/acme/api",
        "-r",
        "quay.io/acme/api",
        "--username",
        "me",
    ];
    let run = scenario.run(arguments).env("NIXPY_PASSWORD", "hunter2");
    let ended = run.ended().with_code(2);
    ended
        .with_the_error(&["several registries", "docker login"])
        .never_says("hunter2");
}

#[test]
fn a_new_tag_takes_over_what_latest_has() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    let target = at(&registry, "api");
    new_machine(scenario.run(["-r", &target]))
        .ended()
        .succeeded();
    registry.reset_counts();

    let run = scenario.run(["-r", &target, "-t", "pr-7", "--json"]);
    let report = new_machine(run).ended().succeeded().report();
    assert_eq!(registry.layer_bytes_received(), 0);
    assert!(how(&report).iter().all(|how| *how == How::Described));
    assert_eq!(registry.tag("api", "pr-7"), registry.tag("api", "latest"));
}

#[test]
fn a_pull_request_takes_over_what_its_base_branch_has() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    let target = at(&registry, "api");
    let run = scenario.run(["-r", &target, "-t", "release-2.x"]);
    new_machine(run).ended().succeeded();
    registry.reset_counts();

    let run = scenario.run(["-r", &target, "-t", "pr-7"]);
    let run = new_machine(run).env("GITHUB_BASE_REF", "release/2.x");
    run.ended().succeeded();
    assert_eq!(registry.layer_bytes_received(), 0);
}

#[test]
fn other_tags_are_not_even_read_when_the_first_has_it_all() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    let target = at(&registry, "api");
    let run = || new_machine(scenario.run(["-r", &target, "-t", "v1"]));
    run().ended().succeeded();
    registry.reset_counts();
    run().ended().succeeded();
    assert_eq!(registry.count(Method::GET, "/manifests/latest"), 0);
}

#[test]
fn at_home_a_push_to_another_repository_sends_no_layer() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    scenario
        .run(["-r", &at(&registry, "api")])
        .ended()
        .succeeded();
    registry.reset_counts();

    let web = at(&registry, "web");
    let ended = scenario.run(["-r", &web, "--json"]).ended().succeeded();
    let ended = ended.says("taken over from another repository");
    let report = ended.report();
    let configs = registry.count(Method::PUT, "/blobs/uploads/");
    assert_eq!(configs, 2, "one for each platform, and no layer");
    assert!(how(&report).iter().all(|how| *how == How::Mounted));
    let image = Image::in_registry(&registry, "web", "latest", "amd64");
    assert!(image.has("bin/base-api"));
}

#[test]
fn what_this_machine_remembers_and_the_registry_has_lost_is_made_again() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    let target = at(&registry, "api");
    let first = scenario.run(["-r", &target, "--json"]).ended().succeeded();
    let lost = &first.report().platforms[0].layers[1];
    registry.forget_blob(&lost.digest.to_string());

    let run = scenario.run(["-r", &target, "-t", "v2", "--reuse-from", "none"]);
    run.ended().succeeded();
    for architecture in ["amd64", "arm64"] {
        Image::in_registry(&registry, "api", "v2", architecture);
    }
}

#[test]
fn a_forged_record_is_believed_only_under_a_tag_that_was_named() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    let target = at(&registry, "api");
    new_machine(scenario.run(["-r", &target, "-t", "honest"]))
        .ended()
        .succeeded();
    forge(&registry, "honest", "evil");

    let publish = |tag: &str, reuse: &str| {
        let run = scenario.run(["-r", &target, "-t", tag, "--reuse-from", reuse]);
        new_machine(run).ended().succeeded();
    };
    publish("v1", "none");
    assert_eq!(registry.tag("api", "v1"), registry.tag("api", "honest"));
    // That it would be believed there shows that it is well forged.
    publish("v2", "evil");
    assert_ne!(registry.tag("api", "v2"), registry.tag("api", "honest"));
}

#[test]
fn a_forged_record_in_another_repository_is_never_read() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    let api = at(&registry, "api");
    new_machine(scenario.run(["-r", &api, "-t", "honest"]))
        .ended()
        .succeeded();
    forge(&registry, "honest", "latest");

    let web = at(&registry, "web");
    new_machine(scenario.run(["-r", &web])).ended().succeeded();
    assert_eq!(registry.tag("web", "latest"), registry.tag("api", "honest"));
}

#[test]
fn a_forged_record_is_not_carried_from_the_tag_where_it_was_believed() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    let target = at(&registry, "api");
    new_machine(scenario.run(["-r", &target, "-t", "honest"]))
        .ended()
        .succeeded();
    forge(&registry, "honest", "pr-7");

    // On a machine that remembers.
    let arguments = ["-r", &target, "-t", "pr-7"];
    scenario.run(arguments).ended().succeeded();
    let arguments = ["-r", &target, "-t", "main", "--reuse-from", "none"];
    scenario.run(arguments).ended().succeeded();
    assert_eq!(registry.tag("api", "main"), registry.tag("api", "honest"));
    let prod = at(&registry, "prod");
    scenario.run(["-r", &prod]).ended().succeeded();
    assert_eq!(
        registry.tag("prod", "latest"),
        registry.tag("api", "honest")
    );
}

#[test]
fn what_one_registry_claims_is_not_believed_of_another() {
    let (one, other) = (Registry::start(), Registry::start());
    let scenario = Scenario::app();
    let names = [at(&one, "api"), at(&other, "api")];
    let run = || new_machine(scenario.run(["-r", &names[0], "-r", &names[1]]));
    run().ended().succeeded();
    let honest = other.tag("api", "latest");
    forge(&one, "latest", "latest");
    run().ended().succeeded();
    assert_eq!(other.tag("api", "latest"), honest);
    assert_eq!(one.tag("api", "latest"), honest);
}

#[test]
fn a_layer_that_one_of_two_registries_has_lost_is_made_again() {
    let (old, new) = (Registry::start(), Registry::start());
    let scenario = Scenario::app();
    let names = [at(&old, "api"), at(&new, "api")];
    let first = new_machine(scenario.run(["-r", &names[0], "--json"]));
    let report = first.ended().succeeded().report();
    old.forget_blob(&report.platforms[0].layers[1].digest.to_string());

    let run = scenario.run(["-r", &names[0], "-r", &names[1]]);
    new_machine(run).ended().succeeded();
    assert_eq!(old.tag("api", "latest"), new.tag("api", "latest"));
    for registry in [&old, &new] {
        Image::in_registry(registry, "api", "latest", "amd64");
        Image::in_registry(registry, "api", "latest", "arm64");
    }
}

#[test]
fn a_layer_that_comes_out_otherwise_than_recorded_is_sent_to_all() {
    let (one, other) = (Registry::start(), Registry::start());
    let scenario = Scenario::app();
    let names = [at(&one, "api"), at(&other, "api")];
    let run = || new_machine(scenario.run(["-r", &names[0], "-r", &names[1], "--json"]));
    let report = run().ended().succeeded().report();
    let honest = one.tag("api", "latest");
    for registry in [&one, &other] {
        forge(registry, "latest", "latest");
    }
    // Only one of them has to be made again.
    other.forget_blob(&report.platforms[0].layers[1].digest.to_string());
    run().ended().succeeded();
    assert_eq!(one.tag("api", "latest"), other.tag("api", "latest"));
    assert_ne!(
        one.tag("api", "latest"),
        honest,
        "half of the forgery is believed"
    );
    for registry in [&one, &other] {
        let index = registry.manifest("api", "latest").unwrap();
        for entry in index["manifests"].as_array().unwrap() {
            let manifest = registry.manifest("api", entry["digest"].as_str().unwrap());
            for layer in manifest.unwrap()["layers"].as_array().unwrap() {
                assert!(registry.has_blob("api", layer["digest"].as_str().unwrap()));
            }
        }
    }
}

#[test]
fn a_mount_that_fails_costs_a_push_and_nothing_else() {
    let registry = Registry::start();
    registry.fail(Fault::status(500).on(Method::POST, "/web/blobs/uploads/"));
    let scenario = Scenario::app().built();
    let arguments = ["-r", &at(&registry, "api"), "-r", &at(&registry, "web")];
    scenario.run(arguments).ended().succeeded();
    let sent = registry.count(Method::PUT, "/web/blobs/uploads/");
    assert_eq!(sent, 1, "it is not asked for again");
    Image::in_registry(&registry, "web", "latest", "amd64");
}

/// Under another tag, an image whose layers bear the names of the wrong bytes.
fn forge(registry: &Registry, from: &str, to: &str) {
    let mut index = registry.manifest("api", from).expect("the image is there");
    for entry in index["manifests"].as_array_mut().unwrap() {
        let digest = entry["digest"].as_str().unwrap();
        let mut manifest = registry.manifest("api", digest).unwrap();
        let layers = manifest["layers"].as_array_mut().unwrap();
        let (first, second) = (layers[1].clone(), layers[2].clone());
        for (layer, other) in [(1, second), (2, first)] {
            layers[layer]["digest"] = other["digest"].clone();
            layers[layer]["size"] = other["size"].clone();
        }
        manifest["annotations"]["dev.nixpy-ci.identity"] = Value::from("sha256:0");
        let forged = registry.put_manifest("api", &format!("{to}-part"), &manifest);
        entry["size"] = registry
            .manifest_bytes("api", &forged)
            .unwrap()
            .len()
            .into();
        entry["digest"] = forged.into();
    }
    registry.put_manifest("api", to, &index);
}

fn at(registry: &Registry, name: &str) -> String {
    format!("{}/{name}", registry.host())
}

/// A machine that remembers nothing.
fn new_machine(run: Run<'_>) -> Run<'_> {
    run.env("XDG_STATE_HOME", "/dev/null/state")
}

fn how(report: &Report) -> Vec<How> {
    let layers = report.platforms.iter().flat_map(|image| &image.layers);
    layers.map(|layer| layer.how).collect()
}
