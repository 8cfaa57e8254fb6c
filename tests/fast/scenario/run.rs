//! Starting the program, and waiting for it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nixpy_testkit::fake_nix::FakeNix;

use super::{Ended, Scenario};

/// Longer than any run of this tier, retries included.
const PATIENCE: Duration = Duration::from_secs(60);

/// A run that is not yet started.
pub struct Run<'a> {
    scenario: &'a Scenario,
    arguments: Vec<String>,
    variables: BTreeMap<String, OsString>,
    has_nix: bool,
    nix: Option<Arc<FakeNix>>,
}

/// A run that goes on.
pub struct Running {
    child: Child,
    nix: Arc<FakeNix>,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
    begun: Instant,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        scenario: &'a Scenario,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self {
            scenario,
            arguments: arguments.into_iter().map(str::to_owned).collect(),
            variables: BTreeMap::new(),
            has_nix: true,
            nix: None,
        }
    }

    /// With a variable in its environment.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    /// With one argument more.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// With several variables.
    pub fn envs<'v>(mut self, variables: impl IntoIterator<Item = (&'v str, &'v str)>) -> Self {
        for (name, value) in variables {
            self = self.env(name, value);
        }
        self
    }

    /// On a machine without Nix.
    pub fn without_nix(mut self) -> Self {
        self.has_nix = false;
        self
    }

    /// With the same program that another run has called; its calls add up.
    pub fn by_the_nix_of(mut self, before: &Ended) -> Self {
        self.nix = Some(before.nix.clone());
        self
    }

    /// Starts it, and waits for its end.
    pub fn ended(self) -> Ended {
        self.started().ended()
    }

    /// Starts it with standard output and error going to somebody who has left.
    pub fn ended_unheard(self) -> Ended {
        let (mut command, nix) = self.command();
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        drop(child.stderr.take());
        Running::of(child, nix).ended()
    }

    /// Starts it.
    pub fn started(self) -> Running {
        let (mut command, nix) = self.command();
        let child = command.spawn().unwrap();
        Running::of(child, nix)
    }

    fn command(&self) -> (Command, Arc<FakeNix>) {
        let scenario = self.scenario;
        let nix = self.nix.clone().unwrap_or_else(|| Arc::new(scenario.nix()));
        let mut path = vec![scenario.programs()];
        path.extend(self.has_nix.then(|| nix.path_dir()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_nixpy-ci"));
        command
            .args(&self.arguments)
            .current_dir(scenario.checkout())
            .env_clear()
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("HOME", scenario.home())
            .env("TMPDIR", scenario.temporary())
            // What is not named otherwise is asked on the network.
            .env("NIXPY_CACHE_UPSTREAM", "file:///nowhere")
            .envs(&self.variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        (command, nix)
    }
}

impl Running {
    fn of(mut child: Child, nix: Arc<FakeNix>) -> Self {
        Self {
            stdout: child.stdout.take().map(reading),
            stderr: child.stderr.take().map(reading),
            child,
            nix,
            begun: Instant::now(),
        }
    }

    /// Asks it to end, as `docker stop` and a cancelled workflow do.
    pub fn terminate(&self) {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(asked.success());
    }

    /// Waits until something has come about, which it must before its end.
    pub fn until(mut self, come_about: impl Fn(&FakeNix) -> bool) -> Self {
        loop {
            let ended = self.child.try_wait().unwrap();
            if come_about(&self.nix) {
                break;
            }
            assert!(ended.is_none(), "it has ended before: {ended:?}");
            assert!(self.begun.elapsed() < PATIENCE, "it never came about");
            thread::sleep(Duration::from_millis(2));
        }
        self
    }

    /// Waits for its end.
    pub fn ended(mut self) -> Ended {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.begun.elapsed() > PATIENCE {
                let _ = self.child.kill();
            }
            thread::sleep(Duration::from_millis(2));
        };
        let took = self.begun.elapsed();
        let text = |reader: Option<JoinHandle<String>>| {
            reader.map_or_else(String::new, |reader| reader.join().unwrap())
        };
        Ended {
            // Killed by us: there is no code, and no test expects this one.
            code: status.code().unwrap_or(-1),
            stdout: text(self.stdout.take()),
            stderr: text(self.stderr.take()),
            nix: self.nix,
            took,
        }
    }
}

fn reading(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    })
}
