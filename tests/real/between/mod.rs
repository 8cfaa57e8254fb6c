//! One machine fills a cache by a run, another, whose store is empty, lives on it: the same
//! run there builds nothing, and makes the same image.

mod collecting;
mod cut_short;
mod servers;
mod services;
mod troubled;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::world::chain::{Chain, public};
use crate::world::nixpy::{Workplace, binary};
use crate::world::program::{Ended, output_of, run};
use crate::world::store::Store;

/// The machine that builds, and what it builds.
struct Builder {
    at: Workplace,
    chain: Chain,
    /// The key that it signs with.
    secret: String,
}

impl Builder {
    fn of(chain: Chain) -> Self {
        let key = ["key", "generate-secret", "--key-name", "between-1"];
        Self {
            at: Workplace::new(),
            chain,
            secret: output_of("nix", key),
        }
    }

    /// Whose app has a file of so many bytes, which no compressor makes smaller, and is built
    /// after this.
    fn of_a_large_app(bytes: usize, before: &str) -> Self {
        let script = format!("{before}; finish; cat ${{builder%/*}}/noise > $out/noise");
        let builder = Self::of(Chain::built_by(&script));
        let file = builder.chain.folder().join("parts/noise");
        fs::write(file, noise(bytes)).unwrap();
        builder
    }

    fn key(&self) -> String {
        public(&self.secret)
    }

    /// The run that fills this cache, not yet started.
    fn filling(&self, cache: &str) -> Command {
        let mut command = self.at.command(self.words(cache));
        command.env("NIXPY_CACHE_KEY", &self.secret);
        command
    }

    fn words(&self, cache: &str) -> [String; 5] {
        [
            self.chain.app(),
            "--json".to_owned(),
            "--layout=out".to_owned(),
            format!("--cache={cache}"),
            "--cache-upstream=file:///nowhere".to_owned(),
        ]
    }

    /// The same run on a machine with nothing in its store, which only reads the cache.
    fn elsewhere(&self, cache: &str, prepare: impl Fn(&mut Command)) -> Elsewhere {
        let other = Other::new();
        let mut command = other.command(self, cache);
        prepare(&mut command);
        other.ended(run(&mut command))
    }

    /// Fails the test unless all of it is in the cache, by what the run said of it.
    fn has_filled(&self, ended: Ended) -> Ended {
        let ended = ended.succeeded();
        let filled = filled(&ended);
        assert_eq!(filled["end"], "complete", "{ended}");
        let all = filled["pushed"].as_u64().unwrap() + filled["present"].as_u64().unwrap();
        assert_eq!(all, 3, "{ended}");
        ended
    }
}

/// A machine with nothing in its store.
struct Other {
    at: Workplace,
    store: Store,
}

impl Other {
    fn new() -> Self {
        Self {
            at: Workplace::new(),
            store: Store::empty(),
        }
    }

    fn command(&self, builder: &Builder, cache: &str) -> Command {
        let mut command = self.store.command(binary());
        command.arg("run").args(builder.words(cache));
        // Nix kills all processes of the users it builds as, others' too.
        command.args(["--nix-option", "build-users-group=", "--remake"]);
        self.at.prepare(&mut command);
        // What Nix remembers of caches is this machine's.
        command.env("XDG_CACHE_HOME", self.at.path("remembered"));
        command
    }

    fn ended(self, ended: Ended) -> Elsewhere {
        Elsewhere {
            ended,
            store: self.store,
        }
    }
}

/// What came of it.
struct Elsewhere {
    ended: Ended,
    store: Store,
}

impl Elsewhere {
    /// Fails the test unless nothing was built, and the image is the same.
    fn built_nothing(&self, builder: &Builder, first: &Ended) {
        self.is_the_same_as(first);
        let said = &self.ended;
        assert_eq!(builds(said), [""; 0], "{said}");
        assert!(!said.stderr.contains("warning:"), "{said}");
        let app = builder.chain.place_of("app");
        assert!(self.store.has(&app), "nothing was taken either: {said}");
    }

    /// Fails the test unless the run ended well, with the same image.
    fn is_the_same_as(&self, first: &Ended) {
        assert_eq!(self.ended.code, 0, "{}", self.ended);
        let (ours, theirs) = (&self.ended.json()["index"], &first.json()["index"]);
        assert!(ours["digest"].is_string(), "{}", self.ended);
        assert_eq!(ours, theirs, "{}", self.ended);
    }
}

/// What was built, by name, sorted.
fn builds(ended: &Ended) -> Vec<&str> {
    let lines = ended.stderr.lines().map(str::trim_start);
    let built = lines.filter_map(|line| line.strip_prefix("build "));
    let mut names: Vec<&str> = built.filter_map(|rest| rest.split(' ').next()).collect();
    names.sort_unstable();
    names
}

/// What the report says of the one cache.
fn filled(ended: &Ended) -> Value {
    let report = ended.json();
    let caches = report["caches"].as_array();
    assert_eq!(caches.map(Vec::len), Some(1), "{ended}");
    report["caches"][0].clone()
}

/// A place in the builder's folder.
fn beside(builder: &Builder, name: &str) -> PathBuf {
    builder.at.path("..").join(name)
}

/// Bytes that are the same every time and like no others (xorshift).
fn noise(bytes: usize) -> Vec<u8> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(bytes.div_ceil(8)).flatten().collect()
}
