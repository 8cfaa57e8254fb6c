//! Small flakes, each written for one test: packages for one system, built by
//! a line of shell.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use nixpy_testkit::archive::DockerArchive;
use tempfile::TempDir;

use super::example::example;

/// What nixpy-ci calls this machine's system.
pub fn own_system() -> String {
    format!("{}-linux", std::env::consts::ARCH)
}

/// A folder with a flake, whose package `image` is built by a shell script.
pub struct Flake {
    dir: TempDir,
    stamp: String,
}

impl Flake {
    /// The script has busybox's programs, `$out`, and `$stamp`, which no other flake has.
    pub fn built_by(script: &str) -> Self {
        Self::for_systems(&[&own_system()], script)
    }

    /// For several systems.
    pub fn for_systems(systems: &[&str], script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let stamp = stamp();
        let mut packages = String::new();
        for system in systems {
            let parts = dir.path().join(system);
            fs::create_dir(&parts).unwrap();
            let shell = example().built(system, "busybox").join("bin/busybox");
            fs::copy(shell, parts.join("busybox")).unwrap();
            let architecture = if *system == "aarch64-linux" {
                "arm64"
            } else {
                "amd64"
            };
            let archive = archive(&stamp).config("architecture", architecture.into());
            fs::write(parts.join("archive"), archive.build()).unwrap();
            packages.push_str(&format!(
                r#"packages.{system}.image = derivation {{
                    name = "small-image";
                    imageName = "small";
                    system = "{system}";
                    stamp = "{stamp}";
                    archive = ./{system}/archive;
                    busybox = "${{./{system}}}/busybox";
                    builder = "${{./{system}}}/busybox";
                    args = [ "sh" "-eu" ./script ];
                }};
                "#
            ));
        }
        fs::write(
            dir.path().join("flake.nix"),
            format!("{{ outputs = {{ self }}: {{ {packages} }}; }}"),
        )
        .unwrap();
        let programs =
            "mkdir bin; for p in cat cp echo sleep; do ln -s $busybox bin/$p; done; PATH=$PWD/bin";
        let mkdir = "mkdir() { $busybox mkdir $*; }; ln() { $busybox ln $*; }";
        fs::write(
            dir.path().join("script"),
            format!("{mkdir}\n{programs}\n{script}\n"),
        )
        .unwrap();
        Self { dir, stamp }
    }

    /// Whose image is this archive.
    pub fn with_archive(bytes: &[u8]) -> Self {
        let flake = Self::built_by("cat $archive > $out");
        fs::write(flake.dir.path().join(own_system()).join("archive"), bytes).unwrap();
        flake
    }

    /// Whose image is small and sound.
    pub fn small() -> Self {
        Self::built_by("echo building $stamp; cat $archive > $out")
    }

    /// The reference of its image.
    pub fn image(&self) -> String {
        format!("path:{}#image", self.dir.path().display())
    }

    /// Where it is.
    pub fn folder(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// What no other flake has.
    pub fn stamp(&self) -> &str {
        &self.stamp
    }
}

/// A small archive, other than any before.
pub fn archive(stamp: &str) -> DockerArchive {
    DockerArchive::of("small:1").layer(&[("etc/stamp", stamp.as_bytes())])
}

/// Other than any before, so that nothing has been built yet.
pub fn stamp() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    format!(
        "{}-{}",
        now.as_nanos(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}
