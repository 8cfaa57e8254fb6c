//! Paths of a fixed store, as Nix would tell of them.

use nixpy_nix::path_info::PathInfo;
use nixpy_testkit::store::FakePath;

/// What Nix would tell of a path.
#[allow(clippy::unwrap_used)]
pub(crate) fn info_of(path: &FakePath) -> PathInfo {
    PathInfo {
        path: path.text().parse().unwrap(),
        nar_hash: path.nar_hash().parse().unwrap(),
        nar_size: path.nar_size() as u64,
        references: path
            .references()
            .iter()
            .map(|it| it.parse().unwrap())
            .collect(),
        deriver: None,
        ca: None,
        is_own: false,
        signatures: Vec::new(),
    }
}
