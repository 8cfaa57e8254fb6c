//! A machine for a test: a folder for its files, a script for its programs.

use std::io;
use std::path::Path;
use std::sync::Mutex;

use crate::machine::{
    Arch, Environment, Finished, Invocation, Machine, Root, Runner, SetupPlan, Site, Wanted, elf,
};

type Reaction = Box<dyn Fn(&Root, &Invocation) -> Finished + Send + Sync>;

pub(super) const BINFMT: &str = "/proc/sys/fs/binfmt_misc";

pub(super) struct Fake {
    folder: tempfile::TempDir,
    root: Root,
    environment: Environment,
    script: Script,
}

/// Answers to lines that begin or end in a certain way, the latest first.
struct Script {
    root: Root,
    answers: Vec<(String, Reaction)>,
    unstartable: Vec<(String, fn() -> io::Error)>,
    log: Mutex<Vec<String>>,
}

impl Runner for Script {
    async fn run(&self, invocation: &Invocation) -> io::Result<Finished> {
        let line = invocation.line();
        self.log.lock().expect("log").push(line.clone());
        let matching =
            |key: &str| line == key || line.starts_with(&format!("{key} ")) || line.ends_with(key);
        if let Some((_, error)) = self.unstartable.iter().find(|(key, _)| matching(key)) {
            return Err(error());
        }
        match self.answers.iter().rev().find(|(key, _)| matching(key)) {
            Some((_, react)) => Ok(react(&self.root, invocation)),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }
}

pub(super) fn says(text: &str) -> Finished {
    Finished {
        code: Some(0),
        stdout: text.to_owned(),
        stderr: String::new(),
    }
}

pub(super) fn put(root: &Root, path: &str, content: impl AsRef<[u8]>) {
    let path = root.path(path);
    std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
    std::fs::write(path, content).expect("file");
}

impl Fake {
    /// Root on an x86_64 Linux that has nothing yet, with all rights.
    pub(super) fn linux(os_release: &str) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let root = Root::at(folder.path());
        let script = Script {
            root: root.clone(),
            answers: Vec::new(),
            unstartable: Vec::new(),
            log: Mutex::default(),
        };
        let home = Some("/home/dev".into());
        let environment = Environment {
            path: vec!["/usr/bin".into()],
            home,
            ..Environment::default()
        };
        Self {
            folder,
            root,
            environment,
            script,
        }
        .file("/etc/os-release", os_release)
        .file(
            "/proc/self/status",
            "CapEff:\t000001ffffffffff\nCapBnd:\t000001ffffffffff\n",
        )
        .file("/usr/bin/xz", "")
        .file("/usr/bin/tar", "")
        .answer("uname -s", "Linux")
        .answer("uname -m", "x86_64")
        .answer("id -un", "dev")
        .answer("id -Gn", "dev")
        .answer("id -u", "0")
        .answer("unshare --user", "")
        .react("proof-aarch64", |_, _| Finished {
            code: Some(126),
            stderr: "Exec format error".to_owned(),
            ..Finished::default()
        })
    }

    pub(super) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        put(&self.root, path, content);
        self
    }

    pub(super) fn answer(self, line: &str, text: &'static str) -> Self {
        self.react(line, move |_, _| says(text))
    }

    pub(super) fn react(
        mut self,
        line: &str,
        react: impl Fn(&Root, &Invocation) -> Finished + Send + Sync + 'static,
    ) -> Self {
        self.script.answers.push((line.to_owned(), Box::new(react)));
        self
    }

    /// A program that cannot even be started.
    pub(super) fn unstartable(mut self, line: &str, error: fn() -> io::Error) -> Self {
        self.script.unstartable.push((line.to_owned(), error));
        self
    }

    pub(super) fn env(mut self, change: impl FnOnce(&mut Environment)) -> Self {
        change(&mut self.environment);
        self
    }

    /// Debian's or Ubuntu's packages, in these versions.
    pub(super) fn apt(self, nix: &str, qemu: &str) -> Self {
        let mut policy = String::new();
        for name in ["nix-bin", "nix-setup-systemd"] {
            policy += &format!("{name}:\n  Installed: (none)\n  Candidate: {nix}\n");
        }
        for name in ["qemu-user-static", "qemu-user", "qemu-user-binfmt"] {
            policy += &format!("{name}:\n  Installed: (none)\n  Candidate: {qemu}\n");
        }
        self.file("/usr/bin/apt-get", "")
            .react("apt-cache policy", move |_, _| says(&policy))
    }

    pub(super) fn systemd(self) -> Self {
        self.file("/run/systemd/system/.keep", "")
    }

    /// A user who is not root; `sudo` says whether it works without a password.
    pub(super) fn user(self, sudo: bool) -> Self {
        let fake = self.answer("id -u", "1000");
        if sudo {
            fake.answer("sudo -n", "")
        } else {
            fake
        }
    }

    pub(super) fn nix(self, version: &'static str) -> Self {
        self.file("/usr/bin/nix", "")
            .react("/usr/bin/nix --version", move |_, _| {
                says(&format!("nix (Nix) {version}"))
            })
    }

    pub(super) fn qemu(self) -> Self {
        self.file("/usr/bin/qemu-aarch64-static", elf::says_ok(Arch::X86_64))
    }

    /// A registration with these flags, under which programs run.
    pub(super) fn registered(self, name: &str, flags: &str) -> Self {
        self.file(&format!("{BINFMT}/register"), "")
            .file(&format!("{BINFMT}/status"), "enabled")
            .file(&format!("{BINFMT}/{name}"), registration(flags))
            .answer("proof-aarch64", "ok\n")
    }

    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn read(&self, path: &str) -> String {
        self.root.read(path).unwrap_or_default()
    }

    pub(super) fn site(&self) -> Site<'_, impl Runner + use<>> {
        Site {
            root: &self.root,
            environment: &self.environment,
            runner: &self.script,
        }
    }

    pub(super) async fn machine(&self) -> Machine {
        Machine::probe(&self.site()).await
    }

    pub(super) async fn plan(&self) -> SetupPlan {
        SetupPlan::make(&self.machine().await, &wanted())
    }

    /// What ran so far that may change something.
    pub(super) fn changes(&self) -> Vec<String> {
        let looking = [
            "uname",
            "id ",
            "apt-cache",
            "unshare",
            "sudo -n -- true",
            "sudo -n -- unshare",
            "/usr/bin/nix",
            "/tmp",
        ];
        let log = self.script.log.lock().expect("log");
        log.iter()
            .filter(|line| !looking.iter().any(|start| line.starts_with(start)))
            .cloned()
            .collect()
    }
}

pub(super) fn wanted() -> Wanted {
    Wanted {
        systems: vec!["x86_64-linux".to_owned(), "aarch64-linux".to_owned()],
        ..Wanted::default()
    }
}

pub(super) fn registration(flags: &str) -> String {
    format!(
        "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: {flags}\noffset 0\n\
         magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n"
    )
}

pub(super) const DEBIAN_12: &str =
    "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n";
pub(super) const DEBIAN_13: &str =
    "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nVERSION_ID=\"13\"\nID=debian\n";
pub(super) const UBUNTU_2404: &str =
    "PRETTY_NAME=\"Ubuntu 24.04.1 LTS\"\nVERSION_ID=\"24.04\"\nID=ubuntu\nID_LIKE=debian\n";
pub(super) const DEBIANS_CONF: &str = "# see https://nixos.org/nix/manual/#sec-conf-file\n\n\
    # So far the sandbox feature does not seem to work on Debian:\nsandbox = false\n";
