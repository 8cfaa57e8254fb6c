//! What goes on at the builders while Nix runs: which of them have shown signs of life,
//! and which have failed, as against what failed on them.
//!
//! When a build fails by itself, its machine says so: `build of 'X' on 'M' failed: …`.
//! When a machine fails, what ran there merely ends (`builder for 'X' failed with exit
//! code 1`), because it was a program here, the one that holds the connection, that did.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::builders::{Builder, Trouble, TroubleKind};
use crate::log::failures::{self, FailureReason};
use crate::log::{Activity, Level, LogEvent, Message};
use crate::store_path::StorePath;
use crate::system::System;

/// Messages that may belong to the failure that comes after them.
const REMEMBERED: usize = 12;

/// A builder that is not used any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuilderTrouble {
    /// What people call it.
    pub builder: String,
    /// What happened.
    pub trouble: Trouble,
}

/// Follows the events of one call of Nix.
#[derive(Debug)]
pub(super) struct Machines {
    machines: Vec<Machine>,
    /// Activities that show that a machine is alive, and whose they are.
    activities: HashMap<u64, (usize, Sign)>,
    /// Where a derivation is built.
    places: BTreeMap<StorePath, usize>,
    /// Failures that the machine itself has told.
    told: BTreeSet<StorePath>,
    /// Derivations that failed because their machine did.
    faults: BTreeSet<StorePath>,
    said: VecDeque<String>,
    /// Whether Nix has spoken of any machine.
    any: bool,
}

#[derive(Debug)]
struct Machine {
    builder: Builder,
    /// Builds that were begun and are not known to be over.
    busy: usize,
    heard: Instant,
    trouble: Option<Trouble>,
}

/// What an activity is to its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// A build, by this machine's account.
    Build,
    /// The last step of one.
    CopyingBack,
    /// Anything else.
    Other,
}

impl Machines {
    pub(super) fn new(builders: &[Builder], now: Instant) -> Self {
        let machine = |builder: &Builder| Machine {
            builder: builder.clone(),
            busy: 0,
            heard: now,
            trouble: None,
        };
        Self {
            machines: builders.iter().map(machine).collect(),
            activities: HashMap::new(),
            places: BTreeMap::new(),
            told: BTreeSet::new(),
            faults: BTreeSet::new(),
            said: VecDeque::new(),
            any: false,
        }
    }

    /// Takes note of an event; gives the trouble that it tells, the first of each machine.
    pub(super) fn observe(&mut self, event: &LogEvent, now: Instant) -> Option<BuilderTrouble> {
        match event {
            LogEvent::Started { id, activity, .. } => self.start(*id, activity, now),
            LogEvent::Line { id, text } => {
                self.hear(*id, now);
                // What ssh says of itself comes as if the build had written it.
                if text.starts_with("Timeout, server ") || text.starts_with("Connection to ") {
                    self.say(text);
                }
            }
            LogEvent::Phase { id, .. } | LogEvent::Progress { id, .. } => self.hear(*id, now),
            LogEvent::Stopped { id } => self.stop(*id, now),
            LogEvent::Message(message) if message.level <= Level::Notice => {
                return self.message(message);
            }
            _ => {}
        }
        None
    }

    /// Machines that were in use and have shown no sign of life for so long.
    pub(super) fn silent(&self, now: Instant, limit: Duration) -> Vec<Builder> {
        let is_silent = |machine: &&Machine| {
            machine.busy > 0
                && machine.trouble.is_none()
                && now.saturating_duration_since(machine.heard) > limit
        };
        let silent = self.machines.iter().filter(is_silent);
        silent.map(|machine| machine.builder.clone()).collect()
    }

    /// It is not in use after all.
    pub(super) fn is_idle(&mut self, builder: &Builder) {
        let mut machines = self.machines.iter_mut();
        if let Some(machine) = machines.find(|machine| machine.builder == *builder) {
            machine.busy = 0;
        }
    }

    /// Something is wrong with it; `None` if that is known.
    pub(super) fn fell(&mut self, builder: &Builder, trouble: Trouble) -> Option<BuilderTrouble> {
        let index = self
            .machines
            .iter()
            .position(|machine| machine.builder == *builder)?;
        self.trouble(index, trouble)
    }

    /// What is wrong if Nix finds nobody to build for a system, and has not even asked the
    /// machines that would: it has not heard of them.
    pub(super) fn overlooked(
        &mut self,
        system: &str,
        features: &[String],
    ) -> Option<BuilderTrouble> {
        let system: System = system.parse().ok()?;
        let builds = |machine: &Machine| machine.builder.takes(&system, features);
        match !self.any && self.machines.iter().any(builds) {
            true => self.none_allowed(""),
            false => None,
        }
    }

    /// All that were said are one to the daemon: nothing.
    fn none_allowed(&mut self, words: &str) -> Option<BuilderTrouble> {
        let trouble = Trouble::new(TroubleKind::NotAllowed, words);
        let troubles = (0..self.machines.len()).map(|index| self.trouble(index, trouble.clone()));
        troubles.collect::<Vec<_>>().into_iter().flatten().next()
    }

    /// Machines that are not to be used any more, by their names.
    pub(super) fn fallen(&self) -> Vec<String> {
        let fallen = self
            .machines
            .iter()
            .filter(|machine| machine.trouble.is_some());
        fallen.map(|machine| machine.builder.name()).collect()
    }

    /// Derivations that failed because their machine did.
    pub(super) fn faults(&self) -> &BTreeSet<StorePath> {
        &self.faults
    }

    fn start(&mut self, id: u64, activity: &Activity, now: Instant) {
        let sign = match activity {
            Activity::Build {
                derivation,
                machine: Some(name),
            } => self.index(name).map(|index| {
                self.places.insert(derivation.clone(), index);
                self.machines[index].busy += 1;
                (index, Sign::Build)
            }),
            // The machine's own account of it.
            Activity::Build {
                derivation,
                machine: None,
            } => self
                .places
                .get(derivation)
                .map(|index| (*index, Sign::Other)),
            Activity::Copy { from, to, .. } => {
                let index = self.index(from).or_else(|| self.index(to));
                index.map(|index| (index, Sign::Other))
            }
            Activity::Other { text } => {
                let sign = match text.starts_with("copying outputs from ") {
                    true => Sign::CopyingBack,
                    false => Sign::Other,
                };
                let name = text.split('\'').nth(1).unwrap_or_default();
                self.index(name).map(|index| (index, sign))
            }
            _ => None,
        };
        if let Some((index, sign)) = sign {
            self.activities.insert(id, (index, sign));
            self.machines[index].heard = now;
        }
    }

    fn hear(&mut self, id: u64, now: Instant) {
        if let Some((index, _)) = self.activities.get(&id) {
            self.machines[*index].heard = now;
        }
    }

    fn stop(&mut self, id: u64, now: Instant) {
        let Some((index, sign)) = self.activities.remove(&id) else {
            return;
        };
        let machine = &mut self.machines[index];
        machine.heard = now;
        // Old versions end builds only when the whole call ends; the step before is told.
        if sign == Sign::CopyingBack {
            machine.busy = machine.busy.saturating_sub(1);
        }
        let is_running = |(of, sign): &(usize, Sign)| *of == index && *sign == Sign::Build;
        if !self.activities.values().any(is_running) {
            machine.busy = 0;
        }
    }

    fn message(&mut self, message: &Message) -> Option<BuilderTrouble> {
        let text = message.bare.as_deref().unwrap_or(&message.text);
        if text.contains("'builders', because it is a restricted setting") {
            return self.none_allowed(text.trim());
        }
        if let Some((name, said)) = about(text, "cannot build on '", "': ") {
            let index = self.index(name)?;
            self.say(said);
            let trouble = Trouble::recognise(self.said.iter().map(String::as_str));
            self.said.clear();
            return self.trouble(index, trouble);
        }
        if message.level > Level::Error {
            self.say(text);
            return None;
        }
        let failure = failures::recognise(text);
        let failed = failure.as_ref().and_then(|failure| {
            let derivation = failure.derivation.as_ref()?;
            Some((derivation, *self.places.get(derivation)?, &failure.reason))
        });
        let Some((derivation, index, reason)) = failed else {
            self.say(text);
            return None;
        };
        let is_told = text.starts_with("build of '") && text.contains("' failed: ");
        if is_told {
            self.told.insert(derivation.clone());
        }
        let is_machines = match reason {
            FailureReason::NoBuilder { .. }
            | FailureReason::DiskFull
            | FailureReason::NotTrusted(_) => is_told,
            FailureReason::Other(text) => MACHINES_OWN.iter().any(|words| text.contains(words)),
            FailureReason::Dependency => false,
            _ => !self.told.contains(derivation),
        };
        if !is_told {
            let machine = &mut self.machines[index];
            machine.busy = machine.busy.saturating_sub(1);
        }
        if !is_machines {
            self.said.clear();
            return None;
        }
        self.faults.insert(derivation.clone());
        let trouble = self.why(reason, is_told);
        self.said.clear();
        self.trouble(index, trouble)
    }

    fn why(&self, reason: &FailureReason, is_told: bool) -> Trouble {
        if is_told {
            let kind = match reason {
                FailureReason::DiskFull => TroubleKind::DiskFull,
                FailureReason::NotTrusted(_) => TroubleKind::NotTrusted,
                _ => TroubleKind::Other,
            };
            return Trouble::new(kind, reason.to_string());
        }
        let trouble = Trouble::recognise(self.said.iter().map(String::as_str));
        match trouble.kind {
            TroubleKind::TimedOut | TroubleKind::Unreachable | TroubleKind::Other => {
                Trouble::new(TroubleKind::Lost, trouble.words)
            }
            _ => trouble,
        }
    }

    fn trouble(&mut self, index: usize, trouble: Trouble) -> Option<BuilderTrouble> {
        let machine = &mut self.machines[index];
        if machine.trouble.is_some() {
            return None;
        }
        machine.trouble = Some(trouble.clone());
        Some(BuilderTrouble {
            builder: machine.builder.name(),
            trouble,
        })
    }

    fn say(&mut self, text: &str) {
        if self.said.len() == REMEMBERED {
            self.said.pop_front();
        }
        self.said.push_back(text.trim().to_owned());
    }

    fn index(&mut self, name: &str) -> Option<usize> {
        let mut machines = self.machines.iter();
        let index = machines.position(|machine| machine.builder.address.is_called(name));
        self.any |= index.is_some();
        index
    }
}

/// What a machine says that has not even come to building.
const MACHINES_OWN: [&str; 4] = [
    "while setting up the build environment",
    "unable to fork",
    "cannot connect to socket",
    "Cannot allocate memory",
];

/// What stands between two texts, and what follows.
fn about<'a>(text: &'a str, before: &str, after: &str) -> Option<(&'a str, &'a str)> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
