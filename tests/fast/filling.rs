//! Caches that are filled by a run: what Nix is asked, and what is told.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nixpy_nix::signing::SecretKey;
use nixpy_pipeline::caching::End;
use nixpy_pipeline::doctor::{Check, Concern, Diagnosis, State};
use nixpy_pipeline::report::Outcome;
use nixpy_testkit::fake_nix::Replay;
use nixpy_testkit::nar::nar;
use nixpy_testkit::registry::{Fault, Method, Registry};
use serde_json::Value;

use crate::scenario::{Ended, Run, SYSTEMS, Scenario};

/// A checkout whose outputs are all here, and whose Nix describes every path of them.
fn here() -> Scenario {
    here_but([])
}

/// The same, but some calls of Nix come to something else.
fn here_but(rules: impl IntoIterator<Item = Replay>) -> Scenario {
    let scenario = Scenario::app().built();
    let mut known: Value = serde_json::from_str(&scenario.described()).unwrap();
    for (path, info) in known.as_object_mut().unwrap() {
        // What decides about layers is made up, and an archive has the size that it has.
        info["narSize"] = nar(Path::new(path)).len().into();
    }
    let config = r#"{"system": {"value": "x86_64-linux"}, "store": {"value": "auto"},
        "trusted-public-keys": {"value": []}}"#;
    let scenario = rules.into_iter().fold(scenario, Scenario::on);
    scenario
        .on(Replay::of(["path-info"]).stdout(known.to_string()))
        .on(Replay::of(["show-config"]).stdout(config))
        .on(Replay::of(["config", "show"]).stdout(config))
}

fn cache(scenario: &Scenario) -> String {
    format!(
        "--cache=file://{}",
        scenario.checkout().join("cache").display()
    )
}

fn filling<'a>(scenario: &'a Scenario, cache: &'a str) -> Run<'a> {
    scenario.run(["--json", "--cache-upstream=file:///nowhere", cache])
}

fn narinfos(scenario: &Scenario) -> usize {
    let files = fs::read_dir(scenario.checkout().join("cache"))
        .unwrap()
        .flatten();
    files
        .filter(|file| file.path().extension().is_some_and(|it| it == "narinfo"))
        .count()
}

fn ended(scenario: &Scenario, argument: &str) -> Ended {
    filling(scenario, argument).ended().succeeded()
}

#[test]
fn what_is_here_is_pushed_and_told_in_every_way() {
    let scenario = here();
    let argument = cache(&scenario);
    let ended = ended(&scenario, &argument);
    let report = ended.report();
    let [filled] = report.caches.as_slice() else {
        panic!("{ended}");
    };
    let came = (filled.end, filled.failed, filled.left);
    assert_eq!(came, (End::Complete, 0, 0), "{ended}");
    assert_eq!(filled.pushed as usize, narinfos(&scenario));
    assert!(filled.pushed as usize > SYSTEMS.len(), "{ended}");
    ended.says(&format!(": {} paths pushed (", filled.pushed));
}

#[test]
fn a_run_with_nothing_to_do_asks_nix_no_more_than_one_without_a_cache() {
    let scenario = here();
    let argument = format!("{} write", cache(&scenario));
    let first = ended(&scenario, &argument);
    let second = ended(&scenario, &argument);
    let without = scenario.run([]).ended().succeeded();
    assert!(first.nix_calls().len() > second.nix_calls().len());
    assert_eq!(second.nix_calls().len(), without.nix_calls().len());
    assert!(second.report().caches.is_empty());
}

#[test]
fn what_nix_does_not_tell_is_asked_again_and_else_no_cache_counts_as_complete() {
    let derivations = || Replay::of(["path-info", "--derivation"]).exit(1);
    let once = here_but([derivations().once()]);
    let argument = format!("{} write", cache(&once));
    let first = ended(&once, &argument);
    assert!(first.report().caches[0].is_whole(), "{first}");
    assert_eq!(first.calls("--derivation"), 2, "{first}");

    let never = here_but([derivations()]);
    let argument = format!("{} write", cache(&never));
    for _ in 0..2 {
        let ended = ended(&never, &argument);
        let report = ended.report();
        assert_eq!(report.outcome, Outcome::Success);
        let filled = report.caches.first().expect("nobody remembers it");
        assert_eq!((filled.end, filled.failed), (End::Cut, 0), "{ended}");
        assert!(filled.pushed + filled.present > 0, "{ended}");
    }
}

#[test]
fn what_is_remembered_is_of_one_cache_and_one_key() {
    let scenario = here();
    let argument = cache(&scenario);
    ended(&scenario, &argument);
    let key = SecretKey::generate("test-1").unwrap();
    let signing = filling(&scenario, &argument).env("NIXPY_CACHE_KEY", key.expose());
    let signing = signing.ended().succeeded();
    // What is there was signed by nobody: it is in nobody's way.
    assert!(signing.report().caches[0].pushed > 0, "{signing}");
    let other = argument
        .replace("cache", "other")
        .replacen("other", "cache", 1);
    assert!(ended(&scenario, &other).report().caches[0].pushed > 0);
}

#[test]
fn a_cache_that_cannot_be_written_is_a_warning_of_the_workflow_and_no_failure() {
    let scenario = here();
    let argument = "--cache=file:///proc/nowhere";
    let run = filling(&scenario, argument).env("GITHUB_ACTIONS", "true");
    let ended = run.ended().succeeded();
    let ended = ended.says("::warning::warning: cache file:///proc/nowhere: ");
    assert!(ended.report().caches[0].is_short());
    let required = scenario.run([
        argument,
        "--cache-required",
        "--cache-upstream=file:///nowhere",
    ]);
    let required = required.ended().with_code(4);
    required
        .with_the_error(&["file:///proc/nowhere is required and lacks"])
        .prints("latest");
}

#[test]
fn an_upstream_that_does_not_answer_is_told_and_what_it_may_hold_is_pushed() {
    let scenario = here();
    let argument = format!("{} write", cache(&scenario));
    let ended = scenario.run(["--json", "--cache-upstream=http://127.0.0.1:1", &argument]);
    let ended = ended.ended().succeeded();
    assert!(ended.report().caches[0].is_whole());
    assert_eq!(
        ended
            .stderr
            .matches("note: the cache http://127.0.0.1:1")
            .count(),
        1
    );
    ended.says("signatures alone");
}

#[test]
fn a_registry_cache_without_a_key_is_only_read_and_the_cure_is_told() {
    let scenario = here();
    let ended = ended(&scenario, "--cache=oci://127.0.0.1:1/acme/cache write");
    assert_eq!(ended.report().caches[0].end, End::Refused);
    ended.says("only read from here").says("nixpy-ci cache key");
}

#[test]
fn a_cache_that_is_only_read_is_not_written_and_not_mentioned() {
    let scenario = here();
    let argument = format!("{} read", cache(&scenario));
    let ended = ended(&scenario, &argument);
    assert!(ended.report().caches.is_empty());
    assert!(!scenario.has("cache"));
}

#[test]
fn a_preview_pushes_nothing() {
    let scenario = here();
    let argument = cache(&scenario);
    scenario.nixpy(["plan", &argument]).ended().succeeded();
    scenario.run(["--dry-run", &argument]).ended().succeeded();
    assert!(!scenario.has("cache"));
}

#[test]
fn the_summary_has_a_line_for_each_cache() {
    let scenario = here();
    let argument = cache(&scenario);
    filling(&scenario, &argument)
        .env("NIXPY_SUMMARY", "summary.md")
        .ended()
        .succeeded();
    let summary = scenario.read("summary.md");
    assert!(summary.contains("- `cache file://"), "{summary}");
    assert!(summary.contains("paths pushed ("), "{summary}");
}

#[test]
fn the_cache_beside_one_image_is_not_that_beside_another() {
    let (scenario, registry) = (here(), Registry::start());
    let key = SecretKey::generate("test-1").unwrap();
    let pushed = |image: &str| {
        let repository = format!("--repository={}/{image}", registry.host());
        let words = [
            "--json",
            &repository,
            "--cache=registry write",
            "--cache-upstream=file:///nowhere",
        ];
        let run = scenario.run(words).env("NIXPY_CACHE_KEY", key.expose());
        let report = run.ended().succeeded().report();
        report.caches.first().map(|filled| filled.pushed)
    };
    let all = pushed("acme/api").unwrap();
    assert!(all > 0);
    assert_eq!(pushed("acme/api"), None, "it is remembered");
    assert_eq!(pushed("acme/other"), Some(all));
    assert!(!registry.tags("acme/other/nix-cache").is_empty());
}

/// What `doctor` says of the one cache that is to be written.
fn push_check(scenario: &Scenario, arguments: &[&str]) -> Check {
    let all = ["doctor", "--json"].iter().chain(arguments).copied();
    let ended = scenario.nixpy(all).ended();
    let diagnosis: Diagnosis = serde_json::from_str(&ended.stdout).unwrap();
    let mut checks = diagnosis.checks.into_iter();
    let found = checks.find(|check| check.name == "push");
    found.unwrap_or_else(|| panic!("{ended}"))
}

#[test]
fn the_doctor_tells_whether_a_cache_may_be_written() {
    let scenario = here();
    let found = push_check(&scenario, &[&cache(&scenario)]);
    assert_eq!(found.state, State::Fine, "{found:?}");
    assert!(!scenario.has("cache"), "nothing is made");

    let found = push_check(&scenario, &["--cache=file:///dev/null/cache"]);
    assert_eq!(found.state, State::Warning, "{found:?}");
    let registry = "--cache=oci://127.0.0.1:1/acme/cache";
    let found = push_check(&scenario, &[registry]);
    assert_eq!(
        (found.state, found.concern),
        (State::Warning, Concern::Inputs)
    );
    assert!(found.cure.unwrap().contains("nixpy-ci cache key"));
    let found = push_check(
        &scenario,
        &["--cache=http://127.0.0.1:1/cache", "--cache-required"],
    );
    assert_eq!(
        (found.state, found.concern),
        (State::Trouble, Concern::Remote)
    );
}

/// A run whose cache is this registry, that signs, and has so long in the end.
fn filling_registry(scenario: &Scenario, registry: &Registry, drain: &str) -> Ended {
    let cache = format!("--cache=oci://{}/acme/cache write", registry.host());
    let drain = format!("--cache-drain={drain}");
    let words = ["--json", "--cache-upstream=file:///nowhere", &cache, &drain];
    let key = SecretKey::generate("test-1").unwrap();
    let run = scenario.run(words).env("NIXPY_CACHE_KEY", key.expose());
    run.ended().succeeded()
}

#[test]
fn a_registry_that_throttles_or_fails_now_and_then_has_everything_in_the_end() {
    let scenario = here();
    let cache = "acme/cache";
    // Of each kind of request: one after the other they would fail in step with the attempts.
    let kinds = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PATCH,
        Method::PUT,
    ];
    let failing = kinds.map(|kind| Fault::status(503).on(kind, cache).share(30));
    let throttling = Fault::status(429).retry_after("1").on_path(cache).nth(3);
    let any = Fault::status(500).on_path(cache).random_share(30, 7);
    for faults in [vec![throttling], failing.to_vec(), vec![any]] {
        let registry = Registry::start();
        faults.into_iter().for_each(|fault| registry.fail(fault));
        let ended = filling_registry(&scenario, &registry, "60s");
        let filled = &ended.report().caches[0];
        assert!(filled.is_whole() && filled.pushed > 0, "{ended}");
        assert!(!registry.tags(cache).is_empty(), "{ended}");
    }
}

#[test]
fn a_registry_that_hangs_or_goes_away_is_told_and_the_run_is_green() {
    let scenario = here();
    let cache = "acme/cache";
    let hour = Duration::from_secs(3600);
    for fault in [
        Fault::hang(hour).on(Method::POST, cache).always(),
        Fault::cut_after(0).on_path(cache).nth(4).always(),
    ] {
        let registry = Registry::builder().fail(fault).start();
        let ended = filling_registry(&scenario, &registry, "2s");
        assert!(ended.took < Duration::from_secs(50), "{ended}");
        let report = ended.report();
        assert_eq!(report.outcome, Outcome::Success);
        assert!(report.caches[0].is_short(), "{ended}");
        ended.says("warning: cache oci://");
    }
}

#[test]
fn a_registry_that_lets_nobody_write_is_only_read_from_here() {
    let scenario = here();
    let fault = Fault::status(403).on(Method::POST, "acme/cache").always();
    let registry = Registry::builder().fail(fault).start();
    let ended = filling_registry(&scenario, &registry, "20s");
    assert_eq!(ended.report().caches[0].end, End::Refused, "{ended}");
    ended.says("only read from here");
}
