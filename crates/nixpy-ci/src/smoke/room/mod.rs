//! Trying an image out without an engine: unpacked, in namespaces of its own.
//!
//! `unshare` (util-linux) makes the namespaces and starts this program in them, as the first
//! process ([`inside`]). That one unpacks the image, makes it the root, starts the service
//! ([`enter`]) and asks it. With it everything in the namespaces ends: nothing is left but
//! the folder, which is removed here.
//!
//! Root needs nothing else. Other users get a user namespace in which they are root, if
//! the kernel lets them, and a further one where the image runs as somebody else.

mod enter;
mod folder;
mod furnish;
mod inside;
mod loopback;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nixpy_oci::image::Pushed;
use nixpy_pipeline::smoke::Trial;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::probe::Question;
use super::{GRACE, LAST_LINES, Outcome, Trialled, last_lines, question};
use crate::settings::table::withheld_variables;
use folder::Folder;

pub use enter::enter;
pub use inside::inside;

/// The variable of a program that is started in the image, before it becomes that.
const ORDERS: &str = "NIXPY_SMOKE_ORDERS";
/// Large images have to be written first.
const UNPACKING: Duration = Duration::from_secs(600);

/// What the first process in the namespaces has to do.
#[derive(Debug, Serialize, Deserialize)]
struct Orders {
    /// Where the image is.
    layout: PathBuf,
    image: Pushed,
    /// An empty folder that becomes its root.
    root: PathBuf,
    /// Whether the network is one of its own, whose loopback is still down.
    own_network: bool,
    start: Start,
    /// What to ask of the service; the command stands in its place if there is nothing.
    question: Option<Question>,
    command: Vec<String>,
    timeout: Duration,
}

/// How a program is started in the image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Start {
    words: Vec<String>,
    env: Vec<String>,
    directory: String,
    user: String,
}

/// What the first process says, in lines of its own.
#[derive(Debug, Serialize, Deserialize)]
pub enum Said {
    /// Images can be tried out here. Whatever comes after this is the image's.
    Able,
    /// The verdict, and how long the service took.
    Ended(Outcome, f64),
}

/// Which namespaces.
#[derive(Clone, Copy)]
enum As {
    Root,
    Anybody,
}

/// Starts an image and looks.
///
/// # Errors
/// There can be no namespaces here, or none that the image could run in.
pub async fn try_out(trial: &Trial<'_>, temp_dir: &Path) -> Result<Trialled, String> {
    let network = trial.smoke.network.as_str();
    if !matches!(network, "none" | "host") {
        return Err(format!("the network {network} needs podman or docker"));
    }
    let ways: &[As] = match rustix::process::geteuid().is_root() {
        true => &[As::Root, As::Anybody],
        false => &[As::Anybody],
    };
    let mut refusals = Vec::new();
    for way in ways {
        let trialled = Room::make(trial, temp_dir)?.try_out(trial, *way).await?;
        match trialled.outcome {
            Outcome::Cannot { why } => refusals.push(why),
            _ => return Ok(trialled),
        }
    }
    refusals.dedup();
    Err(format!(
        "no namespaces can be made: {}",
        refusals.join("; ")
    ))
}

/// A folder, and who is in it.
struct Room {
    folder: Folder,
    child: Option<Child>,
}

impl Room {
    fn make(trial: &Trial<'_>, temp_dir: &Path) -> Result<Self, String> {
        let orders = |root| serde_json::to_vec(&written(trial, root)).unwrap_or_default();
        let folder = Folder::make(temp_dir, orders)
            .map_err(|e| format!("there is no folder for the image: {e}"))?;
        Ok(Self {
            folder,
            child: None,
        })
    }

    async fn try_out(mut self, trial: &Trial<'_>, way: As) -> Result<Trialled, String> {
        let ourselves = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut unshare = Command::new("unshare");
        unshare.args([
            "--mount",
            "--pid",
            "--ipc",
            "--uts",
            "--fork",
            "--kill-child",
        ]);
        if trial.smoke.network == "none" {
            unshare.arg("--net");
        }
        if let As::Anybody = way {
            unshare.args(["--user", "--map-root-user"]);
        }
        unshare
            .arg("--")
            .arg(ourselves)
            .arg("smoke-room")
            .arg(self.folder.orders());
        withheld_variables().for_each(|name| {
            unshare.env_remove(name);
        });
        let begun = Instant::now();
        let child = unshare
            // What is started there ends when this is closed, however we end.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("unshare, of util-linux, cannot be started: {e}"))?;
        let child = self.child.insert(child);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let able = AtomicBool::new(false);
        let talk = async { tokio::join!(verdict(stdout, &able), last_of(stderr)) };
        let at_most = UNPACKING + trial.timeout + GRACE;
        let talked = timeout(at_most, talk).await;
        let able = able.into_inner();
        let (verdict, log) = match talked {
            Ok(talked) => talked,
            Err(_) => {
                let why = format!("nothing came of it within {} s", at_most.as_secs());
                let seconds = begun.elapsed().as_secs_f64();
                let verdict = able.then(|| (Outcome::failed(&why), seconds));
                (Some(verdict.ok_or(why)?), Vec::new())
            }
        };
        let (outcome, seconds) = verdict.unwrap_or_else(|| {
            let outcome = match able {
                true => Outcome::failed("its container ended before it could be judged"),
                false => {
                    let why = log.last().map_or("unshare said nothing", String::as_str);
                    let why = why.to_owned();
                    Outcome::Cannot { why }
                }
            };
            (outcome, begun.elapsed().as_secs_f64())
        });
        Ok(Trialled {
            outcome,
            log,
            seconds,
        })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // With `unshare` the first process ends, and with that one all the others.
            let _ = child.start_kill();
        }
    }
}

fn written(trial: &Trial<'_>, root: PathBuf) -> Orders {
    let runtime = trial.runtime;
    let question = question(trial);
    let words = match question {
        Some(_) => runtime
            .entrypoint
            .iter()
            .chain(&runtime.cmd)
            .cloned()
            .collect(),
        None => trial.smoke.command.clone(),
    };
    let mut env = runtime.env.clone();
    env.extend(
        trial
            .smoke
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}")),
    );
    Orders {
        layout: trial.image.layout.path().to_owned(),
        image: trial.image.image.clone(),
        root,
        own_network: trial.smoke.network == "none",
        start: Start {
            words,
            env,
            directory: runtime.working_dir.clone(),
            user: runtime.user.clone(),
        },
        command: match question {
            Some(_) => trial.smoke.command.clone(),
            None => Vec::new(),
        },
        question,
        timeout: trial.timeout,
    }
}

/// What the first process came to, if it came to anything; and whether it could begin.
async fn verdict(out: Option<impl AsyncRead + Unpin>, able: &AtomicBool) -> Option<(Outcome, f64)> {
    let mut lines = BufReader::new(out?).lines();
    let mut verdict = None;
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(Said::Able) => able.store(true, Ordering::Relaxed),
            Ok(Said::Ended(outcome, seconds)) => verdict = Some((outcome, seconds)),
            Err(_) => {}
        }
    }
    verdict
}

/// The last lines of what is written, however much that is.
async fn last_of(out: Option<impl AsyncRead + Unpin>) -> Vec<String> {
    let mut kept: VecDeque<Vec<u8>> = VecDeque::new();
    let Some(out) = out else {
        return Vec::new();
    };
    let mut out = BufReader::new(out);
    loop {
        let mut line = Vec::new();
        // A line without an end would be kept whole.
        match (&mut out).take(64 << 10).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => break,
            Ok(_) => kept.push_back(line),
        }
        if kept.len() > LAST_LINES {
            kept.pop_front();
        }
    }
    last_lines(&kept.into_iter().flatten().collect::<Vec<u8>>())
}
