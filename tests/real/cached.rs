//! Caches that are read: a second machine, whose store is empty, builds nothing; and what
//! cannot be believed is built.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nixpy_cache::{CacheSettings, RegistryCache, Store as _};
use nixpy_nix::path_info::path_info;
use nixpy_nix::signing::SecretKey;
use nixpy_nix::{Nix, StorePath};
use nixpy_oci::registry::{Credentials, RegistryOptions};
use nixpy_testkit::ports::free_address;
use serde_json::Value;
use tempfile::TempDir;

use crate::world::daemon::DaemonWorld;
use crate::world::flake::Flake;
use crate::world::nixpy::Workplace;
use crate::world::program::{Ended, output_of, program, run};
use crate::world::registry::Registry;
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

    /// The key that what is pushed is signed with.
    fn key(&self) -> SecretKey {
        let secret = fs::read_to_string(self.dir.path().join("secret"));
        secret.unwrap().parse().unwrap()
    }

    /// Puts the output, with all that it refers to, into a registry, beside the image `acme/api`.
    fn push_to(&self, registry: &Registry) {
        let name = format!("{}/acme/api/nix-cache", registry.host());
        let (credentials, options) = (Credentials::Anonymous, RegistryOptions::default());
        let remote =
            nixpy_oci::registry::Registry::new(name.parse().unwrap(), credentials, options);
        let key = self.key();
        let place = self.dir.path().to_owned();
        let settings = CacheSettings {
            place,
            ..CacheSettings::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(async {
            let nix = Nix::find(None).unwrap();
            let output: StorePath = self.output().parse().unwrap();
            let mut infos = path_info(&nix, &[output], true).await.unwrap();
            for info in &mut infos {
                info.signatures = vec![key.sign(info)];
            }
            let trusted = vec![key.public()];
            let cache = RegistryCache::new(name, remote.unwrap(), trusted, &settings);
            let put = cache.put(&infos).await;
            assert!(put.failed.is_empty(), "{:?}", put.failed);
            cache.close(&[]).await.unwrap();
        });
    }

    /// The same run on a machine whose store is empty.
    fn again(&self, arguments: &[&str]) -> Again {
        self.again_with(arguments, |_| {})
    }

    fn again_with(
        &self,
        arguments: &[&str],
        prepare: impl Fn(&mut std::process::Command),
    ) -> Again {
        let (here, store) = (Workplace::new(), Store::empty());
        let mut command = store.command(crate::world::nixpy::binary());
        let image = self.flake.image();
        command.args(["run", &image, "--json", "--reevaluate"]);
        // Two stores do not know which of these users the other builds as.
        command.args(["--nix-option", "build-users-group="]);
        command.args(arguments);
        here.prepare(&mut command);
        // What Nix remembers of caches is this machine's.
        command.env("XDG_CACHE_HOME", here.path("remembered"));
        prepare(&mut command);
        let ended = run(&mut command);
        let temporary = here.path("../tmp");
        let left = fs::read_dir(temporary).unwrap().count();
        assert_eq!(left, 0, "temporary files are left: {ended}");
        Again { ended }
    }
}

struct Again {
    ended: Ended,
}

impl Again {
    /// Nothing was built, and the image is the same.
    fn is_the_same_as(&self, filled: &Filled) {
        assert_eq!(self.ended.code, 0, "{}", self.ended);
        let report = self.ended.json();
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
            let said = &again.ended.stderr;
            assert!(said.contains("build small-image"), "{what}: {said}");
            // What is not signed the server does not have, and says so itself.
            if !(what.contains("signed") && *cache == served) {
                let name = filled.output();
                let named = said
                    .lines()
                    .any(|line| line.contains("warning: ") && line.contains(&name));
                assert!(named, "{what}: {said}");
            }
            again.is_the_same_as(&filled);
        }
    }
}

#[test]
fn what_a_registry_has_is_not_built_again() {
    let (filled, registry) = (Filled::new(), Registry::start());
    filled.push_to(&registry);
    let repository = format!("{}/acme/api", registry.host());
    let key = format!("registry read key={}", filled.public);
    let arguments = ["-r", &repository, "--cache", &key, NO_BUILDS];
    let again = filled.again(&arguments);
    let said = &again.ended.stderr;
    assert!(said.contains("fetch small-image from registry"), "{said}");
    again.is_the_same_as(&filled);

    // Signed by somebody who is not trusted: as if it were not there.
    let other = SecretKey::generate("other-1").unwrap().public();
    let key = format!("registry read key={other}");
    let again = filled.again(&["-r", &repository, "--cache", &key]);
    let said = &again.ended.stderr;
    assert!(said.contains("build small-image"), "{said}");
    again.is_the_same_as(&filled);
}

#[test]
fn a_registry_that_hangs_or_is_gone_does_not_keep_a_run_from_building() {
    let filled = Filled::new();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for address in [silent.local_addr().unwrap(), free_address()] {
        let cache = format!("oci://{address}/acme/cache key={}", filled.public);
        let begun = Instant::now();
        let again = filled.again(&["--cache", &cache]);
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(120), "{took:?}: {}", again.ended);
        let said = &again.ended.stderr;
        let told = format!("the cache oci://{address}/acme/cache could not always be read");
        assert!(said.contains(&told), "{said}");
        again.is_the_same_as(&filled);
    }
}

/// A folder behind a password, and what was seen of that password while it was asked.
struct Private {
    address: std::net::SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    let_in: Arc<Mutex<usize>>,
}

const USER: &str = "me";
const PASSWORD: &str = "hunter2-of-this-test";

impl Private {
    fn start(folder: PathBuf) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let private = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            let_in: Arc::default(),
        };
        let (seen, let_in) = (Arc::clone(&private.seen), Arc::clone(&private.let_in));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if answer(stream.unwrap(), &folder).is_some() {
                    *let_in.lock().unwrap() += 1;
                    seen.lock().unwrap().extend(places_of(PASSWORD));
                }
            }
        });
        private
    }
}

/// One answer a connection; `None` if it was not let in.
fn answer(mut stream: TcpStream, folder: &Path) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).ok()? == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let path = head.split(' ').nth(1)?.trim_start_matches('/').to_owned();
    let right = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    let is_let_in = head.contains(&right);
    let file = fs::read(folder.join(path)).ok();
    let (status, body) = match (is_let_in, file) {
        (false, _) => ("401 Unauthorized", Vec::new()),
        (true, None) => ("404 Not Found", Vec::new()),
        (true, Some(body)) => ("200 OK", body),
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&body).ok()?;
    is_let_in.then_some(())
}

/// Processes that were given it in their arguments or, Nix's, in their environment; files
/// and folders of ours that have it and that others can read.
fn places_of(secret: &str) -> Vec<String> {
    let mut places = Vec::new();
    let has = |file: &Path| {
        let bytes = fs::read(file).unwrap_or_default();
        bytes
            .windows(secret.len())
            .any(|part| part == secret.as_bytes())
    };
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let process = process.path();
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        if has(&process.join("cmdline")) {
            places.push(format!("the arguments of {name}"));
        }
        if name.trim() == "nix" && has(&process.join("environ")) {
            places.push(format!("the environment of {name}"));
        }
    }
    let folders = fs::read_dir("/tmp").unwrap().flatten();
    let own = folders.filter(|it| it.file_name().to_string_lossy().starts_with(".tmp"));
    let within = own.flat_map(|it| fs::read_dir(it.path().join("tmp")).into_iter().flatten());
    for folder in within.flatten() {
        let open =
            |path: &Path| fs::metadata(path).is_ok_and(|it| it.permissions().mode() & 0o077 != 0);
        let files = fs::read_dir(folder.path()).into_iter().flatten().flatten();
        for file in files.filter(|file| has(&file.path())) {
            if open(&folder.path()) || open(&file.path()) {
                places.push(file.path().display().to_string());
            }
        }
    }
    places
}

#[test]
fn what_opens_a_private_cache_is_seen_by_nobody_else() {
    let filled = Filled::new();
    let private = Private::start(filled.folder());
    let cache = format!("http://{} read key={}", private.address, filled.public);
    let again = filled.again_with(&["--cache", &cache, NO_BUILDS], |command| {
        command.env("NIXPY_CACHE_TOKEN", format!("{USER}:{PASSWORD}"));
    });
    let told = format!("{}", again.ended);
    // The command line of the test itself names its environment.
    let said = [&again.ended.stdout, &again.ended.stderr];
    assert!(!said.iter().any(|text| text.contains(PASSWORD)), "{told}");
    again.is_the_same_as(&filled);
    let seen = private.seen.lock().unwrap();
    assert!(seen.is_empty(), "{seen:?}");
    assert!(*private.let_in.lock().unwrap() >= 3);
}

#[test]
fn a_daemon_takes_from_a_cache_for_whom_it_does_not_trust_when_its_conf_says_so() {
    let (filled, registry) = (Filled::new(), Registry::start());
    filled.push_to(&registry);
    let port = free_address().port().to_string();
    let repository = format!("{}/acme/api", registry.host());
    let cache = format!("registry read key={}", filled.public);
    let run_in = |world: &DaemonWorld, more: &[&str]| {
        let flake = world.copied(&filled.flake.folder(), "flake");
        let flake = format!("path:{}#image", flake.display());
        let arguments = [
            "run",
            &flake,
            "-r",
            &repository,
            "--cache",
            &cache,
            "--cache-port",
            &port,
        ];
        world.nixpy([&arguments[..], more].concat())
    };

    let world = DaemonWorld::with_nix_conf("");
    let ended = run_in(&world, &[]).succeeded();
    let url = format!("extra-trusted-substituters = http://127.0.0.1:{port}");
    let key = format!("extra-trusted-public-keys = {}", filled.public);
    for words in [
        &url,
        &key,
        "the Nix daemon does not trust alice",
        "restart the daemon",
    ] {
        assert!(ended.stderr.contains(words), "{words}: {ended}");
    }
    assert!(ended.stderr.contains("build small-image"), "{ended}");

    // With those very lines nothing is built.
    let world = DaemonWorld::with_nix_conf(&format!("{url}\n{key}\nmax-jobs = 0"));
    let ended = run_in(&world, &["--json"]).succeeded();
    assert_eq!(ended.json()["index"], filled.report["index"], "{ended}");
    assert!(!ended.stderr.contains("does not trust"), "{ended}");

    // Who is trusted needs no line.
    let world = DaemonWorld::with_nix_conf("trusted-users = root alice\nmax-jobs = 0");
    let ended = run_in(&world, &["--json"]).succeeded();
    assert_eq!(ended.json()["index"], filled.report["index"], "{ended}");
}
