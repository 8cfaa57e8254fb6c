//! The distribution's `docker-registry`, on a free port of the loopback interface.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Child;

use nixpy_testkit::ports::free_address;
use tempfile::TempDir;

use super::program::{listens, program};

/// A running registry; dropping it ends it, and its storage is gone.
pub struct Registry {
    dir: TempDir,
    address: SocketAddr,
    process: Child,
}

/// `user` with the password `right`, as htpasswd -B writes it.
const USERS: &str = "user:$2b$04$zsyDCsG0MG4KctS.DhMRq.c/QOzu/ghYJjhACgrHbPe9uDXMoVmPC\n";

impl Registry {
    /// That takes everything from everybody.
    pub fn start() -> Self {
        Self::with_settings("", "")
    }

    /// That is being looked after, and takes nothing meanwhile.
    pub fn read_only() -> Self {
        Self::with_settings("maintenance: { readonly: { enabled: true } }", "")
    }

    /// That deletes what it is told to.
    pub fn that_deletes() -> Self {
        Self::with_settings("delete: { enabled: true }", "")
    }

    /// That wants a password.
    pub fn with_password() -> Self {
        Self::with_settings("", "auth: { htpasswd: { realm: test, path: users } }\n")
    }

    fn with_settings(storage: &str, settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = free_address();
        let config = format!(
            "version: 0.1\nlog: {{ level: info }}\nstorage: {{ filesystem: {{ rootdirectory: storage }}, {storage} }}\n\
             http: {{ addr: \"{address}\" }}\n{settings}"
        );
        fs::write(dir.path().join("config.yml"), config).unwrap();
        fs::write(dir.path().join("users"), USERS).unwrap();
        let process = serve(&dir, address);
        Self {
            dir,
            address,
            process,
        }
    }

    /// Host and port, as the first part of an image reference.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it at once, as a power cut would.
    pub fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again, on what it has stored.
    pub fn start_again(&mut self) {
        self.process = serve(&self.dir, self.address);
    }

    /// The names of a repository's tags.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let tags = self.tags_of(repository);
        if tags.exists() {
            super::nixpy::names_in(&tags)
        } else {
            Vec::new()
        }
    }

    /// Moves what a repository's tags say of their age into the past, by so many days: those
    /// of a cache have it in their names.
    pub fn age(&mut self, repository: &str, days: u64) {
        self.stop();
        let tags = self.tags_of(repository);
        for tag in super::nixpy::names_in(&tags) {
            let mut parts: Vec<String> = tag.split('-').map(str::to_owned).collect();
            let past = match parts[0].as_str() {
                "pack" => days * 86_400,
                "reached" => days,
                _ => continue,
            };
            let digits = parts[1].len();
            let then = parts[1].parse::<u64>().unwrap() - past;
            parts[1] = format!("{then:0digits$}");
            fs::rename(tags.join(&tag), tags.join(parts.join("-"))).unwrap();
        }
        self.start_again();
    }

    /// Every file that it stores, with its size and the time of its last change.
    pub fn files(&self) -> Vec<String> {
        let storage = self.storage().display().to_string();
        let found =
            super::program::output_of("find", [&storage, "-type", "f", "-printf", "%P %s %T@\n"]);
        let mut files: Vec<String> = found.lines().map(str::to_owned).collect();
        files.sort();
        files
    }

    /// Loses a blob's bytes, as a damaged disk would.
    pub fn lose(&self, digest: &str) {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let blob = self
            .storage()
            .join("blobs/sha256")
            .join(&hex[..2])
            .join(hex);
        fs::remove_dir_all(blob).unwrap();
    }

    fn tags_of(&self, repository: &str) -> PathBuf {
        let repositories = self.storage().join("repositories");
        repositories.join(repository).join("_manifests/tags")
    }

    fn storage(&self) -> PathBuf {
        self.dir.path().join("storage/docker/registry/v2")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(dir: &TempDir, address: SocketAddr) -> Child {
    let log = File::create(dir.path().join("log")).unwrap();
    let mut process = program("docker-registry")
        .args(["serve", "config.yml"])
        .current_dir(dir.path())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    listens(&mut process, address);
    process
}
