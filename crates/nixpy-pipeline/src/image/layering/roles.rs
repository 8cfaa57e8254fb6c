//! What each path is to a Python service, and how often its own source changes.
//!
//! Three things are asked: the graph (does it depend on the interpreter?), the name
//! ([`super::names`]), and the lock file. None is needed: without Python there is the
//! app and what it depends on, without a lock file all wheels change alike.
//!
//! Rates are the chance that a push, of which one a day is assumed, comes with a change
//! of that source. Only how they compare decides about layers.

use fixedbitset::FixedBitSet;
use nixpy_nix::StorePath;

use super::graph::Graph;
use crate::lockfile::LockFile;

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The output, and packages of the project's own code.
    App,
    /// Links packages together: it follows from the graph and has no source.
    Environment,
    /// A package from an index.
    Wheel,
    /// CPython.
    Interpreter,
    /// glibc or musl.
    CLibrary,
    /// All else.
    Library,
}

/// Nearly every push is made because the app has changed.
const APP: f64 = 0.9;
/// Where the lock file does not say: a release in a hundred days.
const WHEEL: f64 = 0.01;
/// CPython has a release every two months, and not everybody follows at once.
const INTERPRETER: f64 = 0.005;
/// Fixes of security reach a service a few times a decade and library.
const LIBRARY: f64 = 0.002;
/// Moves with releases of the distribution.
const C_LIBRARY: f64 = 0.001;

/// The days that are added to every age, so that a version of yesterday is not taken
/// for a project with a release a day.
const PATIENCE: f64 = 60.0;

/// The roles of all paths; and the graph with what it cannot show: wheels are built by
/// the interpreter, so they change with it even if no file in them refers to it.
pub(super) fn assign<'a>(
    graph: Graph<'a>,
    output: &StorePath,
    lock: Option<&LockFile>,
) -> (Graph<'a>, Vec<Role>) {
    let all = 0..graph.len();
    let interpreters: Vec<usize> = all
        .clone()
        .filter(|node| graph.name(*node).is_interpreter())
        .collect();
    let known = Known {
        output: graph.place(output),
        project: super::names::PackageName::of(output).project_of_output(),
        lock,
        on_python: graph.dependents(interpreters.iter().copied()),
        below_python: graph.requisites(interpreters.iter().copied()),
        linked: linked(&graph),
    };
    let roles: Vec<Role> = all.map(|node| known.role(&graph, node)).collect();
    let built_by_python: Vec<usize> = (0..graph.len())
        .filter(|node| matches!(roles[*node], Role::Wheel) && !known.on_python.contains(*node))
        .collect();
    let graph = match interpreters.as_slice() {
        [only] => graph.referring(&built_by_python, *only),
        // Which one has built a wheel that refers to none cannot be told.
        _ => graph,
    };
    (graph, roles)
}

/// What an environment refers to directly.
fn linked(graph: &Graph<'_>) -> FixedBitSet {
    let mut linked = FixedBitSet::with_capacity(graph.len());
    for node in (0..graph.len()).filter(|node| graph.name(*node).is_environment()) {
        linked.extend(graph.references(node).iter().copied());
    }
    linked
}

struct Known<'l> {
    output: Option<usize>,
    project: crate::lockfile::ProjectName,
    lock: Option<&'l LockFile>,
    on_python: FixedBitSet,
    below_python: FixedBitSet,
    linked: FixedBitSet,
}

impl Known<'_> {
    fn role(&self, graph: &Graph<'_>, node: usize) -> Role {
        let name = graph.name(node);
        let project = name.project();
        let is_own = project == self.project || self.lock.is_some_and(|lock| lock.is_own(&project));
        // Indexes have projects of every name, `zlib` among them: only the version tells
        // a wheel that shows nothing of Python from a library.
        let is_locked = || {
            self.lock
                .is_some_and(|lock| lock.has(&project, name.version))
        };
        let is_python = name.has_python_prefix || self.on_python.contains(node);
        match () {
            () if self.output == Some(node) => Role::App,
            () if name.is_interpreter() => Role::Interpreter,
            () if name.is_c_library() => Role::CLibrary,
            () if is_python && name.is_environment() => Role::Environment,
            () if is_own => Role::App,
            () if self.below_python.contains(node) => Role::Library,
            () if is_python || is_locked() => Role::Wheel,
            () if self.linked.contains(node) && !name.version.is_empty() => Role::Wheel,
            () => Role::Library,
        }
    }
}

/// How likely a push comes with a change of the path's own source.
pub(super) fn rate(role: Role, path: &StorePath, lock: Option<&LockFile>) -> f64 {
    match role {
        Role::App => APP,
        Role::Environment => 0.0,
        Role::Wheel => {
            let project = super::names::PackageName::of(path).project();
            lock.and_then(|lock| lock.age_in_days(&project))
                .map_or(WHEEL, by_age)
        }
        Role::Interpreter => INTERPRETER,
        Role::CLibrary => C_LIBRARY,
        Role::Library => LIBRARY,
    }
}

/// On a day chosen at random the last release is as old as releases are apart, on
/// average; so the rate is one over the age. One release in [`PATIENCE`] days is assumed
/// beside what was seen, which keeps the rate between 0 and 1/30.
fn by_age(days: u32) -> f64 {
    2.0 / (PATIENCE + f64::from(days))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{closure, path};
    use super::*;
    use crate::lockfile::LockFile;

    fn roles(paths: &[(&str, u64, &[&str])], lock: Option<&str>) -> Vec<(String, Role)> {
        let lock = lock.map(|text| LockFile::parse(text).expect("the lock file is one"));
        let output = path(paths.last().expect("the last is the output").0);
        let closure = closure(paths);
        let graph = Graph::of([&output], &closure).expect("all paths are known");
        let (graph, roles) = assign(graph, &output, lock.as_ref());
        let mut of: Vec<_> = (0..graph.len())
            .map(|node| (graph.path(node).name().to_owned(), roles[node]))
            .collect();
        of.sort_by_key(|(name, _)| paths.iter().position(|path| path.0 == name));
        of
    }

    fn expect(found: &[(String, Role)], wanted: &[Role]) {
        let found_roles: Vec<Role> = found.iter().map(|(_, role)| *role).collect();
        assert_eq!(found_roles, wanted, "{found:?}");
    }

    #[test]
    fn nixpkgs_tells_by_prefix_and_graph() {
        let found = roles(
            &[
                ("glibc-2.40-66", 1, &[]),
                ("openssl-3.0.14", 1, &["glibc-2.40-66"]),
                ("python3-3.12.4", 1, &["openssl-3.0.14"]),
                ("python3.12-fastapi-0.111.0", 1, &["python3-3.12.4"]),
                ("python3.12-shop-1.0", 1, &["python3.12-fastapi-0.111.0"]),
                ("python3-3.12.4-env", 1, &["python3.12-shop-1.0"]),
                ("tzdata-2024a", 1, &[]),
                ("shop-1.0", 1, &["python3-3.12.4-env", "tzdata-2024a"]),
            ],
            None,
        );
        use Role::*;
        expect(
            &found,
            &[
                CLibrary,
                Library,
                Interpreter,
                Wheel,
                App,
                Environment,
                Library,
                App,
            ],
        );
    }

    #[test]
    fn wheels_that_show_nothing_of_python_are_known_by_their_environment() {
        let found = roles(
            &[
                ("glibc-2.40-66", 1, &[]),
                ("python3-3.12.4", 1, &["glibc-2.40-66"]),
                ("fastapi-0.111.0", 1, &[]),
                ("shop-0.1.0", 1, &[]),
                (
                    "shop-env",
                    1,
                    &["python3-3.12.4", "fastapi-0.111.0", "shop-0.1.0"],
                ),
            ],
            None,
        );
        use Role::*;
        expect(&found, &[CLibrary, Interpreter, Wheel, App, App]);
    }

    #[test]
    fn the_lock_file_tells_own_code_and_wheels_from_libraries_of_their_name() {
        let lock = "[[package]]\nname = 'Shop_Core'\nsource = { editable = 'core' }\n\
                    [[package]]\nname = 'zstd'\nversion = '1.5.5'\n";
        let found = roles(
            &[
                ("python3-3.12.4", 1, &[]),
                ("zstd-1.5.5", 1, &[]),
                ("zstd-1.5.6", 1, &[]),
                ("shop-core-0.1.0", 1, &[]),
                (
                    "start",
                    1,
                    &[
                        "python3-3.12.4",
                        "zstd-1.5.5",
                        "zstd-1.5.6",
                        "shop-core-0.1.0",
                    ],
                ),
            ],
            Some(lock),
        );
        use Role::*;
        expect(&found, &[Interpreter, Wheel, Library, App, App]);
    }

    #[test]
    fn a_young_version_is_expected_to_change_sooner() {
        assert!(by_age(0) > by_age(100) && by_age(100) > by_age(2000));
        assert!(by_age(0) < APP && by_age(u32::MAX) > 0.0);
    }
}
