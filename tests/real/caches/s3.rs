//! An S3 server: small archives in one request, a large one in parts, and a listing where
//! many paths are asked for.

use nixpy_cache::{CacheErrorKind, Source as _, Store as _};
use nixpy_nix::StorePath;
use nixpy_nix::narinfo::NarInfo;
use nixpy_nix::path_info::PathInfo;
use tokio::runtime::Runtime;

use super::{Reader, Signed};
use crate::world::moto::Moto;

const TOKEN: &str = "AKIDEXAMPLE:a-secret";

#[test]
fn nix_takes_from_a_bucket_what_was_put_there() {
    let server = Moto::start();
    let signed = Signed::chain(&[70 << 20, 1000, 100]);
    assert_eq!(signed.push(&server.bucket(), Some(TOKEN)).stored.len(), 3);
    assert!(signed.push(&server.bucket(), Some(TOKEN)).stored.is_empty());

    // This distribution's Nix does not speak S3.
    let folder = tempfile::tempdir().unwrap();
    server.fetch("nix-cache-info", folder.path());
    for info in &signed.paths {
        let name = format!("{}.narinfo", info.path.hash_part());
        server.fetch(&name, folder.path());
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        server.fetch(&text.parse::<NarInfo>().unwrap().url, folder.path());
    }
    let reader = Reader::that_trusts(&signed.key);
    let url = format!("file://{}", folder.path().display());
    reader.takes(&url, &signed).succeeded();
    reader.has(&signed);
}

#[test]
fn many_paths_are_looked_up_in_a_listing() {
    let server = Moto::start();
    let signed = Signed::chain(&[100, 100]);
    signed.push(&server.bucket(), Some(TOKEN));
    let mut asked = signed.paths.clone();
    let nobodys = |n: usize| -> StorePath {
        let name = format!("/nix/store/{n:0>32}-nobody-has-this");
        name.parse().unwrap()
    };
    asked.extend((0..300).map(|n| {
        let mut info = signed.paths[0].clone();
        info.path = nobodys(n);
        info
    }));
    let cache = signed.cache(&server.bucket(), Some(TOKEN));
    let missing = Runtime::new().unwrap().block_on(cache.missing(&asked));
    let missing = missing.unwrap();
    assert_eq!(missing.len(), 300);
    assert!(
        signed
            .paths
            .iter()
            .all(|info| !missing.contains(&info.path))
    );
}

#[test]
fn a_bucket_can_be_read_for_whoever_serves_it() {
    let server = Moto::start();
    let signed = Signed::chain(&[100_000]);
    signed.push(&server.bucket(), Some(TOKEN));
    let cache = signed.cache(&server.bucket(), Some(TOKEN));
    Runtime::new().unwrap().block_on(async {
        let hash_part = signed.last().path.hash_part();
        let narinfo = cache.narinfo(hash_part).await.unwrap().unwrap();
        // Whose path it is, only the store knows that has made it.
        let told = PathInfo {
            is_own: false,
            ..signed.last().clone()
        };
        assert_eq!(narinfo.info, told);
        let nar = cache.nar(&narinfo.url, Some(0..10)).await.unwrap().unwrap();
        assert_eq!(Some(nar.size), narinfo.file_size);
    });
}

#[test]
fn a_bucket_that_is_not_there_is_told_by_the_servers_own_word() {
    let server = Moto::start();
    let signed = Signed::chain(&[100]);
    let bucket = server.bucket().replace("s3://cache", "s3://elsewhere");
    let cache = signed.cache(&bucket, Some(TOKEN));
    let put = Runtime::new().unwrap().block_on(cache.put(&signed.paths));
    let error = &put.failed[0].1;
    assert!(matches!(error.kind, CacheErrorKind::Broken(_)), "{error}");
    assert!(error.to_string().contains("NoSuchBucket"), "{error}");
    assert!(!error.to_string().contains("X-Amz"), "{error}");
}
