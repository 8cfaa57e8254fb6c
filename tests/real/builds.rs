//! One real `nix build` makes the images of both processors, and always the same ones.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::world::example::example;
use crate::world::flake::Flake;
use crate::world::layout::{AARCH64, X86_64, elf_machines};
use crate::world::nixpy::{Workplace, binary};
use crate::world::program::{output_of, place_of, run};
use crate::world::store::Store;

#[test]
fn each_platform_has_the_programs_of_its_own_processor() {
    for (architecture, machine) in [("amd64", X86_64), ("arm64", AARCH64)] {
        let here = Workplace::new();
        example()
            .layout()
            .unpack("latest", architecture, &here.path(""));
        let programs = elf_machines(&here.path("nix/store"));
        assert!(
            programs
                .iter()
                .any(|(path, _)| path.ends_with("bin/python3.11"))
        );
        assert!(
            programs.len() > 20,
            "interpreter, libraries and extension modules: {programs:?}"
        );
        let others: Vec<_> = programs
            .iter()
            .filter(|(_, found)| *found != machine)
            .collect();
        assert!(others.is_empty(), "not of {architecture}: {others:?}");
    }
}

#[test]
fn store_paths_refer_to_each_other_from_the_app_down_to_the_c_library() {
    for system in ["x86_64-linux", "aarch64-linux"] {
        let app = example().built(system, "app");
        let closure = output_of("nix", ["path-info", "--recursive", app.to_str().unwrap()]);
        let mut path = app.to_str().unwrap().to_owned();
        let below = [
            "-base-api-env",
            "-python3.11-base-api-",
            "-python3.11-fastapi-",
            "-python3.11-pydantic-",
            "-python3.11-pydantic-core-",
            "-python3-3.11",
            "-glibc-",
        ];
        for name in below {
            let references = output_of("nix-store", ["--query", "--references", &path]);
            let next = references.lines().find(|line| line.contains(name));
            let next =
                next.unwrap_or_else(|| panic!("{path} does not refer to {name}: {references}"));
            assert!(closure.lines().any(|line| line == next));
            path = next.to_owned();
        }
    }
}

#[test]
fn a_second_run_gives_the_same_image() {
    let here = Workplace::new();
    let again = here
        .run([&example().flake("stream"), "--json", "--layout", "out"])
        .succeeded()
        .json();
    assert_eq!(
        again["index"]["digest"],
        example().report["index"]["digest"]
    );
    for architecture in ["amd64", "arm64"] {
        let digest = |report: &serde_json::Value| {
            let platforms = report["platforms"].as_array().unwrap().clone();
            let one = platforms
                .into_iter()
                .find(|one| one["platform"]["architecture"] == architecture);
            one.unwrap()["digest"].clone()
        };
        assert_eq!(digest(&again), digest(&example().report));
    }
}

/// What stands before the real nix, and does this first each time.
fn before_nix(here: &Workplace, does: &str) -> PathBuf {
    let nix = place_of("nix").canonicalize().unwrap();
    assert!(
        !nix.starts_with("/nix"),
        "Nix must come from a package of the distribution, not from /nix"
    );
    let program = here.path("nix");
    let script = format!("#!/bin/sh\n{does}\nexec {} \"$@\"\n", nix.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

/// Nix itself has no answer to two that do it at once, and one of them fails now and then.
#[test]
fn a_store_is_opened_for_the_first_time_by_one_alone() {
    let flake = Flake::for_systems(&["x86_64-linux", "aarch64-linux"], "cat $archive > $out");
    let first = |arguments: &[&str]| {
        let (here, store) = (Workplace::new(), Store::empty());
        let (inside, met) = (here.path("inside"), here.path("met"));
        let does = format!(
            r#"case "$*" in *--version|*show-config*|*config*show*) ;; *)
  if [ ! -e /nix/var/nix/db/schema ]; then
    mkdir {inside} || touch {met}
    sleep 0.3
  fi
esac"#,
            inside = inside.display(),
            met = met.display()
        );
        let nix = before_nix(&here, &does);
        let mut command = store.command(binary());
        command.args(arguments).args([&flake.image(), "--json"]);
        command.arg("--nix").arg(&nix);
        here.prepare(&mut command);
        let ended = run(&mut command);
        assert!(inside.exists(), "nobody opened the store: {ended}");
        assert!(!met.exists(), "two opened it at once: {ended}");
        ended.json()
    };
    let plan = first(&["plan"]);
    let strategies = ["/jobs/0/strategy", "/jobs/1/strategy"];
    let strategies = strategies.map(|place| plan.pointer(place).unwrap().as_str().unwrap());
    assert_eq!(strategies, ["emulated", "native"]);
    first(&["doctor"]);
}

/// It is also here that everything is built for certain, and nothing was there before.
#[test]
fn an_empty_store_gives_the_same_image_by_one_nix_build() {
    let (here, store) = (Workplace::new(), Store::empty());
    let notes = here.path("calls");
    let noting = before_nix(&here, &format!("echo \"$@\" >> {}", notes.display()));

    run(store
        .command("python3")
        .arg(example().folder().join("prefetch")))
    .succeeded();
    let mut build = store.command(binary());
    build
        .args([
            "run",
            &example().flake("stream"),
            "--json",
            "--layout",
            "out",
            "--nix",
        ])
        .arg(&noting);
    // Before a build Nix kills every process of the user it builds as, and it only
    // knows which users are taken by builds for the same store.
    build.args(["--nix-option", "build-users-group="]);
    here.prepare(&mut build);
    let built = run(&mut build).succeeded();

    assert_eq!(built.json()["index"], example().report["index"]);
    let calls = fs::read_to_string(notes).unwrap();
    assert_eq!(
        calls.lines().filter(|call| call.contains("build ")).count(),
        1,
        "{calls}"
    );
    let glibc = built
        .stderr
        .lines()
        .filter(|line| line.contains("glibc-"))
        .count();
    assert!(
        glibc >= 2,
        "the C library is built for each processor: {built}"
    );
}
