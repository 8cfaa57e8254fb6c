//! Calling an engine: what it answers, within which time, and what has to be taken away.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nixpy_pipeline::inputs::Loader;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::time::timeout;

use super::PATIENCE;
use crate::load::command;

/// For what is removed at the very end: who interrupts a run does not wait for an engine
/// that hangs.
const LAST_WORDS: Duration = Duration::from_secs(20);

/// Of each output. A program of an image writes there too, for as long as it likes.
const KEPT: usize = 64 << 10;

/// What an engine has answered.
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Removes something when the time has come, and when this is dropped before.
pub struct Gone {
    loader: Loader,
    words: Vec<String>,
    done: bool,
}

impl Gone {
    pub fn later<'a>(loader: Loader, words: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            loader,
            words: words.into_iter().map(str::to_owned).collect(),
            done: false,
        }
    }

    /// That it is not there is as well.
    pub async fn now(mut self) {
        let _ = said(command(self.loader).args(&self.words), PATIENCE).await;
        self.done = true;
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut removing = command(self.loader).into_std();
        removing.args(&self.words);
        removing.stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(mut removing) = removing.spawn() else {
            return;
        };
        let begun = Instant::now();
        while begun.elapsed() < LAST_WORDS {
            match removing.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                _ => return,
            }
        }
        let _ = removing.kill();
    }
}

/// Lets it answer.
pub async fn said(command: &mut Command, at_most: Duration) -> Result<Said, String> {
    let what = || {
        let command = command.as_std();
        let first = command.get_args().next().unwrap_or_default();
        format!("`{} {}`", command.get_program().display(), first.display())
    };
    let what = what();
    let cannot = |e: io::Error| format!("{what} cannot be started: {e}");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(cannot)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let talk = async { tokio::join!(child.wait(), end_of(stdout), end_of(stderr)) };
    match timeout(at_most, talk).await {
        Ok((status, stdout, stderr)) => Ok(Said {
            code: status.map_err(cannot)?.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }),
        Err(_) => Err(format!(
            "{what} did not answer within {} s",
            at_most.as_secs()
        )),
    }
}

/// The end of what is written, however much that is.
pub async fn end_of(out: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut out) = out else {
        return kept;
    };
    let mut read = vec![0; KEPT];
    while let Ok(length @ 1..) = out.read(&mut read).await {
        kept.extend_from_slice(&read[..length]);
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
    }
    kept
}

/// A name that nobody else has.
pub fn unique(what: &str) -> String {
    let number = RandomState::new().build_hasher().finish();
    format!("nixpy-smoke-{}-{number:016x}-{what}", std::process::id())
}

pub fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Where engines say what it was; warnings stand before it.
pub fn last_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let last = lines.next_back().unwrap_or("it said nothing");
    last.trim_start_matches("Error: ").to_owned()
}
