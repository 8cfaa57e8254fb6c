//! From a flake to an image layout directory, in every form that a flake offers.

use nixpy_pipeline::plan::Form;
use nixpy_testkit::archive::DockerArchive;
use nixpy_testkit::registry::Registry;
use serde_json::{Value, json};

use nixpy_testkit::fake_nix::Replay;

use crate::scenario::Scenario;
use crate::scenario::nix::{Version, metadata, own_system};

#[test]
fn the_index_lists_every_platform_with_digest_size_and_variant() {
    let scenario = Scenario::app();
    scenario.run([]).ended().succeeded();
    let images = scenario.layout().images("latest");
    let platforms: Vec<_> = images.iter().map(|image| image.platform.clone()).collect();
    assert_eq!(
        platforms,
        [
            json!({ "architecture": "amd64", "os": "linux" }),
            json!({ "architecture": "arm64", "os": "linux", "variant": "v8" }),
        ]
    );
}

#[test]
fn the_layout_has_every_blob_and_nothing_else() {
    let scenario = Scenario::app();
    scenario.run([]).ended().succeeded();
    let layout = scenario.layout();
    // An index; two manifests and configs; four paths and a base layer each, of
    // which the base layer and one path are the same.
    let distinct = 1 + 2 * 2 + 2 * 4 + 2;
    assert_eq!(layout.blobs().len(), distinct);
    assert_eq!(layout.images("latest").len(), 2);
}

#[test]
fn one_evaluation_and_one_build_are_all_that_nix_is_asked() {
    let (scenario, system) = (Scenario::app(), own_system());
    let ended = scenario.run(["-s", &system]).ended().succeeded();
    let verbs = ["metadata", "eval", "build", "path-info"];
    assert_eq!(verbs.map(|verb| ended.calls(verb)), [2, 1, 1, 2]);
    assert_eq!(ended.nix_calls().len(), 6, "{:?}", ended.nix_calls());
}

#[test]
fn what_is_there_already_is_not_built() {
    let ended = Scenario::app().built().run([]).ended().succeeded();
    let verbs = ["metadata", "eval", "build", "path-info"];
    assert_eq!(verbs.map(|verb| ended.calls(verb)), [2, 1, 0, 1]);
}

#[test]
fn a_flake_that_is_what_it_was_is_not_evaluated_again() {
    let scenario = Scenario::stream().built();
    let first = scenario.run(["--layout=one"]).ended().succeeded();
    let run = |arguments: &'static [&'static str]| {
        let run = scenario
            .run(arguments.iter().copied())
            .by_the_nix_of(&first);
        run.ended().succeeded().calls("eval")
    };
    assert_eq!(run(&["--layout=two"]), 1, "not again");
    let index = |name: &str| scenario.layout_at(name).index_digest("latest");
    assert_eq!(index("one"), index("two"));
    assert_eq!(run(&["--reevaluate"]), 2, "the user wants it");
    assert_eq!(run(&["-s", "x86_64-linux"]), 3, "the question is another");
}

#[test]
fn a_flake_that_has_changed_is_evaluated_again() {
    let before = Replay::of(["flake", "metadata"]).stdout(metadata("before").to_string());
    let scenario = Scenario::stream().built().on(before.once());
    let first = scenario.run([]).ended().succeeded();
    let run = || scenario.run([]).by_the_nix_of(&first).ended().succeeded();
    assert_eq!(run().calls("eval"), 2, "it is another");
    assert_eq!(run().calls("eval"), 2, "it is what it was");
}

#[test]
fn an_answer_about_derivations_that_are_gone_does_not_count() {
    let scenario = Scenario::app().built();
    let first = scenario.run([]).ended().succeeded();
    scenario.collect_garbage();
    let ended = scenario.run([]).by_the_nix_of(&first).ended().succeeded();
    assert_eq!(ended.calls("eval"), 2);
}

#[test]
fn every_version_of_nix_leads_to_the_same_image() {
    let mut scenario = Scenario::app();
    let mut indexes = Vec::new();
    for version in Version::ALL {
        scenario = scenario.version(version);
        let layout = version.number();
        scenario.run(["--layout", layout]).ended().succeeded();
        indexes.push(scenario.layout_at(layout).index_digest("latest"));
    }
    assert!(
        indexes.iter().all(|index| *index == indexes[0]),
        "{indexes:?}"
    );
}

#[test]
fn an_app_is_configured_by_settings() {
    let scenario = Scenario::app();
    let ended = scenario.run([
        "--entrypoint=base-api",
        "--entrypoint=--workers=2",
        "--cmd=--reload",
        "--env=GREETING=hello world",
        "--port=8000",
        "--port=53/udp",
        "--user=1000:1000",
        "--workdir=/srv",
        "--label=org.opencontainers.image.title=base_api",
    ]);
    ended.ended().succeeded();
    let image = scenario.layout().image("amd64");
    let bin = format!("{}/bin", scenario.output("x86_64-linux"));
    for (key, value) in [
        ("Entrypoint", format!("{bin}/base-api --workers=2")),
        ("Cmd", "--reload".to_owned()),
        ("Env", format!("GREETING=hello world PATH={bin}")),
        ("ExposedPorts", "53/udp 8000/tcp".to_owned()),
        ("User", "1000:1000".to_owned()),
        ("WorkingDir", "/srv".to_owned()),
        ("Labels", "org.opencontainers.image.title".to_owned()),
    ] {
        assert_eq!(image.configured(key), value, "{key}");
    }
}

#[test]
fn without_settings_an_app_starts_its_main_program() {
    let scenario = Scenario::app();
    scenario.run([]).ended().succeeded();
    let program = format!("{}/bin/base-api", scenario.output("aarch64-linux"));
    let image = scenario.layout().image("arm64");
    assert_eq!(image.configured("Entrypoint"), program);
    for file in [
        "bin/base-api",
        "lib/libc.so.6",
        "share/zoneinfo/UTC",
        "etc/passwd",
    ] {
        assert!(image.has(file), "{file} is not in {:?}", image.files());
    }
}

#[test]
fn the_limit_of_layers_is_kept() {
    let scenario = Scenario::app();
    scenario.run(["--max-layers=3"]).ended().succeeded();
    let image = scenario.layout().image("amd64");
    assert_eq!(image.layer_digests().len(), 3);
    assert!(image.has("bin/base-api") && image.has("lib/libc.so.6"));
}

#[test]
fn a_stream_is_read_from_its_description_and_its_script_never_runs() {
    let scenario = Scenario::stream();
    let ended = scenario.run(["--json"]).ended().succeeded();
    assert!(
        ended
            .report()
            .platforms
            .iter()
            .all(|image| image.form == Form::Stream)
    );
    for architecture in ["amd64", "arm64"] {
        let image = scenario.layout().image(architecture);
        assert_eq!(image.configured("Cmd"), "serve");
        // Three of store paths as the description has them, and the customisation layer.
        assert_eq!(image.layer_digests().len(), 4);
        for file in ["lib/libc.so.6", "fastapi/__init__.py", "etc/motd"] {
            assert!(image.has(file), "{file} is not in {:?}", image.files());
        }
    }
}

#[test]
fn a_stream_whose_description_is_not_understood_is_left_to_its_script() {
    let archive = DockerArchive::of("base-api:v1").layer(&[("opt/from-the-script", b"x")]);
    let unknown = |conf: &mut Value| conf["fakeroot_commands"] = json!("chown");
    let scenario = Scenario::stream_of(unknown, |checksum| checksum, "exec /bin/cat archive.tar");
    std::fs::write(scenario.checkout().join("archive.tar"), archive.build()).unwrap();
    scenario.run(["--system=x86_64-linux"]).ended().succeeded();
    assert!(scenario.layout().image("amd64").has("opt/from-the-script"));
}

#[test]
fn an_archive_is_published_as_it_is() {
    let scenario = Scenario::image(|archive| archive.build());
    let ended = scenario.run(["--json"]).ended().succeeded();
    assert!(
        ended
            .report()
            .platforms
            .iter()
            .all(|image| image.form == Form::Archive)
    );
    let image = scenario.layout().image("arm64");
    assert_eq!(image.files(), ["opt/bin/python3", "opt/app.py"]);
    assert_eq!(image.configured("Cmd"), "serve");
}

#[test]
fn two_runs_give_the_same_bytes() {
    for scenario in [
        Scenario::app(),
        Scenario::stream(),
        Scenario::image(|a| a.build()),
    ] {
        scenario.run(["--layout=one"]).ended().succeeded();
        scenario
            .run(["--layout=two", "--uploads=1"])
            .ended()
            .succeeded();
        let [one, two] = ["one", "two"].map(|name| scenario.layout_at(name).blobs());
        assert_eq!(one, two);
    }
}

#[test]
fn a_second_run_into_the_same_layout_changes_no_file() {
    let scenario = Scenario::app();
    scenario.run([]).ended().succeeded();
    let before = (
        scenario.layout().blobs(),
        scenario.read("oci-image/index.json"),
    );
    let report = scenario.run(["--json"]).ended().succeeded().report();
    assert!(report.platforms.iter().all(|image| image.sent_size == 0));
    let after = (
        scenario.layout().blobs(),
        scenario.read("oci-image/index.json"),
    );
    assert_eq!(before, after);
}

#[test]
fn every_compression_gives_a_valid_image_of_the_same_files() {
    let scenario = Scenario::app();
    let mut files = Vec::new();
    for (compression, ending) in [("gzip", "tar+gzip"), ("zstd", "tar+zstd"), ("none", "tar")] {
        let layout = format!("--layout={compression}");
        scenario
            .run([&*layout, "--compression", compression])
            .ended()
            .succeeded();
        let images = scenario.layout_at(compression).images("latest");
        let media_type = images[0].manifest["layers"][0]["mediaType"]
            .as_str()
            .unwrap();
        assert!(media_type.ends_with(ending), "{media_type}");
        files.push(images[0].files());
    }
    assert!(files.iter().all(|list| *list == files[0]));
}

#[test]
fn every_tag_points_to_the_same_index() {
    let scenario = Scenario::app();
    scenario
        .run(["-t", "v1", "-t", "stable"])
        .ended()
        .succeeded();
    let layout = scenario.layout();
    assert_eq!(layout.tags(), ["stable", "v1"]);
    assert_eq!(layout.index_digest("v1"), layout.index_digest("stable"));
}

#[test]
fn one_system_gives_an_index_of_one_platform() {
    let scenario = Scenario::app();
    scenario.run(["-s", "aarch64-linux"]).ended().succeeded();
    let images = scenario.layout().images("latest");
    assert_eq!(images.len(), 1);
    assert_eq!(images[0].platform["architecture"], "arm64");
}

#[test]
fn podman_gets_the_image_of_this_machine_wherever_it_is_published() {
    let keep = "#!/bin/sh\n[ \"$1\" = load ] && exec /bin/cat > \"$HOME/loaded.tar\"\n";
    let registry = Registry::start();
    let remote = format!("{}/base-api", registry.host());
    for (repository, name) in [("", "localhost/base-api"), (&*remote, &*remote)] {
        let scenario = Scenario::app().program("podman", keep);
        let run = scenario.run(["--load=podman", "--json"]);
        let ended = run.env("NIXPY_REPOSITORY", repository).ended().succeeded();
        let loaded = ended.report().loaded;
        assert_eq!(loaded, Some(format!("podman {name}:latest")));
        let bytes = std::fs::read(scenario.home().join("loaded.tar")).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let names = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            entry.path().unwrap().display().to_string()
        });
        assert_eq!(names.filter(|name| name.ends_with("layer.tar")).count(), 6);
        let left = std::fs::read_dir(scenario.temporary()).unwrap();
        assert_eq!(left.count(), 0, "nothing is left in TMPDIR");
    }
}

#[test]
fn a_loader_that_is_not_there_is_told_before_the_work() {
    let scenario = Scenario::app();
    let ended = scenario.run(["--load=docker"]).ended().with_code(3);
    assert_eq!(ended.nix_calls().len(), 0);
    ended.with_the_error(&["docker", "install it"]);
}

#[test]
fn options_for_nix_are_given_to_every_call() {
    let scenario = Scenario::app();
    let ended = scenario
        .run(["--nix-option=sandbox=relaxed"])
        .ended()
        .succeeded();
    for call in ended.nix_calls() {
        let given = call
            .windows(3)
            .any(|words| words == ["--option", "sandbox", "relaxed"]);
        assert!(given, "{call:?}");
    }
}

#[test]
fn a_blob_that_the_layout_has_lost_is_made_again_and_stays() {
    for scenario in [Scenario::app(), Scenario::image(|archive| archive.build())] {
        scenario.run([]).ended().succeeded();
        let whole = scenario.layout().blobs();
        let lost = scenario.layout().image("amd64").layer_digests().remove(0);
        scenario.layout().lose(&lost);

        scenario.run([]).ended().succeeded();
        assert_eq!(scenario.layout().blobs(), whole);
        scenario.layout().image("amd64");
    }
}

#[test]
fn a_package_gets_the_rest_of_its_settings() {
    let scenario = Scenario::app().file(
        "nixpy-ci.yaml",
        "image:\n  volumes: [/data]\n  stop-signal: SIGINT\n  contents: [bin]\n  health:\n    \
         cmd: [base-api, --check]\n    interval: 1m30s\n    retries: 5\n",
    );
    scenario.run([]).ended().succeeded();
    let image = scenario.layout().image("arm64");
    let config = &image.config["config"];
    assert_eq!(config["Volumes"], serde_json::json!({ "/data": {} }));
    assert_eq!(config["StopSignal"], "SIGINT");
    let program = image.configured("Entrypoint");
    let check = serde_json::json!({
        "Test": ["CMD", program, "--check"],
        "Interval": 90_000_000_000_u64,
        "Retries": 5,
    });
    assert_eq!(config["Healthcheck"], check);
    assert!(
        image.files().contains(&"bin/base-api".to_owned()),
        "{:?}",
        image.files()
    );
}

#[test]
fn of_contents_that_the_package_does_not_have_the_name_is_told() {
    let scenario = Scenario::app();
    let ended = scenario.run(["--contents", "share"]).ended().with_code(2);
    ended.with_the_error(&["share", "contents"]);
    assert!(!scenario.has("oci-image"));
}

#[test]
fn of_a_health_check_that_the_package_does_not_have_the_programs_are_told() {
    let scenario = Scenario::app();
    let arguments = ["--health-cmd", "nosuch"];
    let ended = scenario.run(arguments).ended().with_code(2);
    ended.with_the_error(&["`health-cmd`", "\"nosuch\"", "its bin/ has base-api"]);
    assert!(!scenario.has("oci-image"));
}
