//! Caches that are read: a second machine, whose store is empty, builds nothing; and what
//! cannot be believed is built.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::world::flake::Flake;
use crate::world::nixpy::Workplace;
use crate::world::program::{Ended, output_of, program, run};
use crate::world::store::Store;

/// What a first machine has built, in a folder, signed and packed with zstd.
struct Filled {
    dir: TempDir,
    flake: Flake,
    public: String,
    report: Value,
}

impl Filled {
    fn new() -> Self {
        let (dir, flake) = (tempfile::tempdir().unwrap(), Flake::small());
        let here = Workplace::new();
        let report = here.run([&flake.image(), "--json"]).succeeded().json();
        let secret = dir.path().join("secret");
        let secret = secret.to_str().unwrap();
        let made = run(here
            .nixpy(["cache", "key", "filled-1", "--output"])
            .arg(secret));
        let told = made.succeeded().stderr;
        let public = told
            .lines()
            .find_map(|line| line.strip_prefix("public key: "));
        let filled = Self {
            public: public.unwrap().to_owned(),
            report,
            dir,
            flake,
        };
        let output = filled.output();
        let to = format!("{}?compression=zstd&secret-key={secret}", filled.url());
        output_of("nix", ["copy", "--no-check-sigs", "--to", &to, &output]);
        filled
    }

    fn output(&self) -> String {
        let output = &self.report["platforms"][0]["output"];
        output.as_str().unwrap().to_owned()
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    fn url(&self) -> String {
        format!("file://{}", self.folder().display())
    }

    /// Of the output.
    fn narinfo(&self) -> PathBuf {
        let output = self.output();
        let (hash, _) = output["/nix/store/".len()..].split_once('-').unwrap();
        self.folder().join(format!("{hash}.narinfo"))
    }

    /// The output's archive.
    fn archive(&self) -> PathBuf {
        let told = fs::read_to_string(self.narinfo()).unwrap();
        let url = told.lines().find_map(|line| line.strip_prefix("URL: "));
        self.folder().join(url.unwrap())
    }

    /// The same run on a machine whose store is empty.
    fn again(&self, arguments: &[&str]) -> Again {
        let (here, store) = (Workplace::new(), Store::empty());
        let mut command = store.command(crate::world::nixpy::binary());
        let image = self.flake.image();
        command.args(["run", &image, "--json", "--reevaluate"]);
        command.args(arguments);
        here.prepare(&mut command);
        // What Nix remembers of caches is this machine's.
        command.env("XDG_CACHE_HOME", here.path("remembered"));
        Again {
            ended: run(&mut command),
        }
    }
}

struct Again {
    ended: Ended,
}

impl Again {
    /// Nothing was built, and the image is the same.
    fn is_the_same_as(self, filled: &Filled) {
        let report = self.ended.succeeded().json();
        assert_eq!(report["index"], filled.report["index"], "{report:#}");
    }
}

/// `nixpy-ci cache serve`, until this is dropped.
struct Serving {
    child: Child,
    told: Value,
    _here: Workplace,
}

impl Serving {
    fn start(cache: &str) -> Self {
        let here = Workplace::new();
        let mut command = here.nixpy(["cache", "serve", "--json", "--cache", cache]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut told = String::new();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        while serde_json::from_str::<Value>(&told).is_err() {
            assert_ne!(reader.read_line(&mut told).unwrap(), 0, "it ended: {told}");
        }
        Self {
            child,
            told: serde_json::from_str(&told).unwrap(),
            _here: here,
        }
    }

    fn url(&self) -> &str {
        self.told["url"].as_str().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let id = self.child.id().to_string();
        let _ = program("kill").arg(id).status();
        let _ = self.child.wait();
    }
}

/// Where nothing can be built.
const NO_BUILDS: &str = "--nix-option=max-jobs=0";

#[test]
fn what_a_folder_or_a_server_has_is_not_built_again() {
    let filled = Filled::new();
    let folder = format!("{} read key={}", filled.url(), filled.public);
    filled
        .again(&["--cache", &folder, NO_BUILDS])
        .is_the_same_as(&filled);

    let serving = Serving::start(&folder);
    assert_eq!(serving.told["publicKeys"][0], filled.public);
    let served = format!("{} read key={}", serving.url(), filled.public);
    filled
        .again(&["--cache", &served, NO_BUILDS])
        .is_the_same_as(&filled);

    let without = filled.again(&[NO_BUILDS]);
    assert_ne!(without.ended.code, 0, "without the cache there is nothing");
}

#[test]
fn what_cannot_be_believed_is_refused_named_and_built() {
    let filled = Filled::new();
    let (archive, narinfo) = (filled.archive(), filled.narinfo());
    let bytes = fs::read(&archive).unwrap();
    let told = fs::read_to_string(&narinfo).unwrap();
    let folder = format!("{} key={}", filled.url(), filled.public);
    let serving = Serving::start(&folder);
    let served = format!("{} key={}", serving.url(), filled.public);

    let mut corrupt = bytes.clone();
    let middle = corrupt.len() / 2;
    corrupt[middle] ^= 0xff;
    let truncated = bytes[..bytes.len() / 2].to_vec();
    let unsigned: String = told
        .lines()
        .filter(|line| !line.starts_with("Sig:"))
        .map(|line| format!("{line}\n"))
        .collect();
    let wrongly = told.replace("NarSize: ", "NarSize: 1");
    for (what, bytes, told) in [
        ("corrupt", &corrupt, &told),
        ("truncated", &truncated, &told),
        ("unsigned", &bytes, &unsigned),
        ("wrongly signed", &bytes, &wrongly),
    ] {
        fs::write(&archive, bytes).unwrap();
        fs::write(&narinfo, told).unwrap();
        for cache in [&folder, &served] {
            let again = filled.again(&["--cache", cache]);
            eprintln!("=== {what} {cache}\n{}", again.ended.stderr);
            again.is_the_same_as(&filled);
        }
    }
}
