//! Builds on other machines: reached by ssh, each with a Nix of its own, and each able to
//! fail in its own way while the run goes on.

mod key;
mod lost;
mod reached;
mod refused;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::world::builder::{Builder, Key, here};
use crate::world::flake::Flake;
use crate::world::nap::Nap;
use crate::world::nixpy::{Workplace, binary};
use crate::world::program::{Ended, output_of, program, run, wait_for};

const MACHINE_CANNOT: i32 = 3;
const ARM: &str = "aarch64-linux";
const BUILD: &str = "echo building $stamp; cat $archive > $out";

/// One run with builders: who they are, and what this side knows of them.
struct Setting<'a> {
    key: &'a Key,
    lines: Vec<String>,
    known_hosts: Vec<String>,
    emulates: bool,
    more: Vec<&'a str>,
}

impl<'a> Setting<'a> {
    fn with(key: &'a Key, builders: &[&Builder]) -> Self {
        Self {
            key,
            lines: builders.iter().map(|builder| builder.line()).collect(),
            known_hosts: builders
                .iter()
                .map(|builder| builder.known_host())
                .collect(),
            emulates: false,
            more: Vec::new(),
        }
    }

    fn command(&self, at: &Workplace, flake: &Flake) -> (std::process::Command, TempDir) {
        let image = flake.image();
        let mut command = at.command([&image, "--json", "--layout", "out"]);
        command.args(&self.more);
        if !self.emulates {
            // The kernel could, and Nix would be told so.
            command.arg("--nix-option=extra-platforms=");
        }
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        let known_hosts: Vec<&str> = self.known_hosts.iter().map(String::as_str).collect();
        let conf = here(&mut command, self.key, &lines, &known_hosts, self.emulates);
        (command, conf)
    }

    fn run(&self, at: &Workplace, flake: &Flake) -> Ended {
        let (mut command, _conf) = self.command(at, flake);
        run(&mut command)
    }

    /// Runs it, and does something as soon as a builder waits.
    fn run_until(
        &self,
        nap: &Nap,
        then: impl FnOnce(u32),
        at: &Workplace,
        flake: &Flake,
    ) -> (Ended, Duration) {
        let (mut command, _conf) = self.command(at, flake);
        let (out, err) = (at.path("../out"), at.path("../err"));
        command.stdout(fs::File::create(&out).unwrap());
        command.stderr(fs::File::create(&err).unwrap());
        let mut running = command.spawn().unwrap();
        wait_for("the builder", Duration::from_secs(120), || {
            assert!(
                running.try_wait().unwrap().is_none(),
                "{}",
                fs::read_to_string(&err).unwrap()
            );
            nap.is_on().then_some(())
        });
        let begun = Instant::now();
        then(running.id());
        let status = wait_for("the run", Duration::from_secs(120), || {
            running.try_wait().unwrap()
        });
        let took = begun.elapsed();
        (Ended::told(status, &out, &err), took)
    }
}

/// What the report says of the one platform.
fn machine(ended: &Ended) -> Option<String> {
    let report = ended.json();
    let machine = &report["platforms"][0]["machine"];
    machine.as_str().map(str::to_owned)
}

/// What the report says of builders, with their names.
fn troubles(ended: &Ended) -> Vec<(String, String)> {
    let report = ended.json();
    let troubles = report["troubles"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    troubles
        .iter()
        .map(|one| (text(&one["builder"]), text(&one["what"])))
        .collect()
}

fn output(ended: &Ended) -> String {
    ended.json()["platforms"][0]["output"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// A script that waits on builders that are slow, and on no others.
fn slowly() -> (Nap, String) {
    let nap = Nap::new();
    let waits = nap.script();
    let script = format!("echo $stamp; if [ -e /slow ]; then {waits}; fi; cat $archive > $out");
    (nap, script)
}
