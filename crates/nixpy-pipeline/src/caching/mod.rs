//! The stage beside all others: what is built goes into the caches, while it is built, while
//! images are made and tried out, and for a set time afterwards.
//!
//! It is told how far the run has come, and listens to what Nix says. Until there is
//! something to push, no cache is opened and nothing is asked: a run that publishes from
//! what caches tell, or finds what it found complete a few hours ago, costs nothing here.
//!
//! No cache can make a run fail, unless the settings say so ([`Caching::missed`]).

mod begun;
mod gathering;
mod memory;
mod opening;

pub use begun::Begun;
pub use nixpy_cache::queue::{End, Filled, Problem, Stored};
use nixpy_cache::queue::{Pace, Queue};
use nixpy_cache::{Spec, Store};
use nixpy_nix::Nix;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::event::{Event, OnEvent, Stage};
use crate::inputs::Inputs;
use crate::plan::Plan;
use memory::Memory;
pub(crate) use opening::why_not;

/// Pushes what a run had built that was ended by others: what it had begun by then, and nothing
/// that was built before it.
pub async fn finish(
    nix: &Nix,
    inputs: &Inputs,
    plan: &Plan,
    begun: &Begun,
    on_event: &OnEvent<'_>,
) -> Vec<Filled> {
    let mut caching = Caching::of(nix, inputs, plan, begun, on_event);
    caching.looks_back = false;
    caching.built();
    caching.over();
    caching.carry_out().await
}

/// What goes into caches in one run.
pub struct Caching<'a> {
    nix: &'a Nix,
    inputs: &'a Inputs,
    plan: &'a Plan,
    on_event: &'a OnEvent<'a>,
    begun: &'a Begun,
    /// Whether what was built before this run goes as well.
    looks_back: bool,
    progress: watch::Sender<Progress>,
}

/// How far the run has come. All of it may have come about between two looks.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Nix builds, or has built.
    builds: bool,
    /// Everything that will be built is; before this run, unless it builds.
    built: bool,
    /// When nothing else was to be done any more.
    over: Option<Instant>,
}

impl<'a> Caching<'a> {
    /// Of a run that has a plan, and may have built something to make it. Whatever the run
    /// tells, this `begun` is to hear.
    pub fn of(
        nix: &'a Nix,
        inputs: &'a Inputs,
        plan: &'a Plan,
        begun: &'a Begun,
        on_event: &'a OnEvent<'a>,
    ) -> Self {
        Self {
            nix,
            inputs,
            plan,
            on_event,
            begun,
            looks_back: true,
            progress: watch::Sender::default(),
        }
    }

    /// Nix begins to build.
    pub fn building(&self) {
        self.progress.send_modify(|run| run.builds = true);
    }

    /// Everything that will be built is; before this run, if nothing was said of building.
    pub fn built(&self) {
        self.progress.send_modify(|run| run.built = true);
    }

    /// Nothing else is done any more.
    pub fn over(&self) {
        self.progress
            .send_modify(|run| run.over = Some(Instant::now()));
    }

    /// Fills the caches until the run is over and everything is pushed, or the time for
    /// that has passed as well; what became of each. Of none, if nothing was to be pushed.
    pub async fn carry_out(&self) -> Vec<Filled> {
        let first = self
            .until(|run| run.builds || run.built || run.over.is_some())
            .await;
        let settings = &self.inputs.caches;
        let state = self.inputs.state_dir.as_deref();
        let memory = state.map(|dir| Memory::of(dir, self.plan, settings, self.inputs.now));
        // What the evaluation imports may have been built for it.
        let has_evaluated = !self.begun.is_empty();
        let is_remembered = |spec: &Spec| {
            let memory = memory.as_ref();
            !first.builds && !has_evaluated && memory.is_some_and(|it| it.is_complete(&spec.place))
        };
        let specs = self.written().filter(|spec| !is_remembered(spec));
        let specs: Vec<&Spec> = specs.collect();
        let has_something = first.builds || first.built || has_evaluated;
        if !has_something || specs.is_empty() {
            return Vec::new();
        }
        let (opened, mut filled) = opening::open(&specs, settings, self.nix);
        if !opened.is_empty() {
            filled.extend(self.fill(opened, memory.as_ref()).await);
        }
        // In the order in which they were typed.
        let place = |filled: &Filled| {
            let mut places = specs.iter().map(|spec| spec.place.to_string());
            places.position(|name| name == filled.cache)
        };
        filled.sort_by_key(place);
        for filled in &filled {
            (self.on_event)(Event::CacheFilled(filled));
        }
        filled
    }

    /// Of these, the ones that lack something, if that is a failure.
    pub fn missed(&self, filled: &[Filled]) -> Vec<Filled> {
        let short = filled.iter().filter(|filled| filled.is_short());
        match self.inputs.caches.required {
            true => short.cloned().collect(),
            false => Vec::new(),
        }
    }

    async fn fill(&self, opened: Vec<Box<dyn Store>>, memory: Option<&Memory<'_>>) -> Vec<Filled> {
        let key = self.inputs.caches.signing_key.as_ref();
        let queue = Queue::to(opened, self.nix, key, Pace::default());
        let on_stored = |stored: Stored<'_>| (self.on_event)(Event::CacheFilling(stored));
        let (mut filled, gathered) = tokio::join!(queue.work(&on_stored), self.gather(&queue));
        if gathered.is_shown {
            (self.on_event)(Event::Finished(Stage::Cache));
        }
        for filled in &mut filled {
            if let Some(problem) = &gathered.problem {
                filled.end = End::Cut;
                filled.problems.push(problem.clone());
            }
            let mut specs = self.written();
            let spec = specs.find(|spec| spec.place.to_string() == filled.cache);
            if let (Some(memory), Some(spec)) = (memory, spec)
                && gathered.is_all
                && filled.is_whole()
            {
                memory.keep(&spec.place);
            }
        }
        filled
    }

    /// The caches that are to be written, whether they can or not.
    fn written(&self) -> impl Iterator<Item = &'a Spec> {
        let wanted = self.inputs.caches.wanted.iter();
        wanted.filter(|spec| spec.write)
    }

    /// Waits until the run has come so far.
    async fn until(&self, far: impl Fn(&Progress) -> bool) -> Progress {
        let mut progress = self.progress.subscribe();
        let reached = progress.wait_for(|run| far(run)).await;
        // Its sender lives as long as this.
        reached.map(|run| *run).unwrap_or_default()
    }

    /// When the run has come to its end.
    async fn end(&self) -> Instant {
        let run = self.until(|run| run.over.is_some()).await;
        run.over.unwrap_or_else(Instant::now)
    }
}
