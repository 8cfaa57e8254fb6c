//! `nixpy-ci cache gc`: what it refuses, and what it tells. What it removes is the real tier's
//! part, where a registry can be aged.

use nixpy_nix::signing::SecretKey;
use nixpy_testkit::registry::{Fault, Method, Registry};

use crate::scenario::{Ended, Scenario};

fn collect(scenario: &Scenario, words: &[&str]) -> Ended {
    let all = ["cache", "gc"].iter().chain(words).copied();
    let key = SecretKey::generate("test-1").unwrap();
    let run = scenario.nixpy(all.collect::<Vec<_>>());
    run.env("NIXPY_CACHE_KEY", key.expose()).ended()
}

#[test]
fn what_cannot_be_collected_is_told_with_the_cure() {
    let scenario = Scenario::app();
    let (one, other) = (
        "--cache=oci://127.0.0.1:9/a/b",
        "--cache=oci://127.0.0.1:9/c/d",
    );
    for (words, error) in [
        (vec![one], "say what is to be kept: --keep 14d"),
        (vec!["--keep=2d"], "--cache: name a cache"),
        (vec!["--keep=2d", one, other], "name one cache"),
        (
            vec!["--keep=2d", "--cache=file:///srv/cache"],
            "is in no registry",
        ),
        (
            vec!["--keep=2d", "--cache=https://a.example"],
            "is in no registry",
        ),
        (vec!["--keep=long", one], "--keep"),
        (vec!["--max=10", one], "--max"),
    ] {
        let ended = collect(&scenario, &words).with_code(2).prints_nothing();
        ended.with_the_error(&[error]);
    }
    let beside = collect(&scenario, &["--keep=2d", "--cache=registry"]).with_code(2);
    beside.with_the_error(&["--repository"]);
    // Both problems, not the first.
    let both = collect(&scenario, &["--keep=long", "--max=10", one]).with_code(2);
    assert_eq!(both.errors().len(), 2, "{both}");
}

#[test]
fn a_registry_that_cannot_be_read_is_told_and_nothing_is_deleted() {
    let scenario = Scenario::app();
    let gone = collect(&scenario, &["--keep=2d", "--cache=oci://127.0.0.1:9/a/b"]);
    let gone = gone.with_code(4).prints_nothing();
    gone.with_the_error(&["oci://127.0.0.1:9/a/b", "list its paths"]);

    let registry = Registry::builder()
        .fail(Fault::status(403).on(Method::GET, "/tags/list").always())
        .start();
    let cache = format!("--cache=oci://{}/acme/cache", registry.host());
    let refused = collect(&scenario, &["--keep=2d", "--json", &cache]);
    let refused = refused.with_code(4).prints_nothing();
    refused.with_the_error(&["acme/cache"]);
    assert_eq!(registry.count(Method::DELETE, ""), 0);
}

#[test]
fn what_came_of_it_is_told_in_words_and_as_json() {
    let (scenario, registry) = (Scenario::app(), Registry::start());
    let name = format!("oci://{}/acme/cache", registry.host());
    let cache = format!("--cache={name}");
    let words = collect(&scenario, &["--max=1GB", &cache]).succeeded();
    words
        .prints(&name)
        .prints("0 paths kept")
        .prints("0 paths removed");
    let json = collect(&scenario, &["--max=1GB", "--dry-run", "--json", &cache]).succeeded();
    let told: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let wanted = serde_json::json!({
        "version": 1,
        "cache": name,
        "dryRun": true,
        "pathsKept": 0,
        "pathsRemoved": 0,
        "packsRemoved": 0,
        "packsRewritten": 0,
        "packsSpared": 0,
        "runsForgotten": 0,
        "bytesKept": 0,
        "bytesFreed": 0,
        "isTooLarge": false,
    });
    assert_eq!(told, wanted, "{json}");
    assert_eq!(registry.count(Method::PUT, ""), 0, "nothing is written");
}
