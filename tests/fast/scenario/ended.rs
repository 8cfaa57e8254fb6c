//! A run that is over, and what a test may expect of it.

use std::sync::Arc;
use std::time::Duration;

use nixpy_pipeline::report::Report;
use nixpy_testkit::fake_nix::FakeNix;

/// What came of a run.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
    pub(super) nix: Arc<FakeNix>,
}

impl Ended {
    /// It ended well.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        self.with_code(0)
    }

    /// It ended with this code.
    #[track_caller]
    pub fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// Standard error has this in it.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not said\n{self}");
        self
    }

    /// Neither output has this in it.
    #[track_caller]
    pub fn never_says(self, text: &str) -> Self {
        let said = self.stderr.contains(text) || self.stdout.contains(text);
        assert!(!said, "{text:?} is said\n{self}");
        self
    }

    /// Standard output has this in it.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert!(
            self.stdout.contains(text),
            "{text:?} is not printed\n{self}"
        );
        self
    }

    /// Standard output is empty.
    #[track_caller]
    pub fn prints_nothing(self) -> Self {
        assert_eq!(self.stdout, "", "{self}");
        self
    }

    /// The lines that begin with `error: `, without that.
    pub fn errors(&self) -> Vec<&str> {
        let lines = self.stderr.lines();
        lines
            .filter_map(|line| line.strip_prefix("error: "))
            .collect()
    }

    /// It failed with one line, and this is in it.
    #[track_caller]
    pub fn with_the_error(self, texts: &[&str]) -> Self {
        let errors = self.errors();
        assert_eq!(errors.len(), 1, "one error was expected\n{self}");
        for text in texts {
            assert!(errors[0].contains(text), "{text:?} is not in it\n{self}");
        }
        self
    }

    /// The report of `--json`.
    #[track_caller]
    pub fn report(&self) -> Report {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("no report: {e}\n{self}"))
    }

    /// How many calls of Nix had this word.
    pub fn calls(&self, word: &str) -> usize {
        self.nix.count(&[word])
    }

    /// The arguments of every call of Nix.
    pub fn nix_calls(&self) -> Vec<Vec<String>> {
        self.nix.calls()
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            code,
            stdout,
            stderr,
            ..
        } = self;
        write!(
            f,
            "it ended with code {code}\n--- stdout\n{stdout}--- stderr\n{stderr}---"
        )
    }
}
