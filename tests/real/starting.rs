//! What people begin with, seen by a real Nix: the flakes that `init` writes, the flake templates, and
//! this repository's own flake. nixpkgs and the flakes beside it are out of reach, so small stand-ins are
//! in their places (`standins/`), which build nothing, and say what was wanted of them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::world::example::example;
use crate::world::lints::{actionlint, workflows_in, zizmor_finds_nothing};
use crate::world::nixpy::{Workplace, binary};
use crate::world::program::{Ended, output_of, place_of, program, run};
use crate::world::versions::Root;

const SYSTEMS: [&str; 2] = ["x86_64-linux", "aarch64-linux"];
const SCRIPT: &str = "[project]\nname = 'Shop_API'\nversion = '1.2'\ndescription = 'A shop'\n\
                      dependencies = ['fastapi>=0.1', 'uvicorn[standard]']\n";
const BUILT: &str = "[project.scripts]\nshop = 'shop.main:run'\n\
                     [build-system]\nrequires = ['hatchling']\nbuild-backend = 'hatchling.build'\n";
const MAIN: &str =
    "from fastapi import FastAPI\n\napp = FastAPI()\n\n\ndef run():\n    uvicorn.run(app)\n";
const UV_LOCK: &str = "version = 1\n[[package]]\nname = 'shop-api'\nversion = '1.2'\nsource = { editable = '.' }\n\
                       [[package]]\nname = 'fastapi'\nversion = '0.115.0'\nsource = { registry = 'x' }\n";

/// A project in a folder of its own.
struct Project {
    dir: TempDir,
}

impl Project {
    fn with(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let place = dir.path().join(name);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, text).unwrap();
        }
        Self { dir }
    }

    /// One of each kind, whose image starts a script where the kind has scripts.
    fn of(kind: &str) -> Self {
        let main = ("src/shop/main.py", MAIN);
        let pyproject = |more: &str| format!("{SCRIPT}{BUILT}{more}");
        match kind {
            "uv" => Self::with(&[
                ("pyproject.toml", &pyproject("")),
                ("uv.lock", UV_LOCK),
                main,
            ]),
            "pdm" => Self::with(&[
                ("pyproject.toml", &pyproject("[tool.pdm]\n")),
                ("pdm.lock", ""),
                main,
            ]),
            "poetry" => {
                let poetry = "[tool.poetry]\nname = 'Shop_API'\nversion = '1.2'\n[tool.poetry.dependencies]\n\
                              python = '^3.11'\nfastapi = '*'\nuvicorn = '*'\n[tool.poetry.scripts]\nshop = 'shop.main:run'\n";
                Self::with(&[("pyproject.toml", poetry), ("poetry.lock", ""), main])
            }
            "requirements" => Self::with(&[
                (
                    "requirements.txt",
                    "# what it needs\nFastAPI==0.1\nuvicorn[standard]\n",
                ),
                ("main.py", MAIN),
            ]),
            other => panic!("no project of {other}"),
        }
    }

    fn init(self) -> Self {
        let mut init = Workplace::new().nixpy(["init"]);
        run(init.current_dir(self.dir.path())).succeeded();
        self
    }

    /// An attribute of its flake, with stand-ins for all inputs.
    fn value(&self, attribute: &str) -> Value {
        evaluated(self.dir.path(), attribute)
    }

    /// What the image of a system was made with.
    fn image(&self, system: &str) -> Value {
        self.value(&format!("packages.{system}.image.made.with"))
    }

    /// What the package of a system was made by, and with.
    fn package(&self, system: &str) -> (String, Value) {
        let made = self.value(&format!("packages.{system}.default.made"));
        (
            made["by"].as_str().unwrap().to_owned(),
            made["with"].clone(),
        )
    }
}

fn standin(name: &str) -> String {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/real/standins");
    format!(
        "path:{}",
        place.join(name).canonicalize().unwrap().display()
    )
}

/// `nix` on the flake in a folder, whose inputs are stand-ins.
fn nix(words: &[&str], folder: &Path, attribute: &str) -> Ended {
    run(program("nix").args(arguments(words, folder, attribute)))
}

fn arguments(words: &[&str], folder: &Path, attribute: &str) -> Vec<String> {
    let text = fs::read_to_string(folder.join("flake.nix")).unwrap();
    let mut all: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    all.push("--no-write-lock-file".to_owned());
    all.push(format!("path:{}{attribute}", folder.display()));
    let inputs = [
        ("nixpkgs", "nixpkgs"),
        ("pyproject-nix", "pyproject-nix"),
        ("uv2nix", "uv2nix"),
        ("pyproject-build-systems", "build-system-pkgs"),
    ];
    for (input, place) in inputs {
        if text.contains(&format!("{input}.url")) {
            all.extend([
                "--override-input".to_owned(),
                input.to_owned(),
                standin(place),
            ]);
        }
    }
    all
}

fn evaluated(folder: &Path, attribute: &str) -> Value {
    nix(&["eval", "--json"], folder, &format!("#{attribute}"))
        .succeeded()
        .json()
}

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

/// What this repository's flake is made of, without all that is compiled beside it.
fn own_flake() -> TempDir {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let copy = tempfile::tempdir().unwrap();
    for part in [
        "Cargo.lock",
        "Cargo.toml",
        "crates",
        "flake.nix",
        "nix",
        "templates",
    ] {
        let words = [
            Path::new("-r").to_owned(),
            root.join(part),
            copy.path().to_owned(),
        ];
        output_of("cp", words);
    }
    copy
}
