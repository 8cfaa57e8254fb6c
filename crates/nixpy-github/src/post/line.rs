//! What a comment begins with: an HTML comment, which nobody sees.
//!
//! ```text
//! <!-- nixpy-ci 6f1e… run=1234.1 head=9f86… -->
//! <!-- nixpy-ci 6f1e… run=1234.1 head=9f86… failed event=push also=pull_request:1235.1 -->
//! ```
//!
//! It counts at the very beginning only, in comments of the token's own identity: anybody can
//! write such a line into a comment of theirs, or have it written by a package's name.

use super::marker::{Key, Marker, Run, event_word};

const BEGIN: &str = "<!-- nixpy-ci ";
const END: &str = " -->\n";
/// Before a run for another event.
const ALSO: &str = "also=";
/// No more events than these tell the same pull request.
const MOST_EVENTS: usize = 4;

/// A run for another event, at the same commit, that has failed, and has not been green since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What it was run for.
    pub event: String,
    /// Which it is.
    pub run: Run,
}

/// The line, as it is written and read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Who speaks in the comment.
    pub(super) marker: Marker,
    /// Who else had something to say, each event once.
    pub(super) also: Vec<Failed>,
}

impl Line {
    /// At the beginning of what follows, which is cut where GitHub would refuse it.
    pub(super) fn on(&self, body: &str, most: usize) -> String {
        let Marker { key, run, head, .. } = &self.marker;
        // A hash and nothing else, whatever it was made of.
        let head: String = head
            .chars()
            .filter(char::is_ascii_hexdigit)
            .take(64)
            .collect();
        let verdict = self.marker.verdict();
        let also = self.also.iter().take(MOST_EVENTS);
        let also: String = also
            .map(|Failed { event, run }| format!(" {ALSO}{}:{run}", event_word(event)))
            .collect();
        let line = format!("{BEGIN}{key} run={run} head={head}{verdict}{also}{END}");
        let left = most.saturating_sub(line.chars().count());
        line + &body.chars().take(left).collect::<String>()
    }

    /// The one that a comment begins with, and what follows it.
    pub(super) fn read(body: &str) -> Option<(Self, &str)> {
        let line = body.strip_prefix(BEGIN)?;
        // GitHub may give other line ends than it was given.
        let (line, rest) = line.split_once('\n')?;
        let line = line.trim_end().strip_suffix("-->")?;
        let mut words = line.split_ascii_whitespace();
        let marker = Marker {
            key: Key::read(words.next()?),
            run: Run::parse(words.next()?.strip_prefix("run=")?)?,
            head: words.next()?.strip_prefix("head=")?.to_owned(),
            event: String::new(),
            failed: false,
        };
        let also = words.clone().filter_map(also).take(MOST_EVENTS).collect();
        let marker = marker.with_verdict(words);
        Some((Self { marker, also }, rest))
    }
}

impl Marker {
    /// At the beginning of what follows, which is cut where GitHub would refuse it.
    pub fn on(&self, body: &str, most: usize) -> String {
        let line = Line {
            marker: self.clone(),
            also: Vec::new(),
        };
        line.on(body, most)
    }

    /// The one that a comment begins with.
    pub fn read(body: &str) -> Option<Self> {
        Line::read(body).map(|(line, _)| line.marker)
    }
}

fn also(word: &str) -> Option<Failed> {
    let (event, run) = word.strip_prefix(ALSO)?.split_once(':')?;
    let event = event_word(event);
    let run = Run::parse(run)?;
    (!event.is_empty()).then_some(Failed { event, run })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line {
            marker: Marker {
                key: Key::of("CI -->", "build", ""),
                run: Run { id: 12, attempt: 3 },
                head: "abc123".to_owned(),
                event: "push".to_owned(),
                failed: false,
            },
            also: Vec::new(),
        }
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let mut failed = line();
        failed.marker.failed = true;
        let mut several = failed.clone();
        several.also = vec![Failed {
            event: "pull_request".to_owned(),
            run: Run { id: 13, attempt: 1 },
        }];
        let mut nameless = line();
        nameless.marker.event.clear();
        for line in [line(), failed, several, nameless] {
            let body = line.on("text", 1000);
            assert_eq!(Line::read(&body), Some((line.clone(), "text")));
            let body = body.replace('\n', "\r\n");
            assert_eq!(Line::read(&body), Some((line, "text")));
        }
    }

    #[test]
    fn lines_of_versions_that_knew_no_event_are_read() {
        for (line, failed) in [
            ("<!-- nixpy-ci 6f1e run=1234.1 head=9f86 -->\n", false),
            ("<!-- nixpy-ci 6f1e run=1234.1 head=9f86 failed -->\n", true),
            // And those of versions that will know more.
            (
                "<!-- nixpy-ci 6f1e run=1234.1 head=9f86 later failed -->\n",
                true,
            ),
        ] {
            let read = Marker::read(line).unwrap();
            assert_eq!((read.failed, read.event.as_str()), (failed, ""), "{line}");
            assert_eq!((read.run.id, read.head.as_str()), (1234, "9f86"));
        }
    }

    #[test]
    fn an_event_cannot_end_the_line() {
        let mut line = line();
        line.marker.event = "push --> failed\n".to_owned();
        line.also = vec![Failed {
            event: " --> x:1.1 failed".to_owned(),
            run: Run { id: 1, attempt: 1 },
        }];
        let body = line.on("text", 1000);
        let (read, rest) = Line::read(&body).unwrap();
        assert_eq!((read.marker.failed, rest), (false, "text"));
        assert_eq!(read.marker.event, "pushfailed");
    }

    #[test]
    fn a_line_counts_at_the_beginning_only() {
        let body = line().on("text", 1000);
        for before in [" ", "> ", "`", "\n"] {
            assert_eq!(Marker::read(&format!("{before}{body}")), None);
        }
        for wrong in [
            "",
            "<!-- nixpy-ci -->\n",
            "<!-- nixpy-ci a run=b head=c -->\n",
            "<!-- nixpy-ci a run=1.1 head=c",
        ] {
            assert_eq!(Marker::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_would_be_refused_is_cut_and_the_line_stays() {
        let body = line().on(&"ü".repeat(70_000), 65_536);
        assert_eq!(body.chars().count(), 65_536);
        assert_eq!(Marker::read(&body), Some(line().marker));
    }
}
