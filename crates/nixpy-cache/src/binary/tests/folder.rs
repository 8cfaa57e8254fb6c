use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use futures_util::TryStreamExt as _;
use nixpy_nix::narinfo::NarInfo;

use super::*;
use crate::source::Source;

fn at(folder: &Path, settings: &CacheSettings) -> BinaryCache {
    BinaryCache::new(&format!("file://{}", folder.display()), None, settings).unwrap()
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_a_folder_lacks_is_put_there_as_nix_would_write_it() {
    let given = given();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("new/cache");
    let cache = at(&folder, &given.settings);
    assert_eq!(cache.missing(&given.paths).await.unwrap().len(), 2);
    let put = cache.put(&given.paths).await;
    assert_eq!((put.stored.len(), put.failed.len()), (2, 0));
    assert!(cache.missing(&given.paths).await.unwrap().is_empty());

    let info = fs::read_to_string(folder.join("nix-cache-info")).unwrap();
    assert!(info.starts_with(&format!("StoreDir: {}\n", given.paths[0].path.store_dir())));
    let narinfo = folder.join(format!("{}.narinfo", given.paths[1].path.hash_part()));
    let text = fs::read_to_string(&narinfo).unwrap();
    let narinfo: NarInfo = text.parse().unwrap();
    assert_eq!(narinfo.info, given.paths[1]);
    assert!(given.key.public().has_signed(&narinfo.info));
    let archive = fs::read(folder.join(&narinfo.url)).unwrap();
    assert_eq!(narinfo.file_size, Some(archive.len() as u64));
    let nar = zstd::decode_all(archive.as_slice()).unwrap();
    assert!(nar == nixpy_testkit::nar(given.app.on_disk()));
    assert_eq!(files(&folder).len(), 4, "{:?}", files(&folder));
    assert_eq!(files(&folder.join("nar")).len(), 2);
    let mode = fs::metadata(folder.join(&narinfo.url))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o444, 0o444, "others read it as well");
}

#[tokio::test]
async fn a_push_that_was_broken_off_sends_no_archive_again() {
    let given = given();
    let dir = tempfile::tempdir().unwrap();
    let cache = at(dir.path(), &given.settings);
    cache.put(&given.paths).await;
    let narinfo = format!("{}.narinfo", given.paths[1].path.hash_part());
    fs::remove_file(dir.path().join(narinfo)).unwrap();
    let missing = cache.missing(&given.paths).await.unwrap();
    assert_eq!(missing, BTreeSet::from([given.paths[1].path.clone()]));
    let put = cache.put(&given.paths[1..]).await;
    assert_eq!(put.stored, missing);
    assert!(put.sent < 1000, "{} bytes", put.sent);
}

#[tokio::test]
async fn what_is_no_longer_what_was_built_is_stored_neither_nor_what_needs_it() {
    let mut given = given();
    given.paths[0].nar_hash = given.paths[1].nar_hash;
    given.paths[0].signatures = vec![given.key.sign(&given.paths[0])];
    let dir = tempfile::tempdir().unwrap();
    let put = at(dir.path(), &given.settings).put(&given.paths).await;
    assert!(put.stored.is_empty());
    assert_eq!(put.failed.len(), 2);
    let (_, error) = &put.failed[0];
    assert!(
        error.to_string().contains("not what the store says"),
        "{error}"
    );
    let narinfos = |name: &String| name.ends_with(".narinfo");
    assert!(!files(dir.path()).iter().any(narinfos));
}

#[tokio::test]
async fn a_reader_gets_what_is_signed_and_the_bytes_it_asks_for() {
    let given = given();
    let dir = tempfile::tempdir().unwrap();
    let cache = at(dir.path(), &given.settings);
    cache.put(&given.paths).await;
    let hash_part = given.paths[1].path.hash_part();
    let narinfo = cache.narinfo(hash_part).await.unwrap().unwrap();
    assert_eq!(narinfo.info, given.paths[1]);
    let whole = fs::read(dir.path().join(&narinfo.url)).unwrap();
    for range in [
        None,
        Some(3..20),
        Some(5..u64::MAX),
        Some(u64::MAX - 1..u64::MAX),
    ] {
        let nar = cache
            .nar(&narinfo.url, range.clone())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(nar.size, whole.len() as u64);
        let pieces: Vec<Bytes> = nar.bytes.try_collect().await.unwrap();
        let wanted = range.unwrap_or(0..u64::MAX);
        let end = wanted.end.min(nar.size) as usize;
        let start = (wanted.start as usize).min(end);
        assert_eq!(pieces.concat(), whole[start..end]);
    }
    let nobody = "0".repeat(32);
    assert!(cache.narinfo(&nobody).await.unwrap().is_none());
    for other in [
        "nix-cache-info",
        "nar/",
        "nar/../nix-cache-info",
        "nar/.x",
        "nar/none.nar.zst",
    ] {
        assert!(cache.nar(other, None).await.unwrap().is_none(), "{other}");
    }
    let strangers = at(dir.path(), &CacheSettings::default());
    assert!(strangers.narinfo(hash_part).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_left_of_a_push_that_was_killed_is_swept_when_it_is_old() {
    let given = given();
    let dir = tempfile::tempdir().unwrap();
    let nar = dir.path().join("nar");
    fs::create_dir_all(&nar).unwrap();
    for (name, hours) in [(".nixpy-ci-old", 25), (".nixpy-ci-new", 1), ("other", 99)] {
        let file = fs::File::create(nar.join(name)).unwrap();
        let then = std::time::SystemTime::now() - std::time::Duration::from_secs(hours * 3600);
        file.set_modified(then).unwrap();
    }
    at(dir.path(), &given.settings).put(&given.paths[..1]).await;
    let left = files(&nar);
    assert!(left.contains(&"other".to_owned()) && left.contains(&".nixpy-ci-new".to_owned()));
    assert_eq!(left.len(), 3, "{left:?}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_is_said_to_be_broken_with_its_name() {
    let given = given();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let put = at(&file, &given.settings).put(&given.paths).await;
    assert_eq!(put.failed.len(), 2);
    let told = put.failed[0].1.to_string();
    assert!(told.contains(file.to_str().unwrap()), "{told}");
    assert!(BinaryCache::new("file://relative", None, &given.settings).is_err());
}

#[tokio::test]
async fn what_nobody_has_signed_who_counts_is_missing_and_written_over() {
    let given = given();
    let dir = tempfile::tempdir().unwrap();
    let mut unsigned = given.paths.clone();
    unsigned.iter_mut().for_each(|info| info.signatures.clear());
    let anybodys = at(dir.path(), &CacheSettings::default());
    assert_eq!(anybodys.put(&unsigned).await.stored.len(), 2);
    assert!(anybodys.missing(&unsigned).await.unwrap().is_empty());
    let cache = at(dir.path(), &given.settings);
    assert_eq!(cache.missing(&given.paths).await.unwrap().len(), 2);
    let put = cache.put(&given.paths).await;
    assert_eq!(put.stored.len(), 2);
    assert!(put.sent < 10_000, "the archive is there: {}", put.sent);
    assert!(cache.missing(&given.paths).await.unwrap().is_empty());
    let hash_part = given.paths[1].path.hash_part();
    assert!(cache.narinfo(hash_part).await.unwrap().is_some());
    // One that makes no sense is no better.
    fs::write(dir.path().join(format!("{hash_part}.narinfo")), "<html>").unwrap();
    assert_eq!(cache.missing(&given.paths).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_nobody_would_take_is_not_put_and_the_cure_is_told() {
    let mut given = given();
    given
        .paths
        .iter_mut()
        .for_each(|info| info.signatures.clear());
    let dir = tempfile::tempdir().unwrap();
    let put = at(dir.path(), &given.settings).put(&given.paths).await;
    assert!(put.stored.is_empty());
    assert!(put.failed[0].1.cure().unwrap().contains("NIXPY_CACHE_KEY"));
    assert!(files(dir.path()).is_empty());
}
