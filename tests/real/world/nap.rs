//! Builders that wait until the test has seen what it wants to see while they are at work. How
//! long that takes is then nobody's matter.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::program::{program, run, wait_for};

/// A builder's sleep, which is found among this machine's processes by its words.
pub struct Nap {
    words: String,
}

impl Nap {
    /// It ends by itself only where a test could not end it.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // As many digits for each of them: none is the beginning of another.
        let words = format!("sleep 900.{:08}{count:05}", std::process::id());
        Self { words }
    }

    /// What a builder's script has to say. It goes on when the nap is ended.
    pub fn script(&self) -> String {
        format!("{} || true", self.words)
    }

    /// How the process is found: its arguments end so. Those of a shell that is given the script
    /// go on.
    pub fn pattern(&self) -> String {
        format!("{}$", self.words)
    }

    /// Whether a builder is at it now.
    pub fn is_on(&self) -> bool {
        is_running(&self.pattern())
    }

    /// Waits until a builder is.
    pub fn begins(&self) {
        wait_for("a builder that waits", Duration::from_secs(120), || {
            self.is_on().then_some(())
        });
    }

    /// Wakes the builder.
    pub fn end(&self) {
        let found = run(program("pgrep").args(["--full", "--", &self.pattern()]));
        for process in found.stdout.lines() {
            run(program("kill").arg(process));
        }
    }
}

/// No builder outlives a test that has failed.
impl Drop for Nap {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether a process has this among its arguments.
pub fn is_running(words: &str) -> bool {
    run(program("pgrep").args(["--full", "--", words])).code == 0
}
