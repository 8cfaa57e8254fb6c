//! The program under test, in a folder of its own.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::program::{Ended, NIX_CONFIG, run};

/// A folder to work in, and one for temporary files. Both are gone when this is dropped.
pub struct Workplace {
    dir: TempDir,
}

impl Workplace {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        fs::create_dir(dir.path().join("tmp")).unwrap();
        Self { dir }
    }

    /// A file or folder in the folder to work in.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("work").join(name)
    }

    /// `nixpy-ci run` with these arguments.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ended {
        run(&mut self.command(arguments))
    }

    /// The same, not yet started: as a person would start it, who has set none of its variables.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.nixpy(["run"]);
        command.args(arguments);
        command
    }

    /// `nixpy-ci` with these arguments, not yet started.
    pub fn nixpy<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        // Whoever runs the tests may have been told to ignore a signal, as by nohup, and what
        // they start would be too.
        let mut command = Command::new("/usr/bin/env");
        command.arg("--default-signal=HUP,INT,TERM").arg(binary());
        command.args(arguments);
        self.prepare(&mut command);
        command
    }

    /// Lets any command run here.
    pub fn prepare(&self, command: &mut Command) {
        let ours = ["NIXPY_", "INPUT_", "GITHUB_"];
        for (name, _) in std::env::vars_os() {
            if ours
                .iter()
                .any(|prefix| name.to_string_lossy().starts_with(prefix))
            {
                command.env_remove(name);
            }
        }
        command
            .stdin(Stdio::null())
            .env("NIX_CONFIG", NIX_CONFIG)
            // What is not named otherwise is asked on the network.
            .env("NIXPY_CACHE_UPSTREAM", "file:///nowhere")
            // As a machine that remembers nothing.
            .env("XDG_STATE_HOME", "/dev/null/state")
            .current_dir(self.dir.path().join("work"))
            .env("TMPDIR", self.dir.path().join("tmp"));
    }

    /// Whether a process still has this folder to work in, as those have that a run here starts.
    pub fn is_busy(&self) -> bool {
        let here = self.path("").canonicalize().unwrap();
        let mut processes = fs::read_dir("/proc").unwrap().flatten();
        processes.any(|process| {
            fs::read_link(process.path().join("cwd")).is_ok_and(|folder| folder == here)
        })
    }

    /// Fails the test unless nothing but these is in the folder to work in, and no temporary file is left.
    pub fn has_only(&self, names: &[&str]) {
        assert_eq!(names_in(&self.dir.path().join("work")), names);
        assert!(
            names_in(&self.dir.path().join("tmp")).is_empty(),
            "temporary files are left"
        );
    }
}

/// The program that cargo built for this test.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_nixpy-ci"))
}

/// What is in a folder, sorted.
pub fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
