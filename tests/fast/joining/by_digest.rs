//! `run --by-digest`: images without a tag, and the file that tells of them.

use std::fs;

use nixpy_oci::image::How;
use nixpy_testkit::fake_nix::Replay;
use nixpy_testkit::registry::{Method, Registry};

use super::{ARM, COMMIT, OTHER, at, joined, metadata, new_machine, publish, result, service};
use crate::scenario::{Image, Scenario};

#[test]
fn a_run_by_digest_leaves_its_images_its_result_and_no_tag() {
    let (registry, scenario) = (Registry::start(), service());
    let target = at(&registry, "api");
    let ended = publish(&scenario, &target, "aarch64-linux").says(ARM);
    let result = result(&scenario, ARM);
    let [image] = &result.platforms[..] else {
        panic!("one image: {result:?}");
    };
    let digest = image.manifest.digest.to_string();
    ended.prints(&format!("{target}@{digest}\n"));
    let stored = registry.manifest_bytes("api", &digest).unwrap();
    assert_eq!(image.manifest.size, stored.len() as u64);
    assert_eq!(image.report.system.as_str(), "aarch64-linux");
    assert_eq!(result.source.revision.unwrap().to_string(), COMMIT);
    assert!(registry.tags("api").is_empty());
    let leftover = fs::read_dir(scenario.checkout()).unwrap().count();
    assert_eq!(leftover, 2, "the flake and the result");
}

#[test]
fn for_a_program_the_report_names_the_images_and_no_index() {
    let (registry, scenario) = (Registry::start(), service());
    let target = at(&registry, "api");
    let run = scenario.run(["-r", &target, "--by-digest", "--json", "--result", "r.json"]);
    let report = run.ended().succeeded().report();
    assert_eq!(report.index, None);
    let names = report.platforms.iter();
    let names: Vec<String> = names
        .map(|one| format!("{target}@{}", one.digest))
        .collect();
    assert_eq!(report.references, names);
    assert_eq!(result(&scenario, "r.json").platforms.len(), 2);
}

#[test]
fn one_job_publishes_for_several_systems_that_one_variable_names() {
    let (registry, scenario) = (Registry::start(), service());
    let target = at(&registry, "api");
    let run = scenario
        .run(["--by-digest", "-r", &target])
        .env("NIXPY_SYSTEM", "aarch64-linux x86_64-linux");
    run.ended().succeeded();
    let file = "nixpy-ci-result-aarch64-linux+x86_64-linux.json";
    joined(&scenario, &[file], &[]).succeeded();
    Image::in_registry(&registry, "api", "latest", "arm64");
}

#[test]
fn the_tag_is_read_for_its_layers_and_stays_where_it_is() {
    let (registry, mut scenario) = (Registry::start(), service());
    let target = at(&registry, "api");
    new_machine(scenario.run(["-r", &target, "-t", "v1"]))
        .ended()
        .succeeded();
    let before = registry.tag("api", "v1");
    scenario.release("0.2.0");
    registry.reset_counts();
    let run = scenario.run(["-r", &target, "-t", "v1", "--by-digest", "--json"]);
    let report = new_machine(run).ended().succeeded().report();
    let sent = report.platforms.iter().map(|one| {
        let sent = one
            .layers
            .iter()
            .filter(|layer| layer.how != How::Described);
        sent.count()
    });
    assert_eq!(sent.collect::<Vec<_>>(), [1, 1], "what has changed");
    assert_eq!(registry.tag("api", "v1"), before);
    assert_eq!(registry.count(Method::PUT, "/manifests/v1"), 0);
}

#[test]
fn an_image_by_digest_can_be_loaded_as_well() {
    let registry = Registry::start();
    let keep = "#!/bin/sh\n[ \"$1\" = load ] && exec /bin/cat > \"$HOME/loaded.tar\"\n";
    let scenario = service().program("podman", keep);
    let target = at(&registry, "api");
    let arguments = ["-r", &target, "--by-digest", "--load=podman", "--json"];
    let report = scenario.run(arguments).ended().succeeded().report();
    assert_eq!(report.loaded, Some(format!("podman {target}:latest")));
    assert!(registry.tags("api").is_empty());
}

#[test]
fn by_digest_needs_a_registry() {
    let ended = service().run(["--by-digest"]).ended().with_code(2);
    assert_eq!(ended.nix_calls().len(), 0);
    ended.with_the_error(&["--by-digest", "--repository"]);
}

#[test]
fn a_result_without_by_digest_is_a_mistake() {
    let ended = service().run(["--result", "r.json"]).ended().with_code(2);
    ended.with_the_error(&["--result", "--by-digest"]);
}

#[test]
fn a_result_that_could_not_be_written_is_told_before_the_work() {
    let scenario = service();
    let arguments = [
        "--by-digest",
        "-r",
        "ghcr.io/acme/api",
        "--result",
        "absent/r.json",
    ];
    let ended = scenario.run(arguments).ended().with_code(2);
    assert_eq!(ended.nix_calls().len(), 0);
    ended.with_the_error(&["--result", "absent/r.json", "make it"]);
}

#[test]
fn what_cannot_be_told_apart_is_not_built() {
    let silent = Replay::of(["flake", "metadata"]).exit(1);
    let moving = |rev: &str| Replay::of(["flake", "metadata"]).stdout(metadata(Some(rev)));
    for scenario in [
        Scenario::app().on(silent),
        Scenario::app().on(moving(OTHER).once()).on(moving(COMMIT)),
    ] {
        let registry = Registry::start();
        let arguments = ["-r", &at(&registry, "api"), "--by-digest"];
        let ended = scenario.run(arguments).ended().with_code(2);
        assert_eq!(ended.calls("build"), 0);
        ended.with_the_error(&["which tree", "changed while it was evaluated"]);
        assert!(registry.requests().is_empty());
    }
}

#[test]
fn the_commit_is_known_without_a_memory_of_evaluations_and_for_one_question() {
    let (registry, scenario) = (Registry::start(), service().built());
    let target = at(&registry, "api");
    let arguments = ["-r", &target, "--by-digest", "--result", "r.json"];
    let remembered = scenario.run(arguments).ended().succeeded();
    let asked = remembered.calls("metadata");
    let again = scenario.run(arguments).by_the_nix_of(&remembered);
    assert_eq!(again.ended().succeeded().calls("metadata") - asked, 1);
    let run = scenario.run(arguments).env("NIXPY_REEVALUATE", "true");
    run.ended().succeeded();
    assert!(result(&scenario, "r.json").source.nar_hash.is_some());
}

#[test]
fn a_run_that_fails_leaves_no_result() {
    let registry = Registry::start();
    let scenario = service().on(crate::scenario::nix::failing_build(""));
    let arguments = [
        "-r",
        &at(&registry, "api"),
        "--by-digest",
        "--result",
        "r.json",
    ];
    let ended = scenario.run(arguments).ended();
    assert_ne!(ended.code, 0, "{ended}");
    assert!(!scenario.has("r.json"));
}

#[test]
fn a_plan_by_digest_says_so() {
    let scenario = service();
    let arguments = ["plan", "--by-digest", "-r", "ghcr.io/acme/api"];
    let ended = scenario.nixpy(arguments).ended().succeeded();
    ended.prints("to ghcr.io/acme/api by digest, without a tag");
}
