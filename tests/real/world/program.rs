//! Programs of this machine, run to their end.

use std::ffi::OsStr;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Programs that tests need, and the Debian packages that have them.
const PACKAGES: [(&str, &str); 25] = [
    ("apt-get", "apt"),
    ("cp", "coreutils"),
    ("curl", "curl"),
    ("docker-registry", "docker-registry"),
    ("find", "findutils"),
    ("git", "git"),
    ("ip", "iproute2"),
    ("kill", "procps"),
    ("mmdebstrap", "mmdebstrap"),
    ("mount", "mount"),
    ("nginx", "nginx-light"),
    ("nix", "nix-bin (by `nixpy-ci setup`)"),
    ("nix-store", "nix-bin (by `nixpy-ci setup`)"),
    ("openssl", "openssl"),
    ("pgrep", "procps"),
    ("podman", "podman and crun"),
    ("script", "bsdutils"),
    ("sha256sum", "coreutils"),
    ("skopeo", "skopeo"),
    ("ssh-add", "openssh-client"),
    ("ssh-agent", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("sshd", "openssh-server"),
    ("strip", "binutils"),
    ("unshare", "util-linux"),
];

/// What is tested is built here, and not fetched from a cache that may be out of reach.
pub const NIX_CONFIG: &str = "substituters =";

/// A program that has ended.
pub struct Ended {
    /// Its exit code; -1 if a signal ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    command: String,
}

/// The command for a program that has to be here.
pub fn program(name: &str) -> Command {
    program_at(&place_of(name))
}

/// The command for a program that is not in the PATH.
pub fn program_at(place: &Path) -> Command {
    let mut command = Command::new(place);
    command.stdin(Stdio::null()).env("NIX_CONFIG", NIX_CONFIG);
    command
}

/// A shell script with mounts of its own, to be given `$0` and what follows.
pub fn script_with_own_mounts(script: &str) -> Command {
    let mut command = program("unshare");
    let unshare = ["--mount", "--propagation", "private", "sh", "-eu", "-c"];
    command.args(unshare).arg(script);
    command
}

/// Where a program is that has to be here.
pub fn place_of(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    let package = PACKAGES.iter().find(|(program, _)| *program == name);
    let package = package.map_or(name, |(_, package)| package);
    found
        .unwrap_or_else(|| panic!("{name} is not here: install {package}, or run `make test-deps`"))
}

/// Runs to the end, whatever that is.
pub fn run(command: &mut Command) -> Ended {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        command: format!("{command:?}"),
    }
}

/// Runs a program that must succeed, and gives what it wrote, without the last newline.
pub fn output_of<A: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = A>) -> String {
    run(program(name).args(arguments))
        .succeeded()
        .stdout
        .trim_end()
        .to_owned()
}

/// Asks every 50 ms until there is an answer, or the time is over.
pub fn wait_for<T>(what: &str, at_most: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < at_most, "waited {at_most:?} for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until this server takes connections. One that has ended does not: who answers then is
/// somebody else.
pub fn listens(server: &mut Child, address: SocketAddr) {
    wait_for("a server to listen", Duration::from_secs(60), || {
        let connected = TcpStream::connect(address).ok();
        let ended = server.try_wait().unwrap();
        assert!(ended.is_none(), "it should listen at {address}: {ended:?}");
        connected
    });
}

impl Ended {
    /// One that wrote to files, and has ended so.
    pub fn told(status: ExitStatus, stdout: &Path, stderr: &Path) -> Self {
        let text =
            |file: &Path| String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
        Self {
            code: status.code().unwrap_or(-1),
            stdout: text(stdout),
            stderr: text(stderr),
            command: "a command".to_owned(),
        }
    }

    /// Fails the test, with all that the program said, unless its exit code is 0.
    pub fn succeeded(self) -> Self {
        self.ended_with(0)
    }

    /// Fails the test unless this is the exit code.
    pub fn ended_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// Fails the test unless there is one line that begins with `error:`, the
    /// exit code is this, and the line has all these words; gives the line.
    pub fn complains(self, code: i32, words: &[&str]) -> String {
        let ended = self.ended_with(code);
        let lines: Vec<_> = ended
            .stderr
            .lines()
            .filter(|line| line.starts_with("error:"))
            .collect();
        assert_eq!(lines.len(), 1, "one line of complaint is wanted: {ended}");
        assert!(!ended.stderr.contains("panicked"), "{ended}");
        for word in words {
            assert!(
                lines[0].contains(word),
                "`{word}` is not in the complaint: {ended}"
            );
        }
        lines[0].to_owned()
    }

    /// Standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("not JSON: {e}: {self}"))
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            code,
            stdout,
            stderr,
            command,
        } = self;
        write!(
            f,
            "{command} ended with {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
        )
    }
}
