//! Listens to a run, and says in the end what is wrong where.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use nixpy_nix::StorePath;
use nixpy_nix::log::failures::{FailureReason, recognise};
use nixpy_nix::log::{Activity, Level as Urgency, LogEvent};

use super::clue::{Clue, Kind, cut};
use super::log::Log;
use super::project::Project;
use super::{Finding, Level, Place, backend, mismatch};
use crate::build::BuildFailure;
use crate::event::Event;
use crate::lockfile::ProjectName;

/// Derivations whose logs are read at most.
const MOST_LOGS: usize = 2000;
const MOST_MISMATCHES: usize = 50;
/// Findings of a run.
const MOST_FINDINGS: usize = 500;
/// Lines of a log that a failure without any other finding is told with.
const LAST_LINES: usize = 15;
const LONGEST_TITLE: usize = 200;
const LONGEST_MESSAGE: usize = 8000;

/// Listens to a run.
#[derive(Default)]
pub struct Collector {
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    /// By Nix's number of the activity.
    running: HashMap<u64, StorePath>,
    logs: BTreeMap<StorePath, Log>,
    /// What was specified, and what came.
    mismatches: BTreeMap<StorePath, (String, String)>,
    failures: Vec<BuildFailure>,
}

impl Collector {
    /// Takes note of what is heard.
    pub fn hear(&self, event: &Event<'_>) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Nix(event) => heard.nix(event),
            Event::BuildFailed(failure) => heard.failures.push((*failure).clone()),
            _ => {}
        }
    }

    /// What is wrong, the worst and most useful first, and nothing twice. Without a
    /// project there are no places.
    pub fn findings(&self, project: Option<&Project>) -> Vec<Finding> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *heard).findings(project)
    }
}

impl Heard {
    fn nix(&mut self, event: &LogEvent) {
        match event {
            LogEvent::Started {
                id,
                activity: Activity::Build { derivation, .. },
                ..
            } => {
                self.running.insert(*id, derivation.clone());
                if self.logs.len() < MOST_LOGS {
                    self.logs.entry(derivation.clone()).or_default();
                }
            }
            LogEvent::Line { id, text } => {
                let derivation = self.running.get(id);
                if let Some(log) = derivation.and_then(|name| self.logs.get_mut(name)) {
                    log.line(text);
                }
            }
            LogEvent::Stopped { id } => {
                self.running.remove(id);
            }
            LogEvent::Message(message) if message.level == Urgency::Error => {
                let text = message.bare.as_deref().unwrap_or(&message.text);
                let failure = recognise(text);
                if let Some(failure) = failure
                    && let Some(derivation) = failure.derivation
                    && let FailureReason::HashMismatch { specified, got } = failure.reason
                    && self.mismatches.len() < MOST_MISMATCHES
                {
                    self.mismatches.insert(derivation, (specified, got));
                }
            }
            _ => {}
        }
    }

    fn findings(mut self, project: Option<&Project>) -> Vec<Finding> {
        let failures = std::mem::take(&mut self.failures);
        let failed: BTreeSet<&StorePath> =
            failures.iter().map(|failure| &failure.derivation).collect();
        let mut ranked = Vec::new();
        for (derivation, (specified, got)) in &self.mismatches {
            let found = mismatch::finding(derivation, specified, got, project);
            ranked.push((Rank::Mismatch, found));
        }
        for (derivation, log) in &mut self.logs {
            let has_failed = failed.contains(derivation);
            ranked.extend(of_log(derivation, log.end(), has_failed, project));
        }
        for failure in &failures {
            let told = ranked.iter().any(|(_, finding)| {
                finding.level == Level::Error
                    && finding.derivation.as_ref() == Some(&failure.derivation)
            });
            if !told {
                ranked.push((Rank::Failure, of_failure(failure)));
            }
        }
        ordered(ranked)
    }
}

/// The most useful first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Mismatch,
    Backend,
    Test,
    Traceback,
    Types,
    Lint,
    Format,
    Failure,
}

/// Sorted, without doubles: builds for several platforms tell the same.
fn ordered(mut ranked: Vec<(Rank, Finding)>) -> Vec<Finding> {
    ranked.sort_by_key(|(rank, finding)| (finding.level, *rank));
    let mut findings: Vec<Finding> = Vec::new();
    let mut places = BTreeSet::new();
    for (rank, finding) in ranked {
        // A test that has failed says more of a line than the traceback that pytest repeats.
        let place = finding.place.clone();
        let known = match rank {
            Rank::Traceback => place
                .as_ref()
                .is_some_and(|place| places.contains(&(place.file.clone(), place.line))),
            _ => findings.iter().any(|other| {
                other.place == finding.place
                    && other.title == finding.title
                    && (rank != Rank::Failure || other.derivation == finding.derivation)
            }),
        };
        if known || findings.len() >= MOST_FINDINGS {
            continue;
        }
        places.extend(place.map(|place| (place.file, place.line)));
        findings.push(finding);
    }
    findings
}

/// What one log tells. Of a build that went well only what has a place in the project, and
/// only as a warning: what was printed has kept nothing from working.
fn of_log(
    derivation: &StorePath,
    clues: &[Clue],
    has_failed: bool,
    project: Option<&Project>,
) -> Vec<(Rank, Finding)> {
    let package = package_of(derivation);
    let mut found = Vec::new();
    let lacks: BTreeSet<&str> = clues
        .iter()
        .filter_map(|clue| match &clue.kind {
            Kind::Backend(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    if has_failed && !lacks.is_empty() {
        let lacks: Vec<&str> = lacks.iter().copied().collect();
        let place = project.and_then(|project| backend::place(&package, project));
        let finding = Finding {
            level: Level::Error,
            title: format!("{package} lacks {} to be built", lacks.join(", ")),
            message: backend::told(&package, &lacks, project),
            place: place.map(|(file, line)| at(file, line)),
            derivation: Some(derivation.clone()),
        };
        found.push((Rank::Backend, finding));
    }
    for clue in clues {
        let rank = match &clue.kind {
            Kind::Backend(_) => continue,
            // The override says it better.
            Kind::Traceback if !has_failed || !lacks.is_empty() => continue,
            Kind::Traceback => Rank::Traceback,
            Kind::Test(_) => Rank::Test,
            Kind::Types => Rank::Types,
            Kind::Lint => Rank::Lint,
            Kind::Format => Rank::Format,
        };
        let Some((place, deeper)) = project.and_then(|project| place_of(clue, &package, project))
        else {
            continue;
        };
        let message = match deeper {
            Some(spot) => format!("{}\n({spot})", clue.message),
            None => clue.message.clone(),
        };
        let message = match message.trim() {
            "" => clue.title.clone(),
            text => text.to_owned(),
        };
        let level = match has_failed {
            true => clue.level,
            false => clue.level.max(Level::Warning),
        };
        let finding = Finding {
            level,
            title: cut(&clue.title, LONGEST_TITLE).to_owned(),
            message: cut(&message, LONGEST_MESSAGE).to_owned(),
            place: Some(place),
            derivation: Some(derivation.clone()),
        };
        found.push((rank, finding));
    }
    found
}

/// The innermost spot that is in the project; and where it went on from there, if
/// that is elsewhere.
fn place_of(clue: &Clue, package: &str, project: &Project) -> Option<(Place, Option<String>)> {
    let mut spots = clue.spots.iter().enumerate().rev();
    let (n, spot, file) =
        spots.find_map(|(n, spot)| Some((n, spot, project.file(&spot.path, package)?)))?;
    let line = match spot.line {
        Some(line) => line,
        None => line_of_test(clue, &file, project).unwrap_or(1),
    };
    let last = clue.spots.last().filter(|_| n + 1 < clue.spots.len());
    let deeper = last.map(|last| match last.line {
        Some(line) => format!("in {}, line {line}, called from here", last.path),
        None => format!("in {}, called from here", last.path),
    });
    let place = Place {
        column: spot.column,
        ..at(file, line)
    };
    Some((place, deeper))
}

fn line_of_test(clue: &Clue, file: &str, project: &Project) -> Option<u32> {
    let Kind::Test(name) = &clue.kind else {
        return None;
    };
    let name = name.split('[').next()?.rsplit('.').next()?;
    let head = format!("def {name}(");
    project.line_in(file, |line| line.contains(&head))
}

fn of_failure(failure: &BuildFailure) -> Finding {
    let name = failure.derivation.name().trim_end_matches(".drv");
    let mut lines = vec![failure.reason.clone()];
    lines.extend(failure.cure.clone());
    let skipped = failure.log_tail.len().saturating_sub(LAST_LINES);
    if !failure.log_tail.is_empty() {
        lines.push("Its last lines:".to_owned());
        lines.extend(failure.log_tail[skipped..].iter().cloned());
    }
    Finding {
        level: Level::Error,
        title: format!("{name} failed"),
        message: cut(&lines.join("\n"), LONGEST_MESSAGE).to_owned(),
        place: None,
        derivation: Some(failure.derivation.clone()),
    }
}

pub(super) fn at(file: String, line: u32) -> Place {
    Place {
        file,
        line,
        column: None,
        end_line: None,
    }
}

/// The name under which an index would know what is built: `foo` of `python3.12-foo-1.2.3.drv`.
fn package_of(derivation: &StorePath) -> String {
    let name = derivation.name().trim_end_matches(".drv");
    let name = match name.split_once('-') {
        Some((python, rest))
            if python.starts_with("python")
                && python[6..].starts_with(|c: char| c.is_ascii_digit()) =>
        {
            rest
        }
        _ => name,
    };
    let version = name
        .match_indices('-')
        .find(|(at, _)| !name[at + 1..].starts_with(|c: char| c.is_ascii_alphabetic()));
    let package = version.map_or(name, |(at, _)| &name[..at]);
    ProjectName::of(package).to_string()
}
