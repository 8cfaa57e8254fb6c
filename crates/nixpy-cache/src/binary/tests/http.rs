use std::ops::Range;
use std::time::Duration;

use base64::Engine as _;
use futures_util::TryStreamExt as _;
use nixpy_testkit::caches::{Fault, HttpCache, Method};

use super::*;
use crate::error::CacheErrorKind::{Broken, Full, Refused, Throttled, Unreachable};
use crate::source::Source;

fn at(server: &HttpCache, given: &Given) -> BinaryCache {
    with(server, given, None)
}

fn with(server: &HttpCache, given: &Given, token: Option<&str>) -> BinaryCache {
    let token = token.map(Secret::new);
    let mut cache = BinaryCache::new(&server.url(), token, &given.settings).unwrap();
    if let Files::Http(http) = cache.files {
        cache.files = Files::Http(http.with_patience(Duration::from_secs(2)));
    }
    cache
}

/// Why the first path was not stored, where none was.
async fn failure(cache: &BinaryCache, given: &Given) -> CacheError {
    let mut put = cache.put(&given.paths).await;
    assert!(put.stored.is_empty(), "{put:?}");
    assert_eq!(put.failed.len(), 2);
    put.failed.swap_remove(0).1
}

#[tokio::test]
async fn what_a_server_lacks_is_put_there_archives_first() {
    let (given, server) = (given(), HttpCache::start());
    let cache = at(&server, &given);
    assert_eq!(cache.missing(&given.paths).await.unwrap().len(), 2);
    let put = cache.put(&given.paths).await;
    assert_eq!((put.stored.len(), put.failed.len()), (2, 0));
    assert!(cache.missing(&given.paths).await.unwrap().is_empty());
    assert_eq!(server.names().len(), 5);
    let narinfo = cache
        .narinfo(given.paths[1].path.hash_part())
        .await
        .unwrap();
    let archive = server.file(&narinfo.unwrap().url).unwrap();
    let nar = zstd::decode_all(&*archive).unwrap();
    assert!(nar == nixpy_testkit::nar(given.app.on_disk()));
    let puts = server
        .requests()
        .into_iter()
        .filter(|it| it.method == Method::PUT);
    let puts: Vec<String> = puts.map(|it| it.path).collect();
    let place = |info: &PathInfo| {
        let name = format!("/{}.narinfo", info.path.hash_part());
        puts.iter().position(|path| *path == name).unwrap()
    };
    assert_eq!(puts[0], "/nix-cache-info");
    assert!(place(&given.paths[0]) < place(&given.paths[1]), "{puts:?}");
}

#[tokio::test]
async fn a_push_that_broke_off_goes_on_where_it_was() {
    let (given, server) = (given(), HttpCache::start());
    let app = format!("/{}.narinfo", given.paths[1].path.hash_part());
    server.fail(Fault::status(400).on(Method::PUT, &app));
    let put = at(&server, &given).put(&given.paths).await;
    assert_eq!((put.stored.len(), put.failed.len()), (1, 1));
    let cache = at(&server, &given);
    let missing = cache.missing(&given.paths).await.unwrap();
    assert_eq!(missing, BTreeSet::from([given.paths[1].path.clone()]));
    let before = server.count(Method::PUT, "/nar/");
    let put = cache.put(&given.paths[1..]).await;
    assert_eq!(put.stored, missing);
    assert_eq!(
        server.count(Method::PUT, "/nar/"),
        before,
        "the archive is there"
    );
}

#[tokio::test]
async fn an_archive_that_is_there_in_part_is_sent_again() {
    let (given, server) = (given(), HttpCache::start());
    at(&server, &given).put(&given.paths).await;
    let names = server.names();
    let large = |name: &&String| {
        name.contains("nar/") && server.file(name).unwrap().len() as u64 > WORTH_ASKING
    };
    let archive = names.iter().find(large).unwrap();
    let whole = server.file(archive).unwrap();
    server.put(archive, whole.slice(..100));
    let put = at(&server, &given).put(&given.paths).await;
    assert_eq!(put.stored.len(), given.paths.len());
    assert_eq!(server.file(archive).unwrap(), whole);
}

#[tokio::test]
async fn a_server_that_fails_now_and_then_gets_everything_all_the_same() {
    let (given, server) = (given(), HttpCache::start());
    server.fail(Fault::status(500).on(Method::GET, "narinfo"));
    server.fail(Fault::status(502).on(Method::PUT, "nar/").times(2));
    server.fail(Fault::cut_after(100).on(Method::PUT, "nar/").nth(3));
    server.fail(Fault::lose_answer().on(Method::PUT, ".narinfo"));
    let cache = at(&server, &given);
    assert_eq!(cache.missing(&given.paths).await.unwrap().len(), 2);
    let put = cache.put(&given.paths).await;
    assert_eq!((put.stored.len(), put.failed.len()), (2, 0), "{put:?}");
}

#[tokio::test]
async fn whoever_may_not_write_is_told_what_to_do() {
    let given = given();
    let basic = base64::engine::general_purpose::STANDARD.encode("me:secret");
    let server = HttpCache::that_wants(&format!("Basic {basic}"));
    let error = failure(&at(&server, &given), &given).await;
    assert!(matches!(error.kind, Refused { .. }) && !error.is_transient());
    assert!(
        error.cure().unwrap().contains("NIXPY_CACHE_TOKEN"),
        "{error}"
    );
    assert!(error.to_string().contains("401"), "{error}");
    let error = failure(&with(&server, &given, Some("me:wrong")), &given).await;
    assert!(error.cure().unwrap().contains("check"), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("wrong"));

    let put = with(&server, &given, Some("me:secret"))
        .put(&given.paths)
        .await;
    assert_eq!(put.stored.len(), 2);
    let server = HttpCache::that_wants("Bearer abc");
    let put = with(&server, &given, Some("abc")).put(&given.paths).await;
    assert_eq!(put.stored.len(), 2);
    assert!(!format!("{:?}", with(&server, &given, Some("abc"))).contains("abc"));
}

#[tokio::test]
async fn each_trouble_of_a_server_is_told_apart() {
    let given = given();
    let told = async |fault: Fault| {
        let server = HttpCache::start();
        server.fail(fault.always());
        failure(&at(&server, &given), &given).await.kind
    };
    let put = |fault: Fault| fault.on(Method::PUT, "/");
    let wait = Duration::from_secs(9);
    let kind = told(put(Fault::status(429)).retry_after(9)).await;
    assert!(
        matches!(kind, Throttled { retry_after } if retry_after == Some(wait)),
        "{kind:?}"
    );
    let kind = told(put(Fault::status(503))).await;
    assert!(matches!(kind, Throttled { retry_after: None }), "{kind:?}");
    let kind = told(put(Fault::status(405))).await;
    assert!(matches!(kind, Refused { .. }), "{kind:?}");
    let kind = told(put(Fault::status(413))).await;
    assert!(matches!(kind, Broken(_)), "{kind:?}");
    let kind = told(put(Fault::status(500))).await;
    assert!(matches!(kind, Unreachable(_)), "{kind:?}");
    let kind = told(Fault::cut_after(0)).await;
    assert!(matches!(kind, Unreachable(_)), "{kind:?}");
    let kind = told(Fault::hang(Duration::from_secs(60))).await;
    assert!(
        matches!(&kind, Unreachable(text) if text.contains("silent")),
        "{kind:?}"
    );

    let server = HttpCache::with_room_for(300);
    let kind = failure(&at(&server, &given), &given).await.kind;
    assert!(matches!(kind, Full(_)), "{kind:?}");
    server.stop();
    let kind = failure(&at(&server, &given), &given).await.kind;
    assert!(matches!(kind, Unreachable(_)), "{kind:?}");
}

#[tokio::test]
async fn a_reader_gets_the_bytes_it_asks_for_and_is_told_of_those_that_lack() {
    let (given, server) = (given(), HttpCache::start());
    let cache = at(&server, &given);
    let read = async |range: Option<Range<u64>>| -> Result<Vec<u8>, CacheError> {
        let nar = cache.nar("nar/a.nar.zst", range).await?.unwrap();
        assert_eq!(nar.size, 200_000);
        let pieces: Vec<Bytes> = nar.bytes.try_collect().await?;
        Ok(pieces.concat())
    };
    let whole: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    server.put("nar/a.nar.zst", whole.clone());
    assert_eq!(read(None).await.unwrap(), whole);
    assert_eq!(read(Some(10..20)).await.unwrap(), whole[10..20]);
    assert_eq!(
        read(Some(199_990..u64::MAX)).await.unwrap(),
        whole[199_990..]
    );
    server.fail(Fault::cut_after(1000).on(Method::GET, "nar/"));
    let error = read(None).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(cache.nar("nar/b.nar.zst", None).await.unwrap().is_none());

    cache.put(&given.paths).await;
    let hash_part = given.paths[0].path.hash_part();
    assert!(cache.narinfo(hash_part).await.unwrap().is_some());
    let name = format!("{hash_part}.narinfo");
    let text = String::from_utf8(server.file(&name).unwrap().to_vec()).unwrap();
    server.put(&name, text.replace("NarSize: ", "NarSize: 1"));
    assert!(
        cache.narinfo(hash_part).await.unwrap().is_none(),
        "another was signed"
    );
    server.put(&name, "<html>");
    assert!(cache.narinfo(hash_part).await.is_err());
    server.fail(Fault::status(403).on(Method::GET, &name));
    assert!(cache.narinfo(hash_part).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_there_unsigned_is_missing_and_a_server_that_fails_says_nothing_of_it() {
    let (given, server) = (given(), HttpCache::start());
    let mut unsigned = given.paths.clone();
    unsigned.iter_mut().for_each(|info| info.signatures.clear());
    let anybodys = BinaryCache::new(&server.url(), None, &CacheSettings::default()).unwrap();
    assert_eq!(anybodys.put(&unsigned).await.stored.len(), 2);
    let cache = at(&server, &given);
    assert_eq!(cache.missing(&given.paths).await.unwrap().len(), 2);
    assert_eq!(cache.put(&given.paths).await.stored.len(), 2);
    assert!(cache.missing(&given.paths).await.unwrap().is_empty());
    server.fail(Fault::status(500).on(Method::GET, "narinfo").always());
    assert!(cache.missing(&given.paths).await.is_err());
}
