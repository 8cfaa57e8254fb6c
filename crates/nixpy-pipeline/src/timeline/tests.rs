use nixpy_nix::StorePath;
use nixpy_nix::log::{Activity, Level, LogEvent, Message};

use super::recorder::Heard;
use super::*;
use crate::event::{Event, Stage};

fn path(name: &str) -> StorePath {
    StorePath::in_store("/nix/store", &format!("{}-{name}", "a".repeat(32))).expect("a path")
}

fn started(id: u64, activity: Activity) -> LogEvent {
    LogEvent::Started {
        id,
        parent: None,
        activity,
    }
}

fn build(id: u64, name: &str) -> LogEvent {
    let derivation = path(&format!("{name}.drv"));
    started(
        id,
        Activity::Build {
            derivation,
            machine: None,
        },
    )
}

fn fetch(id: u64, name: &str) -> LogEvent {
    let from = "https://cache.test".to_owned();
    started(
        id,
        Activity::Substitute {
            path: path(name),
            from,
        },
    )
}

fn progress(done: u64, running: u64) -> LogEvent {
    LogEvent::Progress {
        id: 1,
        done,
        expected: 9,
        running,
        failed: 0,
    }
}

/// What is told of these events, each at its second; stages left out.
fn of(events: &[(f64, LogEvent)], end: f64) -> (Vec<(String, f64, f64)>, Counts) {
    let mut heard = Heard::default();
    for (at, event) in events {
        heard.hear(&Event::Nix(event), *at);
    }
    let (spans, counts) = heard.ended(end);
    let told = spans.into_iter();
    (
        told.map(|span| (span.name, span.begin, span.end)).collect(),
        counts,
    )
}

fn span(name: &str, begin: f64, end: f64) -> (String, f64, f64) {
    (name.to_owned(), begin, end)
}

#[test]
fn a_build_lasts_from_its_start_to_its_stop() {
    let (spans, counts) = of(
        &[
            (0.0, started(1, Activity::Builds)),
            (1.0, build(2, "wheel")),
            (1.0, progress(0, 1)),
            (4.0, progress(1, 0)),
            (4.1, LogEvent::Stopped { id: 2 }),
        ],
        9.0,
    );
    assert_eq!(spans, [span("wheel", 1.0, 4.0)]);
    assert_eq!(
        counts,
        Counts {
            built: 1,
            fetched: 0
        }
    );
}

#[test]
fn builds_whose_stop_comes_with_the_calls_end_have_ended_when_one_more_was_done() {
    let line = |id| LogEvent::Line {
        id,
        text: String::new(),
    };
    let (spans, _) = of(
        &[
            (0.0, started(1, Activity::Builds)),
            (1.0, build(2, "amd64")),
            (1.0, build(3, "arm64")),
            (1.0, progress(0, 2)),
            (3.0, line(2)),
            (4.0, progress(1, 1)),
            (8.0, line(3)),
            (9.0, progress(2, 0)),
            (9.5, LogEvent::Stopped { id: 3 }),
            (9.5, LogEvent::Stopped { id: 2 }),
        ],
        10.0,
    );
    assert_eq!(spans, [span("amd64", 1.0, 4.0), span("arm64", 1.0, 9.0)]);
}

#[test]
fn a_dependency_that_ends_while_others_run_takes_its_own_end() {
    let (spans, _) = of(
        &[
            (0.0, started(1, Activity::Builds)),
            (1.0, build(2, "done-and-kept")),
            (1.0, build(3, "dependency")),
            (1.0, build(4, "long")),
            (1.0, progress(0, 3)),
            (2.0, progress(1, 2)),
            (5.0, progress(2, 1)),
            (5.0, LogEvent::Stopped { id: 3 }),
            (9.0, progress(3, 0)),
            (9.0, LogEvent::Stopped { id: 2 }),
            (9.0, LogEvent::Stopped { id: 4 }),
        ],
        9.0,
    );
    let ends: Vec<f64> = spans.iter().map(|(_, _, end)| *end).collect();
    assert_eq!(
        ends.iter().filter(|end| **end == 5.0).count(),
        1,
        "{spans:?}"
    );
    assert!(spans.contains(&span("dependency", 1.0, 5.0)), "{spans:?}");
}

#[test]
fn what_is_fetched_is_counted_once_and_what_could_not_be_taken_is_not() {
    let damaged = Message {
        level: Level::Warning,
        text: format!("{} could not be taken from cache: it is damaged", path("b")),
        bare: None,
        position: None,
    };
    let (spans, counts) = of(
        &[
            (0.0, fetch(2, "a")),
            (1.0, LogEvent::Stopped { id: 2 }),
            (1.0, fetch(2, "a")),
            (2.0, LogEvent::Stopped { id: 2 }),
            (2.0, fetch(3, "b")),
            (3.0, LogEvent::Stopped { id: 3 }),
            (3.0, LogEvent::Message(damaged)),
        ],
        4.0,
    );
    assert_eq!(spans, [span("a", 1.0, 2.0)]);
    assert_eq!(
        counts,
        Counts {
            built: 0,
            fetched: 1
        }
    );
}

#[test]
fn a_stage_that_is_tried_again_goes_on_and_one_that_ends_the_run_has_failed() {
    let mut heard = Heard::default();
    for (at, event) in [
        (0.0, Event::Started(Stage::Build)),
        (1.0, Event::Finished(Stage::Build)),
        (1.0, Event::Started(Stage::Publish)),
        (3.0, Event::Finished(Stage::Build)),
        (3.0, Event::Started(Stage::Publish)),
    ] {
        heard.hear(&event, at);
    }
    let (spans, _) = heard.ended(5.0);
    let told: Vec<(&str, f64, f64, bool)> = spans
        .iter()
        .map(|span| (span.name.as_str(), span.begin, span.end, span.failed))
        .collect();
    assert_eq!(
        told,
        [("build", 0.0, 3.0, false), ("publish", 1.0, 5.0, true)]
    );
}

#[test]
fn the_longest_are_kept_and_no_more_than_can_be_looked_at() {
    let mut events = Vec::new();
    for n in 0..600_u32 {
        let id = u64::from(n);
        events.push((0.0, fetch(id, &format!("p{n}"))));
        events.push((f64::from(n), LogEvent::Stopped { id }));
    }
    let (spans, counts) = of(&events, 600.0);
    assert_eq!((spans.len(), counts.fetched), (500, 600));
    assert!(spans.iter().all(|(_, _, end)| *end >= 100.0));
}
