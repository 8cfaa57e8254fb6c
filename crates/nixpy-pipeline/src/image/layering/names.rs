//! What the name of a store path tells: which package it is, and of what kind.
//!
//! Nix splits `openssl-3.0.14-bin` at the first dash that no letter follows
//! ([`parseDrvName`]); nixpkgs puts `python3.12-` before its Python packages, names a
//! package's other outputs after the version and, when it cross-compiles, the platform
//! before it. Builders that follow `uv.lock` call a wheel `fastapi-0.111.0`. A name is
//! a hint; the graph has the last word ([`super::roles`]).
//!
//! [`parseDrvName`]: https://nix.dev/manual/nix/latest/language/builtins#builtins-parseDrvName

use nixpy_nix::StorePath;

use crate::lockfile::ProjectName;

/// The parts of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackageName<'a> {
    /// Whether it begins with `python3.12-`.
    pub has_python_prefix: bool,
    /// `fastapi`, without prefix, platform and version.
    pub package: &'a str,
    /// `0.111.0`; empty if there is none.
    pub version: &'a str,
    /// What follows the version: `bin`, `env`; mostly empty.
    pub label: &'a str,
}

/// What remains of a path's name when its version and hash change: by this a path finds
/// its successor. The version of Python is no part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lineage<'a>(bool, &'a str, &'a str);

impl<'a> PackageName<'a> {
    pub(crate) fn of(path: &'a StorePath) -> Self {
        Self::parse(path.name())
    }

    /// Of a name without a hash.
    pub(crate) fn parse(name: &'a str) -> Self {
        let stripped = without_python(name);
        let (package, rest) = split(stripped.unwrap_or(name));
        let (version, label) = match rest.rsplit_once('-') {
            Some((version, label)) if label.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                (version, label)
            }
            _ => (rest, ""),
        };
        Self {
            has_python_prefix: stripped.is_some(),
            package: without_platform(package),
            version,
            label,
        }
    }

    /// The name under which an index would know it.
    pub(crate) fn project(&self) -> ProjectName {
        ProjectName::of(self.package)
    }

    pub(crate) fn lineage(&self) -> Lineage<'a> {
        Lineage(self.has_python_prefix, self.package, self.label)
    }

    /// CPython itself, not an environment around it.
    pub(crate) fn is_interpreter(&self) -> bool {
        let names = ["python", "python3", "python3-minimal", "cpython"];
        let named = names.contains(&self.package) || is_versioned_python(self.package);
        named && self.version.starts_with("3.") && self.label.is_empty()
    }

    /// glibc or musl: what everything that is compiled is linked with.
    pub(crate) fn is_c_library(&self) -> bool {
        ["glibc", "musl"].contains(&self.package) && ["", "out", "lib"].contains(&self.label)
    }

    /// `base-api-env`, `python3-3.12.4-env`: links to packages that lie elsewhere.
    pub(crate) fn is_environment(&self) -> bool {
        let last = match self.version {
            "" => self.package.rsplit('-').next().unwrap_or_default(),
            _ => self.label,
        };
        ENVIRONMENTS.contains(&last)
    }

    /// The project that an image's output belongs to: `base-api` for `base-api-env`.
    pub(crate) fn project_of_output(&self) -> ProjectName {
        let mut package = self.package;
        while let Some((project, last)) = package.rsplit_once('-')
            && (ENVIRONMENTS.contains(&last) || WRAPPERS.contains(&last))
        {
            package = project;
        }
        ProjectName::of(package)
    }
}

const ENVIRONMENTS: [&str; 3] = ["env", "venv", "virtualenv"];
const WRAPPERS: [&str; 6] = ["app", "wrapped", "wrapper", "image", "stream", "service"];

fn without_python(name: &str) -> Option<&str> {
    let (python, rest) = name.split_once('-')?;
    let is_package = rest.starts_with(|c: char| c.is_ascii_alphabetic());
    (is_versioned_python(python) && is_package).then_some(rest)
}

fn is_versioned_python(name: &str) -> bool {
    let Some((major, minor)) = name.strip_prefix("python").and_then(|v| v.split_once('.')) else {
        return false;
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_number(major) && is_number(minor)
}

fn split(name: &str) -> (&str, &str) {
    let dashes = name.match_indices('-').map(|(at, _)| at);
    let is_before_version = |at: &usize| {
        let next = name[at + 1..].chars().next();
        *at > 0 && next.is_some_and(|next| !next.is_ascii_alphabetic())
    };
    match dashes.into_iter().find(is_before_version) {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => (name, ""),
    }
}

/// `python3-aarch64-unknown-linux-gnu` was compiled on another platform.
fn without_platform(package: &str) -> &str {
    let platform = package.find("-unknown-linux-");
    platform
        .and_then(|at| package[..at].rsplit_once('-'))
        .map_or(package, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_nixpkgs_of_wheels_and_of_other_makers_come_apart() {
        for (name, python, package, version, label) in [
            ("python3.12-fastapi-0.111.0", true, "fastapi", "0.111.0", ""),
            ("fastapi-0.111.0", false, "fastapi", "0.111.0", ""),
            (
                "python3.11-annotated-doc-0.0.7",
                true,
                "annotated-doc",
                "0.0.7",
                "",
            ),
            (
                "python3-3.11.2-6+deb12u9",
                false,
                "python3",
                "3.11.2-6+deb12u9",
                "",
            ),
            ("python3-3.12.4-env", false, "python3", "3.12.4", "env"),
            ("openssl-3.0.14-bin", false, "openssl", "3.0.14", "bin"),
            ("glibc-2.40-66", false, "glibc", "2.40-66", ""),
            ("zlib-1-1.2.13.dfsg-1", false, "zlib", "1-1.2.13.dfsg-1", ""),
            ("base-api-env", false, "base-api-env", "", ""),
            (
                "python3-aarch64-unknown-linux-gnu-3.12.4",
                false,
                "python3",
                "3.12.4",
                "",
            ),
            (
                "python3.12-numpy-aarch64-unknown-linux-gnu-1.26.4",
                true,
                "numpy",
                "1.26.4",
                "",
            ),
            ("-", false, "-", "", ""),
            ("a-", false, "a-", "", ""),
        ] {
            let parsed = PackageName::parse(name);
            let expected = PackageName {
                has_python_prefix: python,
                package,
                version,
                label,
            };
            assert_eq!(parsed, expected, "{name}");
        }
    }

    #[test]
    fn an_interpreter_is_neither_a_package_nor_an_environment() {
        for name in [
            "python3-3.12.4",
            "python3-minimal-3.12.4",
            "python-3.12.4",
            "cpython-3.13.0",
        ] {
            assert!(PackageName::parse(name).is_interpreter(), "{name}");
        }
        assert!(PackageName::parse("python3.12-3.12.4").is_interpreter());
        for name in [
            "python3-3.12.4-env",
            "python3.12-numpy-1.26.4",
            "python-dateutil-3.0",
            "python3",
        ] {
            assert!(!PackageName::parse(name).is_interpreter(), "{name}");
        }
    }

    #[test]
    fn an_output_is_named_after_its_project() {
        for name in [
            "base-api-0.1.0",
            "base-api-env",
            "python3.12-base_api-1.0",
            "base-api-app-env",
            "base-api",
        ] {
            let project = PackageName::parse(name).project_of_output();
            assert_eq!(project.to_string(), "base-api", "{name}");
        }
    }
}
