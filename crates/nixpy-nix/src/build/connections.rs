//! Ends connections to a builder that hangs.
//!
//! Nix waits for it without end, and cannot be told to give up one of its builders. But it
//! notices when the connection ends, goes on with everything else, and says which builds
//! failed by it. A connection is an `ssh` that Nix has started, below us in the list of
//! processes; one that a daemon has started is out of our reach.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::builders::{Address, SshAddress};

/// Whether this machine shows its processes, as Linux does.
pub(super) fn are_seen() -> bool {
    fs::exists("/proc/self/stat").unwrap_or(false)
}

/// Ends all that there are; how many.
pub(super) fn end(address: &Address) -> usize {
    let Address::Ssh(address) = address else {
        return 0;
    };
    let processes = processes();
    let is_ours = |process: &&Process| {
        let mut id = process.parent;
        // A chain of parents is short, and cannot be a circle for long.
        for _ in 0..32 {
            if id == i32::try_from(std::process::id()).unwrap_or(0) {
                return true;
            }
            match processes.iter().find(|other| other.id == id) {
                Some(other) => id = other.parent,
                None => return false,
            }
        }
        false
    };
    let connections = processes
        .iter()
        .filter(is_ours)
        .filter(|process| leads_to(process, address));
    connections
        .filter_map(|process| Pid::from_raw(process.id))
        .filter(|id| kill_process(*id, Signal::TERM).is_ok())
        .count()
}

struct Process {
    id: i32,
    parent: i32,
    arguments: Vec<String>,
}

fn leads_to(process: &Process, address: &SshAddress) -> bool {
    let host = match &address.user {
        Some(user) => format!("{user}@{}", address.host),
        None => address.host.clone(),
    };
    let mut arguments = process.arguments.iter();
    let is_ssh = arguments
        .next()
        .is_some_and(|program| program.rsplit('/').next() == Some("ssh"));
    is_ssh && arguments.any(|argument| *argument == host)
}

fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let read = |entry: fs::DirEntry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let arguments = fs::read(entry.path().join("cmdline")).ok()?;
        let arguments = String::from_utf8_lossy(&arguments);
        Some(Process {
            id,
            // `7 (a name) S 1 …`; the name may hold anything.
            parent: stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?,
            arguments: arguments.split('\0').map(str::to_owned).collect(),
        })
    };
    entries.filter_map(read).collect()
}
