//! An empty machine, a binary cache that has everything, and a registry that has every
//! layer: nothing is fetched, if the cache is to be believed.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nixpy_testkit::proxy::CountingProxy;
use serde_json::Value;
use tempfile::TempDir;

use crate::world::example::example;
use crate::world::nixpy::Workplace;
use crate::world::program::{Ended, output_of, run};
use crate::world::registry::Registry;
use crate::world::skopeo;
use crate::world::store::Store;

/// A binary cache with what the example's attribute is built from, for both systems, and
/// the key that Nix is told to trust.
struct Cache {
    dir: TempDir,
    outputs: Vec<PathBuf>,
    trusted: String,
    /// Other caches that Nix is told to use as well.
    others: String,
}

impl Cache {
    /// Signed by the key.
    fn signed(attribute: &str) -> Self {
        Self::of(attribute, |secret| {
            format!("&secret-key={}", secret.display())
        })
    }

    /// Signed by nobody.
    fn unsigned(attribute: &str) -> Self {
        Self::of(attribute, |_| String::new())
    }

    /// Signed, and only for this system.
    fn of_one_system(attribute: &str, system: &str) -> Self {
        let signing = |secret: &Path| format!("&secret-key={}", secret.display());
        Self::holding(&[system], attribute, signing)
    }

    fn of(attribute: &str, signing: impl Fn(&Path) -> String) -> Self {
        Self::holding(&["x86_64-linux", "aarch64-linux"], attribute, signing)
    }

    fn holding(systems: &[&str], attribute: &str, signing: impl Fn(&Path) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [secret, public] = ["secret", "public"].map(|name| dir.path().join(name));
        let generate = ["--generate-binary-cache-key", "test-1"].map(PathBuf::from);
        output_of(
            "nix-store",
            generate
                .iter()
                .chain([&secret, &public])
                .collect::<Vec<_>>(),
        );
        let outputs = systems
            .iter()
            .map(|system| example().package(system, attribute))
            .collect();
        let mut cache = Self {
            dir,
            outputs,
            trusted: fs::read_to_string(public).unwrap(),
            others: String::new(),
        };
        cache.trusted.truncate(cache.trusted.trim_end().len());
        let to = format!("{}?compression=none{}", cache.url(), signing(&secret));
        let mut arguments = vec!["copy".to_owned(), "--no-check-sigs".to_owned()];
        arguments.extend(["--to".to_owned(), to]);
        arguments.extend(cache.outputs.iter().map(|path| path.display().to_string()));
        output_of("nix", arguments);
        cache
    }

    fn url(&self) -> String {
        format!("file://{}", self.dir.path().join("cache").display())
    }

    fn options(&self) -> [String; 2] {
        [
            format!("--nix-option=substituters={}{}", self.url(), self.others),
            format!("--nix-option=trusted-public-keys={}", self.trusted),
        ]
    }

    /// Puts other words of the same length into the archive of a path, and leaves what is
    /// told, and signed, of the path as it is.
    fn forge(&self, path: &Path, words: &str, others: &str) {
        assert_eq!(words.len(), others.len());
        let name = path.file_name().unwrap().to_str().unwrap();
        let (hash, _) = name.split_once('-').unwrap();
        let folder = self.dir.path().join("cache");
        let told = fs::read_to_string(folder.join(format!("{hash}.narinfo"))).unwrap();
        let archive = told.lines().find_map(|line| line.strip_prefix("URL: "));
        let archive = folder.join(archive.unwrap());
        let mut bytes = fs::read(&archive).unwrap();
        let mut windows = bytes.windows(words.len());
        let place = windows.position(|window| window == words.as_bytes());
        let place = place.unwrap_or_else(|| panic!("{words} is not in {name}"));
        bytes[place..place + words.len()].copy_from_slice(others.as_bytes());
        fs::write(archive, bytes).unwrap();
    }
}

/// An image that was published, and a cache that an empty machine publishes it from again.
struct Published {
    here: Workplace,
    registry: Registry,
    flake: String,
    cache: Cache,
    /// The report of the first run.
    report: Value,
}

impl Published {
    fn with(cache: Cache, attribute: &str) -> Self {
        let (here, registry) = (Workplace::new(), Registry::start());
        let flake = example().flake(attribute);
        let repository = format!("{}/acme/api", registry.host());
        let first = here.run([&flake, "-r", &repository, "-t", "v1", "--json"]);
        let report = first.succeeded().json();
        Self {
            here,
            registry,
            flake,
            cache,
            report,
        }
    }

    /// Publishes again, as `v2`, where nothing can be built.
    fn again(&self) -> Ended {
        self.again_on(&Store::empty(), &[])
    }

    fn again_on(&self, store: &Store, options: &[&str]) -> Ended {
        let repository = format!("{}/acme/api", self.registry.host());
        let arguments = [
            &*self.flake,
            "-r",
            &repository,
            "-t",
            "v2",
            "--reuse-from=v1",
            "--nix-option=max-jobs=0",
        ];
        let arguments = [&arguments, options].concat();
        run(&mut command_on(store, &self.here, &self.cache, &arguments))
    }
}

/// `nixpy-ci run` on a machine whose store is empty.
fn command_on(store: &Store, here: &Workplace, cache: &Cache, arguments: &[&str]) -> Command {
    let mut command = store.command(crate::world::nixpy::binary());
    command.arg("run").args(arguments).args(cache.options());
    command.args(["--json", "--reevaluate"]);
    here.prepare(&mut command);
    command
}

fn run_on(store: &Store, here: &Workplace, cache: &Cache, arguments: &[&str]) -> Value {
    let mut command = command_on(store, here, cache, arguments);
    run(&mut command).succeeded().json()
}

#[test]
fn what_was_published_before_is_published_without_fetching_a_path() {
    for attribute in ["stream", "app"] {
        let (here, registry, store) = (Workplace::new(), Registry::start(), Store::empty());
        let (cache, flake) = (Cache::signed(attribute), example().flake(attribute));
        let proxy = CountingProxy::start(registry.address());
        let repository = format!("{}/acme/api", proxy.host());
        let first = here
            .run([&flake, "-r", &repository, "-t", "v1", "--json"])
            .succeeded()
            .json();
        proxy.reset_counts();

        let arguments = [
            flake.as_str(),
            "-r",
            &repository,
            "-t",
            "v2",
            "--reuse-from",
            "v1",
        ];
        let report = run_on(&store, &here, &cache, &arguments);
        assert_eq!(report["fromMetadata"], true, "{attribute}: {report:#}");
        assert_eq!(report["index"]["digest"], first["index"]["digest"]);
        assert_eq!(proxy.layer_bytes_sent(), 0);
        for output in &cache.outputs {
            assert!(
                !store.has(output),
                "{attribute}: {} was fetched",
                output.display()
            );
        }
        skopeo::copy(
            &format!("docker://{repository}:v2"),
            "arm64",
            &here.path("arm64"),
        );
    }
}

#[test]
fn what_is_to_be_tried_out_is_fetched_unless_the_tags_point_to_it_already() {
    let published = Published::with(Cache::signed("stream"), "stream");
    let repository = format!("{}/acme/api", published.registry.host());
    let store = Store::empty();
    let arguments = [
        &*published.flake,
        "-r",
        &repository,
        "-t",
        "v1",
        "--smoke-port=8000",
    ];
    let report = run_on(&store, &published.here, &published.cache, &arguments);
    assert_eq!(report["fromMetadata"], true, "{report:#}");
    assert_eq!(report["platforms"][0]["smoke"]["verdict"], "unchanged");
    assert!(!store.has(&published.cache.outputs[0]));

    let ended = published.again_on(&store, &["--smoke-port=8000"]);
    let report = ended.succeeded().json();
    assert_eq!(report["fromMetadata"], false, "{report:#}");
    assert_eq!(
        report["platforms"][0]["smoke"]["verdict"], "passed",
        "{report:#}"
    );
    assert!(store.has(&published.cache.outputs[0]));
    assert_eq!(
        report["index"]["digest"],
        published.report["index"]["digest"]
    );
}

#[test]
fn a_layer_that_the_registry_has_lost_is_made_of_paths_that_are_fetched_then() {
    let (here, registry, store) = (Workplace::new(), Registry::start(), Store::empty());
    let (cache, flake) = (Cache::signed("app"), example().flake("app"));
    let repository = format!("{}/acme/api", registry.host());
    let arguments = [flake.as_str(), "-r", &repository];
    let first = here
        .run([&arguments[..], &["--json"]].concat())
        .succeeded()
        .json();
    let lost = &first["platforms"][0]["layers"][2]["digest"];
    registry.lose(lost.as_str().unwrap());

    let report = run_on(&store, &here, &cache, &arguments);
    assert_eq!(report["fromMetadata"], false);
    assert_eq!(report["index"]["digest"], first["index"]["digest"]);
    assert!(store.has(&cache.outputs[0]));
    skopeo::copy(
        &format!("docker://{repository}:latest"),
        "arm64",
        &here.path("arm64"),
    );
}

#[test]
fn a_cache_that_nobody_trusted_has_signed_is_not_believed() {
    let mut signed_by_another = Cache::signed("stream");
    signed_by_another.trusted = Cache::unsigned("stream").trusted;
    for (cache, attribute) in [
        (Cache::unsigned("stream"), "stream"),
        (Cache::unsigned("app"), "app"),
        (signed_by_another, "stream"),
    ] {
        let published = Published::with(cache, attribute);
        // Nix takes nothing from there either, and may not build.
        let again = published.again();
        assert_ne!(again.code, 0, "{attribute}: {again}");
        assert_eq!(again.json()["fromMetadata"], false, "{attribute}: {again}");
        assert_eq!(published.registry.tags("acme/api"), ["v1"], "{attribute}");
    }
}

#[test]
fn where_nix_requires_no_signatures_none_is_wanted() {
    let published = Published::with(Cache::unsigned("stream"), "stream");
    let again = published.again_on(&Store::empty(), &["--nix-option=require-sigs=false"]);
    let again = again.succeeded().json();
    assert_eq!(again["fromMetadata"], true, "{again:#}");
    assert_eq!(
        again["index"]["digest"],
        published.report["index"]["digest"]
    );
}

#[test]
fn a_description_that_was_changed_in_the_cache_is_not_published() {
    let published = Published::with(Cache::signed("stream"), "stream");
    assert_eq!(published.report["platforms"].as_array().unwrap().len(), 2);
    for script in &published.cache.outputs {
        let text = fs::read_to_string(script).unwrap();
        let mut words = text.split(|c: char| c.is_whitespace() || "'\"".contains(c));
        let conf = words.find(|word| word.ends_with("conf.json")).unwrap();
        let description: Value = serde_json::from_slice(&fs::read(conf).unwrap()).unwrap();
        let entrypoint = description["config"]["Entrypoint"][0].as_str().unwrap();
        let other = format!("/tmp/{}", "x".repeat(entrypoint.len() - 5));
        let cache = &published.cache;
        cache.forge(Path::new(conf), entrypoint, &other);
    }
    // Nix finds out when it fetches, and may not build.
    let again = published.again();
    assert_ne!(again.code, 0, "{again}");
    assert_eq!(again.json()["fromMetadata"], false, "{again}");
    assert_eq!(published.registry.tags("acme/api"), ["v1"]);
}

#[test]
fn a_cache_that_never_answers_is_waited_for_once() {
    let (store, cache) = (Store::empty(), Cache::signed("app"));
    let mut published = Published::with(cache, "app");
    // Takes connections, and says nothing.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    published.cache.others = format!(" http://{}", silent.local_addr().unwrap());

    let begun = Instant::now();
    let again = published.again_on(&store, &[]).succeeded().json();
    assert_eq!(again["fromMetadata"], true, "{again:#}");
    assert!(!store.has(&published.cache.outputs[0]));
    assert!(
        begun.elapsed() < Duration::from_secs(55),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_system_that_a_cache_has_is_no_leg_of_a_matrix() {
    let legs_with = |cache: &Cache| -> Vec<String> {
        let (here, store) = (Workplace::new(), Store::empty());
        let mut plan = store.command(crate::world::nixpy::binary());
        plan.args(["plan", "--matrix", &example().flake("stream")])
            .args(cache.options());
        here.prepare(&mut plan);
        let matrix = run(&mut plan).succeeded().json();
        assert!(!cache.outputs.iter().any(|output| store.has(output)));
        let legs = matrix["include"].as_array().unwrap().iter();
        legs.map(|leg| format!("{} on {}", leg["systems"], leg["runner"]))
            .collect()
    };
    let both = r#""aarch64-linux x86_64-linux""#;
    for (cached, runner) in [
        ("aarch64-linux", "ubuntu-24.04"),
        ("x86_64-linux", "ubuntu-24.04-arm"),
    ] {
        let legs = legs_with(&Cache::of_one_system("stream", cached));
        assert_eq!(legs, [format!("{both} on {runner:?}")], "{cached}");
    }
    let mut untrusted = Cache::of_one_system("stream", "aarch64-linux");
    untrusted.trusted = Cache::unsigned("stream").trusted;
    assert_eq!(legs_with(&untrusted).len(), 2, "it has to be built");
}
