//! Handing over what is built, as it appears; and in the end all that was missed.

use std::sync::atomic::Ordering;
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

/// Derivations whose outputs may have been built before.
enum Backlog {
    NotAsked,
    Left(Vec<StorePath>),
}

/// Whether nothing more will be built.
fn has_built(run: &Progress) -> bool {
    run.built || run.over.is_some()
}

impl Caching<'_> {
    /// Hands over what is built, until the run is over and there is nothing more.
    pub(super) async fn gather(&self, queue: &Queue<'_>) -> Handed {
        let mut gather = self.begin().await;
        let mut backlog = Backlog::NotAsked;
        let mut is_shown = false;
        let sweep = async {
            while !has_built(&self.progress.borrow()) {
                self.look(&mut gather, queue).await;
                if !self.look_back(&mut gather, &mut backlog, queue).await {
                    tokio::select! {
                        () = sleep(LOOK_EVERY) => {}
                        _ = self.until(has_built) => {}
                    }
                }
            }
            let swept = self.sweep(&mut gather, queue).await;
            while self.look_back(&mut gather, &mut backlog, queue).await {}
            swept
        };
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
        Handed {
            is_all,
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

    /// What has been built since the last look. What cannot be told now is told in the end.
    async fn look(&self, gather: &mut Gather<'_>, queue: &Queue<'_>) {
        let begun = self.begun();
        let looked = async {
            gather.expect(&begun).await?;
            gather.appeared().await
        };
        match looked.await {
            Ok(gathered) => self.hand(gathered, queue),
            Err(error) => tracing::debug!(%error, "looked up later"),
        }
    }

    /// Some of what was built before; whether there is more of it.
    async fn look_back(
        &self,
        gather: &mut Gather<'_>,
        backlog: &mut Backlog,
        queue: &Queue<'_>,
    ) -> bool {
        match backlog {
            Backlog::NotAsked => {
                let jobs = self.plan.jobs.iter();
                let derivations: Vec<StorePath> = jobs.map(|job| job.derivation.clone()).collect();
                let needed = gather.needed(&derivations).await;
                let needed = needed.inspect_err(|error| tracing::debug!(%error, "not looked at"));
                *backlog = Backlog::Left(needed.unwrap_or_default());
                true
            }
            Backlog::Left(left) if left.is_empty() => false,
            Backlog::Left(left) => {
                let some = left.split_off(left.len().saturating_sub(AT_ONCE));
                match gather.outputs_of(&some).await {
                    Ok(gathered) => self.hand(gathered, queue),
                    Err(error) => tracing::debug!(%error, "not looked at"),
                }
                true
            }
        }
    }

    /// All that has been built, and the closures of what the run has to make; whether that
    /// is all there.
    async fn sweep(&self, gather: &mut Gather<'_>, queue: &Queue<'_>) -> Result<bool, NixError> {
        gather.expect(&self.begun()).await?;
        self.hand(gather.appeared().await?, queue);
        let outputs: Vec<StorePath> = self
            .plan
            .jobs
            .iter()
            .map(|job| job.output.clone())
            .collect();
        let gathered = gather.closure(&outputs).await?;
        let is_all = !gathered.absent;
        self.hand(gathered, queue);
        Ok(is_all)
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
        if let Some(path) = gathered.doubtful.first()
            && !self.has_doubted.swap(true, Ordering::Relaxed)
        {
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
        queue.hand(&gathered.paths);
    }

    fn begun(&self) -> Vec<StorePath> {
        let mut begun = self
            .begun
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        begun.sort();
        begun.dedup();
        std::mem::take(&mut *begun)
    }
}
