//! Caches that are slow, throttle, fail, hang, are full or refuse; and what became of the
//! paths that were handed over.
#![allow(clippy::unwrap_used)]

mod outages;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use nixpy_nix::NarHash;

use super::*;
use crate::error::CacheErrorKind;
use crate::store::Put;

const QUICK: Pace = Pace {
    paths: 10,
    bytes: 1 << 30,
    attempts: 4,
    first_wait: Duration::from_millis(1),
    longest_wait: Duration::from_millis(300),
    patience: Duration::from_millis(200),
    rest: Duration::from_millis(50),
    last_word: Duration::from_millis(500),
};

fn path(n: usize) -> StorePath {
    format!("/nix/store/{n:032}-p{n}").parse().unwrap()
}

/// Paths of which each refers to itself and to these.
#[derive(Clone, Default)]
struct Paths(BTreeMap<StorePath, PathInfo>);

impl Paths {
    fn with(mut self, n: usize, references: &[usize]) -> Self {
        let mut references: Vec<StorePath> = references.iter().map(|n| path(*n)).collect();
        references.push(path(n));
        references.sort();
        let info = PathInfo {
            path: path(n),
            nar_hash: NarHash::from_bytes([0; 32]),
            nar_size: 100,
            references,
            deriver: None,
            ca: None,
            is_own: false,
            signatures: Vec::new(),
        };
        self.0.insert(path(n), info);
        self
    }

    /// Each refers to the one before it.
    fn chain(count: usize) -> Self {
        let paths = Self::default().with(0, &[]);
        (1..count).fold(paths, |paths, n| paths.with(n, &[n - 1]))
    }

    fn alone(count: usize) -> Self {
        (0..count).fold(Self::default(), |paths, n| paths.with(n, &[]))
    }

    fn names(&self) -> Vec<StorePath> {
        self.0.keys().cloned().collect()
    }
}

impl Shelf for Paths {
    fn describe<'a>(
        &'a self,
        paths: &'a [StorePath],
    ) -> BoxFuture<'a, Result<Vec<PathInfo>, String>> {
        let known = paths.iter().filter_map(|path| self.0.get(path)).cloned();
        let known = known.rev().collect();
        Box::pin(async { Ok(known) })
    }
}

type Trouble = Box<dyn Fn(usize, &PathInfo) -> Option<CacheErrorKind> + Send + Sync>;

/// A cache in memory, that fails on cue.
#[derive(Clone)]
struct Fixed {
    name: &'static str,
    kept: Arc<Mutex<Kept>>,
    /// By the number of the attempt, and what is to be stored.
    trouble: Arc<Trouble>,
    slowness: Duration,
    says_missing: fn(usize) -> Option<CacheErrorKind>,
    says_closed: fn(usize) -> Option<CacheErrorKind>,
}

#[derive(Default)]
struct Kept {
    there: BTreeMap<StorePath, PathInfo>,
    asked: Vec<usize>,
    puts: Vec<usize>,
    reached: Vec<StorePath>,
    closed: usize,
}

impl Fixed {
    fn sound() -> Self {
        Self::failing(|_, _| None)
    }

    fn failing(
        trouble: impl Fn(usize, &PathInfo) -> Option<CacheErrorKind> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: "fixed",
            kept: Arc::default(),
            trouble: Arc::new(Box::new(trouble)),
            slowness: Duration::ZERO,
            says_missing: |_| None,
            says_closed: |_| None,
        }
    }

    fn slow(mut self, slowness: Duration) -> Self {
        self.slowness = slowness;
        self
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }

    fn holds(&self) -> Vec<StorePath> {
        self.kept().there.keys().cloned().collect()
    }
}

impl fmt::Debug for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Store for Fixed {
    fn name(&self) -> &str {
        self.name
    }

    fn missing<'a>(
        &'a self,
        paths: &'a [PathInfo],
    ) -> BoxFuture<'a, Result<BTreeSet<StorePath>, CacheError>> {
        Box::pin(async move {
            let mut kept = self.kept();
            kept.asked.push(paths.len());
            if let Some(kind) = (self.says_missing)(kept.asked.len()) {
                return Err(CacheError::new(self.name, "say what it lacks", kind));
            }
            let names = paths.iter().map(|info| info.path.clone());
            Ok(names.filter(|it| !kept.there.contains_key(it)).collect())
        })
    }

    fn put<'a>(&'a self, paths: &'a [PathInfo]) -> BoxFuture<'a, Put> {
        Box::pin(async move {
            tokio::time::sleep(self.slowness).await;
            let mut kept = self.kept();
            kept.puts.push(paths.len());
            let attempt = kept.puts.len();
            let (mut put, mut failed) = (Put::default(), BTreeSet::new());
            for info in paths {
                let fails = |kind| {
                    let act = format!("store {}", info.path);
                    (info.path.clone(), CacheError::new(self.name, act, kind))
                };
                let others = info.references.iter().filter(|it| **it != info.path);
                let others: Vec<&StorePath> = others.collect();
                if others.iter().any(|it| failed.contains(*it)) {
                    let kind = CacheErrorKind::Broken("what it refers to failed".to_owned());
                    put.failed.push(fails(kind));
                    failed.insert(info.path.clone());
                    continue;
                }
                let lacks = others.iter().find(|it| !kept.there.contains_key(**it));
                assert_eq!(lacks, None, "{} came before what it refers to", info.path);
                if let Some(kind) = (self.trouble)(attempt, info) {
                    put.failed.push(fails(kind));
                    failed.insert(info.path.clone());
                    continue;
                }
                kept.there.insert(info.path.clone(), info.clone());
                put.stored.insert(info.path.clone());
                put.sent += 10;
            }
            put
        })
    }

    fn close<'a>(&'a self, reached: &'a [StorePath]) -> BoxFuture<'a, Result<(), CacheError>> {
        Box::pin(async move {
            let mut kept = self.kept();
            kept.closed += 1;
            if let Some(kind) = (self.says_closed)(kept.closed) {
                return Err(CacheError::new(self.name, "note what was reached", kind));
            }
            kept.reached = reached.to_vec();
            Ok(())
        })
    }
}

/// Hands all of it to these caches, and lets them have so much time in the end.
async fn fill(caches: &[&Fixed], paths: &Paths, drain: Duration) -> Vec<Filled> {
    let stores = caches.iter().map(|cache| {
        let store: Box<dyn Store> = Box::new((*cache).clone());
        store
    });
    let queue = Queue::to(stores.collect(), paths, None, QUICK);
    queue.hand(&paths.names());
    queue.close(Instant::now() + drain);
    queue.work(&|_| {}).await
}

async fn filled(cache: &Fixed, paths: &Paths) -> Filled {
    fill(&[cache], paths, Duration::from_secs(20))
        .await
        .remove(0)
}

fn down() -> CacheErrorKind {
    CacheErrorKind::Unreachable("connection reset".to_owned())
}

#[tokio::test]
async fn all_that_is_handed_over_is_put_after_what_it_refers_to() {
    let (cache, paths) = (Fixed::sound(), Paths::chain(95));
    let filled = filled(&cache, &paths).await;
    assert_eq!(cache.holds(), paths.names());
    assert!(filled.is_whole(), "{filled:?}");
    assert_eq!((filled.pushed, filled.sent_size), (95, 950));
    let kept = cache.kept();
    // Bounded, and asked once for each batch.
    assert_eq!(kept.asked, [10, 10, 10, 10, 10, 10, 10, 10, 10, 5]);
    assert_eq!(
        kept.reached,
        [path(94)],
        "what it refers to is reached with it"
    );
}

#[tokio::test]
async fn what_is_there_is_not_put_again() {
    let (cache, paths) = (Fixed::sound(), Paths::chain(20));
    filled(&cache, &paths).await;
    cache.kept().puts.clear();
    let again = filled(&cache, &paths.clone().with(20, &[19])).await;
    assert_eq!((again.pushed, again.present), (1, 20));
    assert_eq!(cache.kept().puts, [1]);
}

#[tokio::test]
async fn what_comes_later_is_taken_too_and_what_is_put_is_signed() {
    let (cache, paths) = (Fixed::sound(), Paths::chain(3));
    let key = SecretKey::generate("t-1").unwrap();
    let queue = Queue::to(vec![Box::new(cache.clone())], &paths, Some(&key), QUICK);
    let later = async {
        for name in paths.names() {
            queue.hand(&[name]);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        queue.close(Instant::now() + Duration::from_secs(20));
    };
    let (filled, ()) = tokio::join!(queue.work(&|_| {}), later);
    assert_eq!(filled[0].pushed, 3);
    let kept = cache.kept();
    assert!(
        kept.there
            .values()
            .all(|info| key.public().has_signed(info))
    );
}

#[tokio::test]
async fn much_is_put_in_portions() {
    let (cache, mut paths) = (Fixed::sound(), Paths::alone(4));
    paths.0.get_mut(&path(1)).unwrap().nar_size = 3 << 30;
    let filled = filled(&cache, &paths).await;
    assert!(filled.is_whole());
    assert_eq!(cache.kept().puts, [1, 1, 2]);
}

#[tokio::test]
async fn a_slow_cache_keeps_no_other_waiting_and_is_cut_in_the_end() {
    let slow = Fixed::sound().slow(Duration::from_secs(300));
    let (quick, paths) = (Fixed::sound(), Paths::chain(30));
    let begun = Instant::now();
    let filled = fill(&[&slow, &quick], &paths, Duration::from_millis(100)).await;
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!((filled[0].end, filled[0].left), (End::Cut, 30));
    assert!(filled[0].is_short());
    assert!(filled[1].is_whole(), "{filled:?}");
    assert_eq!(quick.holds().len(), 30);
}

#[tokio::test]
async fn a_cache_that_fails_thirty_times_in_a_hundred_has_everything_in_the_end() {
    let count = Arc::new(Mutex::new(0_u32));
    let cache = Fixed::failing(move |_, _| {
        let mut count = lock(&count);
        *count += 1;
        (*count * 7 % 10 < 3).then(down)
    });
    let paths = Paths::alone(200);
    let filled = filled(&cache, &paths).await;
    assert!(filled.is_whole(), "{filled:?}");
    assert_eq!(cache.holds(), paths.names());
}

#[tokio::test]
async fn what_failed_only_because_of_another_is_tried_with_it_again() {
    let cache = Fixed::failing(|attempt, info| (attempt == 1 && info.path == path(3)).then(down));
    let paths = Paths::chain(10);
    let filled = filled(&cache, &paths).await;
    assert!(filled.is_whole(), "{filled:?}");
    assert_eq!(cache.kept().puts, [10, 7]);
}

#[tokio::test]
async fn a_cache_that_asks_for_time_gets_it() {
    let asked = Duration::from_millis(150);
    let cache = Fixed::failing(move |attempt, _| {
        let retry_after = Some(asked);
        (attempt == 1).then_some(CacheErrorKind::Throttled { retry_after })
    });
    let begun = Instant::now();
    let filled = filled(&cache, &Paths::chain(5)).await;
    assert!(filled.is_whole(), "{filled:?}");
    assert!(begun.elapsed() >= asked);
}

#[tokio::test]
async fn no_cache_gets_more_time_than_there_is() {
    let cache = Fixed::failing(|_, _| {
        let retry_after = Some(Duration::from_secs(3600));
        Some(CacheErrorKind::Throttled { retry_after })
    });
    let begun = Instant::now();
    let filled = filled(&cache, &Paths::chain(5)).await;
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!((filled.end, filled.left), (End::GivenUp, 5));
    assert!(filled.problems[0].what.contains("asks for time"));
}

#[tokio::test]
async fn a_cache_that_is_down_is_given_up_after_a_few_attempts() {
    let cache = Fixed::failing(|_, _| Some(down()));
    let filled = filled(&cache, &Paths::chain(35)).await;
    assert_eq!(cache.kept().puts, [10; 4]);
    assert_eq!(
        (filled.end, filled.pushed, filled.left),
        (End::GivenUp, 0, 35)
    );
    assert!(
        filled.problems[0].what.contains("connection reset"),
        "{filled:?}"
    );
    assert!(cache.kept().reached.is_empty());
}

#[tokio::test]
async fn a_cache_that_does_not_say_what_it_lacks_is_given_up_too() {
    let mut cache = Fixed::sound();
    cache.says_missing = |_| Some(down());
    let given_up = filled(&cache, &Paths::chain(35)).await;
    assert_eq!((given_up.end, given_up.left), (End::GivenUp, 35));
    assert_eq!(cache.kept().asked.len(), 4);
    let mut cache = Fixed::sound();
    cache.says_missing = |asked| (asked < 3).then(down);
    assert!(filled(&cache, &Paths::chain(35)).await.is_whole());
}

#[tokio::test]
async fn a_cache_that_is_full_or_refuses_is_asked_once() {
    let full = Fixed::failing(|_, info| {
        let is_late = info.path >= path(12);
        is_late.then(|| CacheErrorKind::Full("no space left".to_owned()))
    });
    let got = filled(&full, &Paths::chain(35)).await;
    assert_eq!((got.end, got.pushed, got.left), (End::GivenUp, 12, 23));
    let refusing = Fixed::failing(|_, _| {
        Some(CacheErrorKind::Refused {
            message: "403".to_owned(),
            cure: "give a token".to_owned(),
        })
    });
    let got = filled(&refusing, &Paths::chain(35)).await;
    assert_eq!((got.end, got.left), (End::Refused, 35));
    assert_eq!(got.problems[0].cure.as_deref(), Some("give a token"));
    assert_eq!(refusing.kept().puts.len(), 1);
}

#[tokio::test]
async fn a_path_that_fails_takes_with_it_what_refers_to_it_and_no_other() {
    // Of 40, in batches of ten: 15 and what refers to it, directly or not.
    let paths = (0..40).fold(Paths::default(), |paths, n| match n {
        20 | 36 => paths.with(n, &[15]),
        38 => paths.with(n, &[20, 3]),
        _ => paths.with(n, &[]),
    });
    let cache = Fixed::failing(|_, info| {
        let broken = || CacheErrorKind::Here("its hash is another".to_owned());
        (info.path == path(15)).then(broken)
    });
    let filled = filled(&cache, &paths).await;
    assert_eq!(
        (filled.end, filled.pushed, filled.failed),
        (End::Complete, 36, 4)
    );
    assert!(filled.is_short());
    assert!(filled.problems[0].what.contains("its hash is another"));
    for n in [15, 20, 36, 38] {
        assert!(!cache.holds().contains(&path(n)), "{n}");
    }
}

#[tokio::test]
async fn a_path_that_never_passes_fails_alone() {
    let cache = Fixed::failing(|_, info| (info.path == path(4)).then(down));
    let filled = filled(&cache, &Paths::alone(25)).await;
    assert_eq!(
        (filled.end, filled.pushed, filled.failed),
        (End::Complete, 24, 1)
    );
}

#[tokio::test]
async fn what_has_vanished_from_the_store_is_told() {
    let paths = Paths::alone(3);
    let cache = Fixed::sound();
    let queue = Queue::to(vec![Box::new(cache.clone())], &paths, None, QUICK);
    queue.hand(&[path(0), path(7), path(1)]);
    queue.close(Instant::now() + Duration::from_secs(20));
    let filled = queue.work(&|_| {}).await.remove(0);
    assert_eq!((filled.pushed, filled.failed), (2, 1));
    assert!(
        filled.problems[0]
            .what
            .contains("not in the store any more")
    );
}

#[tokio::test]
async fn a_queue_that_nothing_comes_to_says_so_and_writes_nothing() {
    let cache = Fixed::sound();
    let filled = filled(&cache, &Paths::default()).await;
    assert_eq!(filled, Filled::nothing("fixed"));
    assert!(cache.kept().asked.is_empty());
}

#[tokio::test]
async fn what_was_reached_is_told_again_if_it_was_not_heard() {
    let mut cache = Fixed::sound();
    cache.says_closed = |attempt| (attempt < 3).then(down);
    assert!(filled(&cache, &Paths::chain(2)).await.is_whole());
    assert_eq!(cache.kept().reached, [path(1)]);
    cache.says_closed = |_| Some(down());
    let never = filled(&cache, &Paths::chain(2)).await;
    assert_eq!((never.end, never.present, never.left), (End::GivenUp, 2, 0));
    assert!(never.problems[0].what.contains("note what was reached"));
}
