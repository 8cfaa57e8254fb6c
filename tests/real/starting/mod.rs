//! What people begin with, seen by a real Nix: the flakes that `init` writes, the flake templates, and
//! this repository's own flake. nixpkgs and the flakes beside it are out of reach, so small stand-ins are
//! in their places (`standins/`), which build nothing, and say what was wanted of them.

mod own;
mod projects;

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
