//! `nixpy-ci cache gc`, on a registry that deletes: what no recent run has reached goes, and an
//! empty machine still builds nothing.

use std::fs;

use serde_json::Value;

use super::{Builder, builds, filled};
use crate::world::chain::Chain;
use crate::world::program::{Ended, run};
use crate::world::registry::Registry;

const CACHE: &str = "acme/cache";

fn collect(builder: &Builder, cache: &str, words: &[&str]) -> Ended {
    let mut gc = builder.at.nixpy(["cache", "gc", "--cache", cache]);
    gc.args(words).env("NIXPY_CACHE_KEY", &builder.secret);
    run(&mut gc)
}

/// Paths kept and removed.
fn counts(collected: &Ended) -> (Value, Value) {
    let told = collected.json();
    (told["pathsKept"].clone(), told["pathsRemoved"].clone())
}

#[test]
fn what_no_run_has_reached_goes_and_what_a_kept_path_refers_to_stays() {
    let (mut registry, builder) = (Registry::that_deletes(), Builder::of(Chain::quick()));
    let cache = format!("oci://{}/{CACHE}", registry.host());
    builder.has_filled(run(&mut builder.filling(&cache)));
    let script = builder.chain.folder().join("script");
    let old = fs::read_to_string(&script).unwrap();
    registry.age(CACHE, 10);

    // Another app, of the same library and tool.
    fs::write(&script, format!("{old}; echo new > $out/new")).unwrap();
    let first = builder.has_filled(run(&mut builder.filling(&cache)));
    assert_eq!(builds(&first), ["app"], "{first}");
    assert_eq!(filled(&first)["pushed"], 1, "{first}");

    // A dry run tells, and changes nothing.
    let before = registry.files();
    let dry = collect(&builder, &cache, &["--keep=2d", "--dry-run", "--json"]).succeeded();
    assert_eq!(dry.json()["dryRun"], true, "{dry}");
    assert_eq!(counts(&dry), (3.into(), 1.into()), "{dry}");
    assert_eq!(registry.files(), before, "{dry}");
    let told = collect(&builder, &cache, &["--keep=2d", "--dry-run"]).succeeded();
    assert!(told.stdout.contains("1 paths would be removed"), "{told}");

    let done = collect(&builder, &cache, &["--keep=2d", "--json"]).succeeded();
    assert_eq!(counts(&done), (3.into(), 1.into()), "{done}");
    assert_eq!(done.json()["dryRun"], false, "{done}");
    let again = collect(&builder, &cache, &["--keep=2d", "--json"]).succeeded();
    assert_eq!(counts(&again), (3.into(), 0.into()), "{again}");

    let read = format!("{cache} read key={}", builder.key());
    builder
        .elsewhere(&read, |_| {})
        .built_nothing(&builder, &first);

    // The app that went is built again; the library, which it refers to, is not.
    fs::write(&script, old).unwrap();
    let rebuilt = builder.elsewhere(&read, |_| {}).ended.succeeded();
    assert_eq!(builds(&rebuilt), ["app"], "{rebuilt}");
}

#[test]
fn a_registry_that_deletes_nothing_is_told_with_the_cure_and_loses_nothing() {
    let (mut registry, builder) = (Registry::start(), Builder::of(Chain::quick()));
    let cache = format!("oci://{}/{CACHE}", registry.host());
    let first = builder.has_filled(run(&mut builder.filling(&cache)));
    registry.age(CACHE, 10);
    let before = registry.files();
    let refused = collect(&builder, &cache, &["--keep=2d", "--json"]);
    refused.complains(4, &[&cache, "delete"]);
    assert_eq!(registry.files(), before);
    let read = format!("{cache} read key={}", builder.key());
    builder
        .elsewhere(&read, |_| {})
        .built_nothing(&builder, &first);
}
