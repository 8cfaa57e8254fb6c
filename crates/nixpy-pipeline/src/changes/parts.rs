//! The things in an image by their names: packages, their versions, their sizes.
//!
//! Several paths are one package: its outputs (`openssl-3.0.14`, `openssl-3.0.14-bin`), and
//! two builds of it. A package has as many versions as there are different ones among
//! its paths.

use std::collections::{BTreeMap, BTreeSet};

use nixpy_nix::StorePath;
use nixpy_oci::contents::Content;

use super::{Grown, Moved};
use crate::image::layering::names::{Lineage, PackageName};
use crate::lockfile::LockFile;

/// What is in one image.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Each path once, and its size.
    paths: BTreeMap<StorePath, u64>,
}

impl Parts {
    /// What is no store path is left out.
    pub(super) fn of(contents: &[Content]) -> Self {
        let paths = contents.iter().filter_map(|content| {
            // Names are compared, not places.
            let path = StorePath::in_store("/nix/store", &content.name).ok()?;
            Some((path, content.size))
        });
        Self {
            paths: paths.collect(),
        }
    }

    fn names(&self) -> impl Iterator<Item = PackageName<'_>> {
        self.paths.keys().map(PackageName::of)
    }

    /// The versions of each package; whether its name says that it is Python's comes first.
    fn packages(&self) -> BTreeMap<(bool, &str), BTreeSet<&str>> {
        let mut packages: BTreeMap<(bool, &str), BTreeSet<&str>> = BTreeMap::new();
        for name in self.names() {
            let key = (name.has_python_prefix, name.package);
            packages.entry(key).or_default().insert(name.version);
        }
        packages
    }

    /// The bytes of each thing that keeps its name when its version changes, and the name of
    /// its largest path.
    fn sizes(&self) -> BTreeMap<Lineage<'_>, (u64, &str)> {
        let mut sizes: BTreeMap<Lineage<'_>, (u64, u64, &str)> = BTreeMap::new();
        for (path, size) in &self.paths {
            let known = sizes.entry(PackageName::of(path).lineage()).or_default();
            known.0 = known.0.saturating_add(*size);
            if *size >= known.1 {
                (known.1, known.2) = (*size, path.name());
            }
        }
        let summed = sizes.into_iter();
        summed
            .map(|(lineage, (sum, _, name))| (lineage, (sum, name)))
            .collect()
    }
}

/// Packages of Python, and all else, that are not what they were.
pub(super) fn moved(
    before: &Parts,
    after: &Parts,
    lock: Option<&LockFile>,
) -> (Vec<Moved>, Vec<Moved>) {
    let kinds = Kinds::of(after, lock);
    let [before, after] = [before.packages(), after.packages()];
    let names: BTreeSet<(bool, &str)> = before.keys().chain(after.keys()).copied().collect();
    let (mut python, mut libraries) = (Vec::new(), Vec::new());
    for key in names {
        let [was, is] = [before.get(&key), after.get(&key)];
        let (has_prefix, package) = key;
        // A program around a package of Python has its name, and moves with it.
        let twin = (true, package);
        let is_told = !has_prefix
            && [before.get(&twin), after.get(&twin)] == [was, is]
            && (was.is_some() || is.is_some());
        if was == is || is_told {
            continue;
        }
        let moved = Moved {
            name: package.to_owned(),
            before: was.map(listed),
            after: is.map(listed),
        };
        match has_prefix || kinds.is_python(package, was, is) {
            true => python.push(moved),
            false => libraries.push(moved),
        }
    }
    for moved in [&mut python, &mut libraries] {
        moved.sort_by(|a, b| a.name.cmp(&b.name));
    }
    (python, libraries)
}

fn listed(versions: &BTreeSet<&str>) -> String {
    let versions: Vec<&str> = versions.iter().copied().filter(|v| !v.is_empty()).collect();
    versions.join(", ")
}

/// Tells wheels whose names do not say it: builders that follow `uv.lock` call one
/// `fastapi-0.111.0`, as any library is called.
struct Kinds<'l> {
    lock: Option<&'l LockFile>,
    /// Whether there are such wheels at all.
    are_plain: bool,
}

impl<'l> Kinds<'l> {
    fn of(after: &Parts, lock: Option<&'l LockFile>) -> Self {
        let is_locked = |lock: &LockFile| {
            after
                .names()
                .any(|name| !name.has_python_prefix && lock.has(&name.project(), name.version))
        };
        Self {
            lock,
            are_plain: lock.is_some_and(is_locked),
        }
    }

    fn is_python(
        &self,
        package: &str,
        was: Option<&BTreeSet<&str>>,
        is: Option<&BTreeSet<&str>>,
    ) -> bool {
        let Some(lock) = self.lock.filter(|_| self.are_plain) else {
            return false;
        };
        let project = PackageName::parse(package).project();
        let versions = was.into_iter().chain(is).flatten();
        let mut versions = versions.copied();
        // What is gone is in the lock file no more: there only the name is left.
        lock.is_own(&project)
            || versions.any(|version| lock.has(&project, version))
            || is.is_none() && was.is_some_and(|was| !was.contains("")) && !is_of_a_system(package)
    }
}

/// What images of Python services have that no wheel is called, by nixpkgs' names.
fn is_of_a_system(package: &str) -> bool {
    const KNOWN: [&str; 44] = [
        "acl",
        "attr",
        "bash",
        "bash-interactive",
        "brotli",
        "bzip2",
        "cacert",
        "c-ares",
        "coreutils",
        "curl",
        "cyrus-sasl",
        "db",
        "expat",
        "findutils",
        "gawk",
        "gcc",
        "gdbm",
        "gettext",
        "glibc",
        "gmp",
        "gmp-with-cxx",
        "gnugrep",
        "gnused",
        "icu4c",
        "keyutils",
        "krb5",
        "mailcap",
        "mpdecimal",
        "musl",
        "ncurses",
        "nghttp2",
        "openssl",
        "postgresql",
        "publicsuffix-list",
        "python3",
        "readline",
        "shadow",
        "sqlite",
        "tcl",
        "tk",
        "tzdata",
        "util-linux",
        "xz",
        "zlib",
    ];
    KNOWN.contains(&package)
        || package.starts_with("lib")
        || package.starts_with("xgcc")
        || package.starts_with("util-linux")
        || package.starts_with("nss")
        || [
            "zstd",
            "python",
            "openldap",
            "linux-pam",
            "systemd-minimal-libs",
        ]
        .contains(&package)
}

/// Paths that have come in the place of others with the same name.
pub(super) fn rebuilt(before: &Parts, after: &Parts) -> usize {
    let gone = |path: &&StorePath| !after.paths.contains_key(*path);
    let gone: BTreeSet<&str> = before
        .paths
        .keys()
        .filter(gone)
        .map(StorePath::name)
        .collect();
    let came = after
        .paths
        .keys()
        .filter(|path| !before.paths.contains_key(*path));
    came.filter(|path| gone.contains(path.name())).count()
}

/// What is larger than it was, that which grew most first.
pub(super) fn grown(before: &Parts, after: &Parts) -> Vec<Grown> {
    let was = before.sizes();
    let sizes = after.sizes();
    let mut grown: Vec<Grown> = sizes
        .into_iter()
        .map(|(lineage, (size, name))| Grown {
            name: name.to_owned(),
            before: was.get(&lineage).map_or(0, |(size, _)| *size),
            after: size,
        })
        .filter(|one| one.after > one.before)
        .collect();
    grown.sort_by(|a, b| {
        let by = |one: &Grown| one.after - one.before;
        by(b).cmp(&by(a)).then_with(|| a.name.cmp(&b.name))
    });
    grown
}
