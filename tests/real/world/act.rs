//! `act`, which runs workflows as GitHub's runner does: here without containers, without docker
//! and without a network, as the user that started it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::flake::Flake;
use super::nixpy::binary;
use super::program::{Ended, NIX_CONFIG, output_of, program_at, run};

/// Labels that a job may ask for: each is this machine.
const LABELS: [&str; 3] = ["ubuntu-latest", "ubuntu-24.04", "ubuntu-24.04-arm"];

/// A repository with a flake, this action at its top, and one workflow.
pub struct Repository {
    dir: TempDir,
}

impl Repository {
    /// In the workflow `PROGRAM` stands for the program under test.
    pub fn new(flake: &Flake, workflow: &str) -> Self {
        let repository = Self::without_flake(workflow);
        let from = flake.folder().join(".");
        output_of("cp", [Path::new("-r"), &from, &repository.folder()]);
        repository.committed()
    }

    /// The examples that users copy, as they are, beside a flake.
    pub fn with_examples(flake: &Flake, examples: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("repository");
        let workflows = folder.join(".github/workflows");
        fs::create_dir_all(&workflows).unwrap();
        for example in examples {
            let file = project().join("examples/workflows").join(example);
            fs::copy(file, workflows.join(example)).unwrap();
        }
        output_of("cp", [Path::new("-r"), &flake.folder().join("."), &folder]);
        Self { dir }.committed()
    }

    /// One in which nothing is to be built.
    pub fn empty(workflow: &str) -> Self {
        Self::without_flake(workflow).committed()
    }

    fn without_flake(workflow: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("repository");
        fs::create_dir_all(folder.join(".github/workflows")).unwrap();
        let project = project();
        for part in ["action.yml", "action"] {
            output_of("cp", [Path::new("-r"), &project.join(part), &folder]);
        }
        let workflow = workflow.replace("PROGRAM", binary().to_str().unwrap());
        fs::write(folder.join(".github/workflows/test.yaml"), workflow).unwrap();
        Self { dir }
    }

    fn committed(self) -> Self {
        let folder = self.folder();
        let place = ["-C", folder.to_str().unwrap()];
        let who = ["-c", "user.name=me", "-c", "user.email=me@localhost"];
        let git = |arguments: &[&str]| output_of("git", [&place[..], &who, arguments].concat());
        git(&["init", "--quiet", "--initial-branch", "main"]);
        git(&[
            "remote",
            "add",
            "origin",
            "https://github.com/Acme/Service.git",
        ]);
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "--message", "a service"]);
        self
    }

    /// Where it is.
    pub fn folder(&self) -> PathBuf {
        self.dir.path().join("repository")
    }

    /// Everything that act keeps, and the jobs' temporary files.
    pub fn kept(&self) -> PathBuf {
        self.dir.path().join("act")
    }

    /// The tool cache has this program, as the runner's image would have it or an earlier job has
    /// left it, and the list of the action in this folder names it.
    pub fn has_in_tool_cache(&self, program: &Path, action: &Path) {
        let list = action.join("action/checksums.txt");
        let text = fs::read_to_string(&list).unwrap();
        let head = text.lines().next().unwrap();
        let version = head.strip_prefix("# nixpy-ci ").unwrap();
        let (arch, system) = match std::env::consts::ARCH {
            "aarch64" => ("arm64", "aarch64-linux"),
            _ => ("x64", "x86_64-linux"),
        };
        let tools = self
            .kept()
            .join("cache/act/tool_cache/nixpy-ci")
            .join(version);
        fs::create_dir_all(tools.join(arch)).unwrap();
        symlink(program, tools.join(arch).join("nixpy-ci")).unwrap();
        fs::write(tools.join(format!("{arch}.complete")), "").unwrap();
        let sum = output_of("sha256sum", [program]);
        let sum = sum.split(' ').next().unwrap();
        fs::write(&list, format!("{text}{sum}  nixpy-ci-{system}\n")).unwrap();
    }

    /// The commit that is built.
    pub fn commit(&self) -> String {
        let folder = self.folder();
        output_of("git", ["-C", folder.to_str().unwrap(), "rev-parse", "HEAD"])
    }

    /// The workflow's jobs for this event, to their end.
    pub fn on(&self, event: &str, payload: &Value) -> Job {
        Job::of(run(&mut self.command(event, payload)))
    }

    /// The same, not yet started.
    pub fn command(&self, event: &str, payload: &Value) -> Command {
        let file = self.dir.path().join("event.json");
        fs::write(&file, payload.to_string()).unwrap();
        let mut act = program_at(&tool("bin/act"));
        act.arg(event).arg("--eventpath").arg(file);
        act.args(["--action-offline-mode", "--pull=false", "--no-cache-server"]);
        for label in LABELS {
            act.arg(format!("--platform={label}=-self-hosted"));
        }
        act.args(["--actor", "octocat", "--env"])
            .arg(format!("NIX_CONFIG={NIX_CONFIG}"));
        let path = std::env::var("PATH").unwrap_or_default();
        let home = self.kept();
        act.env("PATH", format!("{}:{path}", tool("bin").display()))
            .env("HOME", &home)
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_STATE_HOME", home.join("state"))
            .env("DOCKER_HOST", "unix:///dev/null")
            .env_remove("TMPDIR")
            .current_dir(self.folder());
        act
    }
}

/// A workflow's jobs that have ended.
pub struct Job {
    /// As a program that has ended; its exit code is 0 if every job has succeeded.
    pub ended: Ended,
}

impl Job {
    /// What act has said of it.
    pub fn of(ended: Ended) -> Self {
        Self { ended }
    }

    /// What a step has written as an output, in a line of the form that act tells it in.
    pub fn output(&self, name: &str) -> &str {
        let mark = format!("::set-output:: {name}=");
        let mut lines = self.ended.stdout.lines();
        let found = lines.find_map(|line| Some(line.split_once(mark.as_str())?.1));
        found.unwrap_or_else(|| panic!("there is no output {name}: {}", self.ended))
    }

    /// What was printed by steps, without act's own words.
    pub fn printed(&self) -> String {
        let lines = self.ended.stdout.lines();
        let said = lines.filter_map(|line| Some(line.split_once("]   | ")?.1));
        said.collect::<Vec<_>>().join("\n")
    }

    /// The errors that the job's page shows. Of commands that it was told not to obey, act
    /// prints the line with another sign.
    pub fn errors(&self) -> Vec<&str> {
        let lines = self.ended.stdout.lines();
        lines
            .filter_map(|line| Some(line.split_once("\u{2757}  ")?.1))
            .collect()
    }

    /// What the summary of the job's page shows.
    pub fn summary(&self) -> String {
        let (_, after) = self
            .ended
            .stdout
            .split_once("Summary - ")
            .unwrap_or_else(|| panic!("there is no summary: {}", self.ended));
        let lines = after
            .lines()
            .take_while(|line| !line.starts_with("[test.yaml/"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// A program or file that `make test-deps` has brought.
pub fn tool(name: &str) -> PathBuf {
    // Cargo's folder for tests lies in that of the build.
    let built = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut folders = built.ancestors();
    let file =
        folders.find_map(|folder| Some(folder.join("tools").join(name)).filter(|it| it.exists()));
    file.unwrap_or_else(|| panic!("target/tools/{name} is not there: run `make test-deps`"))
}

/// This repository.
pub fn project() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap()
}
