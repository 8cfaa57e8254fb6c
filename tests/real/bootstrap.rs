//! `Dockerfile.bootstrap`: the image is built on a base of the distribution's own packages, and the main
//! job runs inside, as an ordinary user, where nothing else is installed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::world::alone::{hold, kept};
use crate::world::flake::{Flake, own_system};
use crate::world::nixpy::{Workplace, binary};
use crate::world::podman::Podman;
use crate::world::program::{Ended, output_of, program, run};
use crate::world::registry::Registry;

/// What Nix's sandbox is made of, and engines keep from containers unless they are told.
const NAMESPACES: [&str; 4] = [
    "--security-opt",
    "seccomp=unconfined",
    "--security-opt",
    "unmask=ALL",
];
const IMAGE: &str = "localhost/bootstrap";

/// Sees what is outside of the sandbox, or not.
const IS_CLOSED: &str = "if [ -e /usr/local/bin/nixpy-ci ]; then echo 'this is no sandbox'; exit 7; fi\ncat $archive > $out";

#[test]
fn the_main_job_runs_in_it_as_an_ordinary_user() {
    let (podman, here) = (Podman::new(), Workplace::new());
    build(&podman, &here);
    let seen = podman.says(&["image", "inspect", "--format", "{{json .Config}}", IMAGE]);
    let config: Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(config["User"], "1000:1000");
    assert_eq!(config["Entrypoint"], serde_json::json!(["nixpy-ci"]));
    assert_eq!(
        config["Labels"]["org.opencontainers.image.title"],
        "nixpy-ci"
    );
    let inside = podman.says(&["run", "--rm", "--entrypoint", "id", IMAGE, "-u"]);
    assert_eq!(inside, "1000");

    // Both platforms, into a registry that wants a password, which is in no argument.
    let registry = Registry::with_password();
    let flake = Flake::for_systems(&["x86_64-linux", "aarch64-linux"], "cat $archive > $out");
    let repository = format!("{}/acme/small", registry.host());
    let words = [
        "run",
        "path:/workspace#image",
        "-r",
        &repository,
        "-t",
        "v1",
        "--username",
        "user",
        "--json",
    ];
    let mut job = container(&podman, &flake, &["--env", "NIXPY_PASSWORD"], &words);
    let ended = run(job.env("NIXPY_PASSWORD", "right")).succeeded();
    assert!(
        !format!("{}{}", ended.stdout, ended.stderr).contains("right"),
        "{ended}"
    );
    let report = ended.json();
    let reference = format!(
        "docker://{repository}@{}",
        report["index"]["digest"].as_str().unwrap()
    );
    let mut inspect = program("skopeo");
    inspect.args([
        "inspect",
        "--raw",
        "--tls-verify=false",
        "--creds",
        "user:right",
        &reference,
    ]);
    let index: Value = run(&mut inspect).succeeded().json();
    let architectures: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["platform"]["architecture"].as_str().unwrap())
        .collect();
    assert_eq!(architectures.len(), 2);
    assert!(
        architectures.contains(&"amd64") && architectures.contains(&"arm64"),
        "{index}"
    );
    sandbox(&podman);
}

/// It is off, because it cannot be had everywhere; on, where the engine is told; and never believed to be
/// on where it is not.
fn sandbox(podman: &Podman) {
    let flake = Flake::built_by(IS_CLOSED);
    let system = own_system();
    let words = [
        "run",
        "path:/workspace#image",
        "--system",
        &system,
        "--layout",
        "/tmp/layout",
    ];
    let build =
        |options: &[&str]| -> Ended { run(&mut container(podman, &flake, options, &words)) };
    let open = build(&[]).ended_with(1);
    assert!(open.stderr.contains("this is no sandbox"), "{open}");

    let wanted = ["--env", "NIX_CONFIG=substituters =\nsandbox = true"];
    let refused = build(&wanted).ended_with(1);
    assert!(
        refused.stderr.contains("Operation not permitted"),
        "{refused}"
    );

    let told: Vec<&str> = NAMESPACES.into_iter().chain(wanted).collect();
    build(&told).succeeded();
}

/// A container of the image on a flake, not yet started.
fn container(
    podman: &Podman,
    flake: &Flake,
    options: &[&str],
    words: &[&str],
) -> std::process::Command {
    output_of("chmod", ["-R", "a+rX", flake.folder().to_str().unwrap()]);
    let mounted = format!("{}:/workspace:ro", flake.folder().display());
    // What is not here is not waited for.
    let mut all = vec![
        "run",
        "--rm",
        "--volume",
        &mounted,
        "--env",
        "NIX_CONFIG=substituters =",
    ];
    all.extend(options);
    all.push(IMAGE);
    all.extend(words);
    podman.command(&all)
}

/// On a base of Debian's packages, from where this machine has its own.
fn build(podman: &Podman, here: &Workplace) {
    let base = base();
    podman.says(&[
        "import",
        "--quiet",
        base.to_str().unwrap(),
        "localhost/base:12",
    ]);
    let context = here.path("context");
    fs::create_dir(&context).unwrap();
    fs::copy(binary(), context.join("nixpy-ci")).unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Dockerfile.bootstrap");
    podman.says(&[
        "build",
        "--quiet",
        "--network=host",
        "--volume=/etc/apt:/etc/apt:ro",
        "--build-arg=BASE=localhost/base:12",
        "--build-arg=BINARY=nixpy-ci",
        "--tag",
        IMAGE,
        "--file",
        file.to_str().unwrap(),
        context.to_str().unwrap(),
    ]);
    fs::remove_dir_all(context).unwrap();
}

/// The archive of a small root directory; made by the first run of this test.
fn base() -> PathBuf {
    let _alone = hold("roots");
    let place = kept("roots");
    let archive = place.join("bookworm.tar");
    if archive.exists() {
        return archive;
    }
    let ask = ["indextargets", "--format", "$(REPO_URI)"];
    let which = ["Created-By: Packages", "Component: main", "Label: Debian"];
    let known = output_of("apt-get", ask.iter().chain(&which));
    let mirror = known
        .lines()
        .next()
        .expect("this machine's packages come from Debian");
    let key = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let made = place.join("bookworm.new.tar");
    let mut make = program("mmdebstrap");
    make.args([
        "--quiet",
        "--mode=root",
        "--variant=apt",
        "--include=debian-archive-keyring",
    ]);
    make.args([
        "--aptopt=APT::Sandbox::User \"root\"",
        "--aptopt=Acquire::Check-Valid-Until \"false\"",
        "--aptopt=Acquire::Retries \"5\"",
        "bookworm",
    ]);
    make.arg(&made)
        .arg(format!("deb [signed-by={key}] {mirror} bookworm main"));
    run(&mut make).succeeded();
    fs::rename(made, &archive).unwrap();
    archive
}
