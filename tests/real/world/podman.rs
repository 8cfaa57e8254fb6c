//! podman with a storage of its own, and containers that answer.
//!
//! It is called through a script of the same name, so that `--load podman` comes
//! here too. The script hides the second hierarchy of control groups that some
//! machines have, because crun refuses to run beside it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use nixpy_testkit::ports::free_address;
use tempfile::TempDir;

use super::program::{output_of, place_of, program, run, wait_for};

/// A podman that shares nothing with the machine's.
pub struct Podman {
    dir: TempDir,
}

impl Podman {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("podman-")
            .tempdir()
            .unwrap();
        let place = dir.path().display();
        // An overlay on an overlay, as in a container, is not possible everywhere.
        let below = output_of("stat", ["-f", "-c", "%T", &place.to_string()]);
        let driver = if below == "overlayfs" {
            "vfs"
        } else {
            "overlay"
        };
        let write = |name: &str, text: String| fs::write(dir.path().join(name), text).unwrap();
        write(
            "storage.conf",
            format!(
                "[storage]\ndriver = \"{driver}\"\ngraphroot = \"{place}/root\"\nrunroot = \"{place}/run\"\n"
            ),
        );
        write(
            "containers.conf",
            format!(
                "[engine]\ntmp_dir = \"{place}/tmp\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n\
                 runtime = \"crun\"\n[containers]\ncgroups = \"disabled\"\nnetns = \"host\"\n\
                 default_ulimits = [\"nofile=20000:20000\", \"nproc=32768:32768\"]\n"
            ),
        );
        write(
            "podman",
            format!(
                "#!/bin/sh\nexport CONTAINERS_STORAGE_CONF={place}/storage.conf CONTAINERS_CONF={place}/containers.conf\n\
                 exec unshare -m --propagation private sh -c \
                 'umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$@\"' sh {} \"$@\"\n",
                place_of("podman").display()
            ),
        );
        fs::set_permissions(dir.path().join("podman"), fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    /// Lets a command find this podman.
    pub fn offer_to(&self, command: &mut Command) {
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.dir.path().display()));
    }

    /// Fails the test if a container or an image is left.
    pub fn has_nothing(&self) {
        assert_eq!(
            self.says(&["ps", "--all", "--quiet"]),
            "",
            "containers are left"
        );
        assert_eq!(
            self.says(&["images", "--all", "--quiet"]),
            "",
            "images are left"
        );
    }

    /// What podman answers.
    pub fn says(&self, arguments: &[&str]) -> String {
        run(&mut self.command(arguments))
            .succeeded()
            .stdout
            .trim_end()
            .to_owned()
    }

    /// Gets one platform's image; gives its ID.
    pub fn pull(&self, reference: &str, platform: &str) -> String {
        let pulled = self.says(&[
            "pull",
            "--quiet",
            "--tls-verify=false",
            "--platform",
            platform,
            reference,
        ]);
        pulled.lines().last().unwrap().to_owned()
    }

    /// The architecture of an image.
    pub fn architecture(&self, image: &str) -> String {
        self.says(&["image", "inspect", "--format", "{{.Architecture}}", image])
    }

    /// Runs an image on a free port until it answers, and gives the answer to `GET /`.
    pub fn answer_of(&self, image: &str) -> serde_json::Value {
        let port = free_address().port().to_string();
        let container = self.says(&["run", "--detach", "--env", &format!("PORT={port}"), image]);
        let route = format!("http://127.0.0.1:{port}/");
        let answer = wait_for("the service to answer", Duration::from_secs(120), || {
            let state = self.says(&["inspect", "--format", "{{.State.Status}}", &container]);
            assert_ne!(
                state,
                "exited",
                "{}",
                run(&mut self.command(&["logs", &container]))
            );
            let asked = run(program("curl").args(["--silent", "--fail", &route]));
            (asked.code == 0).then_some(asked.stdout)
        });
        // The first process of a container that is emulated does not heed SIGTERM.
        self.says(&["rm", "--force", "--time", "1", &container]);
        serde_json::from_str(&answer).unwrap()
    }

    /// podman with these arguments, not yet started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program("unshare");
        command.args(["--mount", "--propagation", "private"]);
        command.arg(self.dir.path().join("podman")).args(arguments);
        command
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // Containers of a test that failed.
        run(&mut self.command(&["rm", "--all", "--force", "--time", "0"]));
    }
}
