//! When derivations were built, as far as Nix tells.
//!
//! Up to 2.26 Nix keeps a build that was asked for "running" until the whole call ends, so
//! the stop of the image that was ready first is told when the last one is ready. That one
//! more build is done is told in time, though not which: so when nothing runs any more, ends
//! are given to builds in the order in which they were last heard of.

use std::collections::BTreeMap;

use nixpy_nix::StorePath;
use nixpy_nix::log::{Activity, LogEvent};

/// A build and its end are told within this, in seconds.
const AT_ONCE: f64 = 1.0;

/// One derivation's.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Build {
    pub derivation: StorePath,
    pub machine: Option<String>,
    pub begin: f64,
    pub end: f64,
    /// When it last gave a sign.
    heard: f64,
}

/// Follows them.
#[derive(Debug, Default)]
pub(super) struct Builds {
    running: BTreeMap<u64, Build>,
    over: Vec<Build>,
    /// Stopped when nothing ran any more.
    late: Vec<Build>,
    /// How many each call has told to be done.
    done: BTreeMap<u64, u64>,
    at_work: u64,
    /// Ends that belong to no build yet.
    ends: Vec<f64>,
    /// Builds whose end is told after their stop.
    owed: Vec<f64>,
}

impl Builds {
    pub(super) fn hear(&mut self, event: &LogEvent, at: f64) {
        match event {
            LogEvent::Started { id, activity, .. } => match activity {
                Activity::Build {
                    derivation,
                    machine,
                } => {
                    let build = Build {
                        derivation: derivation.clone(),
                        machine: machine.clone(),
                        begin: at,
                        end: at,
                        heard: at,
                    };
                    // Another call of Nix may number as the one before did.
                    self.over.extend(self.running.insert(*id, build));
                }
                Activity::Builds => {
                    self.done.insert(*id, 0);
                }
                _ => {}
            },
            LogEvent::Line { id, .. } | LogEvent::Phase { id, .. } => {
                if let Some(build) = self.running.get_mut(id) {
                    (build.heard, build.end) = (at, at);
                }
            }
            LogEvent::Progress {
                id,
                done,
                failed,
                running,
                ..
            } => {
                let Some(before) = self.done.get_mut(id) else {
                    return;
                };
                let ended = done.saturating_add(*failed);
                let more = ended.saturating_sub(*before);
                *before = ended;
                self.at_work = *running;
                // A number that somebody made up does not make us count to it.
                for _ in 0..more.min(1000) {
                    self.ended(at);
                }
            }
            LogEvent::Stopped { id } => {
                if let Some(build) = self.running.remove(id) {
                    self.stopped(Build { end: at, ..build });
                }
            }
            _ => {}
        }
    }

    fn ended(&mut self, at: f64) {
        match self.owed.pop() {
            Some(stopped) if at - stopped < AT_ONCE => {}
            _ => self.ends.push(at),
        }
    }

    fn stopped(&mut self, build: Build) {
        if self.at_work == 0 {
            self.late.push(build);
            return;
        }
        match self.ends.last() {
            Some(end) if build.end - end < AT_ONCE => {
                self.ends.pop();
            }
            _ => self.owed.push(build.end),
        }
        self.over.push(build);
    }

    /// All of them, each derivation once; what was never stopped ends now.
    pub(super) fn all(mut self, now: f64) -> Vec<Build> {
        let unstopped = std::mem::take(&mut self.running).into_values();
        self.late
            .extend(unstopped.map(|build| Build { end: now, ..build }));
        self.late.sort_by(|a, b| a.heard.total_cmp(&b.heard));
        for mut build in self.late {
            let fits = |end: &f64| (build.heard..build.end + AT_ONCE).contains(end);
            if let Some(n) = self.ends.iter().position(fits) {
                build.end = self.ends.remove(n);
            }
            self.over.push(build);
        }
        let mut each: BTreeMap<StorePath, Build> = BTreeMap::new();
        for build in self.over {
            match each.get_mut(&build.derivation) {
                // A remote build is told twice: by us, and by the machine as its own.
                Some(known) => {
                    known.begin = known.begin.min(build.begin);
                    known.end = known.end.max(build.end);
                    known.machine = known.machine.take().or(build.machine);
                }
                None => {
                    each.insert(build.derivation.clone(), build);
                }
            }
        }
        each.into_values().collect()
    }
}
