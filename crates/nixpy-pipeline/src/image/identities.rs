//! Layers of store paths, tried with random ones: they are known again exactly if all
//! that decides about their bytes is the same.

use nixpy_nix::path_info::PathInfo;
use nixpy_nix::{NarHash, StorePath};
use nixpy_oci::layer::Identity;
use nixpy_oci::tarball::Stamp;
use proptest::collection::vec;
use proptest::prelude::*;

use super::Closure;
use super::store_layer::{store_directories, store_layer};

/// Few values, so that two are often nearly the same.
#[derive(Clone, Debug, PartialEq)]
struct Made {
    /// Which path, and which content it has.
    paths: Vec<(u8, u8)>,
    mtime: i64,
    uid: u64,
    gid: u64,
    uname: String,
    gname: String,
}

fn made() -> impl Strategy<Value = Made> {
    let paths = vec(0..3_u8, 0..4).prop_flat_map(|names| {
        // A path has one content, however often it is named.
        vec(0..2_u8, 3).prop_map(move |contents| {
            let paths = names
                .iter()
                .map(|name| (*name, contents[usize::from(*name)]));
            paths.collect()
        })
    });
    let owner = (0..2_u64, 0..2_u64, "[ab]{0,2}", "[ab]{0,2}");
    (paths, 0..2_i64, owner).prop_map(|(paths, mtime, (uid, gid, uname, gname))| Made {
        paths,
        mtime,
        uid,
        gid,
        uname,
        gname,
    })
}

fn identity(made: &Made) -> Identity {
    let path = |name: u8| -> StorePath {
        let base = format!("{name:0>32}-path");
        StorePath::in_store("/nix/store", &base).expect("a name of a path")
    };
    let known = made.paths.iter().map(|(name, content)| PathInfo {
        path: path(*name),
        nar_hash: NarHash::from_bytes([*content; 32]),
        nar_size: 1,
        references: Vec::new(),
        deriver: None,
        ca: None,
        is_own: false,
        signatures: Vec::new(),
    });
    let closure: Closure = known.map(|info| (info.path.clone(), info)).collect();
    let paths: Vec<StorePath> = made.paths.iter().map(|(name, _)| path(*name)).collect();
    let stamp = Stamp {
        mtime: made.mtime,
        uid: made.uid,
        gid: made.gid,
        uname: made.uname.clone(),
        gname: made.gname.clone(),
    };
    let layer = store_layer(&paths, &store_directories(0o755), &stamp, &closure);
    layer.expect("all paths are known").identity
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_layers_have_one_identity_only_if_they_are_the_same(one in made(), other in made()) {
        prop_assert_eq!(identity(&one) == identity(&other), one == other);
    }

    #[test]
    fn the_order_of_paths_and_each_content_count(made in made(), at in any::<prop::sample::Index>()) {
        prop_assume!(!made.paths.is_empty());
        let mut turned = made.clone();
        turned.paths.rotate_left(at.index(made.paths.len()));
        prop_assert_eq!(identity(&turned) == identity(&made), turned == made);
        let mut changed = made.clone();
        let (path, content) = made.paths[at.index(made.paths.len())];
        for known in changed.paths.iter_mut().filter(|(name, _)| *name == path) {
            known.1 = content + 1;
        }
        prop_assert_ne!(identity(&changed), identity(&made));
    }
}
