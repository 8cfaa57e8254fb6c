//! Looking for what nobody should see.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::nixpy::{Workplace, binary};
use super::program::{Ended, program, run, wait_for};

/// Of all that run here, with the exception of the program that was given the secret: `but`,
/// once it is that. Before, it is the shell that prepares its mounts.
pub fn processes_that_show(secret: &str, but: u32) -> Vec<String> {
    shown(secret, but, |_| false)
}

/// The same; some programs may have it in their environment.
fn shown(secret: &str, but: u32, may_have_it: impl Fn(&Path) -> bool) -> Vec<String> {
    let program = |path: &Path| fs::read_link(path.join("exe")).ok();
    let given = program(&Path::new("/proc").join(but.to_string()));
    if given != fs::canonicalize(binary()).ok() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let path = process.path();
        // Before anything else: it may be gone a moment later.
        let its_program = program(&path);
        // A child that is not yet another program has all that its parent has.
        if path.ends_with(but.to_string()) || its_program == given {
            continue;
        }
        let files = match its_program.is_some_and(|it| may_have_it(&it)) {
            true => &["cmdline"][..],
            false => &["cmdline", "environ"],
        };
        for file in files {
            let text = fs::read(path.join(file)).unwrap_or_default();
            if String::from_utf8_lossy(&text).contains(secret) {
                found.push(path.join(file).display().to_string());
            }
        }
    }
    found
}

/// A command that is watched while it runs in a folder.
pub struct Watch<'a> {
    at: &'a Workplace,
    secrets: Vec<String>,
    /// What Nix may have in its environment.
    of_nix: Vec<String>,
}

impl<'a> Watch<'a> {
    /// For these secrets.
    pub fn of(at: &'a Workplace, secrets: &[&str]) -> Self {
        Self {
            at,
            secrets: secrets.iter().map(|it| (*it).to_owned()).collect(),
            of_nix: Vec::new(),
        }
    }

    /// For one more.
    pub fn also(&mut self, secret: &str) {
        self.secrets.push(secret.to_owned());
    }

    /// For one more, which Nix may have in its environment.
    pub fn also_but_nix(&mut self, secret: &str) {
        self.of_nix.push(secret.to_owned());
    }

    /// Runs it to its end; and where one of them was seen: in arguments and environments of
    /// other programs, in what it said, in files that others could read.
    pub fn run(&self, command: &mut Command) -> (Ended, Vec<String>) {
        let (out, err) = (self.at.path("../out"), self.at.path("../err"));
        command.stdout(fs::File::create(&out).unwrap());
        command.stderr(fs::File::create(&err).unwrap());
        let mut running = command.spawn().unwrap();
        let mut seen = BTreeSet::new();
        let status = wait_for("the run", Duration::from_secs(120), || {
            seen.extend(self.seen(running.id()));
            running.try_wait().unwrap()
        });
        for file in [&out, &err] {
            let text = fs::read_to_string(file).unwrap();
            let all = self.secrets.iter().chain(&self.of_nix);
            seen.extend(
                all.filter(|it| text.contains(*it))
                    .map(|_| file.display().to_string()),
            );
        }
        (Ended::told(status, &out, &err), seen.into_iter().collect())
    }

    fn seen(&self, of: u32) -> Vec<String> {
        let mut seen = Vec::new();
        for secret in &self.secrets {
            seen.extend(processes_that_show(secret, of));
        }
        for secret in &self.of_nix {
            seen.extend(shown(secret, of, |program| program.ends_with("nix")));
        }
        for secret in self.secrets.iter().chain(&self.of_nix) {
            for folder in ["", "../tmp"] {
                seen.extend(open_files_that_show(secret, &self.at.path(folder)));
            }
        }
        seen
    }
}

/// Files below a folder that others could read if they could enter it.
fn open_files_that_show(secret: &str, below: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(below).into_iter().flatten().flatten() {
        // What is gone by now was seen by nobody.
        let Ok(metadata) = entry.path().symlink_metadata() else {
            continue;
        };
        if metadata.is_symlink() || metadata.permissions().mode() & 0o077 == 0 {
            continue;
        }
        if metadata.is_dir() {
            found.extend(open_files_that_show(secret, &entry.path()));
            continue;
        }
        let text = fs::read(entry.path()).unwrap_or_default();
        let mut parts = text.windows(secret.len());
        if parts.any(|part| part == secret.as_bytes()) {
            found.push(entry.path().display().to_string());
        }
    }
    found
}

/// Of this machine's store what has come in the last minutes and has it.
pub fn store_paths_that_show(secret: &str) -> String {
    let mut find = program("find");
    find.args(["/nix/store", "-mindepth", "1", "-maxdepth", "1"]);
    find.args(["-cmin", "-3"]);
    find.args(["-exec", "grep", "-rlF", "--", secret, "{}", "+"]);
    run(&mut find).stdout
}
