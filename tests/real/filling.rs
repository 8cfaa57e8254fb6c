//! What is built goes into a cache while it is built, and what a cache does never changes
//! how a run ends.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::chain::{Chain, Folder, with_key};
use crate::world::nixpy::{Workplace, binary};
use crate::world::program::{Ended, output_of, program, run, wait_for};
use crate::world::store::Store;

/// A cache to be written in the folder to work in; upstream has nothing.
fn arguments(at: &Workplace, chain: &Chain, cache: &Folder) -> Vec<String> {
    fs::create_dir_all(at.path("upstream")).unwrap();
    let upstream = format!("file://{}", at.path("upstream").display());
    let written = format!("{} write", cache.url());
    let words = [
        chain.app(),
        "--json".to_owned(),
        "--layout=out".to_owned(),
        format!("--cache={written}"),
        format!("--cache-upstream={upstream}"),
    ];
    words.into()
}

fn cache_in(at: &Workplace) -> Folder {
    Folder(at.path("cache"))
}

/// What the report says of the one cache.
fn filled(ended: &Ended) -> Value {
    let report = ended.json();
    assert_eq!(
        report["caches"].as_array().map(Vec::len),
        Some(1),
        "{ended}"
    );
    report["caches"][0].clone()
}

fn is_running(words: &str) -> bool {
    run(program("pgrep").args(["--full", "--", words])).code == 0
}

#[test]
fn what_is_finished_is_in_the_cache_before_the_build_has_ended() {
    let (at, (chain, sleep)) = (Workplace::new(), Chain::slow(8));
    let cache = cache_in(&at);
    let mut command = at.command(arguments(&at, &chain, &cache));
    let key = with_key(&mut command);
    let (out, err) = (at.path("../out"), at.path("../err"));
    command.stdout(fs::File::create(&out).unwrap());
    command.stderr(fs::File::create(&err).unwrap());
    let mut running = command.spawn().unwrap();
    let lib = chain.place_of("lib");

    wait_for("the library in the cache", Duration::from_secs(60), || {
        assert!(running.try_wait().unwrap().is_none(), "the run has ended");
        cache.has(&lib).then_some(())
    });
    assert!(is_running(&sleep), "the app is being built still");

    let status = wait_for("the run", Duration::from_secs(60), || {
        running.try_wait().unwrap()
    });
    let ended = Ended::told(status, &out, &err).succeeded();
    assert_eq!(
        cache.names(),
        ["app", "lib", "tool"],
        "no source, no derivation: {ended}"
    );
    assert_eq!(filled(&ended)["pushed"], 3);
    assert_eq!(filled(&ended)["end"], "complete");
    cache.is_sound(&chain.place_of("app"), &key);
    let told = format!("cache {}: 3 paths pushed (", cache.url());
    assert!(ended.stderr.contains(&told), "{ended}");
}

#[test]
fn what_a_build_that_fails_has_finished_is_pushed_too() {
    let (at, chain) = (Workplace::new(), Chain::built_by("echo $lib; exit 3"));
    let cache = cache_in(&at);
    let ended = at.run(arguments(&at, &chain, &cache)).ended_with(1);
    assert_eq!(cache.names(), ["lib", "tool"], "{ended}");
    assert_eq!(filled(&ended)["end"], "complete");
}

#[test]
fn what_was_built_before_goes_too_and_what_nothing_refers_to_as_well() {
    let (at, chain) = (Workplace::new(), Chain::quick());
    chain.build("app");
    let cache = cache_in(&at);
    let ended = at.run(arguments(&at, &chain, &cache)).succeeded();
    assert_eq!(cache.names(), ["app", "lib", "tool"], "{ended}");
    // Once more: nothing is sent, or even asked.
    let again = at.run(arguments(&at, &chain, &cache)).succeeded();
    let again = filled(&again);
    assert_eq!(
        (&again["pushed"], &again["present"]),
        (&0.into(), &3.into())
    );
}

#[test]
fn an_empty_machine_builds_nothing_and_makes_the_same_image() {
    let (at, chain) = (Workplace::new(), Chain::quick());
    let cache = cache_in(&at);
    let mut first = at.command(arguments(&at, &chain, &cache));
    let key = with_key(&mut first);
    let first = run(&mut first).succeeded();

    let (other, store) = (Workplace::new(), Store::empty());
    let mut command = store.command(binary());
    command
        .args(["run", &chain.app(), "--json", "--layout", "out"])
        .arg(format!("--cache={} read key={key}", cache.url()))
        // Nix kills all processes of the users it builds as, others' too.
        .args(["--nix-option", "build-users-group="]);
    other.prepare(&mut command);
    let second = run(&mut command).succeeded();

    let built = |ended: &Ended| {
        let lines = ended.stderr.lines();
        lines
            .filter(|line| line.trim_start().starts_with("build "))
            .count()
    };
    assert_eq!((built(&first), built(&second)), (3, 0), "{second}");
    assert_eq!(first.json()["index"], second.json()["index"]);
    assert!(store.has(&chain.place_of("app")) || second.json()["fromMetadata"] == true);
}

#[test]
fn a_pattern_keeps_paths_out_unless_something_refers_to_them() {
    let (at, chain) = (Workplace::new(), Chain::quick());
    let cache = cache_in(&at);
    let mut words = arguments(&at, &chain, &cache);
    words.extend([
        "--cache-exclude=to*".to_owned(),
        "--cache-exclude=lib".to_owned(),
    ]);
    let ended = at.run(words).succeeded();
    assert_eq!(cache.names(), ["app", "lib"], "{ended}");
}

#[test]
fn what_upstream_holds_is_not_pushed() {
    let (at, chain) = (Workplace::new(), Chain::quick());
    let cache = cache_in(&at);
    let words = arguments(&at, &chain, &cache);
    let lib = chain.build("lib");
    let upstream = format!("file://{}", at.path("upstream").display());
    output_of("nix", ["copy", "--to", &upstream, lib.to_str().unwrap()]);
    let ended = at.run(words).succeeded();
    assert_eq!(cache.names(), ["app", "tool"], "{ended}");
}

#[test]
fn a_cache_that_cannot_be_written_is_told_and_nothing_fails_unless_it_is_required() {
    let chain = Chain::quick();
    // One that nobody can make, and one where nobody is.
    for (url, said) in [
        ("file:///proc/no/cache", "/proc/no"),
        ("http://127.0.0.1:1/cache", "127.0.0.1:1"),
    ] {
        let at = Workplace::new();
        let mut words = arguments(&at, &chain, &cache_in(&at));
        words[3] = format!("--cache={url} write");
        let begun = Instant::now();
        let ended = at.run(&words).succeeded();
        assert!(begun.elapsed() < Duration::from_secs(60), "{ended}");
        let warning = format!("warning: cache {url}: 3 paths ");
        assert!(ended.stderr.contains(&warning), "{ended}");
        assert!(ended.stderr.contains(said), "{ended}");
        assert_eq!(filled(&ended)["pushed"], 0);
        assert_eq!(ended.json()["outcome"], "success");

        words.push("--cache-required".to_owned());
        let required = at.run(&words);
        assert_eq!(required.json()["outcome"], "failure", "{required}");
        required.complains(4, &[url, "is required and lacks 3 paths"]);
    }
}

#[test]
fn a_run_that_only_reads_pushes_nothing() {
    let (at, chain) = (Workplace::new(), Chain::quick());
    let cache = cache_in(&at);
    let mut words = arguments(&at, &chain, &cache);
    words.push("--cache-required".to_owned());
    let mut only_reads = words.clone();
    only_reads.push("--cache-read-only".to_owned());
    let ended = at.run(only_reads).succeeded();
    assert_eq!(filled(&ended)["end"], "readOnly");
    assert!(!ended.stderr.contains("cache file"), "{ended}");

    let event = at.path("event.json");
    let side = |name: &str| format!(r#"{{"repo": {{"full_name": "{name}/api"}}}}"#);
    let text = format!(
        r#"{{"pull_request": {{"head": {}, "base": {}}}}}"#,
        side("mallory"),
        side("acme")
    );
    fs::write(&event, text).unwrap();
    let mut fork = at.command(&words);
    fork.env("GITHUB_EVENT_NAME", "pull_request");
    fork.env("GITHUB_EVENT_PATH", &event);
    let ended = run(&mut fork).succeeded();
    assert!(ended.stderr.contains("is only read"), "{ended}");
    assert!(ended.stderr.contains("fork"), "{ended}");
    assert!(!Path::new(&cache.0).exists(), "{ended}");
}
