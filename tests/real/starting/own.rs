//! This repository's own flake: programs, checks, templates and the library.

use super::*;

#[test]
fn this_repositorys_flake_offers_the_static_program_checks_and_templates() {
    let own = own_flake();
    nix(&["flake", "check", "--no-build"], own.path(), "").succeeded();
    let version = env!("CARGO_PKG_VERSION");
    for system in SYSTEMS {
        for attribute in ["default", "nixpy-ci-static"] {
            let drv = evaluated(
                own.path(),
                &format!("packages.{system}.{attribute}.drvPath"),
            );
            assert!(
                drv.as_str().unwrap().ends_with("-nixpy-ci-static.drv"),
                "{drv}"
            );
        }
        let made = evaluated(
            own.path(),
            &format!("packages.{system}.nixpy-ci-static.made"),
        );
        assert_eq!(made["by"], "buildRustPackage");
        assert_eq!(made["with"]["version"], version);
        let source = PathBuf::from(made["with"]["src"].as_str().unwrap());
        assert!(
            source.join("Cargo.lock").exists()
                && source.join("crates/nixpy-ci/src/main.rs").exists()
        );
        assert!(
            !source.join("flake.nix").exists(),
            "a change of the flake compiles nothing"
        );
        let shell = evaluated(own.path(), &format!("devShells.{system}.default.drvPath"));
        assert!(shell.as_str().unwrap().ends_with(".drv"));
    }
    // Cargo can read what the package is made of.
    let source = evaluated(
        own.path(),
        "packages.x86_64-linux.nixpy-ci-static.made.with.src",
    );
    let manifest = format!("{}/Cargo.toml", source.as_str().unwrap());
    let read = [
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version=1",
        "--manifest-path",
        &manifest,
    ];
    assert!(output_of("cargo", read).contains("\"nixpy-ci\""));
}

#[test]
fn a_program_that_is_not_static_fails_the_flakes_check() {
    let own = own_flake();
    let system = SYSTEMS[0];
    let of = |attribute: &str| {
        let value = evaluated(own.path(), attribute);
        value.as_str().unwrap().to_owned()
    };
    let script = of(&format!("checks.{system}.static.made.with.script"));
    let package = of(&format!("packages.{system}.nixpy-ci-static.outPath"));
    assert!(script.contains(&package), "{script}");
    let check = |program_file: &Path| {
        let here = tempfile::tempdir().unwrap();
        let (out, bin) = (here.path().join("out"), here.path().join("bin"));
        fs::create_dir(&bin).unwrap();
        if program_file.exists() {
            std::os::unix::fs::symlink(program_file, bin.join("nixpy-ci")).unwrap();
        }
        let script = script.replace(&package, here.path().to_str().unwrap());
        // As nixpkgs' builders have it.
        let mut bash = program("bash");
        bash.args(["-euo", "pipefail", "-c", &script]);
        let ended = run(bash.env("out", &out));
        (ended, fs::read_to_string(out).ok())
    };
    // The one under test is linked as the released one is.
    let (ended, out) = check(binary());
    assert!(
        out.is_some_and(|out| out.starts_with("nixpy-ci ")),
        "{ended}"
    );
    assert_eq!(ended.code, 0, "{ended}");
    for dynamic in [place_of("bash"), place_of("git")] {
        let (ended, out) = check(Path::new(&dynamic));
        assert_eq!((ended.code, out), (1, None), "{ended}");
        assert!(ended.stderr.contains("is not static"), "{ended}");
    }
    let (ended, out) = check(Path::new("/no/such/program"));
    assert!(ended.code != 0 && out.is_none(), "{ended}");
}

#[test]
fn later_versions_of_nix_find_nothing_wrong_with_any_flake() {
    let own = own_flake();
    let projects = ["uv", "pdm", "poetry", "requirements"].map(|kind| Project::of(kind).init());
    let folders = projects.iter().map(|project| project.dir.path());
    let folders: Vec<&Path> = folders.chain([own.path()]).collect();
    let standins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/real/standins");
    let standins = standins.canonicalize().unwrap();
    for root in Root::all() {
        for folder in &folders {
            let mut check = root.command("nix", &[&standins]);
            check.args(["--extra-experimental-features", "nix-command flakes"]);
            check.args(arguments(&["flake", "check", "--no-build"], folder, ""));
            let checked = run(check.current_dir(folder)).succeeded();
            assert!(!checked.stderr.contains("deprecated"), "{checked}");
        }
    }
}

#[test]
fn a_package_becomes_an_image_by_the_librarys_function() {
    let own = own_flake();
    let user = format!(
        "{{ inputs.nixpkgs.url = \"{}\"; inputs.nixpy-ci.url = \"path:{}\"; inputs.nixpy-ci.inputs.nixpkgs.follows = \"nixpkgs\";\n\
         outputs = {{ self, nixpkgs, nixpy-ci }}: {{\n\
         packages = nixpy-ci.lib.eachSystem nixpkgs (pkgs: {{\n\
         image = nixpy-ci.lib.mkImage {{ inherit pkgs; package = pkgs.uv; command = [ \"serve\" \"--all\" ]; ports = [ 8000 \"53/udp\" ];\n\
         env.DEBUG = \"1\"; }}; }}); }}; }}\n",
        standin("nixpkgs"),
        own.path().display()
    );
    let project = Project::with(&[("flake.nix", &user)]);
    for system in SYSTEMS {
        let attribute = format!(
            "path:{}#packages.{system}.image.made.with",
            project.dir.path().display()
        );
        let mut eval = program("nix");
        let image = run(eval.args(["eval", "--json", "--no-write-lock-file", &attribute]))
            .succeeded()
            .json();
        let config = &image["config"];
        assert!(
            config["Entrypoint"][0]
                .as_str()
                .unwrap()
                .ends_with("-uv/bin/serve"),
            "{image}"
        );
        assert_eq!(config["Entrypoint"][1], "--all");
        assert_eq!(config["Env"][0], "DEBUG=1");
        let ports: Vec<&String> = config["ExposedPorts"].as_object().unwrap().keys().collect();
        assert_eq!(ports, ["53/udp", "8000/tcp"]);
        assert_eq!(image["maxLayers"], 100);
    }
}
