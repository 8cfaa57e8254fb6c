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
        signatures: Vec::new(),
    }
}

pub(super) fn names(partition: &Partition) -> Vec<Vec<&str>> {
    let layers = partition.layers.iter();
    layers
        .map(|layer| layer.paths.iter().map(StorePath::name).collect())
        .collect()
}
