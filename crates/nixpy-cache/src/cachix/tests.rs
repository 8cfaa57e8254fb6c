use nixpy_nix::signing::SecretKey;
use nixpy_testkit::caches::{CachixServer, Fault};
use nixpy_testkit::store::{FakeStore, Item};

use super::*;
use crate::stored::info_of;

fn cache(server: &CachixServer, name: &str, token: Option<&str>) -> Cachix {
    let settings = CacheSettings::default();
    Cachix::new(&server.url(), name, token.map(Secret::new), &settings).unwrap()
}

/// Bytes that nothing compresses.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..size).map(next).collect()
}

#[tokio::test]
async fn the_server_gets_what_it_lacks_in_parts_references_first() {
    let mut store = FakeStore::in_place();
    let libc = Item::named("libc")
        .file("so", noise(40 << 20))
        .refers_to_itself();
    let libc = store.add(libc);
    let app = store.add(Item::named("app").file("a", "a").references([&libc]));
    let paths = [info_of(&app), info_of(&libc)];

    let server = CachixServer::start(
        "acme",
        "abc",
        "acme.cachix.org-1:KC7u7/re6tZ6HQ6Qm7EEpfzs5ulkUws5k4XCsgAST24=",
    );
    let cachix = cache(&server, "acme", Some("abc"));
    assert_eq!(cachix.missing(&paths).await.unwrap().len(), 2);
    let put = cachix.put(&paths).await;
    assert_eq!((put.stored.len(), put.failed.len()), (2, 0), "{put:?}");
    assert!(cachix.missing(&paths).await.unwrap().is_empty());
    let stored = server.stored();
    assert_eq!(stored[0]["cStoreSuffix"], "libc");
    assert_eq!(stored[1]["cReferences"][0], paths[1].path.base_name());
    assert_eq!(stored[1]["cDeriver"], "unknown-deriver");
    assert!(
        stored.iter().all(|it| it["cSig"].is_null()),
        "the server signs"
    );
    assert_eq!(
        server.count(Method::PUT, "/storage/"),
        3,
        "one of them in two parts"
    );
    let nar = server.nar(paths[1].path.hash_part()).unwrap();
    assert!(zstd::decode_all(&*nar).unwrap() == nixpy_testkit::nar(libc.on_disk()));
    assert_eq!(server.open_uploads(), 0);
}

#[tokio::test]
async fn a_cache_with_a_key_of_its_users_gets_their_signature() {
    let mut store = FakeStore::in_place();
    let mut path = info_of(&store.add(Item::named("a").file("a", "a")));
    let (own, other) = (
        SecretKey::generate("x-1").unwrap(),
        SecretKey::generate("y-1").unwrap(),
    );
    path.signatures = vec![other.sign(&path), own.sign(&path)];
    let server = CachixServer::start("acme", "abc", &own.public().to_string());
    let put = cache(&server, "acme", Some("abc"))
        .put(&[path.clone()])
        .await;
    assert_eq!(put.stored.len(), 1, "{put:?}");
    let signature = own.sign(&path);
    assert_eq!(
        server.stored()[0]["cSig"],
        signature.split_once(':').unwrap().1
    );
}

#[tokio::test]
async fn whoever_may_not_push_is_told_and_nothing_is_left_behind() {
    let mut store = FakeStore::in_place();
    let path = info_of(&store.add(Item::named("a").file("a", "a")));
    let key = SecretKey::generate("x-1").unwrap().public().to_string();
    let server = CachixServer::start("acme", "abc", &key);
    for token in [None, Some("hidden")] {
        let cachix = cache(&server, "acme", token);
        let error = cachix
            .missing(std::slice::from_ref(&path))
            .await
            .unwrap_err();
        assert!(error.cure().unwrap().contains("app.cachix.org"), "{error}");
        assert!(!format!("{error:?} {cachix:?}").contains("hidden"));
    }
    let other = cache(&server, "other", Some("abc"));
    let error = other
        .missing(std::slice::from_ref(&path))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("404"), "{error}");

    server.fail(Fault::status(403).on(Method::PUT, "/storage/"));
    let put = cache(&server, "acme", Some("abc"))
        .put(std::slice::from_ref(&path))
        .await;
    assert!(
        matches!(put.failed[0].1.kind, CacheErrorKind::Refused { .. }),
        "{put:?}"
    );
    assert_eq!(server.open_uploads(), 0, "what was begun is taken back");
}

#[tokio::test]
async fn trouble_that_passes_is_overcome() {
    let mut store = FakeStore::in_place();
    let path = info_of(&store.add(Item::named("a").file("a", noise(2 << 20))));
    let key = SecretKey::generate("x-1").unwrap().public().to_string();
    let server = CachixServer::start("acme", "abc", &key);
    server.fail(Fault::status(500).on(Method::POST, "multipart-nar"));
    server.fail(Fault::cut_after(5000).on(Method::PUT, "/storage/"));
    server.fail(Fault::status(502).on(Method::POST, "/complete"));
    server.fail(Fault::lose_answer().on(Method::POST, "/complete").nth(2));
    let put = cache(&server, "acme", Some("abc")).put(&[path]).await;
    assert_eq!(put.stored.len(), 1, "{put:?}");
}
