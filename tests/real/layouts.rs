//! The layout directory, as skopeo and podman read it.

use serde_json::json;

use crate::world::example::example;
use crate::world::flake::{Flake, own_system};
use crate::world::nixpy::Workplace;
use crate::world::podman::Podman;
use crate::world::program::run;
use crate::world::registry::Registry;
use crate::world::skopeo;

fn layout() -> String {
    format!("oci:{}:latest", example().layout_path().display())
}

#[test]
fn skopeo_copies_each_platform() {
    let here = Workplace::new();
    for architecture in ["amd64", "arm64"] {
        let manifest = skopeo::copy(&layout(), architecture, &here.path(architecture));
        let layers = example().reported(architecture)["layers"]
            .as_array()
            .unwrap();
        assert_eq!(manifest["layers"].as_array().unwrap().len(), layers.len());
        assert_eq!(
            skopeo::config(&layout(), architecture)["architecture"],
            architecture
        );
    }
}

#[test]
fn podman_runs_each_platform() {
    let podman = Podman::new();
    for architecture in ["amd64", "arm64"] {
        let image = podman.pull(&layout(), &format!("linux/{architecture}"));
        assert_eq!(podman.architecture(&image), architecture);
        assert_eq!(
            podman.answer_of(&image),
            json!({ "message": "Hello from Nix" })
        );
    }
}

#[test]
fn an_image_is_loaded_into_podman_and_runs() {
    let (here, podman) = (Workplace::new(), Podman::new());
    let mut load = here.command([
        &example().flake("app"),
        "--system",
        &own_system(),
        "--load",
        "podman",
        "--json",
    ]);
    podman.offer_to(&mut load);
    let report = run(&mut load).succeeded().json();
    let name = report["loaded"]
        .as_str()
        .unwrap()
        .strip_prefix("podman ")
        .unwrap()
        .to_owned();
    assert_eq!(
        podman.answer_of(&name),
        json!({ "message": "Hello from Nix" })
    );
}

/// The digests in the description are the example's own: Python's, of what Go would
/// write. That nothing differs from them is seen when the layers are made.
#[test]
fn an_image_that_nix2container_describes_runs() {
    let (here, podman) = (Workplace::new(), Podman::new());
    let mut load = here.command([
        &example().flake("nix2container"),
        "--system",
        &own_system(),
        "--load",
        "podman",
        "--json",
    ]);
    podman.offer_to(&mut load);
    let report = run(&mut load).succeeded().json();
    assert_eq!(report["platforms"][0]["form"], "nix2container");
    let name = report["loaded"].as_str().unwrap();
    let name = name.strip_prefix("podman ").unwrap();
    assert_eq!(
        podman.answer_of(name),
        json!({ "message": "Hello from Nix" })
    );
}

#[test]
fn an_image_that_goes_to_a_registry_is_loaded_as_well() {
    let (here, podman, registry) = (Workplace::new(), Podman::new(), Registry::start());
    let repository = format!("{}/acme/small", registry.host());
    let flake = Flake::small();
    let mut push = here.command([
        &flake.image(),
        "--repository",
        &repository,
        "--load",
        "podman",
    ]);
    podman.offer_to(&mut push);
    run(&mut push).succeeded();
    let name = podman.says(&[
        "image",
        "inspect",
        "--format",
        "{{index .RepoTags 0}}",
        &repository,
    ]);
    assert_eq!(name, format!("{repository}:latest"));
    here.has_only(&[]);
}
