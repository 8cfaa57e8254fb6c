//! One call of `nix`: arguments in, exit status and standard output out, and what it
//! logs passed on as events while it runs.
//!
//! Every call asks for the `internal-json` log, so that errors come as data. The
//! child stays in our process group: a Ctrl-C on the terminal reaches it directly,
//! and ssh can still ask for a passphrase. A dropped call sends it `SIGTERM`, upon
//! which Nix ends its builders; a killed Nix would leave them behind.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;

use crate::error::NixError;
use crate::log::{Level, LogEvent, LogParser, Message};
use crate::program::Nix;

/// What keeps a call that went mad from filling our memory. The largest answer
/// seen, the closure of a desktop system, is far below it.
const LARGEST_ANSWER: u64 = 256 * 1024 * 1024;
const KEPT_MESSAGES: usize = 200;
/// How Nix says that it does not know what ssh did.
const CONNECTING: [&str; 2] = [
    "cannot open connection to",
    "failed to start SSH connection",
];

/// Takes the events of a running call.
pub(crate) type OnEvent<'a> = &'a mut (dyn FnMut(LogEvent) + Send);

/// Its number everywhere.
const SIGABRT: i32 = 6;

/// A call that has ended, and what it answered: text, unless something else was asked for.
#[derive(Debug)]
pub(crate) struct Ended<Answer = String> {
    pub(crate) success: bool,
    /// It was ended by SIGABRT, as a program is that finds itself in the wrong.
    pub(crate) aborted: bool,
    pub(crate) stdout: Answer,
    /// Errors and warnings, the last ones if there were very many.
    pub(crate) messages: Vec<Message>,
}

impl<Answer> Ended<Answer> {
    /// The errors among the messages, in order.
    pub(crate) fn errors(&self) -> impl Iterator<Item = &Message> {
        self.messages
            .iter()
            .filter(|message| message.level == Level::Error)
    }

    /// All that Nix said about its failure, or the last thing it said at all; where it could
    /// not connect, what ssh said about that before.
    pub(crate) fn complaint(&self) -> String {
        let errors: Vec<&str> = self.errors().map(|message| message.text.as_str()).collect();
        let could_not_connect = |text: &&str| CONNECTING.iter().any(|words| text.contains(words));
        let all = || self.messages.iter().map(|message| message.text.as_str());
        match (errors.is_empty(), self.messages.last()) {
            (false, _) if errors.iter().any(could_not_connect) => {
                all().collect::<Vec<_>>().join("\n")
            }
            (false, _) => errors.join("\n"),
            (true, Some(last)) => last.text.clone(),
            (true, None) => "it failed and said nothing".to_owned(),
        }
    }
}

/// Calls `nix` with the common arguments and these.
pub(crate) async fn run(
    nix: &Nix,
    arguments: &[String],
    on_event: OnEvent<'_>,
) -> Result<Ended, NixError> {
    let ended = run_for_bytes(nix, arguments, LARGEST_ANSWER, on_event).await?;
    Ok(Ended {
        success: ended.success,
        aborted: ended.aborted,
        stdout: text(ended.stdout),
        messages: ended.messages,
    })
}

/// The same, for an answer that is no text. What comes after so many bytes is not read.
pub(crate) async fn run_for_bytes(
    nix: &Nix,
    arguments: &[String],
    at_most: u64,
    on_event: OnEvent<'_>,
) -> Result<Ended<Vec<u8>>, NixError> {
    let mut command = nix.command();
    command
        .args(nix.common_arguments())
        .args(["--log-format", "internal-json"])
        .args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    tracing::debug!(program = %nix.program().display(), ?arguments, "calling nix");

    let mut running = Running(command.spawn().map_err(|cause| nix.did_not_start(cause))?);
    let (stdout, stderr) = (running.0.stdout.take(), running.0.stderr.take());
    let mut messages = Vec::new();
    let (answer, log) = tokio::join!(
        read_answer(stdout, at_most),
        read_log(stderr, on_event, &mut messages)
    );
    let status = running
        .0
        .wait()
        .await
        .map_err(|cause| nix.did_not_start(cause))?;
    let stdout = answer
        .and_then(|answer| log.map(|()| answer))
        .map_err(|cause| nix.did_not_start(cause))?;
    tracing::debug!(%status, "nix ended");
    Ok(Ended {
        success: status.success(),
        aborted: status.signal() == Some(SIGABRT),
        stdout,
        messages,
    })
}

/// A child that is asked to end when it is dropped before it has ended.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // No identifier: it has been waited for, and the number may be another's by now.
        let Some(id) = self.0.id() else { return };
        let id = i32::try_from(id).ok().and_then(Pid::from_raw);
        if id.is_none_or(|id| kill_process(id, Signal::TERM).is_err()) {
            let _ = self.0.start_kill();
        }
    }
}

async fn read_answer(
    stdout: Option<impl AsyncRead + Unpin>,
    at_most: u64,
) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stdout) = stdout {
        stdout.take(at_most).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// Bytes that are no UTF-8 are replaced; the others are not copied.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

async fn read_log(
    stderr: Option<impl AsyncRead + Unpin>,
    on_event: OnEvent<'_>,
    messages: &mut Vec<Message>,
) -> std::io::Result<()> {
    let Some(mut stderr) = stderr else {
        return Ok(());
    };
    let mut parser = LogParser::default();
    let mut buffer = vec![0_u8; 64 * 1024];
    let mut take = |event: LogEvent| {
        if let LogEvent::Message(message) = &event
            && message.level <= Level::Notice
        {
            if messages.len() == KEPT_MESSAGES {
                messages.remove(0);
            }
            messages.push(message.clone());
        }
        on_event(event);
    };
    loop {
        let count = stderr.read(&mut buffer).await?;
        if count == 0 {
            parser.finish(&mut take);
            return Ok(());
        }
        parser.feed(&buffer[..count], &mut take);
    }
}
