//! What is in the repository is believed as far as it is signed and whole.

use super::*;
use crate::registry::index::Known;
use crate::registry::load::{News, fetch, size_of};
use nixpy_testkit::registry::Fault;
use serde_json::{Value, json};

/// Puts a pack there that says of the first path what `change` makes of it.
async fn forged(world: &World, paths: &[PathInfo], change: impl Fn(&mut Value)) {
    world.cache().put(paths).await;
    let tag = world.tags("pack-").pop().unwrap();
    let mut manifest = world.double.manifest(NAME, &tag).unwrap();
    let config = manifest["config"]["digest"].as_str().unwrap().to_owned();
    let mut pack: Value = serde_json::from_slice(&world.double.blob(&config).unwrap()).unwrap();
    change(&mut pack);
    let bytes = pack.to_string();
    manifest["config"]["size"] = json!(bytes.len());
    manifest["config"]["digest"] = json!(world.double.put_blob(NAME, bytes));
    world.double.put_manifest(NAME, &tag, &manifest);
}

/// Of a narinfo.
type Edit<'a> = &'a dyn Fn(&str) -> String;

fn edited(pack: &mut Value, change: impl Fn(&str) -> String) {
    let narinfo = pack["paths"][0]["narinfo"].as_str().unwrap();
    pack["paths"][0]["narinfo"] = json!(change(narinfo));
}

#[tokio::test]
async fn what_nobody_trusted_has_signed_is_not_there_and_named() {
    let mut world = World::new();
    let path = world.path("hello", 100, &[]);
    let other = SecretKey::generate("test-1").unwrap().sign(&path);
    let unsigned = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with("Sig: "));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    let wrongly = |text: &str| format!("{}Sig: {other}\n", unsigned(text));
    let swapped = |text: &str| text.replace(&format!("NarSize: {}", path.nar_size), "NarSize: 1");
    let edits: [(Edit<'_>, &str); 3] = [
        (&unsigned, "nobody has signed it"),
        (&wrongly, "not signed by a key that this run trusts"),
        (&swapped, "not signed by a key that this run trusts"),
    ];
    for (edit, why) in edits {
        world.double = Double::start();
        forged(&world, std::slice::from_ref(&path), |pack| {
            edited(pack, edit)
        })
        .await;
        let cache = world.cache();
        assert_eq!(cache.narinfo(path.path.hash_part()).await.unwrap(), None);
        let troubles = cache.troubles();
        assert_eq!(troubles.len(), 1);
        let text = troubles[0].to_string();
        assert!(
            text.contains(path.path.as_str()) && text.contains(why),
            "{text}"
        );
        // It counts as missing, and is stored once more.
        assert_eq!(cache.put(std::slice::from_ref(&path)).await.stored.len(), 1);
        assert_eq!(world.readable(std::slice::from_ref(&path)).await.len(), 1);
    }
}

#[tokio::test]
async fn entries_that_make_no_sense_are_passed_over() {
    let mut world = World::new();
    let path = world.path("hello", 100, &[]);
    let changes: [fn(&mut Value); 7] = [
        |pack| pack["paths"][0]["blob"] = json!(7),
        |pack| pack["paths"][0]["offset"] = json!(u64::MAX),
        |pack| pack["paths"][0]["offset"] = json!(1),
        |pack| pack["paths"][0]["narinfo"] = json!("StorePath: ä"),
        |pack| pack["version"] = json!(2),
        |pack| pack["paths"] = json!("none"),
        |pack| *pack = json!([]),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        world.double = Double::start();
        forged(&world, std::slice::from_ref(&path), change).await;
        let cache = world.cache();
        let found = cache.narinfo(path.path.hash_part()).await.unwrap();
        assert_eq!(found, None, "change {number}");
    }
}

#[tokio::test]
async fn an_archive_that_is_another_one_is_refused_named_and_not_offered_again() {
    let mut world = World::new();
    let (one, other) = (world.path("one", 400, &[]), world.path("other", 400, &[]));
    let paths = [one.clone(), other];
    // The second path's archive in the place of the first.
    forged(&world, &paths, |pack| {
        let size = |number: usize| {
            let text = pack["paths"][number]["narinfo"].as_str().unwrap();
            text.lines()
                .find(|it| it.starts_with("FileSize"))
                .unwrap()
                .to_owned()
        };
        let (mine, its) = (size(0), size(1));
        pack["paths"][0]["offset"] = pack["paths"][1]["offset"].clone();
        edited(pack, |text| text.replace(&mine, &its));
    })
    .await;
    let cache = world.cache();
    let narinfo = cache.narinfo(one.path.hash_part()).await.unwrap().unwrap();
    let nar = cache.nar(&narinfo.url, None).await.unwrap().unwrap();
    let error = nar
        .bytes
        .try_collect::<Vec<_>>()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(one.path.as_str()) && error.contains("not the one"),
        "{error}"
    );
    assert_eq!(cache.narinfo(one.path.hash_part()).await.unwrap(), None);
    assert_eq!(cache.troubles().len(), 1);
}

#[tokio::test]
async fn a_blob_that_is_gone_is_no_archive() {
    let mut world = World::new();
    let paths = world.chain();
    world.cache().put(&paths).await;
    let cache = world.cache();
    let narinfo = cache
        .narinfo(paths[2].path.hash_part())
        .await
        .unwrap()
        .unwrap();
    world
        .double
        .forget_blob(&format!("sha256:{}", narinfo.file_hash.unwrap().to_hex()));
    assert!(cache.nar(&narinfo.url, None).await.unwrap().is_none());
    assert!(
        cache.troubles()[0]
            .to_string()
            .contains("not in the registry any more")
    );
}

#[tokio::test]
async fn ranges_are_those_of_the_archive() {
    let mut world = World::new();
    let paths = world.chain();
    world.cache().put(&paths).await;
    let cache = world.cache();
    for info in &paths {
        let url = cache
            .narinfo(info.path.hash_part())
            .await
            .unwrap()
            .unwrap()
            .url;
        let all = read(&cache, &url, None).await;
        let size = all.len() as u64;
        for range in [0..10, 5..size, size - 1..size, 0..size + 9, size..size + 1] {
            let part = read(&cache, &url, Some(range.clone())).await;
            let end = range.end.min(size) as usize;
            assert!(part == all[range.start as usize..end], "{range:?}");
        }
    }
    for url in ["nar/x", "nar/../config", "", "nar/0000-00.nar.zst"] {
        assert!(cache.nar(url, None).await.unwrap().is_none());
    }
}

async fn read(cache: &RegistryCache, url: &str, range: Option<std::ops::Range<u64>>) -> Vec<u8> {
    let nar = cache.nar(url, range).await.unwrap().unwrap();
    nar.bytes.try_collect::<Vec<_>>().await.unwrap().concat()
}

#[tokio::test]
async fn a_connection_that_breaks_is_taken_up_where_it_broke() {
    let mut world = World::new();
    let paths = world.chain();
    world.cache().put(&paths).await;
    let cache = world.cache();
    cache.missing(&paths).await.unwrap();
    world.double.fail(
        Fault::cut_after(300_000)
            .on(Method::GET, "/blobs/")
            .times(2),
    );
    assert_eq!(taken(&cache, &paths[2]).await, Some(archive(&paths[2])));
}

#[tokio::test]
async fn a_reader_sees_what_others_have_put_meanwhile() {
    let mut world = World::new();
    let paths = world.chain();
    let cache = world.cache();
    cache.missing(&paths).await.unwrap();
    world.cache().put(&paths).await;
    cache.0.state.write().await.ended = None;
    assert!(
        cache
            .narinfo(paths[0].path.hash_part())
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_pack_larger_than_what_it_holds_is_not_kept() {
    let mut world = World::new();
    let path = world.path("hello", 100, &[]);
    let blobs: Vec<Value> = (0..50_000)
        .map(|n| json!({"digest": format!("sha256:{n:064x}"), "size": 1}))
        .collect();
    forged(&world, std::slice::from_ref(&path), |pack| {
        pack["blobs"] = json!(blobs);
    })
    .await;
    let cache = world.cache();
    assert_eq!(cache.narinfo(path.path.hash_part()).await.unwrap(), None);
    let index = cache.0.index(Since::Ever).await.unwrap();
    assert!(index.packs.is_empty() && index.blobs.is_empty());
    let told = cache.troubles()[0].to_string();
    assert!(told.contains("more blobs than paths"), "{told}");
}

#[tokio::test]
async fn what_does_not_fit_in_memory_is_left_out_from_the_latest_on() {
    let mut world = World::new();
    let paths = world.chain();
    for (info, day) in paths
        .iter()
        .zip([|| on_day(1), || on_day(2), || on_day(3), || on_day(4)])
    {
        world.cache_at(day).put(std::slice::from_ref(info)).await;
    }
    let cache = world.cache();
    let known = Known::default();
    let all = fetched(&cache, &known, u64::MAX).await;
    let sizes: Vec<u64> = all.packs.values().map(|it| size_of(&it.pack)).collect();
    assert!(sizes.iter().all(|size| *size > 1_500), "{sizes:?}");
    let some = fetched(&cache, &known, sizes[0] + sizes[1] + 1).await;
    let kept: Vec<_> = all.packs.keys().take(2).collect();
    assert_eq!(some.packs.keys().collect::<Vec<_>>(), kept);
    assert_eq!((some.unreadable.len(), some.troubles.len()), (2, 1));
    assert!(some.troubles[0].1.contains("nixpy-ci cache gc"));
}

async fn fetched(cache: &RegistryCache, known: &Known, largest: u64) -> News {
    let mut news = News::default();
    let fetched = fetch(cache.registry(), known, &mut news, largest, on_day(5)).await;
    fetched.unwrap();
    news
}

#[tokio::test]
async fn a_narinfo_is_found_by_its_own_path_and_no_other() {
    let mut world = World::new();
    let (one, other) = (world.path("one", 10, &[]), world.path("other", 20, &[]));
    let paths = [one.clone(), other.clone()];
    // The first line is the other's; what is signed follows it.
    forged(&world, &paths, |pack| {
        let line = format!("StorePath: {}\n", other.path);
        edited(pack, |text| format!("{line}{text}"));
    })
    .await;
    let cache = world.cache();
    assert_eq!(cache.narinfo(one.path.hash_part()).await.unwrap(), None);
    let found = cache.narinfo(other.path.hash_part()).await.unwrap();
    assert_eq!(found.unwrap().info, other);
    let told = cache.troubles()[0].to_string();
    assert!(told.contains("StorePath is there twice"), "{told}");
}
