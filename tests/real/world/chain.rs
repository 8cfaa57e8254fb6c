//! A flake whose package needs others: a library that it refers to, and a tool that only
//! builds it. No nixpkgs, so that every store path is known by its name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::example::example;
use super::flake::{own_system, stamp};
use super::nap::Nap;
use super::program::{output_of, run};

/// A flake whose package `app` needs `lib` and `tool`.
pub struct Chain {
    dir: TempDir,
}

impl Chain {
    /// The app is built by this script, after a library and a tool that are built at once.
    /// It has busybox's programs, `$lib`, `$tool` and `$stamp`, which no other flake has;
    /// `finish` makes its output.
    pub fn built_by(script: &str) -> Self {
        let (dir, stamp) = (tempfile::tempdir().unwrap(), stamp());
        let shell = example()
            .built(&own_system(), "busybox")
            .join("bin/busybox");
        fs::create_dir(dir.path().join("parts")).unwrap();
        fs::copy(shell, dir.path().join("parts/busybox")).unwrap();
        fs::write(dir.path().join("script"), script).unwrap();
        fs::write(dir.path().join("flake.nix"), flake(&stamp)).unwrap();
        Self { dir }
    }

    /// Whose name for the app stands in a file that has to be built to be imported.
    pub fn with_built_name() -> Self {
        let chain = Self::quick();
        let place = chain.folder().join("flake.nix");
        let plain = fs::read_to_string(&place).unwrap();
        let imported = plain
            .replace(
                "in {",
                "names = package \"names\" \"echo '{ app = \\\"app\\\"; }' > $out\" { };\nin {",
            )
            .replace("app = package \"app\"", "app = package (import names).app");
        assert_ne!(plain, imported);
        fs::write(place, imported).unwrap();
        chain
    }

    /// Whose app waits while it is built.
    pub fn slow() -> (Self, Nap) {
        let nap = Nap::new();
        (Self::built_by(&format!("{}; finish", nap.script())), nap)
    }

    /// Whose app takes two seconds, in which others may look around.
    pub fn of_two_seconds() -> Self {
        Self::built_by("sleep 2; finish")
    }

    /// Whose app is built at once.
    pub fn quick() -> Self {
        Self::built_by("finish")
    }

    /// The reference of its app.
    pub fn app(&self) -> String {
        format!("path:{}#app", self.dir.path().display())
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Where a package of it is, or will be.
    pub fn place_of(&self, package: &str) -> PathBuf {
        let installable = format!("path:{}#{package}.outPath", self.dir.path().display());
        output_of("nix", ["eval", "--raw", &installable]).into()
    }

    /// Builds a package of it before anything else does.
    pub fn build(&self, package: &str) -> PathBuf {
        let installable = format!("path:{}#{package}", self.dir.path().display());
        output_of("nix", ["build", "--no-link", &installable]);
        self.place_of(package)
    }
}

fn flake(stamp: &str) -> String {
    let system = own_system();
    format!(
        r#"{{ outputs = {{ self }}: {{ packages.{system} = let
  stamp = "{stamp}";
  package = name: script: more: derivation ({{
    inherit name stamp;
    system = "{system}";
    builder = "${{./parts}}/busybox";
    args = [ "sh" "-eu" "-c" script ];
  }} // more);
  lib = package "lib" "echo $stamp > $out" {{ }};
  tool = package "tool" "echo $stamp tool > $out" {{ }};
in {{
  inherit lib tool;
  app = package "app" ''
    finish() {{ mkdir -p $out/bin; echo $lib > $out/lib; echo 'exec /bin/true' > $out/bin/app; }}
    read -r _ < $tool
    . ${{./script}}
  '' {{ inherit lib tool; }};
}}; }}; }}
"#
    )
}

/// A binary cache in a folder, as a reader finds it.
pub struct Folder(pub PathBuf);

impl Folder {
    /// Its address.
    pub fn url(&self) -> String {
        format!("file://{}", self.0.display())
    }

    /// What it says of a path; `None` if it does not have it.
    pub fn narinfo(&self, path: &Path) -> Option<String> {
        let name = path.file_name().unwrap().to_str().unwrap();
        fs::read_to_string(self.0.join(format!("{}.narinfo", &name[..32]))).ok()
    }

    /// Whether it has a path.
    pub fn has(&self, path: &Path) -> bool {
        self.narinfo(path).is_some()
    }

    /// The names of the paths that it has, sorted.
    pub fn names(&self) -> Vec<String> {
        let files = fs::read_dir(&self.0).unwrap().flatten();
        let infos = files.filter_map(|file| fs::read_to_string(file.path()).ok());
        let names = infos.filter_map(|text| {
            let path = text.strip_prefix("StorePath: ")?.lines().next()?;
            Some(path.rsplit_once('/')?.1[33..].to_owned())
        });
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Fails the test unless Nix finds everything of a path in it sound, signed by this key.
    pub fn is_sound(&self, path: &Path, key: &str) {
        let mut nix = super::program::program("nix");
        nix.args(["store", "verify", "--recursive", "--store", &self.url()]);
        nix.args(["--option", "trusted-public-keys", key]).arg(path);
        run(&mut nix).succeeded();
    }
}

/// Lets a command sign with a new key; the public half.
pub fn with_key(command: &mut Command) -> String {
    let secret = output_of("nix", ["key", "generate-secret", "--key-name", "test-1"]);
    command.env("NIXPY_CACHE_KEY", &secret);
    public(&secret)
}

/// The public half of a key.
pub fn public(secret: &str) -> String {
    let key: nixpy_nix::signing::SecretKey = secret.parse().unwrap();
    key.public().to_string()
}
