//! One derivation's log: each line is shown to everybody who may know it.

use super::backend::Backends;
use super::clue::{Clue, LONGEST_LINE, cut};
use super::lint::Lints;
use super::pytest::Pytest;
use super::traceback::Tracebacks;

/// What is kept of one log; whoever has more to say has said enough.
const MOST_CLUES: usize = 100;

/// What was recognised so far.
#[derive(Debug, Default)]
pub(super) struct Log {
    backends: Backends,
    lints: Lints,
    pytest: Pytest,
    tracebacks: Tracebacks,
    clues: Vec<Clue>,
}

impl Log {
    pub(super) fn line(&mut self, text: &str) {
        let line = cut(text, LONGEST_LINE).trim_end();
        let found = [
            self.backends.line(line),
            self.tracebacks.line(line),
            self.pytest.line(line),
            self.lints.line(line),
        ];
        found.into_iter().flatten().for_each(|clue| self.keep(clue));
    }

    /// No more lines come.
    pub(super) fn end(&mut self) -> &[Clue] {
        if let Some(clue) = self.pytest.end() {
            self.keep(clue);
        }
        &self.clues
    }

    fn keep(&mut self, clue: Clue) {
        if self.clues.len() < MOST_CLUES && !self.clues.contains(&clue) {
            self.clues.push(clue);
        }
    }
}
