//! What was damaged, cut short or signed by a stranger on its way is not taken by Nix.

use std::fs;
use std::path::{Path, PathBuf};

use nixpy_nix::narinfo::NarInfo;
use nixpy_nix::signing::SecretKey;
use tempfile::TempDir;

use super::{Reader, Signed};

fn narinfo(folder: &Path, signed: &Signed) -> (PathBuf, NarInfo) {
    let file = folder.join(format!("{}.narinfo", signed.last().path.hash_part()));
    let text = fs::read_to_string(&file).unwrap();
    (file, text.parse().unwrap())
}

/// A cache in a folder, changed, and what Nix says of it.
fn told_of(change: impl FnOnce(&Path, &Signed)) -> String {
    let dir = TempDir::new().unwrap();
    let signed = Signed::chain(&[500_000]);
    let url = format!("file://{}", dir.path().display());
    signed.push(&url, None);
    change(dir.path(), &signed);
    let reader = Reader::that_trusts(&signed.key);
    let ended = reader.takes(&url, &signed);
    assert_ne!(ended.code, 0, "{ended}");
    let there = reader.nix(&["path-info", signed.last().path.as_str()]);
    assert_ne!(there.code, 0, "it is not valid: {there}");
    ended.stderr
}

#[test]
fn a_nar_that_was_changed_is_refused() {
    let said = told_of(|folder, signed| {
        let nar = folder.join(narinfo(folder, signed).1.url);
        let mut bytes = fs::read(&nar).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&nar, bytes).unwrap();
    });
    assert!(
        said.contains("hash mismatch") || said.contains("error"),
        "{said}"
    );
}

#[test]
fn a_nar_that_was_cut_short_is_refused() {
    let said = told_of(|folder, signed| {
        let nar = folder.join(narinfo(folder, signed).1.url);
        let bytes = fs::read(&nar).unwrap();
        fs::write(&nar, &bytes[..bytes.len() / 2]).unwrap();
    });
    assert!(
        said.contains("error: ") && !said.contains("lacks a"),
        "{said}"
    );
}

#[test]
fn a_path_of_another_name_or_hand_is_refused() {
    let strangers = |signed: &Signed| {
        let stranger = SecretKey::generate("test-1").unwrap();
        vec![stranger.sign(signed.last())]
    };
    let nobodys = |_: &Signed| Vec::new();
    for signatures in [&strangers as &dyn Fn(&Signed) -> Vec<String>, &nobodys] {
        let said = told_of(|folder, signed| {
            let (file, mut narinfo) = narinfo(folder, signed);
            narinfo.info.signatures = signatures(signed);
            fs::write(file, narinfo.to_string()).unwrap();
        });
        assert!(
            said.contains("lacks a") && said.contains("signature"),
            "{said}"
        );
    }
}
