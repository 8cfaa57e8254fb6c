//! Handing over what is built, as it appears; and in the end all that was missed.

use std::time::Duration;

use nixpy_cache::gather::{Gather, Gathered, Upstream, keys_of};
use nixpy_cache::queue::{Problem, Queue};
use nixpy_cache::stores;
use nixpy_nix::settings::Settings;
use nixpy_nix::{NixError, StorePath};
use tokio::time::{sleep, timeout_at};

use super::{Caching, Progress};
use crate::event::{Event, Stage};
use crate::plan::Form;
use crate::report::told;

/// How often it is looked what has been built.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// So many derivations are looked at between two looks at what has been built.
const AT_ONCE: usize = 200;

/// How the gathering ended.
pub(super) struct Handed {
    /// Whether everything that the run has to make was there, and handed over.
    pub(super) is_all: bool,
    /// Why not everything was handed over that should have been.
    pub(super) problem: Option<Problem>,
    /// Whether a stage of its own was begun for what was left.
    pub(super) is_shown: bool,
}

/// Derivations whose outputs may have been built before, and that are not looked at yet;
/// `None` before it is known which there are.
type Backlog = Option<Vec<StorePath>>;

/// Whether nothing more will be built.
fn has_built(run: &Progress) -> bool {
    run.built || run.over.is_some()
}

impl Caching<'_> {
    /// Hands over what is built, until the run is over and there is nothing more.
    pub(super) async fn gather(&self, queue: &Queue<'_>) -> Handed {
        let mut gather = self.begin().await;
        let mut is_shown = false;
        let sweep = self.gather_all(&mut gather, queue);
        let drain = self.inputs.caches.drain;
        let swept = {
            tokio::pin!(sweep);
            let before = tokio::select! {
                swept = &mut sweep => Some(swept),
                _ = self.end() => None,
            };
            let end = self.end().await + drain;
            if before.is_none() || !queue.is_idle() {
                (self.on_event)(Event::Started(Stage::Cache));
                is_shown = true;
            }
            match before {
                Some(swept) => Some(swept),
                None => timeout_at(end, sweep).await.ok(),
            }
        };
        queue.close(self.end().await + drain);
        let (is_all, problem) = match swept {
            Some(Ok(is_all)) => (is_all, None),
            Some(Err(error)) => (false, Some(told(&error))),
            None => (
                false,
                Some("there was no time to look up what was built".to_owned()),
            ),
        };
        let problem = problem.map(|what| Problem { what, cure: None });
        self.tell_doubts(&gather);
        Handed {
            is_all: is_all && gather.doubtful().is_empty(),
            problem,
            is_shown,
        }
    }

    async fn begin(&self) -> Gather<'_> {
        let caches = &self.inputs.caches;
        // Without an answer, the keys that are known anyway have to do.
        let settings = Settings::ask(self.nix).await;
        let told = settings.map(|settings| settings.trusted_public_keys);
        let told = told.unwrap_or_default();
        let keys = keys_of(&caches.upstream, &told);
        let mut trusted = caches.trusted_keys();
        trusted.extend(told.iter().filter_map(|key| key.parse().ok()));
        let upstream = Upstream::new(stores::upstream(caches), keys);
        let are_images = |form: Form| matches!(form, Form::Archive | Form::Layout);
        let images = self.plan.jobs.iter().filter(|job| are_images(job.form));
        let images = images.map(|job| job.output.clone()).collect();
        Gather::new(self.nix, upstream, &caches.exclude, images, trusted)
    }

    /// Hands over what is built, until nothing more will be, and all that was missed; whether
    /// everything that the run has to make is there.
    async fn gather_all(
        &self,
        gather: &mut Gather<'_>,
        queue: &Queue<'_>,
    ) -> Result<bool, NixError> {
        let nothing = (!self.looks_back).then(Vec::new);
        let (mut backlog, mut is_put_off) = (nothing, false);
        while !has_built(&self.progress.borrow()) {
            self.look(gather, queue).await;
            let goes_on = match is_put_off {
                true => Ok(false),
                false => self.look_back(gather, &mut backlog, queue).await,
            };
            let goes_on = goes_on.unwrap_or_else(|error| {
                tracing::debug!(%error, "looked at in the end");
                is_put_off = true;
                false
            });
            if !goes_on {
                tokio::select! {
                    () = sleep(LOOK_EVERY) => {}
                    _ = self.until(has_built) => {}
                }
            }
        }
        let swept = self.sweep(gather, queue).await;
        let looked_back = self.look_back_on_all(gather, &mut backlog, queue).await;
        looked_back.and(swept)
    }

    /// What has been built since the last look. What cannot be told now is told in the end.
    async fn look(&self, gather: &mut Gather<'_>, queue: &Queue<'_>) {
        let looked = async {
            self.expect(gather).await?;
            gather.appeared().await
        };
        match looked.await {
            Ok(gathered) => self.hand(gathered, queue),
            Err(error) => tracing::debug!(%error, "looked up later"),
        }
    }

    async fn expect(&self, gather: &mut Gather<'_>) -> Result<(), NixError> {
        let begun = self.begun.take();
        let expected = gather.expect(&begun).await;
        if expected.is_err() {
            self.begun.put_back(begun);
        }
        expected
    }

    /// Some of what was built before; whether there is more of it.
    async fn look_back(
        &self,
        gather: &mut Gather<'_>,
        backlog: &mut Backlog,
        queue: &Queue<'_>,
    ) -> Result<bool, NixError> {
        let Some(left) = backlog else {
            let jobs = self.plan.jobs.iter();
            let derivations: Vec<StorePath> = jobs.map(|job| job.derivation.clone()).collect();
            *backlog = Some(gather.needed(&derivations).await?);
            return Ok(true);
        };
        let rest = left.len().saturating_sub(AT_ONCE);
        let gathered = gather.outputs_of(&left[rest..]).await?;
        left.truncate(rest);
        self.hand(gathered, queue);
        Ok(!left.is_empty())
    }

    /// All of it that is left. What cannot be told is asked once more and then left out; why
    /// is given as the error.
    async fn look_back_on_all(
        &self,
        gather: &mut Gather<'_>,
        backlog: &mut Backlog,
        queue: &Queue<'_>,
    ) -> Result<(), NixError> {
        let (mut looked_back, mut is_second) = (Ok(()), false);
        loop {
            match self.look_back(gather, backlog, queue).await {
                Ok(true) => is_second = false,
                Ok(false) => return looked_back,
                Err(_) if !is_second => is_second = true,
                Err(error) => {
                    is_second = false;
                    looked_back = looked_back.and(Err(error));
                    let left = backlog.get_or_insert_default();
                    left.truncate(left.len().saturating_sub(AT_ONCE));
                }
            }
        }
    }

    /// All that has been built, and the closures of what the run has to make; whether that
    /// is all there. What cannot be told keeps nothing else back.
    async fn sweep(&self, gather: &mut Gather<'_>, queue: &Queue<'_>) -> Result<bool, NixError> {
        let expected = self.expect(gather).await;
        let appeared = gather.appeared_in_the_end().await;
        let appeared = appeared.map(|gathered| self.hand(gathered, queue));
        let outputs: Vec<StorePath> = self
            .plan
            .jobs
            .iter()
            .map(|job| job.output.clone())
            .collect();
        let closure = gather.closure(&outputs).await.map(|gathered| {
            let is_all = !gathered.absent;
            self.hand(gathered, queue);
            is_all
        });
        expected.and(appeared).and(closure)
    }

    fn hand(&self, gathered: Gathered, queue: &Queue<'_>) {
        for error in &gathered.silent {
            let problem = Problem {
                what: error.to_string(),
                cure: Some(
                    "what it holds is told by signatures alone, so more may be pushed".to_owned(),
                ),
            };
            (self.on_event)(Event::CacheTrouble(&problem));
        }
        queue.hand(&gathered.paths);
    }

    fn tell_doubts(&self, gather: &Gather<'_>) {
        let Some(path) = gather.doubtful().first() else {
            return;
        };
        let problem = Problem {
            what: format!(
                "{path} and what refers to it is not pushed: it was copied into this store, and by nobody whose \
                 key this run trusts"
            ),
            cure: Some(
                "trust whoever has signed it (--cache-public-key), or have it built by this machine".to_owned(),
            ),
        };
        (self.on_event)(Event::CacheTrouble(&problem));
    }
}
