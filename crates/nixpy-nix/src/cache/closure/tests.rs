use super::*;

const TREE: &[u8] = include_bytes!("../../../tests/fixtures/nar/tree.nar");
const PATH: &str = "/nix/store/w2qimm4z19p47n21khqccpg90ra91spf-api";

fn path() -> StorePath {
    PATH.parse().unwrap()
}

fn info() -> PathInfo {
    PathInfo {
        path: path(),
        nar_hash: NarHash::from_bytes(Sha256::digest(TREE).into()),
        nar_size: TREE.len() as u64,
        references: Vec::new(),
        deriver: None,
        ca: None,
        is_own: false,
        signatures: Vec::new(),
    }
}

/// A closure of one path that a cache holds, whose archive is here already.
fn held() -> KnownClosure {
    let mut known = KnownClosure::default();
    known.add(info(), Some(&"file:///nowhere".to_owned()));
    known.archives.insert(path(), TREE.to_vec());
    known
}

/// That cannot answer anything.
fn no_nix() -> Nix {
    Nix::find(Some(Path::new("/bin/false"))).unwrap()
}

#[test]
fn only_the_archive_that_was_told_of_is_the_right_one() {
    assert!(is_archive_of(&info(), TREE));
    let longer = [TREE, &[0]].concat();
    let mut changed = TREE.to_vec();
    changed[200] ^= 1;
    for other in [&longer[..], &changed, &TREE[1..], &[]] {
        assert!(!is_archive_of(&info(), other));
    }
    let resized = PathInfo {
        nar_size: 1,
        ..info()
    };
    assert!(!is_archive_of(&resized, TREE));
}

#[test]
fn a_content_address_has_to_be_that_of_the_archive() {
    let hash = info().nar_hash.to_nix_base32();
    let other = NarHash::from_bytes([7; 32]).to_nix_base32();
    for (ca, is_bound) in [
        (None, true),
        (Some(format!("fixed:r:{hash}")), true),
        (Some(format!("fixed:r:{other}")), false),
        (Some(format!("fixed:{hash}")), false),
        (Some(format!("text:{hash}")), false),
        (Some(String::new()), false),
    ] {
        let mut known = KnownClosure::default();
        let told = PathInfo { ca, ..info() };
        known.add(told.clone(), Some(&"file:///nowhere".to_owned()));
        assert_eq!(known.is_bound(), is_bound, "{told:?}");
        let mut here = KnownClosure::default();
        here.add(told, None);
        assert!(here.is_bound(), "nobody else told it");
    }
}

#[tokio::test]
async fn files_are_read_out_of_the_archive() {
    let (mut known, nix) = (held(), no_nix());
    for (file, text) in [
        ("bin/serve", Some("#!/bin/sh\n")),
        ("empty", Some("")),
        ("bin/api", None),
        ("bin", None),
        ("other", None),
        ("bin/../empty", None),
    ] {
        let (path, file) = (path(), path().as_path().join(file));
        let read = known.read(&nix, &path, &file).await;
        assert_eq!(read.as_deref(), text, "{}", file.display());
    }
    let outside = Path::new("/etc/passwd");
    assert_eq!(known.read(&nix, &path(), outside).await, None);
}

#[tokio::test]
async fn the_names_behind_a_link_cannot_be_told() {
    let (mut known, nix) = (held(), no_nix());
    for (directory, names) in [
        ("bin", Some(vec!["api".to_owned(), "serve".to_owned()])),
        ("none", Some(Vec::new())),
        ("other", Some(Vec::new())),
        ("empty", Some(Vec::new())),
        ("bin/api", None),
    ] {
        let (path, directory) = (path(), path().as_path().join(directory));
        let told = known.names(&nix, &path, &directory).await;
        assert_eq!(told, names, "{}", directory.display());
    }
}

#[tokio::test]
async fn nothing_is_read_of_a_path_that_is_not_in_the_closure_or_too_large() {
    let (mut none, nix) = (KnownClosure::default(), no_nix());
    let file = path().as_path().join("empty");
    assert_eq!(none.read(&nix, &path(), &file).await, None);
    let large = PathInfo {
        nar_size: LARGEST + 1,
        ..info()
    };
    assert!(fetched(&nix, "file:///nowhere", &large).await.is_none());
}
