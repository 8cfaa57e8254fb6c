//! An empty machine, a binary cache that has everything, and a registry that has every
//! layer: nothing is fetched.

use std::path::PathBuf;

use nixpy_testkit::proxy::CountingProxy;
use serde_json::Value;
use tempfile::TempDir;

use crate::world::example::example;
use crate::world::nixpy::Workplace;
use crate::world::program::{output_of, run};
use crate::world::registry::Registry;
use crate::world::skopeo;
use crate::world::store::Store;

/// A binary cache with what the example's attribute is built from, for both systems.
struct Cache {
    dir: TempDir,
    outputs: Vec<PathBuf>,
}

impl Cache {
    fn of(attribute: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let outputs: Vec<PathBuf> = ["x86_64-linux", "aarch64-linux"]
            .map(|system| example().package(system, attribute))
            .into();
        let to = format!("file://{}?compression=none", dir.path().display());
        let mut arguments = vec!["copy".to_owned(), "--no-check-sigs".to_owned()];
        arguments.extend(["--to".to_owned(), to]);
        arguments.extend(outputs.iter().map(|path| path.display().to_string()));
        output_of("nix", arguments);
        Self { dir, outputs }
    }

    fn options(&self) -> [String; 2] {
        [
            format!(
                "--nix-option=substituters=file://{}",
                self.dir.path().display()
            ),
            "--nix-option=require-sigs=false".to_owned(),
        ]
    }
}

/// `nixpy-ci run` on a machine whose store is empty.
fn run_on(store: &Store, here: &Workplace, cache: &Cache, arguments: &[&str]) -> Value {
    let mut command = store.command(crate::world::nixpy::binary());
    command.arg("run").args(arguments).args(cache.options());
    command.args(["--json", "--reevaluate"]);
    here.prepare(&mut command);
    run(&mut command).succeeded().json()
}

#[test]
fn what_was_published_before_is_published_without_fetching_a_path() {
    for attribute in ["stream", "app"] {
        let (here, registry, store) = (Workplace::new(), Registry::start(), Store::empty());
        let (cache, flake) = (Cache::of(attribute), example().flake(attribute));
        let proxy = CountingProxy::start(registry.address());
        let repository = format!("{}/acme/api", proxy.host());
        let first = here
            .run([&flake, "-r", &repository, "-t", "v1", "--json"])
            .succeeded()
            .json();
        proxy.reset_counts();

        let arguments = [
            flake.as_str(),
            "-r",
            &repository,
            "-t",
            "v2",
            "--reuse-from",
            "v1",
        ];
        let report = run_on(&store, &here, &cache, &arguments);
        assert_eq!(report["fromMetadata"], true, "{attribute}: {report:#}");
        assert_eq!(report["index"]["digest"], first["index"]["digest"]);
        assert_eq!(proxy.layer_bytes_sent(), 0);
        for output in &cache.outputs {
            assert!(
                !store.has(output),
                "{attribute}: {} was fetched",
                output.display()
            );
        }
        skopeo::copy(
            &format!("docker://{repository}:v2"),
            "arm64",
            &here.path("arm64"),
        );
    }
}

#[test]
fn a_layer_that_the_registry_has_lost_is_made_of_paths_that_are_fetched_then() {
    let (here, registry, store) = (Workplace::new(), Registry::start(), Store::empty());
    let (cache, flake) = (Cache::of("app"), example().flake("app"));
    let repository = format!("{}/acme/api", registry.host());
    let arguments = [flake.as_str(), "-r", &repository];
    let first = here
        .run([&arguments[..], &["--json"]].concat())
        .succeeded()
        .json();
    let lost = &first["platforms"][0]["layers"][2]["digest"];
    registry.lose(lost.as_str().unwrap());

    let report = run_on(&store, &here, &cache, &arguments);
    assert_eq!(report["fromMetadata"], false);
    assert_eq!(report["index"]["digest"], first["index"]["digest"]);
    assert!(store.has(&cache.outputs[0]));
    skopeo::copy(
        &format!("docker://{repository}:latest"),
        "arm64",
        &here.path("arm64"),
    );
}
