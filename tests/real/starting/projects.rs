//! What `init` writes for each kind of project.

use super::*;

#[test]
fn every_kind_of_project_has_package_image_and_shell_for_both_systems() {
    for kind in ["uv", "pdm", "poetry", "requirements"] {
        let project = Project::of(kind).init();
        let (makes, entry) = match kind {
            "uv" => ("runCommand", "shop"),
            "requirements" => (
                "writeShellScriptBin",
                project.dir.path().file_name().unwrap().to_str().unwrap(),
            ),
            _ => ("buildPythonApplication", "shop"),
        };
        for system in SYSTEMS {
            let (by, with) = project.package(system);
            assert_eq!(by, makes, "{kind}: {with}");
            let image = project.image(system);
            let config = &image["config"];
            let program = config["Entrypoint"][0].as_str().unwrap();
            assert!(program.starts_with("/nix/store/"), "{kind}: {image}");
            let name = entry.to_lowercase().replace(['.', '_'], "-");
            assert!(
                program.ends_with(&format!("/bin/{}", name.trim_matches('-'))),
                "{kind}: {image}"
            );
            assert_eq!(
                config["ExposedPorts"]["8000/tcp"],
                Value::Object(Default::default())
            );
            assert_eq!(config["User"], "1000:1000");
            let shell = project.value(&format!("devShells.{system}.default.drvPath"));
            assert!(
                shell.as_str().unwrap().ends_with("-shell.drv"),
                "{kind}: {shell}"
            );
        }
        let checked = nix(&["flake", "check", "--no-build"], project.dir.path(), "");
        checked.succeeded();
    }
}

#[test]
fn an_application_of_uv_is_made_of_the_locked_packages_and_has_its_own_commands_only() {
    let project = Project::of("uv").init();
    let (_, with) = project.package("aarch64-linux");
    assert_eq!(with["script"], "mkApplication");
    assert!(
        with["package"].as_str().unwrap().ends_with("-shop-api"),
        "{with}"
    );
    assert!(
        with["venv"].as_str().unwrap().ends_with("-shop-api-env"),
        "{with}"
    );
    assert_eq!(project.image("aarch64-linux")["name"], "shop-api");
}

#[test]
fn what_the_project_needs_is_taken_from_nixpkgs_where_no_lock_is_read() {
    for kind in ["pdm", "poetry"] {
        let (_, with) = Project::of(kind).init().package("x86_64-linux");
        let needs = with["dependencies"].as_array().unwrap();
        let has = |name: &str| {
            needs
                .iter()
                .any(|path| path.as_str().unwrap().ends_with(name))
        };
        assert!(
            has("-fastapi") && has("-uvicorn") && needs.len() == 2,
            "{with}"
        );
    }
}

#[test]
fn an_application_that_is_not_installed_is_started_among_its_files() {
    let plain = [
        ("pyproject.toml", SCRIPT),
        ("uv.lock", &UV_LOCK.replace("editable", "virtual")),
        ("main.py", MAIN),
    ];
    for project in [
        Project::with(&plain).init(),
        Project::of("requirements").init(),
    ] {
        let (_, with) = project.package("x86_64-linux");
        let script = with["text"].as_str().unwrap();
        assert!(
            script
                .contains("/bin/'uvicorn' 'main:app' '--host' '0.0.0.0' '--port' '8000' \"$@\"\n"),
            "{script}"
        );
        let source: PathBuf = script
            .lines()
            .next()
            .unwrap()
            .strip_prefix("cd ")
            .unwrap()
            .into();
        let names: Vec<String> = fs::read_dir(&source)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(names.contains(&"main.py".to_owned()), "{names:?}");
        assert!(
            !names.contains(&"flake.nix".to_owned()),
            "a change of the flake is no change of the image"
        );
    }
}

#[test]
fn a_project_that_is_installed_is_served_out_of_its_environment() {
    let installed = format!(
        "{SCRIPT}{}",
        BUILT
            .split_once("[build-system]")
            .map(|(_, built)| format!("[build-system]{built}"))
            .unwrap()
    );
    for (lock, text) in [("uv.lock", UV_LOCK), ("pdm.lock", ""), ("poetry.lock", "")] {
        let project = Project::with(&[
            ("pyproject.toml", &installed),
            (lock, text),
            ("src/shop/main.py", MAIN),
        ])
        .init();
        let (by, with) = project.package("aarch64-linux");
        assert_eq!(by, "writeShellScriptBin", "{lock}");
        let script = with["text"].as_str().unwrap();
        assert!(script.starts_with("exec /nix/store/"), "{lock}: {script}");
        assert!(
            script.contains("/bin/'uvicorn' 'shop.main:app'"),
            "{lock}: {script}"
        );
        assert!(
            project.image("aarch64-linux")["config"]["Entrypoint"][0]
                .as_str()
                .unwrap()
                .ends_with("/bin/shop-api")
        );
    }
}

#[test]
fn a_flake_template_is_a_flake_for_the_project_it_is_put_into() {
    let own = own_flake();
    // `nix flake init` locks the flake that has the templates, and takes no other input for it.
    let flake = own.path().join("flake.nix");
    let text = fs::read_to_string(&flake).unwrap();
    let text = text.replace("github:NixOS/nixpkgs/nixos-unstable", &standin("nixpkgs"));
    fs::write(&flake, text).unwrap();
    for kind in ["uv", "pdm", "poetry", "requirements"] {
        let project = Project::of(kind);
        let template = format!("path:{}#{kind}", own.path().display());
        let mut begin = program("nix");
        begin.args(["flake", "init", "-t", &template]);
        run(begin.current_dir(project.dir.path())).succeeded();
        for workflow in ["image", "release"] {
            let place = format!(".github/workflows/{workflow}.yaml");
            assert!(project.dir.path().join(place).exists());
        }
        for system in SYSTEMS {
            let entry = &project.image(system)["config"]["Entrypoint"][0];
            let wanted = if kind == "requirements" {
                "/bin/service"
            } else {
                "/bin/shop"
            };
            assert!(entry.as_str().unwrap().ends_with(wanted), "{kind}: {entry}");
        }
    }
}

#[test]
fn a_project_with_requirements_becomes_an_image_that_answers_on_both_platforms() {
    let main = fs::read_to_string(example().folder().join("src/base_api/main.py")).unwrap();
    let project = Project::with(&[
        ("requirements.txt", "fastapi\nuvicorn\n"),
        ("main.py", &main),
    ])
    .init();
    let (nixpkgs, folder) = (buildable(), project.dir.path());
    let flake = fs::read_to_string(folder.join("flake.nix")).unwrap();
    let flake = flake
        .replace(
            "github:NixOS/nixpkgs/nixos-unstable",
            &format!("path:{}", nixpkgs.path().display()),
        )
        .replace(
            "github:pyproject-nix/pyproject.nix",
            &standin("pyproject-nix"),
        );
    fs::write(folder.join("flake.nix"), flake).unwrap();

    // As it is told: settings and smoke test are those of the nixpy-ci.yaml that was written.
    let here = Workplace::new();
    let layout = here.path("layout");
    let mut job = here.command([
        "path:.#image",
        "--json",
        "--layout",
        layout.to_str().unwrap(),
    ]);
    let report = run(job.current_dir(folder)).succeeded().json();
    let platforms = report["platforms"].as_array().unwrap();
    assert_eq!(platforms.len(), 2, "{report}");
    for platform in platforms {
        let smoke = &platform["smoke"];
        assert_eq!(smoke["verdict"], "passed", "{report}");
        assert_eq!(smoke["wanted"], "200 from /openapi.json at port 8000");
    }
}

/// A folder that is nixpkgs to a flake with a list of requirements, out of what the example has.
fn buildable() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    let standins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/real/standins");
    for part in ["nix", "lock.json", "pyproject.toml", "src"] {
        let from = example().folder().join(part);
        output_of("cp", [Path::new("-r"), &from, copy.path()]);
    }
    fs::copy(
        standins.join("buildable.nix"),
        copy.path().join("flake.nix"),
    )
    .unwrap();
    fs::copy(
        standins.join("nixpkgs/lib.nix"),
        copy.path().join("lib.nix"),
    )
    .unwrap();
    copy
}

#[test]
fn on_a_terminal_each_file_that_is_there_is_asked_about() {
    let project = Project::of("requirements");
    let place = |name: &str| project.dir.path().join(name);
    fs::write(place("flake.nix"), "mine\n").unwrap();
    fs::write(place("nixpy-ci.yaml"), "tags: [v1]\n").unwrap();
    fs::write(place("answers"), "n\ny\n").unwrap();
    let mut asked = program("script");
    asked.args(["--quiet", "--return", "--command"]);
    asked
        .arg(format!("{} init", binary().display()))
        .arg("/dev/null");
    asked.stdin(fs::File::open(place("answers")).unwrap());
    let told = run(asked.current_dir(project.dir.path()))
        .succeeded()
        .stdout;
    assert!(
        told.contains("flake.nix is there, and is another. Overwrite it? [y/N]"),
        "{told}"
    );
    assert_eq!(fs::read_to_string(place("flake.nix")).unwrap(), "mine\n");
    assert!(
        fs::read_to_string(place("nixpy-ci.yaml"))
            .unwrap()
            .contains("systems: [x86_64-linux"),
        "{told}"
    );
}

#[test]
fn zizmor_and_actionlint_find_nothing_in_the_workflows_that_are_written() {
    let service = |name: &str| {
        [
            (
                format!("services/{name}/requirements.txt"),
                "fastapi\nuvicorn\n",
            ),
            (format!("services/{name}/main.py"), MAIN),
        ]
    };
    let config = "[remote \"origin\"]\n\turl = git@github.com:Acme/Mono.git\n";
    let mut files = vec![
        (".git/HEAD".to_owned(), ""),
        (".git/config".to_owned(), config),
    ];
    files.extend([service("api"), service("v1.2_x-")].concat());
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), *text))
        .collect();
    let below = Project::with(&files);
    for name in ["api", "v1.2_x-"] {
        let mut init = Workplace::new().nixpy(["init", &format!("services/{name}")]);
        run(init.current_dir(below.dir.path())).succeeded();
    }
    let alone = Project::of("uv").init();
    for (project, count) in [(&below, 4), (&alone, 2)] {
        let folder = project.dir.path().join(".github/workflows");
        let written = workflows_in(&folder);
        assert_eq!(written.len(), count, "{written:?}");
        zizmor_finds_nothing(&written);
        let found = actionlint(&written);
        assert!(found.is_empty(), "{found:#?}");
    }
}
