//! What was put there is there, in order, and once.

use super::*;
use nixpy_testkit::registry::Fault;

#[tokio::test]
async fn what_was_put_is_read_back_by_another() {
    let mut world = World::new();
    let paths = world.chain();
    let put = world.cache().put(&paths).await;
    assert!(put.failed.is_empty(), "{:?}", put.failed);
    assert_eq!(put.stored, names(&paths));
    assert!(put.sent > 1_500_000);
    assert_eq!(world.readable(&paths).await, names(&paths));
    let narinfo = world.cache().narinfo(paths[1].path.hash_part()).await;
    assert_eq!(narinfo.unwrap().unwrap().info, paths[1]);
    assert_eq!(world.tags("pack-").len(), 1);
}

#[tokio::test]
async fn a_path_that_is_not_there_is_answered_from_memory() {
    let mut world = World::new();
    let paths = world.chain();
    world.cache().put(&paths[..2]).await;
    let cache = world.cache();
    cache.missing(&paths).await.unwrap();
    world.double.reset_counts();
    for info in &paths[2..] {
        assert_eq!(cache.narinfo(info.path.hash_part()).await.unwrap(), None);
    }
    assert!(world.double.requests().is_empty());
}

#[tokio::test]
async fn many_small_paths_are_few_requests() {
    let mut world = World::new();
    let base = world.path("base", 100, &[]);
    let mut paths = vec![base.clone()];
    for number in 0..300 {
        paths.push(world.path(&format!("small-{number}"), 500, &[&base]));
    }
    let put = world.cache().put(&paths).await;
    assert_eq!(put.stored, names(&paths));
    let requests = world.double.requests().len();
    assert!(requests <= 12, "{requests} requests");
    assert_eq!(world.readable(&paths).await, names(&paths));
}

#[tokio::test]
async fn nothing_new_costs_few_requests_and_writes_nothing() {
    let mut world = World::new();
    let paths = world.chain();
    let first = world.cache();
    first.put(&paths).await;
    first.close(&roots(&paths[3..])).await.unwrap();
    world.double.reset_counts();
    let second = world.cache();
    assert!(second.missing(&paths).await.unwrap().is_empty());
    assert_eq!(second.put(&paths).await.stored, names(&paths));
    second.close(&roots(&paths[3..])).await.unwrap();
    let requests = world.double.requests().len();
    assert!(requests <= 6, "{requests} requests");
    assert_eq!(world.writes(), 0);
}

#[tokio::test]
async fn the_catalog_is_what_a_reader_reads_and_packs_that_it_lacks_besides() {
    let mut world = World::new();
    let paths = world.chain();
    for info in &paths {
        let cache = world.cache();
        cache.put(std::slice::from_ref(info)).await;
        cache.close(std::slice::from_ref(&info.path)).await.unwrap();
    }
    assert_eq!(world.tags("pack-").len(), 4);
    let more = world.path("more", 10, &[&paths[3]]);
    world.cache().put(std::slice::from_ref(&more)).await;
    world.double.reset_counts();
    let cache = world.cache();
    assert!(
        cache
            .missing(&[paths, vec![more]].concat())
            .await
            .unwrap()
            .is_empty()
    );
    // Who asks for a login, tags, catalog and its part, pack and its config.
    assert_eq!(world.double.requests().len(), 6);
}

#[tokio::test]
async fn two_that_write_at_once_lose_nothing() {
    let mut world = World::new();
    let paths = world.chain();
    let (one, other) = (world.cache(), world.cache());
    // Both know the same, which is nothing.
    one.missing(&paths).await.unwrap();
    other.missing(&paths).await.unwrap();
    let (first, second) = tokio::join!(one.put(&paths[..2]), other.put(&paths));
    assert!(first.failed.is_empty() && second.failed.is_empty());
    let (left, right) = (roots(&paths[..2]), roots(&paths));
    let closed = tokio::join!(one.close(&left), other.close(&right));
    assert!(closed.0.is_ok() && closed.1.is_ok(), "{closed:?}");
    assert_eq!(world.readable(&paths).await, names(&paths));
    // The catalog of who was last may lack what the other wrote; the list does not.
    let catalog = world.double.tag(NAME, "catalog").unwrap();
    world.cache().put(&[]).await;
    assert_eq!(world.double.tag(NAME, "catalog"), Some(catalog));
    world.assert_closed("after both").await;
}

#[tokio::test]
async fn what_a_reader_sees_is_closed_whichever_request_fails_and_the_next_push_completes_it() {
    let mut world = World::new();
    let paths = world.chain();
    let more = world.path("more", 2_000_000, &[&paths[3]]);
    let paths = [paths, vec![more]].concat();
    let mut failures = 0;
    for nth in 1.. {
        let double = std::mem::replace(&mut world.double, Double::start());
        drop(double);
        // From there on everything fails: as if the run had been killed.
        world.double.fail(Fault::cut_after(0).nth(nth).always());
        let cache = world.cache_with(|it| it.uploads = 1, |it| it.retries = 0);
        for info in &paths {
            cache.put(std::slice::from_ref(info)).await;
        }
        let closed = cache.close(&roots(&paths[4..])).await;
        world.double.heal();
        world.assert_closed(&format!("request {nth} failed")).await;
        let again = world.cache().put(&paths).await;
        assert_eq!(again.stored, names(&paths), "request {nth} failed");
        assert_eq!(world.readable(&paths).await, names(&paths));
        match closed {
            Err(_) => failures += 1,
            Ok(()) => break,
        }
    }
    assert!(failures > 10, "{failures}");
}

#[tokio::test]
async fn a_large_blob_that_is_there_is_not_sent_again() {
    let mut world = World::new();
    let paths = world.chain();
    world
        .double
        .fail(Fault::status(403).on(Method::PUT, "/manifests/").always());
    let put = world.cache().put(&paths).await;
    assert!(put.stored.is_empty());
    assert!(put.failed.iter().all(|(_, error)| error.cure().is_some()));
    world.double.heal();
    world.double.reset_counts();
    assert_eq!(world.cache().put(&paths).await.stored, names(&paths));
    let received = world.double.layer_bytes_received();
    assert!(received < 20_000, "{received} bytes");
}

#[tokio::test]
async fn one_that_fails_takes_its_referrers_with_it_and_no_others() {
    let mut world = World::new();
    let paths = world.chain();
    let alone = world.path("alone", 100, &[]);
    std::fs::write(paths[1].path.as_path().join("content"), "changed").unwrap();
    let all = [paths.clone(), vec![alone.clone()]].concat();
    let put = world.cache().put(&all).await;
    assert_eq!(put.stored, names(&[paths[0].clone(), alone]));
    let failed: BTreeSet<StorePath> = put.failed.iter().map(|(path, _)| path.clone()).collect();
    assert_eq!(failed, names(&paths[1..]));
    let (_, error) = put
        .failed
        .iter()
        .find(|(path, _)| *path == paths[1].path)
        .unwrap();
    assert!(
        error.to_string().contains("was changed since it was built"),
        "{error}"
    );
    world.assert_closed("afterwards").await;
}

#[tokio::test]
async fn what_is_unsigned_is_not_stored_and_a_run_that_only_reads_stores_nothing() {
    let mut world = World::new();
    let mut paths = world.chain();
    paths[0].signatures.clear();
    let put = world.cache().put(&paths).await;
    assert!(put.stored.is_empty());
    assert!(
        put.failed[0]
            .1
            .cure()
            .unwrap()
            .contains("nixpy-ci cache key")
    );
    let reader = world.cache_with(|settings| settings.read_only = true, |_| {});
    let paths = world_again(&mut world);
    assert!(reader.put(&paths).await.stored.is_empty());
    reader.close(&roots(&paths)).await.unwrap();
    assert_eq!(world.writes(), 0);
}

fn world_again(world: &mut World) -> Vec<PathInfo> {
    vec![world.path("other", 10, &[])]
}

#[tokio::test]
async fn order_does_not_matter_and_cycles_with_oneself_do_not_either() {
    let mut world = World::new();
    let mut paths = world.chain();
    let own = paths[0].path.clone();
    paths[0].references = vec![own];
    paths[0].signatures = vec![world.key.sign(&paths[0])];
    paths.reverse();
    assert_eq!(world.cache().put(&paths).await.stored, names(&paths));
}
