//! Caches that are down for a while, and what they are told of a run that did not finish.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// Hands all of it to a cache, and closes after so long; it has enough time then.
async fn closed_after(cache: &Fixed, paths: &Paths, pace: Pace, open: Duration) -> Filled {
    let queue = Queue::to(vec![Box::new(cache.clone())], paths, None, pace);
    queue.hand(&paths.names());
    let close = async {
        tokio::time::sleep(open).await;
        queue.close(Instant::now() + Duration::from_secs(20));
    };
    let (mut filled, ()) = tokio::join!(queue.work(&|_| {}), close);
    filled.remove(0)
}

#[tokio::test]
async fn a_cache_that_was_down_for_a_while_has_everything_in_the_end() {
    let mut cache = Fixed::sound();
    // Longer than three times the attempts.
    cache.says_missing = |asked| (asked <= 13).then(down);
    let paths = Paths::chain(35);
    let filled = closed_after(&cache, &paths, QUICK, Duration::from_secs(2)).await;
    assert!(filled.is_whole(), "{filled:?}");
    assert_eq!(filled.problems, [], "it is over");
    assert_eq!(cache.holds(), paths.names());
}

#[tokio::test]
async fn a_cache_that_is_let_alone_is_tried_once_more_when_nothing_more_comes() {
    let pace = Pace {
        rest: Duration::from_secs(3600),
        ..QUICK
    };
    let (open, paths) = (Duration::from_secs(2), Paths::chain(35));
    let mut cache = Fixed::sound();
    cache.says_missing = |asked| (asked <= 4).then(down);
    let filled = closed_after(&cache, &paths, pace, open).await;
    assert!(filled.is_whole(), "{filled:?}");

    let mut never = Fixed::sound();
    never.says_missing = |_| Some(down());
    let begun = Instant::now();
    let filled = closed_after(&never, &paths, pace, open).await;
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!((filled.end, filled.left), (End::GivenUp, 35));
    assert_eq!(never.kept().asked.len(), 8);
    assert!(filled.problems[0].what.contains("connection reset"));
}

#[tokio::test]
async fn a_cache_that_has_taken_something_is_waited_for_once_in_the_end() {
    // Of a batch that is half there, and between batches.
    for first in [2, 3] {
        let cache = Fixed::failing(move |attempt, info| {
            let is_down = (first..first + 4).contains(&attempt);
            (is_down && (first > 2 || info.path > path(12))).then(down)
        });
        let paths = Paths::alone(35);
        let filled = filled(&cache, &paths).await;
        assert!(filled.is_whole(), "{first}: {filled:?}");
        assert_eq!(cache.holds(), paths.names());
    }
    let cache = Fixed::failing(|attempt, _| (attempt > 2).then(down));
    let filled = filled(&cache, &Paths::alone(35)).await;
    assert_eq!(
        (filled.end, filled.pushed, filled.left),
        (End::GivenUp, 20, 15)
    );
    assert_eq!(cache.kept().puts.len(), 2 + 4 + 4, "and not for ever");
}

#[tokio::test]
async fn what_was_reached_is_told_though_the_rest_was_cut_or_given_up() {
    let slow = Fixed::sound().slow(Duration::from_millis(300));
    let cut = fill(&[&slow], &Paths::chain(95), Duration::from_millis(1600)).await;
    assert_eq!(cut[0].end, End::Cut, "{cut:?}");
    let last = path(usize::try_from(cut[0].pushed).unwrap() - 1);
    assert_eq!(slow.kept().reached, [last]);

    let failing = Fixed::failing(|attempt, _| (attempt > 2).then(down));
    assert_eq!(filled(&failing, &Paths::chain(35)).await.end, End::GivenUp);
    assert_eq!(failing.kept().reached, [path(19)]);
}

/// Does not answer at first.
struct Hesitating(Paths, AtomicU32);

impl Shelf for Hesitating {
    fn describe<'a>(
        &'a self,
        paths: &'a [StorePath],
    ) -> BoxFuture<'a, Result<Vec<PathInfo>, String>> {
        match self.1.fetch_add(1, Ordering::Relaxed) {
            0..2 => Box::pin(async { Err("the database is locked".to_owned()) }),
            _ => self.0.describe(paths),
        }
    }
}

#[tokio::test]
async fn what_the_store_does_not_tell_at_once_is_asked_again() {
    let (cache, shelf) = (Fixed::sound(), Hesitating(Paths::chain(5), 0.into()));
    let queue = Queue::to(vec![Box::new(cache.clone())], &shelf, None, QUICK);
    queue.hand(&shelf.0.names());
    queue.close(Instant::now() + Duration::from_secs(20));
    let filled = queue.work(&|_| {}).await.remove(0);
    assert!(filled.is_whole(), "{filled:?}");
    assert_eq!(cache.holds().len(), 5);
}
