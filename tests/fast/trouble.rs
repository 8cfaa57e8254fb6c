//! Registries on bad days, and runs that are broken off.

use std::time::Duration;

use nixpy_oci::image::How;
use nixpy_testkit::fake_nix::Replay;
use nixpy_testkit::registry::{Fault, Method, Registry};

use crate::scenario::{Image, Run, Scenario};

#[test]
fn a_registry_that_asks_for_time_gets_it() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    let later = Fault::status(429).retry_after(2).on(Method::PUT, "/blobs/");
    registry.fail(later);
    let ended = push(&scenario, &registry).ended().succeeded();
    assert!(ended.took >= Duration::from_secs(2), "{:?}", ended.took);
}

#[test]
fn answers_of_500_are_asked_again() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    registry.fail(
        Fault::status(500)
            .on(Method::PUT, "/blobs/uploads/")
            .times(2),
    );
    registry.fail(Fault::status(503).on(Method::PUT, "/manifests/"));
    push(&scenario, &registry).ended().succeeded();
    Image::in_registry(&registry, "base-api", "latest", "arm64");
}

#[test]
fn connections_that_break_are_made_again() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    registry.fail(Fault::cut_after(1000).on(Method::PUT, "/blobs/uploads/"));
    registry.fail(Fault::lose_answer().on(Method::PUT, "/manifests/sha256"));
    push(&scenario, &registry).ended().succeeded();
    Image::in_registry(&registry, "base-api", "latest", "amd64");
}

#[test]
fn a_registry_that_dies_in_mid_push_has_no_tag_and_the_next_run_goes_on() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    let stuck = Fault::hang(Duration::from_secs(60)).on(Method::PUT, "/blobs/uploads/");
    registry.fail(stuck.nth(5).always());
    let running = push(&scenario, &registry).started();
    let stored = || {
        let requests = registry.requests();
        let answers = requests
            .iter()
            .filter(|request| request.method == Method::PUT);
        answers
            .filter(|request| request.status == Some(201))
            .count()
    };
    let running = running.until(|_| stored() == 4);
    registry.stop();
    let ended = running.ended().with_code(4).prints_nothing();
    ended.with_the_error(&[&registry.host(), "check that it is up"]);
    assert!(registry.tags("base-api").is_empty());

    registry.heal();
    registry.restart();
    let report = push(&scenario, &registry)
        .env("NIXPY_JSON", "true")
        .ended()
        .succeeded()
        .report();
    let layers: Vec<_> = report
        .platforms
        .iter()
        .flat_map(|image| &image.layers)
        .collect();
    assert!(
        layers.iter().any(|layer| layer.how == How::Present),
        "{layers:?}"
    );
}

#[test]
fn a_registry_that_is_down_is_named() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    registry.stop();
    let ended = push(&scenario, &registry)
        .ended()
        .with_code(4)
        .prints_nothing();
    ended.with_the_error(&["nobody answers", &registry.host(), "check that it is up"]);
}

#[test]
fn a_tag_that_is_refused_leaves_the_old_one_in_place() {
    let (registry, mut scenario) = (Registry::start(), Scenario::app());
    push(&scenario, &registry).ended().succeeded();
    let before = registry.tag("base-api", "latest");
    scenario.release("0.2.0");
    registry.fail(
        Fault::status(403)
            .on(Method::PUT, "/manifests/latest")
            .always(),
    );
    let ended = push(&scenario, &registry).ended().with_code(4);
    ended.with_the_error(&["403", "right to push"]);
    assert_eq!(registry.tag("base-api", "latest"), before);
}

#[test]
fn a_layer_that_the_registry_has_lost_is_made_again() {
    for scenario in [
        Scenario::app(),
        Scenario::stream(),
        Scenario::image(|archive| archive.build()),
    ] {
        let registry = Registry::start();
        push(&scenario, &registry).ended().succeeded();
        let image = Image::in_registry(&registry, "base-api", "latest", "amd64");
        let lost = &image.layer_digests()[1];
        registry.forget_blob(lost);

        push(&scenario, &registry).ended().succeeded();
        assert!(registry.has_blob("base-api", lost));
    }
}

#[test]
fn a_config_that_the_registry_has_lost_is_made_again() {
    for scenario in [Scenario::app(), Scenario::image(|archive| archive.build())] {
        let registry = Registry::start();
        push(&scenario, &registry).ended().succeeded();
        let image = Image::in_registry(&registry, "base-api", "latest", "amd64");
        let lost = image.manifest["config"]["digest"].as_str().unwrap();
        registry.forget_blob(lost);

        push(&scenario, &registry).ended().succeeded();
        assert!(registry.has_blob("base-api", lost));
    }
}

#[test]
fn a_run_that_is_told_to_end_does_so_and_moves_no_tag() {
    let scenario = Scenario::app().on(Replay::of(["build"]).hang(Duration::from_secs(60)));
    let running = scenario
        .run([])
        .started()
        .until(|nix| nix.count(&["build"]) == 1);
    running.terminate();
    let ended = running
        .ended()
        .with_code(130)
        .says("cancelled")
        .prints_nothing();
    assert!(ended.took < Duration::from_secs(50), "{:?}", ended.took);
    assert!(!scenario.has("oci-image"));
}

#[test]
fn a_push_that_is_told_to_end_does_so_and_moves_no_tag() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    registry.fail(
        Fault::hang(Duration::from_secs(60))
            .on(Method::PUT, "/blobs/uploads/")
            .nth(3)
            .always(),
    );
    let running = push(&scenario, &registry).started();
    let running = running.until(|_| registry.count(Method::PUT, "/blobs/uploads/") >= 3);
    running.terminate();
    running.ended().with_code(130).says("cancelled");
    assert!(registry.tags("base-api").is_empty());
    assert_eq!(std::fs::read_dir(scenario.temporary()).unwrap().count(), 0);
}

fn push<'a>(scenario: &'a Scenario, registry: &Registry) -> Run<'a> {
    let target = format!("{}/base-api", registry.host());
    scenario.run([]).env("NIXPY_REPOSITORY", target)
}
