//! Per derivation: when it was built, where, and the last lines it wrote.
//!
//! Made for the report of a failure, so memory is bounded: only the last lines of
//! each build are kept. Time is given from outside. A build's end is not told by
//! every version (see [`LogEvent::Stopped`]), so it is the earliest of: its failure,
//! the moment nothing is running any more, and its stop.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::event::{Activity, Level, LogEvent};
use super::failures::{self, Failure, FailureReason};
use crate::store_path::StorePath;

/// How many lines are kept unless told otherwise.
pub const DEFAULT_TAIL: usize = 25;
const LONGEST_KEPT_LINE: usize = 2000;

/// Follows the events of one call of Nix.
#[derive(Debug, Clone)]
pub struct BuildWatch {
    tail: usize,
    running: HashMap<u64, StorePath>,
    builds_activities: HashMap<u64, u64>,
    builds: BTreeMap<StorePath, WatchedBuild>,
    failures: Vec<Failure>,
}

/// What is known of one build.
#[derive(Debug, Clone)]
pub struct WatchedBuild {
    /// When it began.
    pub started: Instant,
    /// When it ended, as far as that is known.
    pub ended: Option<Instant>,
    /// The remote machine, if not this one.
    pub machine: Option<String>,
    /// The last lines of its log.
    pub tail: VecDeque<String>,
    /// Told by a call that has ended: should it begin once more, that is another build.
    over: bool,
}

impl WatchedBuild {
    /// How long it took; `None` while it runs.
    pub fn duration(&self) -> Option<Duration> {
        self.ended
            .map(|ended| ended.saturating_duration_since(self.started))
    }
}

impl BuildWatch {
    /// A watch that keeps this many lines of each build.
    pub fn new(tail: usize) -> Self {
        let builds_activities = HashMap::new();
        Self {
            tail,
            running: HashMap::new(),
            builds_activities,
            builds: BTreeMap::new(),
            failures: Vec::new(),
        }
    }

    /// Takes note of an event that came at `now`.
    pub fn observe(&mut self, event: &LogEvent, now: Instant) {
        match event {
            LogEvent::Started {
                id,
                activity:
                    Activity::Build {
                        derivation,
                        machine,
                    },
                ..
            } => {
                self.start(*id, derivation, machine.as_deref(), now);
            }
            LogEvent::Started {
                id,
                activity: Activity::Builds,
                ..
            } => {
                self.builds_activities.insert(*id, 0);
            }
            LogEvent::Line { id, text } => {
                if let Some(build) = self
                    .running
                    .get(id)
                    .and_then(|derivation| self.builds.get_mut(derivation))
                {
                    build.keep(text, self.tail);
                }
            }
            LogEvent::Progress {
                id,
                done,
                running,
                failed,
                ..
            } => {
                if let Some(before) = self.builds_activities.get_mut(id) {
                    let ended = done.saturating_add(*failed);
                    if ended > *before && *running == 0 {
                        self.builds.values_mut().for_each(|build| build.end(now));
                    }
                    *before = ended;
                }
            }
            LogEvent::Stopped { id } => {
                if let Some(build) = self
                    .running
                    .remove(id)
                    .and_then(|derivation| self.builds.get_mut(&derivation))
                {
                    build.end(now);
                }
            }
            LogEvent::Message(message) if message.level == Level::Error => {
                let text = message.bare.as_deref().unwrap_or(&message.text);
                if let Some(failure) = failures::recognise(text) {
                    self.fail(failure, now);
                }
            }
            _ => {}
        }
    }

    /// The builds that were begun.
    pub fn builds(&self) -> &BTreeMap<StorePath, WatchedBuild> {
        &self.builds
    }

    /// The failures that were reported, each derivation once, with the most telling reason.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// Another call of Nix follows, for what this one has left undone: what it failed at is
    /// forgotten, and what begins once more begins from nothing.
    pub(crate) fn begin_again(&mut self) {
        self.running.clear();
        self.failures.clear();
        self.builds.values_mut().for_each(|build| build.over = true);
    }

    fn start(&mut self, id: u64, derivation: &StorePath, machine: Option<&str>, now: Instant) {
        self.running.insert(id, derivation.clone());
        // A remote build is told twice: by us, and by the machine as its own.
        let new = || WatchedBuild {
            started: now,
            ended: None,
            machine: None,
            tail: VecDeque::new(),
            over: false,
        };
        let build = self.builds.entry(derivation.clone()).or_insert_with(new);
        if build.over {
            *build = new();
        }
        build.ended = None;
        if let Some(machine) = machine {
            build.machine = Some(machine.to_owned());
        }
    }

    fn fail(&mut self, mut failure: Failure, now: Instant) {
        if let Some(build) = failure
            .derivation
            .as_ref()
            .and_then(|derivation| self.builds.get_mut(derivation))
        {
            build.end(now);
            if build
                .tail
                .iter()
                .any(|line| failures::full_disk(line).is_some())
            {
                failure.reason = FailureReason::DiskFull;
            }
        }
        let known = self
            .failures
            .iter_mut()
            .find(|known| known.derivation == failure.derivation);
        match known {
            // The machine's own account comes first and is the better one: ours says "exit code 1".
            Some(known)
                if matches!(
                    known.reason,
                    FailureReason::Dependency | FailureReason::Other(_)
                ) =>
            {
                *known = failure
            }
            Some(_) => {}
            None => self.failures.push(failure),
        }
    }
}

impl WatchedBuild {
    fn end(&mut self, now: Instant) {
        self.ended.get_or_insert(now);
    }

    fn keep(&mut self, line: &str, most: usize) {
        if self.tail.len() >= most {
            self.tail.pop_front();
        }
        if most > 0 {
            self.tail
                .push_back(line.chars().take(LONGEST_KEPT_LINE).collect());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
