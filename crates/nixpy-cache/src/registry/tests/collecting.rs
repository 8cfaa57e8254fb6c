//! What is removed, and what never is.

use super::*;
use crate::registry::documents::{PACK, pack_tag};
use crate::registry::{CollectEvent, Collected, Keep, collect};
use nixpy_oci::digest::Digest;
use nixpy_testkit::registry::Fault;
use serde_json::json;

const WEEK: Keep = Keep {
    age: Some(Duration::from_secs(7 * 86_400)),
    size: None,
};

/// Two programs on one library: the first was reached on the first day, the second on the 20th.
struct Old {
    world: World,
    library: PathInfo,
    first: PathInfo,
    second: PathInfo,
}

impl Old {
    async fn new() -> Self {
        let mut world = World::new();
        let library = world.path("library", 1_000, &[]);
        let first = world.path("first", 1_200_000, &[&library]);
        let second = world.path("second", 1_300_000, &[&library]);
        let then = world.cache_at(|| UNIX_EPOCH + day(1));
        then.put(&[library.clone(), first.clone()]).await;
        then.close(std::slice::from_ref(&first.path)).await.unwrap();
        let now = world.cache_at(|| UNIX_EPOCH + day(20));
        now.put(&[library.clone(), second.clone()]).await;
        now.close(std::slice::from_ref(&second.path)).await.unwrap();
        Self {
            world,
            library,
            first,
            second,
        }
    }

    fn all(&self) -> Vec<PathInfo> {
        vec![
            self.library.clone(),
            self.first.clone(),
            self.second.clone(),
        ]
    }

    fn kept(&self) -> BTreeSet<StorePath> {
        names(&[self.library.clone(), self.second.clone()])
    }
}

async fn collected(world: &World, keep: Keep, today: u64) -> Collected {
    let cache = world.cache_at(|| UNIX_EPOCH + day(21));
    collect(&cache, keep, false, on_day(today), |_| {})
        .await
        .unwrap()
}

#[tokio::test]
async fn what_no_recent_run_has_reached_goes_and_references_stay() {
    let old = Old::new().await;
    let mut events = Vec::new();
    let cache = old.world.cache();
    let collected = collect(&cache, WEEK, false, on_day(21), |event| events.push(event)).await;
    let collected = collected.unwrap();
    assert_eq!((collected.paths_kept, collected.paths_removed), (2, 1));
    assert_eq!((collected.packs_removed, collected.packs_rewritten), (1, 1));
    assert!(collected.bytes_freed > 1_200_000 && collected.bytes_kept > 1_300_000);
    assert_eq!(collected.runs_forgotten, 1);
    assert!(matches!(
        events[0],
        CollectEvent::Read { packs: 2, paths: 3 }
    ));
    assert!(matches!(events[2], CollectEvent::Deleted(_)), "{events:?}");
    assert_eq!(old.world.readable(&old.all()).await, old.kept());
    assert_eq!(old.world.tags("reached-").len(), 1);
    assert_eq!(old.world.tags("leaving-").len(), 0);
    old.world.assert_closed("afterwards").await;
    // The same again finds nothing to do.
    let writes = old.world.writes();
    let again = self::collected(&old.world, WEEK, 21).await;
    assert_eq!((again.paths_removed, again.packs_removed), (0, 0));
    assert_eq!(old.world.writes(), writes);
}

#[tokio::test]
async fn a_dry_run_tells_the_same_and_changes_nothing() {
    let old = Old::new().await;
    let (tags, writes) = (old.world.double.tags(NAME), old.world.writes());
    let dry = collect(&old.world.cache(), WEEK, true, on_day(21), |_| {})
        .await
        .unwrap();
    assert!(dry.dry_run);
    assert_eq!(
        (old.world.double.tags(NAME), old.world.writes()),
        (tags, writes)
    );
    let done = collected(&old.world, WEEK, 21).await;
    assert_eq!(
        Collected {
            dry_run: true,
            ..done
        },
        dry
    );
}

#[tokio::test]
async fn beyond_the_size_the_longest_ago_goes_first_and_the_last_stays() {
    let old = Old::new().await;
    let keep = |size| Keep {
        age: None,
        size: Some(size),
    };
    let all = collected(&old.world, keep(10_000_000), 21).await;
    assert_eq!((all.paths_removed, all.is_too_large), (0, false));
    let some = collected(&old.world, keep(2_000_000), 21).await;
    assert_eq!((some.paths_removed, some.is_too_large), (1, false));
    assert_eq!(old.world.readable(&old.all()).await, old.kept());
    let least = collected(&old.world, keep(1_000), 21).await;
    assert_eq!((least.paths_removed, least.is_too_large), (0, true));
}

#[tokio::test]
async fn without_a_limit_everything_stays_and_what_is_young_always_does() {
    let old = Old::new().await;
    let all = collected(&old.world, Keep::default(), 2_000).await;
    assert_eq!(all.paths_removed, 0);
    let none = Keep {
        age: Some(Duration::ZERO),
        size: Some(0),
    };
    // Half an hour after the second was stored.
    let now = on_day(20) + Duration::from_secs(1_800);
    collect(&old.world.cache(), none, false, now, |_| {})
        .await
        .unwrap();
    assert_eq!(old.world.readable(&old.all()).await, old.kept());
}

#[tokio::test]
async fn it_may_be_cut_at_any_request_and_the_next_one_completes_it() {
    let mut cuts = 0;
    for nth in 1.. {
        let old = Old::new().await;
        old.world.double.fail(Fault::cut_after(0).nth(nth).always());
        let cache = old.world.cache_with(|_| {}, |it| it.retries = 0);
        let cut = collect(&cache, WEEK, false, on_day(21), |_| {}).await;
        old.world.double.heal();
        let when = format!("request {nth}");
        let reader = old.world.assert_closed(&when).await;
        let readable = old.world.readable_in(&reader, &old.all()).await;
        assert!(readable.is_superset(&old.kept()), "{when}");
        let later = on_day(21) + Duration::from_secs(3_600);
        collect(&old.world.cache(), WEEK, false, later, |_| {})
            .await
            .unwrap();
        let reader = old.world.assert_closed(&when).await;
        let readable = old.world.readable_in(&reader, &old.all()).await;
        assert_eq!(readable, old.kept(), "{when}");
        assert!(old.world.tags("leaving-").is_empty(), "{when}");
        if cut.is_ok() {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 15, "{cuts}");
}

#[tokio::test]
async fn two_at_once_lose_nothing() {
    let old = Old::new().await;
    let (one, other) = (old.world.cache(), old.world.cache());
    let size = Keep {
        age: None,
        size: Some(2_000_000),
    };
    let (first, second) = tokio::join!(
        collect(&one, WEEK, false, on_day(21), |_| {}),
        collect(&other, size, false, on_day(21), |_| {}),
    );
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
    assert_eq!(old.world.readable(&old.all()).await, old.kept());
    old.world.assert_closed("after both").await;
}

#[tokio::test]
async fn what_a_run_reaches_meanwhile_is_kept() {
    let old = Old::new().await;
    // It knew of the first before, and says so when the other has decided already.
    let run = old.world.cache_at(|| UNIX_EPOCH + day(21));
    run.missing(&old.all()).await.unwrap();
    let slow = Fault::hang(Duration::from_secs(3)).on(Method::PUT, "/manifests/leaving");
    old.world.double.fail(slow);
    let cache = old.world.cache();
    let reached = [old.first.path.clone()];
    let collecting = collect(&cache, WEEK, false, on_day(21), |_| {});
    let running = async {
        while old.world.double.count(Method::PUT, "/manifests/leaving") == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        run.close(&reached).await
    };
    let (collected, closed) = tokio::join!(collecting, running);
    closed.unwrap();
    assert_eq!(collected.unwrap().packs_spared, 1);
    assert_eq!(old.world.readable(&old.all()).await, names(&old.all()));
}

#[tokio::test]
async fn what_was_deleted_meanwhile_is_put_again_at_the_end() {
    let mut old = Old::new().await;
    let run = old.world.cache_at(|| UNIX_EPOCH + day(21));
    let top = old.world.path("top", 500, &[&old.first]);
    run.put(std::slice::from_ref(&top)).await;
    // Somebody who does not know of it deletes what it refers to, by hand.
    let first = old.world.tags("pack-").remove(0);
    let registry = &old
        .world
        .cache()
        .0
        .registry
        .resolve(&first.parse().unwrap())
        .await
        .unwrap();
    let digest = registry.as_ref().unwrap().descriptor.digest;
    old.world
        .cache()
        .0
        .registry
        .delete_manifest(digest)
        .await
        .unwrap();
    run.close(std::slice::from_ref(&top.path)).await.unwrap();
    let all = [old.all(), vec![top]].concat();
    assert_eq!(old.world.readable(&all).await, names(&all));
}

#[tokio::test]
async fn a_registry_that_deletes_nothing_is_told_before_anything_is_written() {
    let old = Old::new().await;
    old.world
        .double
        .fail(Fault::status(405).on(Method::DELETE, "").always());
    let writes = old.world.writes();
    let error = collect(&old.world.cache(), WEEK, false, on_day(21), |_| {})
        .await
        .unwrap_err();
    assert!(
        error
            .cure()
            .unwrap()
            .contains("REGISTRY_STORAGE_DELETE_ENABLED"),
        "{error}"
    );
    assert_eq!(old.world.writes(), writes + 1);
}

#[tokio::test]
async fn what_a_push_needs_that_was_killed_while_others_deleted_is_put_back() {
    let mut old = Old::new().await;
    let run = old.world.cache_at(|| UNIX_EPOCH + day(21));
    run.missing(&old.all()).await.unwrap();
    let top = old.world.path("top", 500, &[&old.first]);
    // It has looked for the last time, and deletes what the new one refers to.
    let first = old.world.tags("pack-").remove(0);
    let first = old.world.double.tag(NAME, &first).unwrap();
    let slow = Fault::hang(Duration::from_secs(3)).on(Method::DELETE, &first);
    old.world.double.fail(slow);
    let cache = old.world.cache();
    let pushing = async {
        while old.world.double.count(Method::DELETE, &first) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // And comes to no end.
        run.put(std::slice::from_ref(&top)).await
    };
    let collecting = collect(&cache, WEEK, false, on_day(21), |_| {});
    let (collected, put) = tokio::join!(collecting, pushing);
    assert_eq!(put.stored.len(), 1);
    assert_eq!(collected.unwrap().packs_spared, 1);
    old.world.assert_closed("afterwards").await;
    let all = [old.all(), vec![top]].concat();
    assert_eq!(old.world.readable(&all).await, names(&all));
}

#[tokio::test]
async fn a_cache_that_readers_have_no_room_for_can_be_shrunk() {
    let world = World::new();
    for number in 0..5 {
        let path = format!("/nix/store/{number:032}-large");
        let narinfo = format!("StorePath: {path}\nX: {}\n", "x".repeat(7 << 20));
        let archive = world.double.put_blob(NAME, vec![number; 10]);
        let pack = json!({
            "version": 1,
            "blobs": [{"digest": archive, "size": 10}],
            "paths": [{"narinfo": narinfo, "blob": 0, "offset": 0}],
        });
        let config = pack.to_string();
        let tag = pack_tag(on_day(number.into()), Digest::of(config.as_bytes())).to_string();
        let size = config.len();
        let digest = world.double.put_blob(NAME, config);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": PACK, "digest": digest, "size": size},
            "layers": [],
            "annotations": {"tag": tag},
        });
        world.double.put_manifest(NAME, &tag, &manifest);
    }
    let told = async || {
        let reader = world.cache();
        reader.narinfo(&"0".repeat(32)).await.unwrap();
        let troubles = reader.troubles().into_iter().map(|it| it.to_string());
        troubles.collect::<String>()
    };
    assert!(told().await.contains("nixpy-ci cache gc"));
    assert_eq!(collected(&world, WEEK, 21).await.packs_removed, 5);
    assert!(!told().await.contains("nixpy-ci cache gc"));
}

#[test]
fn what_was_collected_is_written_as_all_other_json_is() {
    let json = serde_json::to_value(Collected::default()).unwrap();
    let names = json.as_object().unwrap().keys();
    assert!(names.clone().any(|name| name == "bytesFreed"), "{json}");
    assert!(!names.clone().any(|name| name.contains('_')), "{json}");
}
