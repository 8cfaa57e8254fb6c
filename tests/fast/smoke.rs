//! The smoke test: an engine that does as it is told stands in the `PATH`.

use nixpy_pipeline::report::PlatformReport;
use nixpy_pipeline::smoke::{Tested, Verdict};
use nixpy_testkit::registry::{Method, Registry};
use serde_json::json;

use crate::naming::{SHA, job};
use crate::scenario::{Ended, Scenario};

/// This machine's own: whether others run here is not for the fast tier to say.
const SYSTEM: &str = match cfg!(target_arch = "aarch64") {
    true => "aarch64-linux",
    false => "x86_64-linux",
};

/// What the probe says inside of a container whose service is well.
const READY: &str = "echo '{\"Ok\":\"Ready\"}'";
/// A container that goes on.
const GOES_ON: &str = "exec /bin/sleep 60";

/// A podman that runs containers, and does this when it is called for them.
struct Podman {
    run: &'static str,
    exec: &'static str,
    wait: &'static str,
}

impl Podman {
    fn whose_service_says(exec: &'static str) -> Self {
        Self {
            run: "exit 0",
            exec,
            wait: GOES_ON,
        }
    }

    /// It notes every call, and takes every image.
    fn script(&self) -> String {
        let Self { run, exec, wait } = self;
        format!(
            "#!/bin/sh\necho \"$@\" >> \"$HOME/calls\"\ncase \"$1\" in\n\
             load) /bin/cat > \"$HOME/loaded\" ;;\n\
             run) case \"$*\" in *--version) ;; *) {run} ;; esac ;;\n\
             exec) {exec} ;;\nwait) {wait} ;;\n\
             logs) echo first; echo 'the service says why' >&2 ;;\nesac\n"
        )
    }
}

/// A service with a released version, and this podman.
fn with(podman: &Podman) -> (Registry, Scenario) {
    let scenario = Scenario::app().program("podman", &podman.script());
    (Registry::start(), scenario)
}

fn repository(registry: &Registry) -> String {
    format!("{}/base-api", registry.host())
}

fn run(scenario: &Scenario, registry: &Registry, more: &[&str]) -> Ended {
    let target = repository(registry);
    let mut arguments = vec!["-r", &target, "-s", SYSTEM, "--json"];
    arguments.extend(more);
    scenario.run(arguments).ended()
}

fn calls(scenario: &Scenario, word: &str) -> Vec<String> {
    let calls = std::fs::read_to_string(scenario.home().join("calls")).unwrap_or_default();
    let those = calls.lines().filter(|call| call.starts_with(word));
    those.map(str::to_owned).collect()
}

fn only(ended: &Ended) -> (PlatformReport, Tested) {
    let [platform] = &ended.report().platforms[..] else {
        panic!("one platform was expected: {ended}");
    };
    (platform.clone(), platform.smoke.clone().unwrap())
}

#[test]
fn an_image_that_works_is_tagged() {
    let (registry, scenario) = with(&Podman::whose_service_says(READY));
    let ended = run(&scenario, &registry, &["--smoke-http=/openapi.json"]).succeeded();
    let (_, tested) = only(&ended);
    assert_eq!(tested.verdict, Verdict::Passed);
    assert_eq!(tested.wanted, "200 from /openapi.json at port 8000");
    assert_eq!(tested.by.as_deref(), Some("podman"));
    assert_eq!(registry.tags("base-api"), ["latest"]);
    ended.says("works: 200 from /openapi.json at port 8000");
}

#[test]
fn a_container_has_no_network_but_its_own_and_nothing_of_it_is_left() {
    let (registry, scenario) = with(&Podman {
        run: "echo \"$DEBUG\" > \"$HOME/debug\"",
        ..Podman::whose_service_says(READY)
    });
    let more = ["--smoke-port=9000", "--smoke-env=DEBUG=a b"];
    run(&scenario, &registry, &more).succeeded();
    let given = std::fs::read_to_string(scenario.home().join("debug"));
    assert_eq!(given.unwrap(), "a b\n");
    let runs = calls(&scenario, "run");
    assert_eq!(
        runs.len(),
        2,
        "one to see whether it runs containers: {runs:?}"
    );
    for words in [
        "--network none",
        "--detach",
        "--env=DEBUG ",
        ":/.nixpy-ci:ro",
    ] {
        assert!(runs[1].contains(words), "{words} is not in {}", runs[1]);
    }
    assert!(!runs[1].contains("--publish") && !runs[1].contains(" -p "));
    let exec = calls(&scenario, "exec");
    assert!(
        exec[0].contains("smoke-probe") && exec[0].contains("\"port\":9000"),
        "{exec:?}"
    );
    for run in &runs {
        let name = run
            .split(' ')
            .skip_while(|word| *word != "--name")
            .nth(1)
            .unwrap();
        let removed = calls(&scenario, "rm ");
        assert!(
            removed.iter().any(|call| call.ends_with(name)),
            "{name}: {removed:?}"
        );
    }
    assert_eq!(
        calls(&scenario, "load").len(),
        calls(&scenario, "rmi").len()
    );
    assert_eq!(std::fs::read_dir(scenario.temporary()).unwrap().count(), 0);
}

#[test]
fn of_an_image_that_fails_the_old_tag_stays_where_it_was() {
    let answer = r#"echo '{"Ok":{"Other":{"status":404,"route":"/"}}}'"#;
    let (registry, mut scenario) = with(&Podman::whose_service_says(answer));
    run(&scenario, &registry, &[]).succeeded();
    let before = registry.tag("base-api", "latest");
    scenario.release("0.2.0");
    let more = ["--smoke-http=/", "--summary=summary.md"];
    let ended = run(&scenario, &registry, &more).with_code(1);

    assert_eq!(registry.tag("base-api", "latest"), before);
    let report = ended.report();
    assert_eq!((report.references.len(), report.index.is_none()), (0, true));
    let (platform, tested) = only(&ended);
    assert_eq!(tested.verdict, Verdict::Failed);
    assert_eq!(tested.seen.as_deref(), Some("404 from /"));
    assert_eq!(tested.log, ["first", "the service says why"]);
    let summary = scenario.read("summary.md");
    assert!(
        summary.starts_with("## base-api: Smoke test failed, no tag was moved\n"),
        "{summary}"
    );
    assert!(summary.contains("> the service says why"), "{summary}");
    ended
        .says(&format!(
            "{} failed its smoke test (200 from / at port 8000, in podman): 404 from /",
            platform.platform
        ))
        .says("> the service says why")
        .says("--smoke-expect")
        .says("no tag was moved");
}

#[test]
fn on_github_a_failure_is_an_annotation_and_its_log_is_fenced() {
    let hostile = Podman {
        wait: "echo 1",
        ..Podman::whose_service_says("exit 255")
    };
    let script = hostile
        .script()
        .replace("echo first", "echo '::error::mine'");
    let scenario = Scenario::app().program("podman", &script);
    let registry = Registry::start();
    let more = ["--smoke-http=/", "--progress=github"];
    let ended = run(&scenario, &registry, &more).with_code(1);
    let mut lines = ended
        .stderr
        .lines()
        .skip_while(|line| !line.starts_with("::error::"));
    assert!(
        lines
            .next()
            .unwrap()
            .contains("podman): it ended with exit code 1 after")
    );
    let fence = lines
        .next()
        .unwrap()
        .strip_prefix("::stop-commands::")
        .unwrap();
    let inside: Vec<&str> = lines
        .take_while(|line| *line != format!("::{fence}::"))
        .collect();
    assert!(inside.contains(&"  > ::error::mine"), "{inside:?}");
}

#[test]
fn a_container_that_ends_early_fails_at_once() {
    let podman = Podman {
        wait: "echo 3",
        ..Podman::whose_service_says(GOES_ON)
    };
    let (registry, scenario) = with(&podman);
    let ended = run(&scenario, &registry, &["--smoke-http=/"]).with_code(1);
    let (_, tested) = only(&ended);
    let seen = tested.seen.unwrap();
    assert!(
        seen.starts_with("it ended with exit code 3 after 0."),
        "{seen}"
    );
    assert_eq!(registry.tags("base-api"), [""; 0]);
}

#[test]
fn a_program_that_cannot_be_started_is_the_images_fault() {
    let podman = Podman {
        run: "echo 'Error: crun: executable file `serve` not found' >&2; exit 127",
        ..Podman::whose_service_says(READY)
    };
    let (registry, scenario) = with(&podman);
    let ended = run(&scenario, &registry, &["--smoke-http=/"]).with_code(1);
    let (_, tested) = only(&ended);
    assert!(
        tested
            .seen
            .unwrap()
            .ends_with("executable file `serve` not found")
    );
}

#[test]
fn an_engine_that_hangs_is_given_up() {
    let (registry, scenario) = with(&Podman::whose_service_says(GOES_ON));
    let more = ["--smoke-http=/", "--smoke-timeout=100ms"];
    let ended = run(&scenario, &registry, &more).with_code(1);
    // What it does takes a minute.
    assert!(ended.took.as_secs() < 50);
    let (_, tested) = only(&ended);
    assert!(
        tested
            .seen
            .unwrap()
            .contains("`podman exec` did not answer")
    );
    assert_eq!(registry.tags("base-api"), [""; 0]);
}

#[test]
fn what_cannot_be_run_here_is_untested_and_never_passed() {
    let refuses = "#!/bin/sh\necho 'Error: crun: cgroups are not for you' >&2; exit 126\n";
    let without = Scenario::app();
    let refused = Scenario::app().program("podman", refuses);
    for (scenario, why) in [
        (without, "neither podman nor docker"),
        (refused, "cgroups are not"),
    ] {
        let registry = Registry::start();
        let ended = run(&scenario, &registry, &["--smoke-http=/"]).succeeded();
        let (_, tested) = only(&ended);
        assert_eq!(tested.verdict, Verdict::Untested);
        let seen = tested.seen.unwrap();
        assert!(
            seen.contains(why) && seen.contains("unshare, of util-linux"),
            "{seen}"
        );
        assert_eq!(registry.tags("base-api"), ["latest"]);
        ended.says("is untested: ").says("install podman");

        let registry = Registry::start();
        let required = ["--smoke-http=/", "--smoke-required"];
        run(&scenario, &registry, &required)
            .with_code(1)
            .says("no tag was moved");
        assert_eq!(registry.tags("base-api"), [""; 0]);
    }
}

#[test]
fn an_engine_is_told_to_raise_no_limits_where_it_may_not() {
    let podman = Podman::whose_service_says(READY);
    let refuses = "case \"$*\" in *--ulimit=nofile=*--ulimit=nproc=*) ;; \
                   *) echo 'crun: setrlimit `RLIMIT_NOFILE`: no' >&2; exit 126 ;; esac\n";
    let script = podman
        .script()
        .replacen("run) ", &format!("run) {refuses}"), 1);
    let scenario = Scenario::app().program("podman", &script);
    let registry = Registry::start();
    let ended = run(&scenario, &registry, &["--smoke-http=/"]).succeeded();
    let (_, tested) = only(&ended);
    assert_eq!(tested.verdict, Verdict::Passed);
    assert_eq!(tested.notes, ["podman was told to raise no limits"]);
}

#[test]
fn a_run_that_changes_nothing_starts_nothing() {
    let (registry, scenario) = with(&Podman::whose_service_says(READY));
    let scenario = scenario.built();
    let more = ["--smoke-http=/"];
    run(&scenario, &registry, &more).succeeded();
    let started = calls(&scenario, "run").len();
    registry.reset_counts();
    let ended = run(&scenario, &registry, &more).succeeded();
    assert_eq!(only(&ended).1.verdict, Verdict::Unchanged);
    let ended = ended.says("is what the tags point to already: not tried out");
    assert_eq!(ended.report().timings.smoke, 0.0);
    assert_eq!(calls(&scenario, "run").len(), started);
    assert!(registry.requests().len() <= 6, "{:#?}", registry.requests());

    // It may have been tagged without a test.
    let required = ["--smoke-http=/", "--smoke-required"];
    let ended = run(&scenario, &registry, &required).succeeded();
    assert_eq!(only(&ended).1.verdict, Verdict::Passed);

    // A tag that is new beside one that has it says nothing; one with another image does.
    let another_tag = ["--smoke-http=/", "-t", "latest", "-t", "v1"];
    let ended = run(&scenario, &registry, &another_tag).succeeded();
    assert_eq!(only(&ended).1.verdict, Verdict::Unchanged);
    let media_type = "application/vnd.oci.image.index.v1+json";
    let other = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": [] });
    registry.put_manifest("base-api", "v1", &other);
    let ended = run(&scenario, &registry, &another_tag).succeeded();
    assert_eq!(only(&ended).1.verdict, Verdict::Passed);
}

#[test]
fn what_an_engine_that_runs_others_does_not_start_has_failed() {
    let podman = Podman {
        run: "echo 'Error: no such user' >&2; exit 125",
        ..Podman::whose_service_says(READY)
    };
    let (registry, scenario) = with(&podman);
    let ended = run(&scenario, &registry, &["--smoke-http=/"]).with_code(1);
    let (_, tested) = only(&ended);
    assert_eq!(tested.verdict, Verdict::Failed);
    let seen = tested.seen.unwrap();
    assert_eq!(seen, "it cannot be started: no such user");
    assert_eq!(registry.tags("base-api"), [""; 0]);
}

#[test]
fn a_command_that_writes_without_end_is_heard_at_its_end() {
    let exec = "case \"$*\" in *smoke-probe*) echo '{\"Ok\":\"Ready\"}' ;; \
                *) /usr/bin/head -c 9000000 /dev/zero; exit 7 ;; esac";
    let (registry, scenario) = with(&Podman::whose_service_says(exec));
    let more = ["--smoke-http=/", "--smoke-cmd=talk"];
    let ended = run(&scenario, &registry, &more).with_code(1);
    let seen = only(&ended).1.seen;
    assert_eq!(seen.as_deref(), Some("`talk` ended with exit code 7"));
}

#[test]
fn a_command_takes_the_place_of_the_images_program() {
    let podman = Podman {
        wait: "echo 1",
        ..Podman::whose_service_says("exit 1")
    };
    let (registry, scenario) = with(&podman);
    let more = [
        "--smoke-cmd=base-api",
        "--smoke-cmd=--check",
        "--smoke-network=bridge",
    ];
    let ended = run(&scenario, &registry, &more).with_code(1);
    let (_, tested) = only(&ended);
    assert_eq!(
        tested.seen.as_deref(),
        Some("`base-api --check` ended with exit code 1")
    );
    let run = calls(&scenario, "run").pop().unwrap();
    assert!(run.contains("--network bridge") && run.contains("--entrypoint base-api localhost/"));
    assert!(run.ends_with(" --check") && calls(&scenario, "exec").is_empty());
}

#[test]
fn a_command_beside_the_service_runs_when_that_is_there() {
    let exec = "case \"$*\" in *smoke-probe*) echo '{\"Ok\":\"Ready\"}' ;; *) exit 7 ;; esac";
    let (registry, scenario) = with(&Podman::whose_service_says(exec));
    let more = ["--smoke-http=/", "--smoke-cmd=check-migrations"];
    let ended = run(&scenario, &registry, &more).with_code(1);
    let seen = only(&ended).1.seen;
    assert_eq!(
        seen.as_deref(),
        Some("`check-migrations` ended with exit code 7")
    );
}

#[test]
fn an_image_that_was_tried_out_is_loaded_from_the_same_bytes() {
    let podman = Podman::whose_service_says(READY);
    // The layout is gone by then, unless somebody has kept it for the loader.
    let script = podman.script().replace(
        "load) ",
        "load) echo \"$TMPDIR\"/.tmp*/image >> \"$HOME/layouts\"; ",
    );
    let scenario = Scenario::app().program("podman", &script);
    let registry = Registry::start();
    let ended = run(&scenario, &registry, &["--smoke-http=/", "--load=podman"]).succeeded();
    let name = format!("podman {}:latest", repository(&registry));
    assert_eq!(ended.report().loaded, Some(name));
    let layouts = std::fs::read_to_string(scenario.home().join("layouts")).unwrap();
    let layouts: Vec<&str> = layouts.lines().collect();
    let [_, tried, loaded] = layouts[..] else {
        panic!("an empty image, the image, and the image again: {layouts:?}");
    };
    assert_eq!((tried, tried.contains('*')), (loaded, false));
}

#[test]
fn an_interrupt_takes_the_container_and_the_image_away() {
    let (registry, scenario) = with(&Podman::whose_service_says(GOES_ON));
    let target = repository(&registry);
    let running = scenario
        .run(["-r", &target, "-s", SYSTEM, "--smoke-http=/"])
        .started()
        .until(|_| !calls(&scenario, "exec").is_empty());
    running.terminate();
    running.ended().with_code(130).says("no tag was moved");
    assert_eq!(calls(&scenario, "rm ").len(), 2);
    assert_eq!(calls(&scenario, "rmi").len(), 2);
    assert_eq!(std::fs::read_dir(scenario.temporary()).unwrap().count(), 0);
}

#[test]
fn the_file_names_it_in_a_section_of_its_own() {
    let (registry, scenario) = with(&Podman::whose_service_says(READY));
    let section = "smoke: { http: /health, port: 9000, expect: 204, timeout: 5s }\n";
    let scenario = scenario.file("nixpy-ci.yaml", section);
    let ended = run(&scenario, &registry, &[]).succeeded();
    assert_eq!(only(&ended).1.wanted, "204 from /health at port 9000");
}

#[test]
fn a_detail_of_a_test_that_is_not_wanted_is_a_mistake() {
    for (argument, word) in [
        ("--smoke-timeout=5s", "smoke-http"),
        ("--smoke-expect=204", "smoke-http"),
        ("--smoke-http=health", "is not a route"),
        ("--smoke-port=0", "1 to 65535"),
    ] {
        let ended = Scenario::app().run([argument]).ended().with_code(2);
        assert!(ended.errors()[0].contains(word), "{ended}");
    }
}

#[test]
fn an_image_that_is_only_rehearsed_is_tried_out_all_the_same() {
    let (registry, scenario) = with(&Podman::whose_service_says(READY));
    let more = ["--smoke-http=/", "--push=never"];
    let ended = run(&scenario, &registry, &more).succeeded();
    let (_, tested) = only(&ended);
    assert_eq!(tested.verdict, Verdict::Passed);
    assert!(ended.report().rehearsed && registry.tags("base-api").is_empty());

    let (registry, scenario) = with(&Podman {
        run: "exit 125",
        ..Podman::whose_service_says("exit 1")
    });
    let more = ["--smoke-http=/", "--push=never", "--smoke-required"];
    let ended = run(&scenario, &registry, &more).with_code(1);
    assert!(ended.report().index.is_none());
    assert_eq!(registry.count(Method::PUT, "/v2/"), 0);
}

#[test]
fn another_commit_with_the_same_image_starts_nothing_and_moves_its_tags() {
    let (registry, scenario) = with(&Podman::whose_service_says(READY));
    let target = repository(&registry);
    let push = |sha: &str| {
        let words = ["-r", &target, "-s", SYSTEM, "--json", "--smoke-http=/"];
        let push = ("push", "refs/heads/main");
        let run = job(&scenario, scenario.run(words), push, json!({}));
        run.env("GITHUB_SHA", sha).ended().succeeded()
    };
    push(SHA);
    let started = calls(&scenario, "run").len();
    let before = registry.tag("base-api", "main");
    let ended = push(&"1".repeat(40));
    let (_, tested) = only(&ended);
    assert_eq!(tested.verdict, Verdict::Unchanged);
    assert!(!ended.report().changed);
    assert_eq!(calls(&scenario, "run").len(), started);
    assert_ne!(
        registry.tag("base-api", "main"),
        before,
        "it tells the commit"
    );
    assert_eq!(registry.tags("base-api").len(), 4, "one for each commit");
}
