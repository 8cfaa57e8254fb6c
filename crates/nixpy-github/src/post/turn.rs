//! Whose words stand in a comment.
//!
//! Runs of one event are in an order: the later one is right. Runs for different events at the
//! same commit are not, since they build different things: a push what it pushes, a pull
//! request what a merge would be. There one that has failed is seen before one that has not, until
//! a run for its own event is green.

use super::line::{Failed, Line};
use super::marker::{Marker, Run};

/// What is to be done where a comment is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Ours are said, and that these have failed besides.
    Ours(Vec<Failed>),
    /// What is there stays; this run said it.
    Theirs(Run),
    /// What is there stays, and ours is no more among those that have failed besides.
    TheirsAlone(Line),
}

/// Whose turn it is, after what is there.
pub(super) fn turn(there: &Line, ours: &Marker) -> Turn {
    let Line { marker, also } = there;
    let event = &ours.event;
    let is_same = |failed: &&Failed| failed.event == *event;
    let before = also.iter().find(is_same);
    let others = || also.iter().filter(|failed| !is_same(failed)).cloned();
    if marker.head != ours.head {
        return later(marker, ours, Vec::new());
    }
    if marker.is_of_event(event) {
        return later(marker, ours, others().collect());
    }
    if let Some(before) = before.filter(|before| before.run > ours.run) {
        return Turn::Theirs(before.run);
    }
    match (marker.failed, ours.failed) {
        (true, true) => {
            let theirs = Failed {
                event: marker.event.clone(),
                run: marker.run,
            };
            Turn::Ours(others().chain([theirs]).collect())
        }
        (true, false) if before.is_some() => Turn::TheirsAlone(Line {
            marker: marker.clone(),
            also: others().collect(),
        }),
        (true, false) => Turn::Theirs(marker.run),
        (false, false) if before.is_none() => later(marker, ours, others().collect()),
        (false, _) => Turn::Ours(others().collect()),
    }
}

fn later(theirs: &Marker, ours: &Marker, others: Vec<Failed>) -> Turn {
    match theirs.rank() > ours.rank() {
        true => Turn::Theirs(theirs.run),
        false => Turn::Ours(others),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::post::Key;

    const PUSH: &str = "push";
    const PULL: &str = "pull_request";

    fn marker(event: &str, id: u64, failed: bool) -> Marker {
        Marker {
            key: Key::of("CI", "image", ""),
            run: Run { id, attempt: 1 },
            head: "abc123".to_owned(),
            event: event.to_owned(),
            failed,
        }
    }

    fn line(marker: Marker, also: &[(&str, u64)]) -> Line {
        let also = also.iter().map(|(event, id)| failed(event, *id));
        Line {
            marker,
            also: also.collect(),
        }
    }

    fn failed(event: &str, id: u64) -> Failed {
        Failed {
            event: event.to_owned(),
            run: Run { id, attempt: 1 },
        }
    }

    const fn run(id: u64) -> Run {
        Run { id, attempt: 1 }
    }

    #[test]
    fn a_failure_is_not_hidden_by_a_green_run_for_another_event_earlier_or_later() {
        for id in [1, 3] {
            let there = line(marker(PUSH, 2, true), &[]);
            assert_eq!(turn(&there, &marker(PULL, id, false)), Turn::Theirs(run(2)));
            let there = line(marker(PUSH, 2, false), &[]);
            assert_eq!(turn(&there, &marker(PULL, id, true)), Turn::Ours(vec![]));
        }
    }

    #[test]
    fn a_failure_ends_with_a_green_run_for_its_own_event() {
        let there = line(marker(PUSH, 2, true), &[]);
        assert_eq!(turn(&there, &marker(PUSH, 3, false)), Turn::Ours(vec![]));
        // Of the same run another job may be green.
        assert_eq!(turn(&there, &marker(PUSH, 2, false)), Turn::Theirs(run(2)));
    }

    #[test]
    fn a_failure_ends_with_a_new_commit() {
        let mut there = line(marker(PUSH, 2, true), &[(PULL, 1)]);
        there.marker.head = "def456".to_owned();
        assert_eq!(turn(&there, &marker(PULL, 3, false)), Turn::Ours(vec![]));
        assert_eq!(turn(&there, &marker(PULL, 1, false)), Turn::Theirs(run(2)));
    }

    #[test]
    fn of_two_failures_neither_is_forgotten() {
        let there = line(marker(PUSH, 2, true), &[]);
        let ours = marker(PULL, 1, true);
        assert_eq!(turn(&there, &ours), Turn::Ours(vec![failed(PUSH, 2)]));
        let there = line(ours, &[(PUSH, 2)]);
        // One is green by now, the other not yet.
        assert_eq!(
            turn(&there, &marker(PULL, 3, false)),
            Turn::Ours(vec![failed(PUSH, 2)])
        );
        assert_eq!(
            turn(&there, &marker(PUSH, 3, false)),
            Turn::TheirsAlone(line(marker(PULL, 1, true), &[]))
        );
        // Both are.
        let there = line(marker(PULL, 4, false), &[(PUSH, 2)]);
        assert_eq!(turn(&there, &marker(PUSH, 3, false)), Turn::Ours(vec![]));
    }

    #[test]
    fn of_two_green_ones_the_later_is_seen() {
        let there = line(marker(PUSH, 2, false), &[]);
        assert_eq!(turn(&there, &marker(PULL, 3, false)), Turn::Ours(vec![]));
        assert_eq!(turn(&there, &marker(PULL, 1, false)), Turn::Theirs(run(2)));
    }

    #[test]
    fn an_old_attempt_does_not_speak_over_a_later_one_that_stands_behind_another_event() {
        let there = line(marker(PULL, 4, true), &[(PUSH, 3)]);
        for failed in [true, false] {
            assert_eq!(turn(&there, &marker(PUSH, 2, failed)), Turn::Theirs(run(3)));
        }
    }

    #[test]
    fn where_no_event_is_known_the_later_run_is_right() {
        let there = line(marker("", 2, true), &[]);
        assert_eq!(turn(&there, &marker(PUSH, 3, false)), Turn::Ours(vec![]));
        assert_eq!(turn(&there, &marker(PUSH, 1, false)), Turn::Theirs(run(2)));
    }
}
