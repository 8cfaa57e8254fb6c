//! What cannot be done is said in one line with a cure, ends with the right
//! exit code, and leaves nothing half done.

use nixpy_testkit::archive::Damage;
use nixpy_testkit::ports::free_address;

use crate::world::disk::Disk;
use crate::world::example::example;
use crate::world::flake::{Flake, archive, own_system, stamp};
use crate::world::layout::Layout;
use crate::world::nixpy::Workplace;
use crate::world::program::{program, run};
use crate::world::registry::Registry;
use crate::world::skopeo;

const BUILD_FAILED: i32 = 1;
const WRONG_INPUTS: i32 = 2;
const MACHINE_CANNOT: i32 = 3;
const REMOTE_REFUSED: i32 = 4;

#[test]
fn a_flake_that_is_not_there() {
    let here = Workplace::new();
    here.run(["/nowhere"])
        .complains(WRONG_INPUTS, &["no flake.nix in /nowhere", "name it"]);
    here.run(["."])
        .complains(WRONG_INPUTS, &["no flake.nix in"]);
    here.has_only(&[]);
}

#[test]
fn an_attribute_that_does_not_exist() {
    let here = Workplace::new();
    let system = own_system();
    here.run([&example().flake("imgae"), "--system", &system])
        .complains(WRONG_INPUTS, &["imgae", &system, "app", "image", "stream"]);
    here.has_only(&[]);
}

#[test]
fn a_system_that_the_flake_does_not_offer() {
    let here = Workplace::new();
    here.run([&example().flake("image"), "--system", "riscv64-linux"])
        .complains(
            WRONG_INPUTS,
            &["riscv64-linux", "aarch64-linux, x86_64-linux"],
        );
    here.has_only(&[]);
}

#[test]
fn a_machine_without_nix() {
    let here = Workplace::new();
    let mut command = here.command([example().flake("image")]);
    run(command.env("PATH", "/nowhere")).complains(MACHINE_CANNOT, &["nix", "nixpy-ci setup"]);
    here.has_only(&[]);
}

#[test]
fn a_registry_that_takes_nothing_is_told_before_anything_is_built() {
    let (here, registry) = (Workplace::new(), Registry::read_only());
    let flake = Flake::built_by("exit 1");
    let repository = format!("{}/acme/small", registry.host());
    here.run([&flake.image(), "--repository", &repository])
        .complains(
            REMOTE_REFUSED,
            &["cannot push to", &repository, "405", "read-only"],
        );
    here.has_only(&[]);
}

#[test]
fn a_builder_that_fails() {
    let here = Workplace::new();
    let flake = Flake::built_by("echo compiling; echo libpq is not there >&2; exit 3");
    let ended = here
        .run([&flake.image(), "--json", "--layout", "out"])
        .ended_with(BUILD_FAILED);
    for words in [
        "small-image.drv failed",
        "exit code 3",
        "> libpq is not there",
        "nix log /nix/store/",
    ] {
        assert!(ended.stderr.contains(words), "`{words}` is not in {ended}");
    }
    let log = ended
        .stderr
        .lines()
        .find_map(|line| line.trim().strip_prefix("for the whole log: nix "));
    let log = run(program("nix").args(log.unwrap().split(' '))).succeeded();
    assert!(log.stdout.contains("compiling"), "{log}");

    let report = ended.json();
    assert_eq!(report["outcome"], "failure");
    assert_eq!(report["failures"][0]["systems"][0], own_system());
    here.has_only(&[]);
}

#[test]
fn a_registry_that_is_down() {
    let here = Workplace::new();
    let address = free_address().to_string();
    here.run([
        &Flake::small().image(),
        "--repository",
        &format!("{address}/acme/api"),
    ])
    .complains(REMOTE_REFUSED, &["nobody answers at", &address, "check"]);
    here.has_only(&[]);
}

#[test]
fn a_registry_that_refuses_the_credentials() {
    let (here, registry, flake) = (Workplace::new(), Registry::with_password(), Flake::small());
    let repository = format!("{}/acme/api", registry.host());
    let arguments = [&flake.image(), "--repository", &repository];
    let mut nameless = here.command(arguments);
    // What the person who runs the tests has logged in to is not asked.
    nameless
        .env("HOME", here.path(""))
        .env_remove("XDG_RUNTIME_DIR")
        .env_remove("DOCKER_CONFIG");
    run(&mut nameless).complains(REMOTE_REFUSED, &["wants credentials", "docker login"]);

    let mut push = here.command(arguments);
    push.env("NIXPY_USERNAME", "user");
    let said = run(push.env("NIXPY_PASSWORD", "wrong"))
        .complains(REMOTE_REFUSED, &["refused the credentials", "docker login"]);
    assert!(!said.contains("wrong"), "a secret is not told: {said}");
    assert!(registry.tags("acme/api").is_empty());

    run(push.env("NIXPY_PASSWORD", "right")).succeeded();
    assert_eq!(registry.tags("acme/api"), ["latest"]);
}

#[test]
fn a_repository_name_that_is_not_valid() {
    let here = Workplace::new();
    here.run([
        &example().flake("image"),
        "--repository",
        "127.0.0.1:5000/Acme/Api",
    ])
    .complains(
        WRONG_INPUTS,
        &["--repository", "127.0.0.1:5000/Acme/Api", "lower case"],
    );
    here.has_only(&[]);
}

#[test]
fn an_archive_that_is_corrupt() {
    let (here, registry) = (Workplace::new(), Registry::start());
    let repository = format!("{}/acme/api", registry.host());
    let sound = || archive(&stamp()).layer(&[("etc/more", &[7; 100_000])]);
    let damaged = [
        Damage::Truncated,
        Damage::LayerDigestMismatch,
        Damage::NoManifest,
        Damage::BrokenManifest,
        Damage::MissingLayer,
        Damage::MissingConfig,
        Damage::EscapingLayerName,
    ];
    let damaged = damaged.map(|damage| (sound().damaged(damage).build(), BUILD_FAILED));
    // This one cannot have been meant to be an image.
    let other = (b"no archive at all".to_vec(), WRONG_INPUTS);
    for (bytes, code) in damaged.into_iter().chain([other]) {
        let flake = Flake::with_archive(&bytes);
        here.run([&flake.image(), "--repository", &repository])
            .complains(code, &["small-image"]);
        here.run([&flake.image(), "--layout", "out"])
            .complains(code, &["small-image"]);
        here.has_only(&[]);
    }
    assert!(registry.tags("acme/api").is_empty());
}

#[test]
fn a_disk_that_gets_full() {
    let (here, disk) = (Workplace::new(), Disk::of("4m"));
    let (layout, before) = (disk.path("out"), Layout::at(disk.path("out")));
    let publish = |flake: &str, tag: &str| {
        let mut command = here.command([flake, "--tag", tag, "--layout"]);
        run(command.arg(&layout))
    };
    publish(&Flake::small().image(), "small").succeeded();
    let index = before.index();

    publish(&example().flake("stream"), "large")
        .complains(MACHINE_CANNOT, &["disk is full", "--layout"]);

    assert_eq!(before.index(), index);
    assert_eq!(before.tags(), ["small"]);
    let strange: Vec<_> = disk
        .files()
        .into_iter()
        .filter(|file| !is_part_of_a_layout(file))
        .collect();
    assert!(strange.is_empty(), "left there: {strange:?}");
    skopeo::copy(
        &format!("oci:{}:small", layout.display()),
        "amd64",
        &here.path("small"),
    );
}

fn is_part_of_a_layout(file: &str) -> bool {
    let blob = file.strip_prefix("out/blobs/sha256/");
    blob.is_some_and(|hex| hex.len() == 64) || file == "out/index.json" || file == "out/oci-layout"
}
