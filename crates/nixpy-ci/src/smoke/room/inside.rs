//! The first process in the namespaces: it makes an image its root, starts the service,
//! and asks it.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nixpy_oci::layout::Layout;
use nixpy_oci::unpack::unpack;
use nixpy_pipeline::report::told;
use rustix::mount::{
    MountPropagationFlags, UnmountFlags, mount_bind_recursive, mount_change, unmount,
};
use rustix::process::pivot_root;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{ORDERS, Orders, Said, Start, furnish, loopback};
use crate::exit::Code;
use crate::smoke::probe::{Question, ask};
use crate::smoke::{Outcome, answer, judged};

/// Where what was the root is until nothing of it is needed any more.
const BEFORE: &str = ".nixpy-ci-before";

/// Does what the file says; what came of it, and how long the service took.
pub async fn inside(orders: &str) -> Said {
    let prepared = prepare(Path::new(orders));
    let begun = Instant::now();
    let outcome = match prepared {
        Ok(orders) => judge(&orders, begun).await.unwrap_or_else(Outcome::failed),
        Err(outcome) => outcome,
    };
    Said::Ended(outcome, begun.elapsed().as_secs_f64())
}

/// What this machine cannot do is seen before the image has a say. What goes wrong
/// afterwards is the image's.
fn prepare(file: &Path) -> Result<Orders, Outcome> {
    let orders = be_able(file).map_err(|why| Outcome::Cannot { why })?;
    answer(&Said::Able);
    fill(&orders).map_err(Outcome::failed)?;
    Ok(orders)
}

fn be_able(file: &Path) -> Result<Orders, String> {
    be_alone().map_err(|e| format!("the caller's terminal cannot be left: {e}"))?;
    let read = fs::read(file).map_err(|e| e.to_string())?;
    let orders: Orders = serde_json::from_slice(&read).map_err(|e| e.to_string())?;
    let root = orders.root.as_path();
    let step = |what: &'static str| move |e: rustix::io::Errno| format!("{what}: {e}");
    // Nothing of what follows is to be seen outside.
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(step("mounts cannot be made private"))?;
    mount_bind_recursive(root, root).map_err(step("the image cannot be mounted"))?;
    if orders.own_network {
        loopback::up().map_err(|e| format!("the loopback cannot be brought up: {e}"))?;
    }
    furnish::try_on(root).map_err(|e| format!("/proc and /dev cannot be mounted: {e}"))?;
    Ok(orders)
}

/// Nothing of who has called is left to the image: no terminal that it could type into, no
/// open file. And when the caller is gone, so is everything here.
#[expect(clippy::exit, reason = "nothing here is to be ended in order")]
fn be_alone() -> io::Result<()> {
    rustix::process::setsid()?;
    close_fds::set_fds_cloexec(3, &[]);
    let watch = || {
        // Nothing is ever written to it: it ends when whoever holds the other end does.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        std::process::exit(Code::Cancelled as i32);
    };
    std::thread::Builder::new().spawn(watch)?;
    Ok(())
}

fn fill(orders: &Orders) -> Result<(), String> {
    let layout = Layout::look(&orders.layout).map_err(|e| told(&e))?;
    unpack(&layout, &orders.image, &orders.root).map_err(|e| told(&e))?;
    move_in(&orders.root)
}

/// Makes a folder the root, with what every container finds there.
fn move_in(root: &Path) -> Result<(), String> {
    let told = |what: &'static str| move |e: io::Error| format!("{what}: {e}");
    let entered = std::env::set_current_dir(root)
        .and_then(|()| fs::create_dir(BEFORE))
        .and_then(|()| Ok(pivot_root(".", BEFORE)?))
        .and_then(|()| std::env::set_current_dir("/"));
    entered.map_err(told("the image cannot be made the root"))?;
    // From here on every name is one of the image, wherever its links lead.
    let before = Path::new("/").join(BEFORE);
    furnish::furnish(&before).map_err(told("/proc and /dev cannot be mounted over the image's"))?;
    let left = unmount(&before, UnmountFlags::DETACH);
    left.map_err(|e| told("the machine's files cannot be hidden")(e.into()))?;
    let _ = fs::remove_dir(&before);
    furnish::name_ourselves().map_err(told("/etc/hosts cannot be written"))
}

async fn judge(orders: &Orders, begun: Instant) -> Result<Outcome, String> {
    let directory = orders.start.directory.as_str();
    if !directory.is_empty() {
        fs::create_dir_all(directory).map_err(|e| format!("{directory}: {e}"))?;
    }
    let mut started = start(&orders.start)?;
    let Some(question) = &orders.question else {
        return until_it_ends(&mut started, &orders.start.words, orders.timeout, begun).await;
    };
    let outcome = ask_while_it_runs(&mut started, question, begun).await?;
    if !matches!(outcome, Outcome::Passed) || orders.command.is_empty() {
        return Ok(outcome);
    }
    let command = Start {
        words: orders.command.clone(),
        ..orders.start.clone()
    };
    until_it_ends(&mut start(&command)?, &command.words, orders.timeout, begun).await
}

async fn ask_while_it_runs(
    service: &mut Child,
    question: &Question,
    begun: Instant,
) -> Result<Outcome, String> {
    tokio::select! {
        seen = ask(question) => Ok(judged(seen?, question)),
        ended = service.wait() => Ok(Outcome::ended(code_of(ended), begun)),
    }
}

async fn until_it_ends(
    command: &mut Child,
    words: &[String],
    at_most: Duration,
    begun: Instant,
) -> Result<Outcome, String> {
    let left = at_most.saturating_sub(begun.elapsed());
    match timeout(left, command.wait()).await {
        Ok(ended) => Ok(Outcome::of_command(words, code_of(ended))),
        Err(_) => Ok(Outcome::command_hangs(words, at_most)),
    }
}

/// As shells count it.
fn code_of(ended: io::Result<std::process::ExitStatus>) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    ended.map_or(-1, |status| {
        status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    })
}

/// Starts a program of the image; both its outputs are our standard error.
fn start(start: &Start) -> Result<Child, String> {
    use std::os::fd::AsFd as _;
    let orders = serde_json::to_string(start).map_err(|e| e.to_string())?;
    let log = std::io::stderr().as_fd().try_clone_to_owned();
    Command::new("/proc/self/exe")
        .args(["smoke-enter", ORDERS])
        // Arguments can be read by everybody on the machine.
        .env(ORDERS, orders)
        .stdin(Stdio::null())
        .stdout(log.map_err(|e| e.to_string())?)
        .spawn()
        .map_err(|e| format!("nothing can be started in the namespaces: {e}"))
}
