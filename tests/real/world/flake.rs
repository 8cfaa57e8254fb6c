//! Small flakes, each written for one test: packages for one system, built by
//! a line of shell.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use nixpy_testkit::archive::DockerArchive;
use serde_json::json;
use tempfile::TempDir;

use super::example::example;
use super::program::output_of;

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
    /// The script has busybox's programs, `$archive`, which is a sound image, and `$stamp`, which no other flake has.
    pub fn built_by(script: &str) -> Self {
        Self::for_systems(&[&own_system()], script)
    }

    /// For several systems.
    pub fn for_systems(systems: &[&str], script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let stamp = stamp();
        for system in systems {
            let parts = dir.path().join(system);
            fs::create_dir(&parts).unwrap();
            let shell = example().built(system, "busybox").join("bin/busybox");
            fs::copy(shell, parts.join("busybox")).unwrap();
            let archive = archive(&stamp).config("architecture", architecture(system).into());
            fs::write(parts.join("archive"), archive.build()).unwrap();
        }
        let packages: String = systems
            .iter()
            .map(|system| package(system, &stamp))
            .collect();
        let text = format!("{{ outputs = {{ self }}: {{\n{packages}}}; }}\n");
        fs::write(dir.path().join("flake.nix"), text).unwrap();
        fs::write(dir.path().join("script"), script).unwrap();
        Self { dir, stamp }
    }

    /// Whose image for aarch64 is made on x86_64 as well, under the name of another attribute.
    pub fn with_cross() -> Self {
        let both = ["x86_64-linux", "aarch64-linux"];
        let flake = Self::for_systems(&both, "echo building $stamp; cat $archive > $out");
        let file = flake.dir.path().join("flake.nix");
        let text = fs::read_to_string(&file).unwrap();
        let own = format!("packages.{}.image =", own_system());
        let crossed = package(&own_system(), &flake.stamp)
            .replace(&own, &format!("packages.{}.image-aarch64 =", own_system()))
            .replace("archive = ./x86_64-linux", "archive = ./aarch64-linux");
        let text = text.replacen(&own, &format!("{crossed}{own}"), 1);
        fs::write(file, text).unwrap();
        flake
    }

    /// Whose image can only be built by a machine that has this feature.
    pub fn requiring(feature: &str, system: &str, script: &str) -> Self {
        let flake = Self::for_systems(&[system], script);
        let file = flake.dir.path().join("flake.nix");
        let text = fs::read_to_string(&file).unwrap();
        let required = format!("requiredSystemFeatures = [ \"{feature}\" ]; name =");
        fs::write(file, text.replace("name =", &required)).unwrap();
        flake
    }

    /// Whose image is this archive.
    pub fn with_archive(bytes: &[u8]) -> Self {
        let flake = Self::built_by("cat $archive > $out");
        fs::write(flake.dir.path().join(own_system()).join("archive"), bytes).unwrap();
        flake
    }

    /// Whose images, for several systems, are copies of this file or folder.
    pub fn with_copies(systems: &[&str], of: &Path) -> Self {
        let flake = Self::for_systems(systems, "cp -r $archive $out");
        for system in systems {
            let place = flake.dir.path().join(system).join("archive");
            fs::remove_file(&place).unwrap();
            output_of("cp", [Path::new("-r"), of, &place]);
        }
        flake
    }

    /// Whose images run a line of busybox's shell, for each system another; a page can be
    /// served from `/www`.
    pub fn with_services(services: &[(&str, &str)]) -> Self {
        let systems: Vec<&str> = services.iter().map(|(system, _)| *system).collect();
        let flake = Self::for_systems(&systems, "cat $archive > $out");
        for (system, script) in services {
            let parts = flake.dir.path().join(system);
            let shell = fs::read(parts.join("busybox")).unwrap();
            let files: [(&str, &[u8]); 2] = [("bin/busybox", &shell), ("www/index.html", b"well")];
            let config = json!({
                "Entrypoint": ["/bin/busybox", "sh", "-c", script],
                "User": "1000:1000",
                "ExposedPorts": { "8080/tcp": {} },
            });
            let archive = archive(&flake.stamp)
                .layer(&files)
                .config("architecture", architecture(system).into())
                .config("config", config);
            fs::write(parts.join("archive"), archive.build()).unwrap();
        }
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

/// The static busybox is the builder, and finds its other programs in itself.
fn package(system: &str, stamp: &str) -> String {
    format!(
        r#"packages.{system}.image = derivation {{
             name = "small-image";
             imageName = "small";
             system = "{system}";
             stamp = "{stamp}";
             archive = ./{system}/archive;
             builder = "${{./{system}}}/busybox";
             args = [ "sh" "-eu" ./script ];
           }};
        "#
    )
}

fn architecture(system: &str) -> &'static str {
    match system {
        "aarch64-linux" => "arm64",
        _ => "amd64",
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
