//! Closures for tests, written as name, size and references.

use nixpy_nix::path_info::PathInfo;
use nixpy_nix::{NarHash, StorePath};

use super::{Closure, Partition};

/// The path of that name, of the first build.
pub(super) fn path(name: &str) -> StorePath {
    built(name, 0)
}

/// Of another build: another hash.
pub(super) fn built(name: &str, build: u32) -> StorePath {
    let digits = b"0123456789abcdfg";
    let hash: String = (0..8)
        .map(|place| digits[(build >> (4 * (7 - place)) & 15) as usize] as char)
        .collect();
    let base = format!("{hash}{}-{name}", "0".repeat(24));
    StorePath::in_store("/nix/store", &base).expect("the name is that of a store path")
}

pub(super) fn closure(paths: &[(&str, u64, &[&str])]) -> Closure {
    let infos = paths.iter().map(|(name, size, references)| {
        let references = references.iter().map(|name| path(name)).collect();
        info(path(name), *size, references)
    });
    infos.map(|info| (info.path.clone(), info)).collect()
}

pub(super) fn info(path: StorePath, nar_size: u64, references: Vec<StorePath>) -> PathInfo {
    PathInfo {
        path,
        nar_hash: NarHash::from_bytes([0; 32]),
        nar_size,
        references,
        deriver: None,
        ca: None,
        is_own: false,
        signatures: Vec::new(),
    }
}

pub(super) fn names(partition: &Partition) -> Vec<Vec<&str>> {
    let layers = partition.layers.iter();
    layers
        .map(|layer| layer.paths.iter().map(StorePath::name).collect())
        .collect()
}

/// The closure of `examples/hermetic` as Nix told it: an app over an environment over
/// wheels, Python and Debian's libraries.
pub(super) const HERMETIC: &[(&str, u64, &[&str])] = &[
    ("base-api-0.1.0", 520, &["base-api-env"]),
    (
        "base-api-env",
        13520,
        &[
            "python3-3.11.2-6+deb12u9",
            "python3.11-annotated-doc-0.0.7",
            "python3.11-annotated-types-0.8.0",
            "python3.11-anyio-4.16.0",
            "python3.11-base-api-0.1.0",
            "python3.11-click-8.5.1",
            "python3.11-fastapi-0.165.0",
            "python3.11-h11-0.16.0",
            "python3.11-idna-3.20",
            "python3.11-opentelemetry-api-1.45.2",
            "python3.11-pydantic-2.14.3",
            "python3.11-pydantic-core-2.50.4",
            "python3.11-starlette-1.10.0",
            "python3.11-typing-extensions-4.16.0",
            "python3.11-typing-inspection-0.4.5",
            "python3.11-uvicorn-0.54.0",
        ],
    ),
    ("bzip2-1.0.8-5+b1", 80536, &["glibc-2.36-9+deb12u14"]),
    ("expat-2.5.0-1+deb12u5", 384640, &["glibc-2.36-9+deb12u14"]),
    ("glibc-2.36-9+deb12u14", 4498944, &[]),
    ("libffi-3.4.4-1", 48008, &["glibc-2.36-9+deb12u14"]),
    (
        "libgcc-12.2.0-14+deb12u1",
        131952,
        &["glibc-2.36-9+deb12u14"],
    ),
    (
        "openssl-3.0.22-1-deb12u2",
        5617312,
        &["glibc-2.36-9+deb12u14"],
    ),
    (
        "python3-3.11.2-6+deb12u9",
        29574904,
        &[
            "bzip2-1.0.8-5+b1",
            "expat-2.5.0-1+deb12u5",
            "glibc-2.36-9+deb12u14",
            "libffi-3.4.4-1",
            "openssl-3.0.22-1-deb12u2",
            "sqlite-3.40.1-2+deb12u2",
            "xz-5.4.1-1+deb12u2",
            "zlib-1-1.2.13.dfsg-1",
        ],
    ),
    (
        "python3.11-annotated-doc-0.0.7",
        15688,
        &["python3-3.11.2-6+deb12u9"],
    ),
    (
        "python3.11-annotated-types-0.8.0",
        74936,
        &["python3-3.11.2-6+deb12u9"],
    ),
    (
        "python3.11-anyio-4.16.0",
        1401880,
        &[
            "python3-3.11.2-6+deb12u9",
            "python3.11-idna-3.20",
            "python3.11-typing-extensions-4.16.0",
        ],
    ),
    (
        "python3.11-base-api-0.1.0",
        6680,
        &[
            "python3-3.11.2-6+deb12u9",
            "python3.11-fastapi-0.165.0",
            "python3.11-uvicorn-0.54.0",
        ],
    ),
    (
        "python3.11-click-8.5.1",
        1010488,
        &["python3-3.11.2-6+deb12u9"],
    ),
    (
        "python3.11-fastapi-0.165.0",
        1744536,
        &[
            "python3-3.11.2-6+deb12u9",
            "python3.11-annotated-doc-0.0.7",
            "python3.11-anyio-4.16.0",
            "python3.11-opentelemetry-api-1.45.2",
            "python3.11-pydantic-2.14.3",
            "python3.11-starlette-1.10.0",
            "python3.11-typing-extensions-4.16.0",
            "python3.11-typing-inspection-0.4.5",
        ],
    ),
    (
        "python3.11-h11-0.16.0",
        202864,
        &["python3-3.11.2-6+deb12u9"],
    ),
    (
        "python3.11-idna-3.20",
        532448,
        &["python3-3.11.2-6+deb12u9"],
    ),
    (
        "python3.11-opentelemetry-api-1.45.2",
        459600,
        &[
            "python3-3.11.2-6+deb12u9",
            "python3.11-typing-extensions-4.16.0",
        ],
    ),
    (
        "python3.11-pydantic-2.14.3",
        4173136,
        &[
            "python3-3.11.2-6+deb12u9",
            "python3.11-annotated-types-0.8.0",
            "python3.11-pydantic-core-2.50.4",
            "python3.11-typing-extensions-4.16.0",
            "python3.11-typing-inspection-0.4.5",
        ],
    ),
    (
        "python3.11-pydantic-core-2.50.4",
        5581888,
        &[
            "glibc-2.36-9+deb12u14",
            "libgcc-12.2.0-14+deb12u1",
            "python3-3.11.2-6+deb12u9",
            "python3.11-typing-extensions-4.16.0",
        ],
    ),
    (
        "python3.11-starlette-1.10.0",
        717448,
        &[
            "python3-3.11.2-6+deb12u9",
            "python3.11-anyio-4.16.0",
            "python3.11-typing-extensions-4.16.0",
        ],
    ),
    (
        "python3.11-typing-extensions-4.16.0",
        368272,
        &["python3-3.11.2-6+deb12u9"],
    ),
    (
        "python3.11-typing-inspection-0.4.5",
        97040,
        &[
            "python3-3.11.2-6+deb12u9",
            "python3.11-typing-extensions-4.16.0",
        ],
    ),
    (
        "python3.11-uvicorn-0.54.0",
        728272,
        &[
            "python3-3.11.2-6+deb12u9",
            "python3.11-click-8.5.1",
            "python3.11-h11-0.16.0",
        ],
    ),
    (
        "sqlite-3.40.1-2+deb12u2",
        1484968,
        &["glibc-2.36-9+deb12u14"],
    ),
    ("xz-5.4.1-1+deb12u2", 197872, &["glibc-2.36-9+deb12u14"]),
    ("zlib-1-1.2.13.dfsg-1", 126680, &["glibc-2.36-9+deb12u14"]),
];

/// The layers' paths, as the next run is told of them.
pub(super) fn paths(partition: &Partition) -> Vec<Vec<StorePath>> {
    let layers = partition.layers.iter();
    layers.map(|layer| layer.paths.clone()).collect()
}

/// The closure after a rebuild: `changed` has another name, and as Nix does it, whatever
/// depends on it another hash.
pub(super) fn rebuilt(
    closure: &Closure,
    changed: &StorePath,
    renamed: &str,
    build: u32,
) -> Closure {
    let mut stale = vec![changed];
    let mut at = 0;
    while let Some(path) = stale.get(at).copied() {
        let refers = closure
            .values()
            .filter(|info| info.references.contains(path));
        let new: Vec<_> = refers
            .map(|info| &info.path)
            .filter(|path| !stale.contains(path))
            .collect();
        stale.extend(new);
        at += 1;
    }
    let now = |path: &StorePath| match stale.contains(&path) {
        true if path == changed => built(renamed, build),
        true => built(path.name(), build),
        false => path.clone(),
    };
    let infos = closure.values().map(|old| {
        info(
            now(&old.path),
            old.nar_size,
            old.references.iter().map(now).collect(),
        )
    });
    infos.map(|info| (info.path.clone(), info)).collect()
}
