//! One rule: which calls it answers, and how, in words and in shell.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// A rule: which calls, and what they print.
#[derive(Clone, Debug)]
pub struct Replay {
    words: Vec<String>,
    mentions: Vec<String>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    exit: i32,
    times: Option<u32>,
    pause: Duration,
    hang: Option<Duration>,
    keeps_stdin: bool,
}

impl Replay {
    /// Calls that have all of these words among their arguments, in any order.
    pub fn of<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            words: words.into_iter().map(str::to_owned).collect(),
            mentions: Vec::new(),
            stdout: Vec::new(),
            stderr: Vec::new(),
            exit: 0,
            times: None,
            pause: Duration::ZERO,
            hang: None,
            keeps_stdin: false,
        }
    }

    /// And an argument that contains this text.
    pub fn mentioning(mut self, text: &str) -> Self {
        self.mentions.push(text.to_owned());
        self
    }

    /// Prints this.
    pub fn stdout(mut self, text: impl AsRef<[u8]>) -> Self {
        self.stdout = text.as_ref().to_vec();
        self
    }

    /// Prints a recorded file.
    pub fn stdout_file(self, file: impl AsRef<Path>) -> Self {
        self.stdout(fs::read(file).unwrap())
    }

    /// Prints this to standard error, before anything goes to standard output.
    pub fn stderr(mut self, text: impl AsRef<[u8]>) -> Self {
        self.stderr = text.as_ref().to_vec();
        self
    }

    /// Prints a recorded file to standard error.
    pub fn stderr_file(self, file: impl AsRef<Path>) -> Self {
        self.stderr(fs::read(file).unwrap())
    }

    /// Waits this long before each line of standard error.
    pub fn pause(mut self, between_lines: Duration) -> Self {
        self.pause = between_lines;
        self
    }

    /// Waits this long after standard error and before standard output.
    pub fn hang(mut self, time: Duration) -> Self {
        self.hang = Some(time);
        self
    }

    /// Ends with this code.
    pub fn exit(mut self, code: i32) -> Self {
        self.exit = code;
        self
    }

    /// Answers so many calls; the next is left to the rules that follow.
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Answers one call.
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// Reads standard input to its end and keeps it for [`FakeNix::stdin`](super::FakeNix::stdin).
    pub fn keep_stdin(mut self) -> Self {
        self.keeps_stdin = true;
        self
    }

    pub(super) fn recorded_stdout(&self) -> &[u8] {
        &self.stdout
    }

    pub(super) fn recorded_stderr(&self) -> &[u8] {
        &self.stderr
    }

    /// The rule as a piece of the script; its recorded output lies under this number.
    pub(super) fn to_shell(&self, number: usize) -> String {
        let mut shell = String::from("\nif true");
        for (test, words) in [("has", &self.words), ("mentions", &self.mentions)] {
            for word in words {
                write!(shell, " && {test} {} \"$@\"", quoted(word)).unwrap();
            }
        }
        if let Some(times) = self.times {
            write!(shell, " && claim {number} {times}").unwrap();
        }
        shell += "; then\n";
        if self.keeps_stdin {
            shell += "  cat > \"$call/stdin\"\n";
        }
        if self.pause.is_zero() {
            writeln!(shell, "  cat \"$home/rules/{number}.err\" >&2").unwrap();
        } else {
            writeln!(
                shell,
                "  slowly {} < \"$home/rules/{number}.err\" >&2",
                self.pause.as_secs_f64()
            )
            .unwrap();
        }
        if let Some(time) = self.hang {
            writeln!(shell, "  sleep {}", time.as_secs_f64()).unwrap();
        }
        writeln!(
            shell,
            "  cat \"$home/rules/{number}.out\"\n  exit {}\nfi",
            self.exit
        )
        .unwrap();
        shell
    }
}

/// As one word of the shell.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
