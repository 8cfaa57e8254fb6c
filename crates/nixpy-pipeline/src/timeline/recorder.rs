//! From events, with the time at which they came, to spans.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use nixpy_nix::log::{Activity, Level, LogEvent};
use nixpy_nix::{StorePath, System};
use nixpy_oci::platform::Platform;

use super::builds::Builds;
use super::{Counts, MOST, Span, SpanKind};
use crate::event::{Event, Stage};
use crate::report::PlatformReport;
use crate::smoke::Verdict;

/// Listens to a run from its beginning.
#[derive(Debug)]
pub(crate) struct Recorder {
    begun: Instant,
    heard: Mutex<Heard>,
}

impl Recorder {
    pub(crate) fn from(begun: Instant) -> Self {
        Self {
            begun,
            heard: Mutex::default(),
        }
    }

    pub(crate) fn hear(&self, event: &Event<'_>) {
        let at = self.begun.elapsed().as_secs_f64();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.hear(event, at);
    }

    pub(crate) fn ended(&self) -> (Vec<Span>, Counts) {
        let at = self.begun.elapsed().as_secs_f64();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *heard).ended(at)
    }
}

/// What was told so far.
#[derive(Debug, Default)]
pub(super) struct Heard {
    stages: Vec<Span>,
    /// The stage that goes on, by its place in the list.
    current: Option<usize>,
    images: Vec<Span>,
    /// When the last layer of each platform was in its place.
    layers: BTreeMap<Platform, f64>,
    builds: Builds,
    failed: BTreeSet<StorePath>,
    systems: BTreeMap<StorePath, System>,
    fetching: BTreeMap<u64, (StorePath, f64)>,
    fetched: BTreeMap<StorePath, (f64, f64)>,
}

impl Heard {
    pub(super) fn hear(&mut self, event: &Event<'_>, at: f64) {
        match event {
            Event::Started(stage) => self.begin(*stage, at),
            Event::Finished(stage) => self.finish(*stage, at),
            Event::Planned(plan) => {
                let jobs = plan.jobs.iter();
                self.systems = jobs
                    .map(|job| (job.derivation.clone(), job.system.clone()))
                    .collect();
            }
            Event::Nix(event) => {
                self.builds.hear(event, at);
                self.fetch(event, at);
            }
            Event::BuildFailed(failure) => {
                self.failed.insert(failure.derivation.clone());
            }
            Event::Layer(layer) => {
                self.layers.insert(layer.platform.clone(), at);
            }
            Event::Published(image) => {
                let begin = self.begin_of(Stage::Publish).unwrap_or(at);
                let end = self.layers.get(&image.platform).copied();
                let end = end.unwrap_or(at).max(begin);
                self.image(SpanKind::Publish, image, begin, end);
            }
            Event::Tested(image) => self.tested(image, at),
            _ => {}
        }
    }

    fn begin(&mut self, stage: Stage, at: f64) {
        self.end_current(at);
        let name = name_of(stage);
        // One that is tried again goes on.
        let known = self.stages.iter().position(|span| span.name == name);
        self.current = Some(known.unwrap_or_else(|| {
            self.stages.push(Span {
                name: name.to_owned(),
                kind: SpanKind::Stage,
                system: None,
                machine: None,
                begin: at,
                end: at,
                failed: true,
            });
            self.stages.len() - 1
        }));
    }

    fn finish(&mut self, stage: Stage, at: f64) {
        let name = name_of(stage);
        if let Some(span) = self.stages.iter_mut().find(|span| span.name == name) {
            (span.end, span.failed) = (at, false);
        }
        self.current = None;
    }

    fn end_current(&mut self, at: f64) {
        if let Some(n) = self.current.take() {
            self.stages[n].end = at;
        }
    }

    fn begin_of(&self, stage: Stage) -> Option<f64> {
        let mut stages = self.stages.iter();
        let found = stages.find(|span| span.name == name_of(stage));
        found.map(|span| span.begin)
    }

    fn tested(&mut self, image: &PlatformReport, at: f64) {
        let Some(tested) = image.smoke.as_ref().filter(|tested| tested.seconds > 0.0) else {
            return;
        };
        self.image(SpanKind::Smoke, image, (at - tested.seconds).max(0.0), at);
        if let Some(span) = self.images.last_mut() {
            span.failed = tested.verdict == Verdict::Failed;
        }
    }

    fn image(&mut self, kind: SpanKind, image: &PlatformReport, begin: f64, end: f64) {
        self.images.push(Span {
            name: image.platform.to_string(),
            kind,
            system: Some(image.system.clone()),
            machine: None,
            begin,
            end,
            failed: false,
        });
    }

    fn fetch(&mut self, event: &LogEvent, at: f64) {
        match event {
            LogEvent::Started {
                id,
                activity: Activity::Substitute { path, .. },
                ..
            } => {
                self.fetching.insert(*id, (path.clone(), at));
            }
            LogEvent::Stopped { id } => {
                if let Some((path, begin)) = self.fetching.remove(id) {
                    self.fetched.insert(path, (begin, at));
                }
            }
            // Told of a fetch that has just ended (see `fetches`).
            LogEvent::Message(message)
                if message.level == Level::Warning
                    && message.text.contains(" could not be taken from ") =>
            {
                let path = message.text.split(' ').next().unwrap_or_default();
                self.fetched.retain(|known, _| known.as_str() != path);
            }
            _ => {}
        }
    }

    /// All spans in the order in which they began, as many as are kept.
    pub(super) fn ended(mut self, at: f64) -> (Vec<Span>, Counts) {
        self.end_current(at);
        let builds = self.builds.all(at);
        let failed = builds
            .iter()
            .filter(|build| self.failed.contains(&build.derivation));
        let counts = Counts {
            built: builds.len() - failed.count(),
            fetched: self.fetched.len(),
        };
        let builds = builds.into_iter().map(|build| Span {
            name: build.derivation.name().trim_end_matches(".drv").to_owned(),
            kind: SpanKind::Build,
            system: self.systems.get(&build.derivation).cloned(),
            failed: self.failed.contains(&build.derivation),
            machine: build.machine,
            begin: build.begin,
            end: build.end,
        });
        let fetches = self.fetched.iter().map(|(path, (begin, end))| Span {
            name: path.name().to_owned(),
            kind: SpanKind::Fetch,
            system: None,
            machine: None,
            begin: *begin,
            end: *end,
            failed: false,
        });
        let mut many: Vec<Span> = builds.chain(fetches).collect();
        // What failed is kept whatever it took.
        let weight = |span: &Span| match span.failed {
            true => f64::INFINITY,
            false => span.end - span.begin,
        };
        many.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
        let mut spans = self.stages;
        spans.append(&mut self.images);
        many.truncate(MOST.saturating_sub(spans.len()));
        spans.append(&mut many);
        spans.sort_by(|a, b| {
            a.begin
                .total_cmp(&b.begin)
                .then_with(|| a.name.cmp(&b.name))
        });
        for span in &mut spans {
            (span.begin, span.end) = (in_milliseconds(span.begin), in_milliseconds(span.end));
        }
        (spans, counts)
    }
}

fn name_of(stage: Stage) -> &'static str {
    match stage {
        Stage::Evaluate => "evaluate",
        Stage::Build => "build",
        Stage::Publish => "publish",
        Stage::Smoke => "smoke",
        Stage::Cache => "cache",
    }
}

/// More digits would say nothing.
fn in_milliseconds(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
