//! Python packages that are built without what builds them, and what to write into the flake.
//!
//! Lock files say which packages a project needs, and not what those need to be built. So the packages that are built from
//! their sources lack `hatchling` or `poetry-core` until somebody says so, in an override; where, depends on
//! what makes packages of the lock file.

use super::Level;
use super::clue::{Clue, Kind};
use super::project::Project;
use crate::lockfile::ProjectName;

/// Modules, and the packages that have them, where those are not called the same.
const BACKENDS: [(&str, &str); 33] = [
    ("Cython", "cython"),
    ("calver", "calver"),
    ("enscons", "enscons"),
    ("expandvars", "expandvars"),
    ("flit", "flit"),
    ("flit_core", "flit-core"),
    ("flit_scm", "flit-scm"),
    ("hatch_fancy_pypi_readme", "hatch-fancy-pypi-readme"),
    ("hatch_nodejs_version", "hatch-nodejs-version"),
    ("hatch_requirements_txt", "hatch-requirements-txt"),
    ("hatch_vcs", "hatch-vcs"),
    ("hatchling", "hatchling"),
    ("jupyter_packaging", "jupyter-packaging"),
    ("maturin", "maturin"),
    ("mesonpy", "meson-python"),
    ("pbr", "pbr"),
    ("pdm", "pdm-backend"),
    ("pkg_resources", "setuptools"),
    ("poetry", "poetry-core"),
    ("poetry_dynamic_versioning", "poetry-dynamic-versioning"),
    ("pybind11", "pybind11"),
    ("scikit_build_core", "scikit-build-core"),
    ("setuptools", "setuptools"),
    ("setuptools_git_versioning", "setuptools-git-versioning"),
    ("setuptools_rust", "setuptools-rust"),
    ("setuptools_scm", "setuptools-scm"),
    ("sipbuild", "sip"),
    ("skbuild", "scikit-build"),
    ("uv_build", "uv-build"),
    ("uv_dynamic_versioning", "uv-dynamic-versioning"),
    ("versioningit", "versioningit"),
    ("wheel", "wheel"),
    ("whey", "whey"),
];

/// Reads line after line.
#[derive(Debug, Default)]
pub(super) struct Backends {
    /// pypa's `build` names what is missing on the lines below.
    listing: bool,
}

impl Backends {
    pub(super) fn line(&mut self, line: &str) -> Option<Clue> {
        let body = line.trim();
        if std::mem::take(&mut self.listing) && line.starts_with(char::is_whitespace) {
            self.listing = true;
            return clue(of_requirement(body)?);
        }
        if body.ends_with("ERROR Missing dependencies:") {
            self.listing = true;
            return None;
        }
        // What a test could not import builds nothing.
        if body.starts_with("E  ") {
            return None;
        }
        clue(of_module(body).or_else(|| of_pip(body))?)
    }
}

fn clue(package: &str) -> Option<Clue> {
    Some(Clue {
        kind: Kind::Backend(package.to_owned()),
        level: Level::Error,
        title: String::new(),
        message: String::new(),
        spots: Vec::new(),
    })
}

/// `ModuleNotFoundError: No module named 'hatchling'`,
/// `BackendUnavailable: Cannot import 'poetry.core.masonry.api'`,
/// `ERROR Backend 'flit_core.buildapi' is not available.`
fn of_module(body: &str) -> Option<&'static str> {
    if body == "error: invalid command 'bdist_wheel'" {
        return Some("wheel");
    }
    let unavailable = || {
        let (_, rest) = body.split_once("ERROR Backend '")?;
        rest.contains("' is not available").then_some(("", rest))
    };
    let (_, rest) = body
        .split_once("No module named '")
        .filter(|_| body.contains("Error: "))
        .or_else(|| {
            body.split_once("Cannot import '")
                .filter(|(before, _)| before.contains("BackendUnavailable"))
        })
        .or_else(unavailable)?;
    let (module, _) = rest.split_once('\'')?;
    let module = module.split('.').next()?;
    let found = BACKENDS.iter().find(|(name, _)| *name == module);
    found.map(|(_, package)| *package)
}

/// `ERROR: No matching distribution found for setuptools>=40.8.0`
fn of_pip(body: &str) -> Option<&'static str> {
    let (_, rest) = body.split_once("No matching distribution found for ")?;
    of_requirement(rest)
}

/// The package of `hatchling>=1.18 -> pathspec`.
fn of_requirement(text: &str) -> Option<&'static str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
    let name = ProjectName::of(&text[..end]).to_string();
    let found = BACKENDS.iter().find(|(_, package)| *package == name);
    found.map(|(_, package)| *package)
}

/// What makes packages of the lock file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Maker {
    Uv2nix,
    Poetry2nix,
    Nixpkgs,
}

impl Maker {
    /// By the inputs that the flake is locked to.
    fn of(project: Option<&Project>) -> Self {
        let lock = project.and_then(|project| project.beside_flake("flake.lock"));
        let (_, lock) = lock.unwrap_or_default();
        let has = |name: &str| lock.contains(&format!("\"{name}\""));
        match (has("uv2nix") || has("pyproject-nix"), has("poetry2nix")) {
            (true, _) => Self::Uv2nix,
            (_, true) => Self::Poetry2nix,
            _ => Self::Nixpkgs,
        }
    }
}

/// What is wrong and what to write: `package` lacks these to be built.
pub(super) fn told(package: &str, lacks: &[&str], project: Option<&Project>) -> String {
    let attribute = match package.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("\"{package}\""),
        false => package.to_owned(),
    };
    let list = |before: &str, after: &str| -> String {
        let each = lacks.iter().map(|name| format!("{before}{name}{after}"));
        each.collect::<Vec<_>>().join(" ")
    };
    let head = format!(
        "{package} is built from its source, and {} is missing for that: a lock file does not say what builds a package.",
        lacks.join(", ")
    );
    let cure = match Maker::of(project) {
        Maker::Uv2nix => format!(
            "Add this overlay to those of the package set (uv2nix):\n\n\
             (final: prev: {{\n  \
               {attribute} = prev.{attribute}.overrideAttrs (old: {{\n    \
                 nativeBuildInputs = (old.nativeBuildInputs or [ ]) ++ final.resolveBuildSystem {{ {} }};\n  \
               }});\n\
             }})",
            list("", " = [ ];")
        ),
        Maker::Poetry2nix => format!(
            "Add this to the overrides (poetry2nix):\n\n\
             overrides = poetry2nix.defaultPoetryOverrides.extend (final: prev: {{\n  \
               {attribute} = prev.{attribute}.overridePythonAttrs (old: {{\n    \
                 buildInputs = (old.buildInputs or [ ]) ++ [ {} ];\n  \
               }});\n\
             }});",
            list("prev.", "")
        ),
        Maker::Nixpkgs => format!(
            "Add this to its buildPythonPackage or buildPythonApplication:\n\n\
             pyproject = true;\nbuild-system = [ {} ];",
            list("python3Packages.", "")
        ),
    };
    format!("{head}\n{cure}")
}

/// Where overrides are, or else the package in the lock file.
pub(super) fn place(package: &str, project: &Project) -> Option<(String, u32)> {
    const OVERRIDES: [&str; 4] = [
        "defaultPoetryOverrides",
        "overrideScope",
        "mkPyprojectOverlay",
        "mkPoetry",
    ];
    let (flake, _) = project.beside_flake("flake.nix")?;
    let line = OVERRIDES
        .iter()
        .find_map(|word| project.line_in(&flake, |line| line.contains(word)));
    if let Some(line) = line {
        return Some((flake, line));
    }
    ["uv.lock", "poetry.lock", "pdm.lock"]
        .iter()
        .find_map(|name| {
            let (lock, _) = project.beside_flake(name)?;
            let line = project.line_in(&lock, |line| {
                let name = line.strip_prefix("name = \"");
                let name = name.and_then(|name| name.strip_suffix('"'));
                name.is_some_and(|name| ProjectName::of(name).to_string() == package)
            })?;
            Some((lock, line))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(log: &str) -> Vec<String> {
        let mut backends = Backends::default();
        let clues = log.lines().filter_map(|line| backends.line(line));
        clues
            .filter_map(|clue| match clue.kind {
                Kind::Backend(package) => Some(package),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn what_is_missing_is_read_from_whoever_says_so() {
        let read = [
            (
                "ModuleNotFoundError: No module named 'hatchling'",
                "hatchling",
            ),
            (
                "      ModuleNotFoundError: No module named 'setuptools'",
                "setuptools",
            ),
            (
                "pyproject_hooks._impl.BackendUnavailable: Cannot import 'poetry.core.masonry.api'",
                "poetry-core",
            ),
            (
                "ERROR: No matching distribution found for setuptools>=40.8.0",
                "setuptools",
            ),
            ("ERROR Missing dependencies:\n\thatch_vcs\n", "hatch-vcs"),
        ];
        for (log, package) in read {
            assert_eq!(packages(log), [package], "{log}");
        }
        let two = "* Getting build dependencies for wheel...\nERROR Missing dependencies:\n\thatchling>=1\n\thatch-vcs\nmore\n\twheel\n";
        assert_eq!(packages(two), ["hatchling", "hatch-vcs"]);
    }

    #[test]
    fn a_module_that_builds_nothing_is_not_meant() {
        for log in [
            "ModuleNotFoundError: No module named 'requests'",
            "E   ModuleNotFoundError: No module named 'setuptools'",
            "see: No module named 'setuptools'",
            "Cannot import 'poetry.core'",
            "ERROR Missing dependencies:\n\trequests",
            "No module named '",
        ] {
            assert_eq!(packages(log), [""; 0], "{log}");
        }
    }

    #[test]
    fn the_list_is_sorted_and_names_no_module_twice() {
        assert!(BACKENDS.is_sorted());
    }
}
