//! What a real registry holds after a push, as skopeo, podman and curl judge it.

use std::time::Duration;

use nixpy_testkit::proxy::CountingProxy;
use serde_json::{Value, json};

use crate::world::example::example;
use crate::world::nixpy::Workplace;
use crate::world::podman::Podman;
use crate::world::program::wait_for;
use crate::world::registry::Registry;
use crate::world::skopeo;

const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

/// Pushes the example, judges index and images, and runs both.
fn is_published_and_answers(attribute: &str, settings: &[&str]) -> (Registry, String) {
    let (here, registry, podman) = (Workplace::new(), Registry::start(), Podman::new());
    let name = format!("{}/acme/{attribute}:v1", registry.host());
    let repository = name.strip_suffix(":v1").unwrap();
    let flake = example().flake(attribute);
    let mut arguments = vec![
        flake.as_str(),
        "--repository",
        repository,
        "--tag",
        "v1",
        "--json",
    ];
    arguments.extend(settings);
    let report = here.run(&arguments).succeeded().json();
    here.has_only(&[]);
    assert_eq!(report["references"], json!([name]));

    let reference = format!("docker://{name}");
    let index = json_of(&skopeo::raw(&reference));
    assert_eq!(
        index["mediaType"],
        "application/vnd.oci.image.index.v1+json"
    );
    let mut platforms: Vec<Value> = Vec::new();
    for one in index["manifests"].as_array().unwrap() {
        let by_digest = format!("docker://{repository}@{}", one["digest"].as_str().unwrap());
        let manifest = skopeo::raw(&by_digest);
        assert_eq!(one["size"], manifest.len());
        assert_eq!(one["mediaType"], json_of(&manifest)["mediaType"]);
        platforms.push(one["platform"].clone());
    }
    platforms.sort_by_key(|one| one["architecture"].to_string());
    let amd64 = json!({ "os": "linux", "architecture": "amd64" });
    let arm64 = json!({ "os": "linux", "architecture": "arm64", "variant": "v8" });
    assert_eq!(platforms, [amd64, arm64]);

    for architecture in ARCHITECTURES {
        let manifest = skopeo::copy(&reference, architecture, &here.path(architecture));
        assert!(manifest["layers"].as_array().unwrap().len() > 5);
        assert_eq!(
            skopeo::config(&reference, architecture)["architecture"],
            architecture
        );
        let image = podman.pull(&name, &format!("linux/{architecture}"));
        assert_eq!(podman.architecture(&image), architecture);
        assert_eq!(
            podman.answer_of(&image),
            json!({ "message": "Hello from Nix" })
        );
    }
    (registry, reference)
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_stream_runs_on_both_platforms() {
    is_published_and_answers("stream", &[]);
}

#[test]
fn an_archive_runs_on_both_platforms() {
    is_published_and_answers("image", &[]);
}

#[test]
fn a_plain_package_runs_on_both_platforms_as_its_settings_say() {
    let settings = [
        "--entrypoint=base-api",
        "--cmd=an argument",
        "--env=HOST=127.0.0.1",
        "--port=8000",
        "--user=1000:1000",
        "--label=org.opencontainers.image.title=plain",
    ];
    let (_registry, reference) = is_published_and_answers("app", &settings);
    for architecture in ARCHITECTURES {
        let config = &skopeo::config(&reference, architecture)["config"];
        let entrypoint = config["Entrypoint"][0].as_str().unwrap();
        assert!(entrypoint.starts_with("/nix/store/") && entrypoint.ends_with("/bin/base-api"));
        assert_eq!(config["Cmd"], json!(["an argument"]));
        assert_eq!(config["ExposedPorts"], json!({ "8000/tcp": {} }));
        assert_eq!(config["User"], "1000:1000");
        assert_eq!(config["Labels"]["org.opencontainers.image.title"], "plain");
        let env: Vec<&str> = config["Env"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert!(env.contains(&"HOST=127.0.0.1"), "{env:?}");
    }
}

#[test]
fn pushing_again_sends_no_layer() {
    let (here, registry) = (Workplace::new(), Registry::start());
    let proxy = CountingProxy::start(registry.address());
    let repository = format!("{}/acme/api", proxy.host());
    for attribute in ["stream", "image", "app"] {
        let push = || {
            here.run([
                &example().flake(attribute),
                "--repository",
                &repository,
                "--tag",
                attribute,
            ])
        };
        push().succeeded();
        proxy.reset_counts();
        push().succeeded();
        assert_eq!(
            proxy.layer_bytes_sent(),
            0,
            "{attribute}: {:#?}",
            proxy.requests()
        );
        assert!(
            proxy.requests().len() <= 8,
            "{attribute}: {:#?}",
            proxy.requests()
        );
    }
}

#[test]
fn a_layer_that_the_registry_has_lost_is_sent_again_and_no_other() {
    let (here, registry) = (Workplace::new(), Registry::start());
    let proxy = CountingProxy::start(registry.address());
    let repository = format!("{}/acme/api", proxy.host());
    let flake = example().flake("stream");
    let push = |tag: &str| {
        here.run([&flake, "--repository", &repository, "--tag", tag, "--json"])
            .succeeded()
            .json()
    };
    let report = push("v1");
    let layers = report["platforms"][0]["layers"].as_array().unwrap().clone();
    let lost = layers
        .iter()
        .max_by_key(|layer| layer["size"].as_u64())
        .unwrap();

    registry.lose(lost["digest"].as_str().unwrap());
    proxy.reset_counts();
    push("v1");
    assert_eq!(
        proxy.layer_bytes_sent(),
        lost["size"].as_u64().unwrap(),
        "{:#?}",
        proxy.requests()
    );
    skopeo::copy(
        &format!("docker://{repository}:v1"),
        "arm64",
        &here.path("arm64"),
    );
}

#[test]
fn a_registry_that_dies_in_mid_push_has_no_tag_and_takes_the_push_later() {
    let (here, mut registry) = (Workplace::new(), Registry::start());
    // So slow that it is not over before it is seen.
    let proxy = CountingProxy::with_pace(registry.address(), 1 << 20);
    let repository = format!("{}/acme/api", proxy.host());
    let flake = example().flake("stream");
    let push = here
        .command([&flake, "--repository", &repository])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("the first megabyte", Duration::from_secs(60), || {
        (proxy.layer_bytes_sent() > 1_000_000).then_some(())
    });
    registry.stop();
    let ended = push.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(4), "{said}");
    let complaints: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("error:"))
        .collect();
    assert!(
        matches!(complaints[..], [one] if one.contains(&repository)),
        "{said}"
    );
    here.has_only(&[]);
    assert!(registry.tags("acme/api").is_empty());

    registry.start_again();
    let repository = format!("{}/acme/api", registry.host());
    here.run([&flake, "--repository", &repository]).succeeded();
    assert_eq!(registry.tags("acme/api"), ["latest"]);
    skopeo::copy(
        &format!("docker://{repository}:latest"),
        "amd64",
        &here.path("amd64"),
    );
}
