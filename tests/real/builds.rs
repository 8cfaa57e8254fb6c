//! One real `nix build` makes the images of both processors, and always the same ones.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::world::example::example;
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

/// It is also here that everything is built for certain, and nothing was there before.
#[test]
fn an_empty_store_gives_the_same_image_by_one_nix_build() {
    let (here, store) = (Workplace::new(), Store::empty());
    // Stands before the real nix, and notes how it is called.
    let nix = place_of("nix").canonicalize().unwrap();
    assert!(
        !nix.starts_with("/nix"),
        "Nix must come from a package of the distribution, not from /nix"
    );
    let (noting, notes) = (here.path("nix"), here.path("calls"));
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> {}\nexec {} \"$@\"\n",
        notes.display(),
        nix.display()
    );
    fs::write(&noting, script).unwrap();
    fs::set_permissions(&noting, fs::Permissions::from_mode(0o755)).unwrap();

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
