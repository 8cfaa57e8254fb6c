//! A registry that throttles, fails, hangs or is not there.

use std::time::Instant;

use futures_util::future::BoxFuture;
use tokio::time::timeout;

use super::*;
use crate::error::CacheErrorKind;
use crate::queue::{End, Pace, Queue, Shelf};
use nixpy_testkit::registry::Fault;

#[tokio::test]
async fn a_registry_that_asks_for_time_is_given_it() {
    let mut world = World::new();
    let paths = world.chain();
    world.double.fail(
        Fault::status(429)
            .retry_after(1)
            .on(Method::POST, "/uploads/"),
    );
    let begun = Instant::now();
    assert_eq!(world.cache().put(&paths).await.stored, names(&paths));
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn one_that_asks_for_too_much_time_is_told_as_that() {
    let mut world = World::new();
    let paths = world.chain();
    world
        .double
        .fail(Fault::status(429).retry_after(3_600).always());
    let put = world.cache().put(&paths).await;
    let kind = &put.failed[0].1.kind;
    let hour = Some(Duration::from_secs(3_600));
    assert!(matches!(kind, CacheErrorKind::Throttled { retry_after } if *retry_after == hour));
}

#[tokio::test]
async fn three_requests_in_ten_may_fail() {
    let mut world = World::new();
    let mut paths = world.chain();
    for number in 0..20 {
        paths.push(world.path(&format!("large-{number}"), 1_100_000, &[]));
    }
    world.double.fail(Fault::status(500).share(15));
    world.double.fail(Fault::cut_after(0).share(15));
    let cache = world.cache();
    let put = cache.put(&paths).await;
    assert_eq!(put.stored, names(&paths), "{:?}", put.failed);
    cache.close(&roots(&paths)).await.unwrap();
    assert_eq!(world.readable(&paths).await, names(&paths));
}

#[tokio::test]
async fn one_that_hangs_or_is_not_there_is_given_up_in_time() {
    let mut world = World::new();
    let mut paths = world.chain();
    for number in 0..30 {
        paths.push(world.path(&format!("large-{number}"), 1_100_000, &[]));
    }
    let hang = Fault::hang(Duration::from_secs(60)).always();
    world
        .double
        .fail(hang.clone().on(Method::POST, "/uploads/"));
    let begun = Instant::now();
    let put = world
        .cache_with(|_| {}, |it| it.retries = 1)
        .put(&paths)
        .await;
    assert_eq!(put.failed.len(), paths.len());
    assert!(
        begun.elapsed() < Duration::from_secs(40),
        "{:?}",
        begun.elapsed()
    );
    assert!(put.failed[0].1.is_transient(), "{}", put.failed[0].1);

    world.double.heal();
    world.double.fail(hang);
    let cache = world.cache_with(|_| {}, |it| it.retries = 1);
    let begun = Instant::now();
    for info in &paths {
        cache.narinfo(info.path.hash_part()).await.unwrap_err();
    }
    // Asked once; after that it is known.
    assert!(
        begun.elapsed() < Duration::from_secs(40),
        "{:?}",
        begun.elapsed()
    );
    world.double.stop();
    let put = world.cache().put(&paths).await;
    assert!(put.stored.is_empty() && put.failed[0].1.is_transient());
}

#[tokio::test]
async fn one_that_lets_nobody_push_is_asked_for_little() {
    let mut world = World::new();
    let mut paths = Vec::new();
    for number in 0..40 {
        paths.push(world.path(&format!("large-{number}"), 1_100_000, &[]));
    }
    world.double.fail(Fault::refuse_uploads_after(0));
    let put = world
        .cache_with(|it| it.uploads = 2, |_| {})
        .put(&paths)
        .await;
    assert_eq!(put.failed.len(), 40);
    assert!(put.failed.iter().all(|(_, error)| error.cure().is_some()));
    assert!(world.double.count(Method::POST, "/uploads/") <= 3);
}

#[tokio::test]
async fn one_that_goes_away_in_mid_push_leaves_what_is_closed() {
    let mut world = World::new();
    let paths = world.chain();
    world.cache().put(&paths[..2]).await;
    for method in [Method::PUT, Method::PATCH] {
        let cut = Fault::cut_after(500_000).on(method, "/uploads/");
        world.double.fail(cut.always());
    }
    let put = world.cache().put(&paths).await;
    assert_eq!(put.stored, names(&paths[..2]));
    world.double.heal();
    world.assert_closed("after the break").await;
    assert_eq!(world.cache().put(&paths).await.stored, names(&paths));
}

/// What is known of these.
struct Known(Vec<PathInfo>);

impl Shelf for Known {
    fn describe<'a>(
        &'a self,
        _paths: &'a [StorePath],
    ) -> BoxFuture<'a, Result<Vec<PathInfo>, String>> {
        Box::pin(async { Ok(self.0.clone()) })
    }
}

#[tokio::test]
async fn three_of_all_requests_in_ten_may_fail_and_a_run_fills_the_cache() {
    let mut world = World::new();
    let paths = world.chain();
    let shelf = Known(paths.clone());
    let pace = Pace {
        first_wait: Duration::from_millis(2),
        ..Pace::default()
    };
    for seed in 0..40 {
        world.double = Double::start();
        world.double.fail(match seed % 2 {
            0 => Fault::status(500).random_share(30, seed),
            _ => Fault::cut_after(0).random_share(30, seed),
        });
        let cache = world.cache_with(|_| {}, |it| *it = crate::settings::patience(it.clone()));
        let queue = Queue::to(vec![Box::new(cache)], &shelf, None, pace);
        queue.hand(&roots(&paths));
        queue.close(tokio::time::Instant::now() + Duration::from_secs(60));
        let filled = queue.work(&|_| {}).await.remove(0);
        assert_eq!(
            (filled.pushed, &filled.end),
            (4, &End::Complete),
            "{seed}: {filled:?}"
        );
        world.double.heal();
        assert_eq!(world.readable(&paths).await, names(&paths), "{seed}");
        assert_eq!(world.tags("reached-").len(), 1, "{seed}");
    }
}

#[tokio::test]
async fn whoever_asks_and_goes_away_takes_nothing_with_him() {
    let mut world = World::new();
    let paths = world.chain();
    for info in &paths {
        world.cache().put(std::slice::from_ref(info)).await;
    }
    let slow = Fault::hang(Duration::from_millis(150)).on(Method::GET, "/");
    world.double.fail(slow.always());
    let cache = world.cache();
    let first = paths[0].path.hash_part();
    world.double.reset_counts();
    let mut asked = 0;
    while timeout(Duration::from_millis(100), cache.narinfo(first))
        .await
        .is_err()
    {
        asked += 1;
        assert!(asked < 20, "it begins anew each time");
    }
    assert!(asked > 1);
    assert_eq!(world.double.count(Method::GET, "/tags/list"), 1);
    assert!(cache.narinfo(first).await.unwrap().is_some());
}

#[tokio::test]
async fn a_look_that_breaks_off_is_taken_up_and_what_was_known_stays_in_use() {
    let mut world = World::new();
    let paths = world.chain();
    let days: [fn() -> SystemTime; 3] = [|| on_day(1), || on_day(2), || on_day(3)];
    for (info, day) in paths.iter().zip(days) {
        world.cache_at(day).put(std::slice::from_ref(info)).await;
    }
    let latest = world.tags("pack-").pop().unwrap();
    world
        .double
        .fail(Fault::cut_after(0).on(Method::GET, &latest).always());
    let cache = world.cache_with(|_| {}, |it| it.retries = 0);
    cache.missing(&paths).await.unwrap_err();
    world.double.heal();
    world.double.reset_counts();
    assert_eq!(cache.missing(&paths).await.unwrap(), names(&paths[3..]));
    assert_eq!(
        world.double.count(Method::GET, "/manifests/"),
        1,
        "the others were read"
    );
    // Now it hangs; what was known is told all the same, and soon.
    world
        .double
        .fail(Fault::hang(Duration::from_secs(60)).always());
    cache.0.state.write().await.ended = None;
    let begun = Instant::now();
    let known = cache.narinfo(paths[1].path.hash_part()).await.unwrap();
    assert!(known.is_some() && begun.elapsed() < Duration::from_millis(100));
    let unknown = cache.narinfo(paths[3].path.hash_part()).await.unwrap();
    assert!(unknown.is_none() && begun.elapsed() < Duration::from_secs(4));
    // Who has to know what is there now is told that nobody can say.
    cache.close(&roots(&paths[..1])).await.unwrap_err();
}
