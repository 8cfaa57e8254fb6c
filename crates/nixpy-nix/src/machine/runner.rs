//! Programs that are run to look at a machine or to change it.

use std::future::Future;
use std::io;
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;

/// A program with its arguments. Never a line for a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Name or path.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables set for it, beside those it inherits.
    pub env: Vec<(String, String)>,
    /// What it reads on standard input; nothing when absent.
    pub input: Option<Vec<u8>>,
}

impl Invocation {
    /// `program args…`.
    pub fn new<S: Into<String>>(program: &str, args: impl IntoIterator<Item = S>) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        Self {
            program: program.to_owned(),
            args,
            env: Vec::new(),
            input: None,
        }
    }

    /// The same, reading `input`.
    #[must_use]
    pub fn reading(self, input: impl Into<Vec<u8>>) -> Self {
        Self {
            input: Some(input.into()),
            ..self
        }
    }

    /// The same, with a variable set.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same as root, by a `sudo` that never asks. Variables go through
    /// `env`, because `sudo` drops those it was started with.
    #[must_use]
    pub fn by_sudo(self) -> Self {
        let mut args = vec!["-n".to_owned(), "--".to_owned()];
        if !self.env.is_empty() {
            args.push("env".to_owned());
            args.extend(
                self.env
                    .iter()
                    .map(|(name, value)| format!("{name}={value}")),
            );
        }
        args.push(self.program);
        args.extend(self.args);
        Self {
            program: "sudo".to_owned(),
            args,
            env: Vec::new(),
            input: self.input,
        }
    }

    /// As one would type it.
    #[must_use]
    pub fn line(&self) -> String {
        let env = self
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let words = std::iter::once(&self.program)
            .chain(&self.args)
            .map(|word| quoted(word));
        env.chain(words).collect::<Vec<_>>().join(" ")
    }
}

/// How a program ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finished {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote, as text.
    pub stdout: String,
    /// What it complained of, as text.
    pub stderr: String,
}

impl Finished {
    /// Whether the exit code is 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// The last lines of what it said, for an error's text.
    #[must_use]
    pub fn tail(&self) -> String {
        let said = if self.stderr.trim().is_empty() {
            &self.stdout
        } else {
            &self.stderr
        };
        let lines: Vec<_> = said
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        lines[lines.len().saturating_sub(6)..].join("\n")
    }
}

/// Runs programs: the real thing, or a script that remembers what was asked.
pub trait Runner: Sync {
    /// Runs to the end. An error means that it could not be started.
    fn run(&self, invocation: &Invocation) -> impl Future<Output = io::Result<Finished>> + Send;
}

/// Runs programs on this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRunner;

impl Runner for SystemRunner {
    async fn run(&self, invocation: &Invocation) -> io::Result<Finished> {
        let mut child = tokio::process::Command::new(&invocation.program)
            .args(&invocation.args)
            .envs(invocation.env.iter().map(|(name, value)| (name, value)))
            .stdin(if invocation.input.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        // The inputs are a line or a short file, which a pipe holds: writing all
        // before reading any cannot block.
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), &invocation.input) {
            stdin.write_all(input).await?;
        }
        let output = child.wait_with_output().await?;
        Ok(Finished {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

/// A word that a POSIX shell reads back as itself.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
