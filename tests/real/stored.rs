//! Flakes whose image is an OCI layout: skopeo's, as a directory, a tar and a
//! compressed tar, and our own.

use std::fs;

use serde_json::{Value, json};

use crate::world::example::example;
use crate::world::flake::{Flake, archive, own_system, stamp};
use crate::world::nixpy::Workplace;
use crate::world::podman::Podman;
use crate::world::program::output_of;
use crate::world::registry::Registry;
use crate::world::skopeo;

/// Digests of config and layers.
fn parts(manifest: &Value) -> (Value, Vec<Value>) {
    let layers = manifest["layers"].as_array().unwrap().iter();
    let layers = layers.map(|layer| layer["digest"].clone());
    (manifest["config"]["digest"].clone(), layers.collect())
}

#[test]
fn what_skopeo_has_stored_is_pushed_as_it_is() {
    let (here, registry) = (Workplace::new(), Registry::start());
    let packed = archive(&stamp()).layer(&[("opt/more", b"more")]);
    fs::write(here.path("archive"), packed.build()).unwrap();
    let from = format!("docker-archive:{}", here.path("archive").display());
    let convert = |kind: &str, name: &str| {
        let to = here.path(name);
        let reference = format!("{kind}:{}:small", to.display());
        output_of("skopeo", ["copy", "--quiet", &from, &reference]);
        to
    };
    let directory = convert("oci", "directory");
    let tar = convert("oci-archive", "tar");
    let gzipped = here.path("gzipped");
    fs::write(&gzipped, gzip(&fs::read(&tar).unwrap())).unwrap();
    let stored = skopeo::raw(&format!("oci:{}:small", directory.display()));
    let stored = parts(&serde_json::from_str(&stored).unwrap());

    for (name, path) in [("directory", directory), ("tar", tar), ("gzipped", gzipped)] {
        let flake = Flake::with_copies(&[&own_system()], &path);
        let repository = format!("{}/acme/{name}", registry.host());
        let run = || {
            let arguments = [&flake.image(), "--repository", &repository, "--json"];
            Workplace::new().run(arguments).succeeded().json()
        };
        let report = run();
        assert_eq!(report["platforms"][0]["form"], "layout");
        let pushed = format!("docker://{repository}:latest");
        let manifest = skopeo::copy(&pushed, architecture(), &here.path(&format!("{name}-back")));
        assert_eq!(parts(&manifest), stored, "{name}");

        let again = run();
        assert_eq!(again["index"], report["index"]);
        assert_eq!(again["platforms"][0]["sentSize"], json!(0));
    }
}

#[test]
fn what_we_have_stored_for_both_platforms_is_taken_apart_by_platform_and_runs() {
    let (here, registry, podman) = (Workplace::new(), Registry::start(), Podman::new());
    let systems = ["aarch64-linux", "x86_64-linux"];
    let flake = Flake::with_copies(&systems, &example().layout_path());
    let repository = format!("{}/acme/stored", registry.host());
    let arguments = [&flake.image(), "--repository", &repository, "--json"];
    let report = here.run(arguments).succeeded().json();
    for platform in report["platforms"].as_array().unwrap() {
        let architecture = platform["platform"]["architecture"].as_str().unwrap();
        let original = example().reported(architecture);
        assert_eq!(platform["imageId"], original["imageId"]);
        assert_eq!(digests(platform), digests(original));
        let image = podman.pull(
            &format!("{repository}:latest"),
            &format!("linux/{architecture}"),
        );
        assert_eq!(podman.architecture(&image), architecture);
        assert_eq!(
            podman.answer_of(&image),
            json!({ "message": "Hello from Nix" })
        );
    }
}

fn digests(platform: &Value) -> Vec<Value> {
    let layers = platform["layers"].as_array().unwrap().iter();
    layers.map(|layer| layer["digest"].clone()).collect()
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut out, bytes).unwrap();
    out.finish().unwrap()
}
