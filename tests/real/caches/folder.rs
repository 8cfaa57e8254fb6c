//! A folder: what a push that is killed leaves behind, and one that is full.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nixpy_cache::{CacheErrorKind, Store as _};
use nixpy_nix::narinfo::NarInfo;
use nixpy_oci::digest::Digest;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{Reader, Signed};
use crate::world::disk::Disk;
use crate::world::nixpy::names_in;
use crate::world::program::wait_for;

/// Where the push of the next test goes and finds what it pushes; how large that is.
const FOLDER: &str = "TEST_PUSHES_TO";
const SIZES: [u64; 12] = [6 << 20; 12];

/// What the next test starts in a process of its own, to kill it.
#[test]
#[ignore = "started by a_push_that_is_killed_leaves_nothing_broken"]
fn a_push_to_be_killed() {
    let folder = std::env::var(FOLDER).unwrap();
    let folder = Path::new(&folder);
    let signed = kept_in(folder);
    signed.push(&format!("file://{}/cache", folder.display()), None);
}

/// What has been made before: the example, from which it is, belongs to one process.
fn kept_in(folder: &Path) -> Signed {
    let key = fs::read_to_string(folder.join("key")).unwrap();
    let paths = fs::read_to_string(folder.join("paths")).unwrap();
    Signed::again(&key, paths.lines())
}

#[test]
fn a_push_that_is_killed_leaves_nothing_broken() {
    let (dir, made) = (TempDir::new().unwrap(), Signed::chain(&SIZES));
    fs::write(dir.path().join("key"), made.key.expose()).unwrap();
    let names = made.paths.iter().map(|info| info.path.to_string());
    let names: Vec<String> = names.collect();
    fs::write(dir.path().join("paths"), names.join("\n")).unwrap();
    let mut push = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "caches::folder::a_push_to_be_killed",
        ])
        .env(FOLDER, dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let cache = dir.path().join("cache");
    let narinfos = || -> Vec<String> {
        let names = match cache.exists() {
            true => names_in(&cache),
            false => Vec::new(),
        };
        names
            .into_iter()
            .filter(|name| name.ends_with(".narinfo"))
            .collect()
    };
    wait_for(
        "the first path to be there",
        Duration::from_secs(120),
        || (!narinfos().is_empty()).then_some(()),
    );
    push.kill().unwrap();
    push.wait().unwrap();

    let seen = narinfos();
    assert!(seen.len() < SIZES.len(), "it was killed before its end");
    for name in &seen {
        let narinfo: NarInfo = fs::read_to_string(cache.join(name))
            .unwrap()
            .parse()
            .unwrap();
        let nar = fs::read(cache.join(&narinfo.url)).unwrap();
        assert_eq!(Digest::of(&nar).hex(), narinfo.file_hash.unwrap().to_hex());
        for reference in &narinfo.info.references {
            assert!(seen.contains(&format!("{}.narinfo", reference.hash_part())));
        }
    }

    // The same paths once more, as the next run would push them.
    let signed = kept_in(dir.path());
    let url = format!("file://{}", cache.display());
    assert_eq!(signed.missing(&url, None).len(), SIZES.len() - seen.len());
    signed.push(&url, None);
    let reader = Reader::that_trusts(&signed.key);
    reader.takes(&url, &signed).succeeded();
    reader.has(&signed);
}

#[test]
fn a_folder_that_is_full_keeps_what_it_has() {
    let disk = Disk::of("3m");
    let signed = Signed::chain(&[100, 8 << 20, 100]);
    let url = format!("file://{}", disk.path("cache").display());
    let cache = signed.cache(&url, None);
    let put = Runtime::new().unwrap().block_on(cache.put(&signed.paths));
    let full = put
        .failed
        .iter()
        .find(|(path, _)| *path == signed.paths[1].path);
    let (_, error) = full.unwrap();
    assert!(matches!(error.kind, CacheErrorKind::Full(_)), "{error}");
    let files = disk.files();
    assert!(
        !files.iter().any(|name| name.contains(".nixpy-ci-")),
        "{files:?}"
    );
    let narinfos = files.iter().filter(|name| name.ends_with(".narinfo"));
    assert_eq!(narinfos.count(), put.stored.len(), "{files:?}");
    assert!(
        !put.stored.contains(&signed.paths[2].path),
        "it refers to what is not there"
    );
}
