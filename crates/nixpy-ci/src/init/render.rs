//! The files that `init` writes: one skeleton of a flake, filled with the parts that fit the kind of
//! project, the settings and the workflows. The flake templates of this repository are the same, for a
//! project that has not been looked at; a test compares.

use super::detect::{Kind, Project};
use super::start::{Smoke, Start};

/// The action, as workflows name it.
pub const ACTION: &str = "org/nixpy-action@v1";

/// A file, relative to the project's folder.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    /// `flake.nix`
    pub path: String,
    /// All of it.
    pub text: String,
}

/// What is known of the repository that the project is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// The branch that publishes.
    pub branch: String,
    /// `ghcr.io/acme/base-api`, where the repository is at GitHub.
    pub image: Option<String>,
    /// Where workflows are, from the project's folder: empty, or `../../`.
    pub up: String,
    /// Where the project is, from there: empty, or `services/api`.
    pub down: String,
}

impl Repository {
    /// The last part of the project's place, if it is not the top.
    fn below(&self) -> Option<&str> {
        let last = self.down.rsplit('/').next();
        last.filter(|name| !name.is_empty())
    }

    /// The text of a workflow, called after the project as well, if there may be others.
    fn named(&self, text: &str, what: &str) -> String {
        let Some(name) = self.below() else {
            return text.to_owned();
        };
        text.replace(
            &format!("name: {what}\non:"),
            &format!("name: {what} of {name}\non:"),
        )
    }
}

impl Default for Repository {
    fn default() -> Self {
        Self {
            branch: "main".to_owned(),
            image: None,
            up: String::new(),
            down: String::new(),
        }
    }
}

/// What stands in the flake in the place of `@@…@@`: as found in a project, or, in a template, as Nix
/// finds it there.
struct Facts {
    kind: Kind,
    about: String,
    description: String,
    name: String,
    start: String,
    port: u16,
    python: String,
    requirements: String,
    load: String,
    shape: Shape,
    smoke: Smoke,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Script,
    Installed,
    Source { below_src: bool },
}

/// The files for a project.
pub fn files(project: &Project, repository: &Repository) -> Vec<File> {
    let (start, shape) = match &project.started.start {
        Start::Script(script) => (format!("program = {};", quoted(script)), Shape::Script),
        Start::Installed(words) => (command(words), Shape::Installed),
        Start::Source {
            command: words,
            below_src,
        } => (
            command(words),
            Shape::Source {
                below_src: *below_src,
            },
        ),
    };
    let description = project.description.as_deref().unwrap_or(&project.name);
    let facts = Facts {
        kind: project.kind,
        about: about(project.kind),
        description: quoted(description.lines().next().unwrap_or_default()),
        name: quoted(&project.name),
        start,
        port: project.started.port,
        python: project.python.attribute.clone(),
        load: load(project.kind, &project.requirements, project.has_project),
        requirements: project.requirements.clone(),
        shape,
        smoke: project.started.smoke.clone(),
    };
    all(&facts, repository)
}

/// The files of a flake template.
#[cfg(test)]
fn template(kind: Kind) -> Vec<File> {
    let read = "(lib.importTOML ./pyproject.toml)";
    let name = |of: &str| format!("pyproject-nix.lib.pypa.normalizePackageName {of}");
    let first = |of: &str| format!("program = builtins.head (builtins.attrNames {of});");
    let (name, start, load, shape) = match kind {
        Kind::Poetry => {
            let table = format!("({read}.project or {read}.tool.poetry)");
            (
                name(&format!("{table}.name")),
                first(&format!("{table}.scripts")),
                "project = (if (lib.importTOML ./pyproject.toml) ? project then pyproject-nix.lib.project.loadPyproject\n        \
                 else pyproject-nix.lib.project.loadPoetryPyproject) { projectRoot = ./.; };"
                    .to_owned(),
                Shape::Script,
            )
        }
        Kind::Uv | Kind::Pdm => (
            name(&format!("{read}.project.name")),
            first(&format!("{read}.project.scripts")),
            load(kind, "", true),
            Shape::Script,
        ),
        Kind::Requirements => {
            let words = ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000"];
            (
                quoted("service"),
                command(&words.map(str::to_owned)),
                load(kind, "requirements.txt", false),
                Shape::Source { below_src: false },
            )
        }
    };
    let facts = Facts {
        kind,
        about: about(kind),
        description: quoted(&format!(
            "A Python service of {} as container images",
            kind.name()
        )),
        name,
        start,
        port: 8000,
        python: "python3".to_owned(),
        requirements: "requirements.txt".to_owned(),
        load,
        shape,
        smoke: Smoke::Nothing,
    };
    all(&facts, &Repository::default())
}

fn all(facts: &Facts, repository: &Repository) -> Vec<File> {
    // Several projects of one repository have workflows each.
    let workflow = |what: &str| match repository.below() {
        Some(name) => format!("{what}-{name}.yaml"),
        None => format!("{what}.yaml"),
    };
    let [image, release] = ["image", "release"].map(workflow);
    let place = |workflow: &str| format!("{}.github/workflows/{workflow}", repository.up);
    vec![
        File {
            path: "flake.nix".to_owned(),
            text: flake(facts),
        },
        File {
            path: "nixpy-ci.yaml".to_owned(),
            text: settings(facts, repository),
        },
        File {
            path: place(&image),
            text: image_workflow(facts, repository, &release),
        },
        File {
            path: place(&release),
            text: release_workflow(facts, repository, &image),
        },
    ]
}

fn flake(facts: &Facts) -> String {
    let (inputs, arguments) = match facts.kind {
        Kind::Uv => (
            include_str!("templates/uv-inputs.nix"),
            "pyproject-nix, uv2nix, pyproject-build-systems",
        ),
        _ => (
            include_str!("templates/nixpkgs-inputs.nix"),
            "pyproject-nix",
        ),
    };
    let environment = match (facts.kind, facts.shape) {
        (Kind::Uv, _) => include_str!("templates/uv-environment.nix"),
        (_, Shape::Source { .. }) => include_str!("templates/nixpkgs-source.nix"),
        (_, Shape::Script | Shape::Installed) => include_str!("templates/nixpkgs-installed.nix"),
    };
    let service = match (facts.kind, facts.shape) {
        (Kind::Uv, Shape::Script) => include_str!("templates/uv-script.nix").to_owned(),
        (_, Shape::Script) => include_str!("templates/nixpkgs-script.nix").to_owned(),
        (Kind::Uv, Shape::Installed) => include_str!("templates/installed-service.nix").to_owned(),
        (_, Shape::Installed) => concat!(
            include_str!("templates/nixpkgs-module.nix"),
            "\n",
            include_str!("templates/installed-service.nix")
        )
        .to_owned(),
        (_, Shape::Source { below_src }) => include_str!("templates/source-service.nix")
            .replace("@@below@@", if below_src { "/src" } else { "" }),
    };
    let shell = match facts.kind {
        Kind::Uv => include_str!("templates/uv-shell.nix"),
        Kind::Poetry => "          packages = [ (pythonOf pkgs) pkgs.poetry ];",
        Kind::Pdm => "          packages = [ (pythonOf pkgs) pkgs.pdm ];",
        Kind::Requirements => "          packages = [ (environmentOf pkgs) ];",
    };
    let lock = match facts.kind {
        Kind::Poetry => "poetry.lock",
        Kind::Pdm => "pdm.lock",
        Kind::Uv | Kind::Requirements => facts.requirements.as_str(),
    };
    let entry = match facts.shape {
        Shape::Script => "program",
        Shape::Installed | Shape::Source { .. } => "name",
    };
    let start = format!("      {}", facts.start);
    // Parts first, because they have places of their own.
    filled(
        include_str!("templates/flake.nix"),
        &[
            ("about", &facts.about),
            ("inputs", inputs.trim_end()),
            ("arguments", arguments),
            ("environment", environment.trim_end()),
            ("service", service.trim_end()),
            ("shell", shell.trim_end()),
            ("load", &facts.load),
            ("lock", lock),
            ("start", &start),
            ("port", &facts.port.to_string()),
            ("python", &facts.python),
            ("entry", entry),
            ("name", &facts.name),
            // The project's own words come last: nothing is looked for in them.
            ("description", &facts.description),
        ],
    )
}

fn about(kind: Kind) -> String {
    let first = match kind {
        Kind::Uv => {
            "# A Python service of uv as container images for two platforms, by uv2nix, and a shell to work on it.\n\
                     # After a change of dependencies: `uv lock`."
        }
        Kind::Poetry => {
            "# A Python service of Poetry as container images for two platforms, by pyproject.nix, and a shell to\n\
                         # work on it. To have exactly what poetry.lock says, go on to uv: `uvx migrate-to-uv`, `nixpy-ci init --force`."
        }
        Kind::Pdm => {
            "# A Python service of PDM as container images for two platforms, by pyproject.nix, and a shell to work\n\
                      # on it. To have exactly what a lock says, go on to uv: `uv lock`, `nixpy-ci init --kind uv --force`."
        }
        Kind::Requirements => {
            "# A Python service with a list of requirements as container images for two platforms, by pyproject.nix,\n\
                               # and a shell to work on it. To have exact versions, go on to uv: `uvx migrate-to-uv`, `nixpy-ci init --force`."
        }
    };
    format!("{first}\n# Nix sees only what git tracks: `git add` new files.")
}

fn load(kind: Kind, requirements: &str, has_project: bool) -> String {
    let load =
        |by: &str| format!("project = pyproject-nix.lib.project.{by} {{ projectRoot = ./.; }};");
    match kind {
        Kind::Uv => String::new(),
        Kind::Pdm => load("loadPDMPyproject"),
        Kind::Poetry if has_project => load("loadPyproject"),
        Kind::Poetry => load("loadPoetryPyproject"),
        Kind::Requirements => format!(
            "project = pyproject-nix.lib.project.loadRequirementsTxt {{ requirements = ./{requirements}; projectRoot = ./.; }};"
        ),
    }
}

fn settings(facts: &Facts, repository: &Repository) -> String {
    let image = match &repository.image {
        Some(image) => format!("# repository: {image}   # in a workflow this is known; without it the image goes to ./oci-image"),
        None => "# repository: ghcr.io/OWNER/NAME   # in a workflow this is known; without it the image goes to ./oci-image".to_owned(),
    };
    let smoke = match facts.smoke {
        Smoke::Route(route) => format!(
            "smoke: {{ http: {route}, port: {} }} # has to answer before an image is tagged",
            facts.port
        ),
        Smoke::Port => format!(
            "smoke: {{ port: {} }} # has to accept connections before an image is tagged",
            facts.port
        ),
        Smoke::Nothing => format!(
            "# smoke: {{ http: /, port: {} }} # what has to answer before an image is tagged",
            facts.port
        ),
    };
    let text = include_str!("templates/nixpy-ci.yaml");
    filled(text, &[("repository", &image), ("smoke", &smoke)])
}

fn image_workflow(facts: &Facts, repository: &Repository, release: &str) -> String {
    let text = filled(
        include_str!("templates/image.yaml"),
        &[
            ("branch", &repository.branch),
            ("action", ACTION),
            ("release", release),
        ],
    );
    repository.named(&text, "image") + &beside_another(facts, repository)
}

fn release_workflow(facts: &Facts, repository: &Repository, image: &str) -> String {
    // One version of a repository has one release on GitHub, which tells of one image.
    let is_alone = repository.below().is_none();
    let (told, contents) = match is_alone {
        true => (
            ", and GitHub a release that tells of it",
            "write # makes the release",
        ),
        false => ("", "read"),
    };
    let text = filled(
        include_str!("templates/release.yaml"),
        &[
            ("told", told),
            ("image", image),
            ("contents", contents),
            ("action", ACTION),
        ],
    );
    let mut with = beside_another(facts, repository);
    if !is_alone {
        with.push_str("          no-github: true\n");
    }
    repository.named(&text, "release") + &with
}

/// Inputs of the action: the settings beside a flake that is not at the top are not read there.
fn beside_another(facts: &Facts, repository: &Repository) -> String {
    if repository.below().is_none() {
        return String::new();
    }
    let mut with = format!("          flake: ./{}\n", repository.down);
    if let Some(image) = &repository.image {
        with.push_str(&format!("          repository: {image}\n"));
    }
    match facts.smoke {
        Smoke::Route(route) => with.push_str(&format!(
            "          smoke-http: {route}\n          smoke-port: \"{}\"\n",
            facts.port
        )),
        Smoke::Port => {
            with.push_str(&format!("          smoke-port: \"{}\"\n", facts.port));
        }
        Smoke::Nothing => {}
    }
    with
}

/// Each place is filled, in this order, wherever it stands.
fn filled(text: &str, places: &[(&str, &str)]) -> String {
    places.iter().fold(text.to_owned(), |text, (place, with)| {
        text.replace(&format!("@@{place}@@"), with)
    })
}

fn command(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("command = [ {} ];", words.join(" "))
}

/// A string of Nix.
fn quoted(text: &str) -> String {
    let inner = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace("${", "\\${")
        .replace(['\n', '\r'], " ");
    format!("\"{inner}\"")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use super::*;

    #[test]
    fn the_flake_templates_are_what_init_writes() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates");
        for kind in Kind::ALL {
            for file in template(kind) {
                let path = root.join(kind.name()).join(&file.path);
                if std::env::var_os("UPDATE_DOCS").is_some() {
                    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                    std::fs::write(&path, &file.text).unwrap();
                }
                let there = std::fs::read_to_string(&path).unwrap_or_default();
                assert!(
                    there == file.text,
                    "{} is not what init writes: UPDATE_DOCS=1 cargo test -p nixpy-ci --bins templates",
                    path.display()
                );
            }
        }
    }

    #[test]
    fn a_projects_words_are_a_string_of_nix_and_nothing_more() {
        let hostile = "\"; a = builtins.abort ''${x} \\ @@name@@\n";
        assert_eq!(
            quoted(hostile),
            r#""\"; a = builtins.abort ''\${x} \\ @@name@@ ""#
        );
    }

    #[test]
    fn no_place_is_left_open() {
        for file in Kind::ALL.into_iter().flat_map(template) {
            assert!(!file.text.contains("@@"), "{}", file.text);
        }
    }
}
