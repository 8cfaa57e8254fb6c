//! What is known of the repository, and looking at it again.
//!
//! To look is a task of its own, which whoever asks waits for as long as he likes: one who
//! goes away takes nothing with him, and what a look that broke off has read, the next one
//! does not read again. What was known before stays in use until a look has ended, and it
//! changes at once: packs that refer to each other are never seen one without another.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _, Shared};
use nixpy_oci::name::Tag;
use tokio::sync::RwLockReadGuard;
use tokio::time::{Instant, timeout_at};

use super::Inner;
use super::documents::Listed;
use super::index::Index;
use super::load::{LARGEST, News, fetch};
use crate::error::{CacheError, CacheErrorKind};

/// For so long a path that is not there is not looked for again, and a registry that could
/// not be read is not asked again by readers.
const FRESH: Duration = Duration::from_secs(60);
/// A look that takes longer is not waited for where something is known already.
const SLOW: Duration = Duration::from_secs(2);
/// Looks that one question waits for; one that is under way may have begun too early.
const MOST_LOOKS: usize = 3;

/// How recent what is known has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// Whenever it was.
    Ever,
    /// A while ago; a registry that failed then is left alone.
    Lately,
    /// The same for who pushes, and decides himself how often he tries again.
    LatelyOrAgain,
    /// Since this was asked; nothing else will do.
    Now,
}

/// What is known of the repository.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) index: Option<Index>,
    /// When the last look that has ended began, and when it ended.
    began: Option<Instant>,
    pub(super) ended: Option<Instant>,
    failed: Option<CacheError>,
    under_way: Option<Look>,
    /// Of a look that broke off.
    unfinished: News,
    /// Packs stored since the look under way began, which it may not have seen.
    meanwhile: BTreeSet<Tag>,
    /// How often all of this was forgotten.
    forgotten: u64,
}

/// A look under way.
#[derive(Clone)]
struct Look {
    since: Instant,
    end: Shared<BoxFuture<'static, ()>>,
}

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Look").field("since", &self.since).finish()
    }
}

enum Answer {
    Index,
    Failed(CacheError),
    Wait(Look),
    Begin,
}

impl State {
    fn answer(&self, wanted: Since, asked: Instant) -> Answer {
        let (began, ended) = (self.began, self.ended);
        let is_recent = match wanted {
            Since::Ever => true,
            Since::Lately | Since::LatelyOrAgain => ended.is_some_and(|it| it.elapsed() <= FRESH),
            Since::Now => began.is_some_and(|it| it >= asked),
        };
        let has_failed = match wanted {
            Since::Ever | Since::Lately => ended.is_some_and(|it| it.elapsed() < FRESH),
            Since::LatelyOrAgain => ended.is_some_and(|it| it >= asked),
            Since::Now => is_recent,
        };
        match (&self.index, &self.failed) {
            (Some(_), None) if is_recent => Answer::Index,
            // What was read before is as good as it was.
            (Some(_), Some(_)) if is_recent && wanted != Since::Now => Answer::Index,
            (_, Some(error)) if has_failed => Answer::Failed(error.clone()),
            _ => match self.look() {
                Some(look) => Answer::Wait(look),
                None => Answer::Begin,
            },
        }
    }

    fn look(&self) -> Option<Look> {
        let look = self.under_way.as_ref();
        look.filter(|look| look.end.peek().is_none()).cloned()
    }

    /// Takes note of a pack that this run has stored.
    pub(super) fn stored(&mut self, listed: Listed) {
        if self.under_way.is_some() {
            self.meanwhile.insert(listed.tag.clone());
        }
        if let Some(index) = &mut self.index {
            index.insert(listed);
        }
    }

    /// Knows nothing any more.
    pub(super) fn forget(&mut self) {
        let forgotten = self.forgotten + 1;
        *self = Self {
            forgotten,
            ..Self::default()
        };
    }
}

impl Inner {
    /// What the repository holds. Only who asks for what is there now is told of a registry
    /// that cannot be read although something is known.
    pub(super) async fn index(
        self: &Arc<Self>,
        wanted: Since,
    ) -> Result<RwLockReadGuard<'_, Index>, CacheError> {
        let asked = Instant::now();
        for _ in 0..=MOST_LOOKS {
            let state = self.state.read().await;
            let is_known = state.index.is_some();
            let look = match state.answer(wanted, asked) {
                Answer::Index => return self.known(state),
                Answer::Failed(error) => return Err(error),
                Answer::Wait(look) => Some(look),
                Answer::Begin => None,
            };
            drop(state);
            let look = match look {
                Some(look) => look,
                None => self.begin(wanted, asked).await,
            };
            let patience = look.since + SLOW;
            if wanted == Since::Now || !is_known {
                look.end.await;
            } else if timeout_at(patience, look.end).await.is_err() {
                return self.known(self.state.read().await);
            }
        }
        let why = "what was read of it is lost".to_owned();
        Err(self.error("be read", CacheErrorKind::Here(why)))
    }

    fn known<'a>(
        &self,
        state: RwLockReadGuard<'a, State>,
    ) -> Result<RwLockReadGuard<'a, Index>, CacheError> {
        let index = RwLockReadGuard::try_map(state, |state| state.index.as_ref());
        let nothing = || CacheErrorKind::Here("nothing is known of it any more".to_owned());
        index.map_err(|_| self.error("be read", nothing()))
    }

    /// Has the repository looked at, unless somebody else was quicker.
    async fn begin(self: &Arc<Self>, wanted: Since, asked: Instant) -> Look {
        let mut state = self.state.write().await;
        let since = Instant::now();
        match state.answer(wanted, asked) {
            Answer::Wait(look) => return look,
            Answer::Begin => {}
            Answer::Index | Answer::Failed(_) => {
                let end = std::future::ready(()).boxed().shared();
                return Look { since, end };
            }
        }
        let task = tokio::spawn(look(Arc::clone(self), since, state.forgotten));
        let end = task.map(|_| ()).boxed().shared();
        let look = Look { since, end };
        state.meanwhile.clear();
        state.under_way = Some(look.clone());
        look
    }

    /// Reads everything again when it is asked for.
    pub(super) async fn forget(&self) {
        self.state.write().await.forget();
    }
}

/// Looks at the repository, again as long as that brings anything, and notes what came of it.
async fn look(cache: Arc<Inner>, since: Instant, forgotten: u64) {
    let (known, mut news) = {
        let mut state = cache.state.write().await;
        let known = state.index.as_ref().map(Index::known);
        let unfinished = std::mem::take(&mut state.unfinished);
        (known.unwrap_or_default(), unfinished)
    };
    let fetched = loop {
        let before = news.documents();
        let fetched = fetch(&cache.registry, &known, &mut news, LARGEST, cache.now()).await;
        match fetched {
            Err(error) if error.is_transient() && news.documents() > before => {
                tracing::debug!(%error, "reading the cache goes on where it broke off");
            }
            other => break other,
        }
    };
    let troubles = std::mem::take(&mut news.troubles);
    for (what, why) in troubles {
        let kind = CacheErrorKind::Broken(why);
        cache.note(cache.error(format!("use {what}"), kind));
    }
    let mut state = cache.state.write().await;
    let state = &mut *state;
    if state.forgotten != forgotten {
        return;
    }
    match fetched {
        Ok(()) => {
            let index = state.index.get_or_insert_default();
            index.take(news, &state.meanwhile);
            state.failed = None;
        }
        Err(error) => {
            state.unfinished = news;
            state.failed = Some(cache.remote("list its paths", &error));
        }
    }
    (state.began, state.ended) = (Some(since), Some(Instant::now()));
    state.under_way = None;
}
