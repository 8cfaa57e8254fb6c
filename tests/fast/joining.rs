//! Runs by digest on several machines, and the index that is made of them.

use std::fs;

use nixpy_pipeline::report::Report;
use nixpy_pipeline::result::RunResult;
use nixpy_testkit::fake_nix::Replay;
use nixpy_testkit::registry::{Bearer, Fault, Method, Registry};
use serde_json::{Value, json};

use crate::scenario::{Ended, Image, Run, Scenario};

const COMMIT: &str = "1f518446f2de55ec5d6c0a8d6cad1d8918d3284d";
const OTHER: &str = "2f518446f2de55ec5d6c0a8d6cad1d8918d3284d";
const ARM: &str = "nixpy-ci-result-aarch64-linux.json";
const INTEL: &str = "nixpy-ci-result-x86_64-linux.json";

#[test]
fn two_jobs_joined_make_the_index_of_a_single_run_bit_for_bit() {
    let (registry, scenario) = (Registry::start(), service());
    let (whole, parts) = (at(&registry, "whole"), at(&registry, "parts"));
    let single = scenario.run(["-r", &whole, "-t", "v1"]);
    new_machine(single).ended().succeeded();
    let single = registry.manifest_bytes("whole", "v1").unwrap();

    publish(&scenario, &parts, "aarch64-linux");
    publish(&scenario, &parts, "x86_64-linux");
    assert_eq!(registry.tags("parts"), [""; 0], "no tag of any kind");
    // In whatever order, and as often as one likes.
    for results in [[INTEL, ARM], [ARM, INTEL]] {
        let ended = index(&scenario, &results, &["-t", "v1"]).succeeded();
        ended.prints(&format!("{parts}:v1\n"));
        assert_eq!(registry.manifest_bytes("parts", "v1").unwrap(), single);
    }
    assert_eq!(registry.tags("parts"), ["v1"]);
    for architecture in ["amd64", "arm64"] {
        let image = Image::in_registry(&registry, "parts", "v1", architecture);
        assert!(image.has("bin/base-api"));
    }
}

#[test]
fn a_run_by_digest_leaves_its_images_its_result_and_no_tag() {
    let (registry, scenario) = (Registry::start(), service());
    let target = at(&registry, "api");
    let ended = publish(&scenario, &target, "aarch64-linux").says(ARM);
    let result = result(&scenario, ARM);
    let [image] = &result.platforms[..] else {
        panic!("one image: {result:?}");
    };
    let digest = image.manifest.digest.to_string();
    ended.prints(&format!("{target}@{digest}\n"));
    let stored = registry.manifest_bytes("api", &digest).unwrap();
    assert_eq!(image.manifest.size, stored.len() as u64);
    assert_eq!(image.report.system.as_str(), "aarch64-linux");
    assert_eq!(result.source.revision.unwrap().to_string(), COMMIT);
    assert!(registry.tags("api").is_empty());
    let leftover = fs::read_dir(scenario.checkout()).unwrap().count();
    assert_eq!(leftover, 2, "the flake and the result");
}

#[test]
fn for_a_program_the_report_names_the_images_and_no_index() {
    let (registry, scenario) = (Registry::start(), service());
    let target = at(&registry, "api");
    let run = scenario.run(["-r", &target, "--by-digest", "--json", "--result", "r.json"]);
    let report = run.ended().succeeded().report();
    assert_eq!(report.index, None);
    let names = report.platforms.iter();
    let names: Vec<String> = names
        .map(|one| format!("{target}@{}", one.digest))
        .collect();
    assert_eq!(report.references, names);
    assert_eq!(result(&scenario, "r.json").platforms.len(), 2);
}

#[test]
fn one_job_publishes_for_several_systems_that_one_variable_names() {
    let (registry, scenario) = (Registry::start(), service());
    let target = at(&registry, "api");
    let run = scenario
        .run(["--by-digest", "-r", &target])
        .env("NIXPY_SYSTEM", "aarch64-linux x86_64-linux");
    run.ended().succeeded();
    let file = "nixpy-ci-result-aarch64-linux+x86_64-linux.json";
    index(&scenario, &[file], &[]).succeeded();
    Image::in_registry(&registry, "api", "latest", "arm64");
}

#[test]
fn the_tag_is_read_for_its_layers_and_stays_where_it_is() {
    let (registry, mut scenario) = (Registry::start(), service());
    let target = at(&registry, "api");
    new_machine(scenario.run(["-r", &target, "-t", "v1"]))
        .ended()
        .succeeded();
    let before = registry.tag("api", "v1");
    scenario.release("0.2.0");
    registry.reset_counts();
    let run = scenario.run(["-r", &target, "-t", "v1", "--by-digest", "--json"]);
    let report = new_machine(run).ended().succeeded().report();
    let sent = report.platforms.iter().map(|one| {
        let sent = one
            .layers
            .iter()
            .filter(|layer| layer.how != nixpy_oci::image::How::Described);
        sent.count()
    });
    assert_eq!(sent.collect::<Vec<_>>(), [1, 1], "what has changed");
    assert_eq!(registry.tag("api", "v1"), before);
    assert_eq!(registry.count(Method::PUT, "/manifests/v1"), 0);
}

#[test]
fn an_image_by_digest_can_be_loaded_as_well() {
    let registry = Registry::start();
    let keep = "#!/bin/sh\n[ \"$1\" = load ] && exec /bin/cat > \"$HOME/loaded.tar\"\n";
    let scenario = service().program("podman", keep);
    let target = at(&registry, "api");
    let arguments = ["-r", &target, "--by-digest", "--load=podman", "--json"];
    let report = scenario.run(arguments).ended().succeeded().report();
    assert_eq!(report.loaded, Some(format!("podman {target}:latest")));
    assert!(registry.tags("api").is_empty());
}

#[test]
fn by_digest_needs_a_registry() {
    let ended = service().run(["--by-digest"]).ended().with_code(2);
    assert_eq!(ended.nix_calls().len(), 0);
    ended.with_the_error(&["--by-digest", "--repository"]);
}

#[test]
fn a_result_without_by_digest_is_a_mistake() {
    let ended = service().run(["--result", "r.json"]).ended().with_code(2);
    ended.with_the_error(&["--result", "--by-digest"]);
}

#[test]
fn what_cannot_be_told_apart_is_not_built() {
    let silent = Replay::of(["flake", "metadata"]).exit(1);
    let moving = |rev: &str| Replay::of(["flake", "metadata"]).stdout(metadata(Some(rev)));
    for scenario in [
        Scenario::app().on(silent),
        Scenario::app().on(moving(OTHER).once()).on(moving(COMMIT)),
    ] {
        let registry = Registry::start();
        let arguments = ["-r", &at(&registry, "api"), "--by-digest"];
        let ended = scenario.run(arguments).ended().with_code(2);
        assert_eq!(ended.calls("build"), 0);
        ended.with_the_error(&["which tree", "changed while it was evaluated"]);
        assert!(registry.requests().is_empty());
    }
}

#[test]
fn the_commit_is_known_without_a_memory_of_evaluations_and_for_one_question() {
    let (registry, scenario) = (Registry::start(), service().built());
    let target = at(&registry, "api");
    let arguments = ["-r", &target, "--by-digest", "--result", "r.json"];
    let remembered = scenario.run(arguments).ended().succeeded();
    let asked = remembered.calls("metadata");
    let again = scenario.run(arguments).by_the_nix_of(&remembered);
    assert_eq!(again.ended().succeeded().calls("metadata") - asked, 1);
    let run = scenario.run(arguments).env("NIXPY_REEVALUATE", "true");
    run.ended().succeeded();
    assert!(result(&scenario, "r.json").source.nar_hash.is_some());
}

#[test]
fn a_run_that_fails_leaves_no_result() {
    let registry = Registry::start();
    let scenario = service().on(crate::scenario::nix::failing_build(""));
    let arguments = [
        "-r",
        &at(&registry, "api"),
        "--by-digest",
        "--result",
        "r.json",
    ];
    let ended = scenario.run(arguments).ended();
    assert_ne!(ended.code, 0, "{ended}");
    assert!(!scenario.has("r.json"));
}

#[test]
fn a_plan_by_digest_says_so() {
    let scenario = service();
    let arguments = ["plan", "--by-digest", "-r", "ghcr.io/acme/api"];
    let ended = scenario.nixpy(arguments).ended().succeeded();
    ended.prints("published to ghcr.io/acme/api by digest, without a tag");
}

#[test]
fn everything_that_keeps_results_apart_is_told_at_once() {
    let (registry, scenario) = (Registry::start(), service());
    let target = at(&registry, "api");
    publish(&scenario, &target, "aarch64-linux");
    let changed = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut result: Value = serde_json::from_str(&scenario.read(ARM)).unwrap();
        change(&mut result);
        fs::write(scenario.checkout().join(name), result.to_string()).unwrap();
    };
    changed("other.json", &|result| {
        result["source"]["revision"] = json!(OTHER);
        result["repositories"] = json!(["ghcr.io/acme/other"]);
        set_digest(result, &format!("sha256:{}", "0".repeat(64)));
    });
    registry.reset_counts();
    let wanted = ["-s", "aarch64-linux", "-s", "x86_64-linux"];
    let ended = index(&scenario, &[ARM, "other.json"], &wanted)
        .with_code(2)
        .prints_nothing();
    assert_eq!(ended.errors().len(), 4, "{ended}");
    ended
        .says(&format!(
            "{ARM} is of commit {COMMIT}, and other.json of commit {OTHER}"
        ))
        .says("other.json was published to ghcr.io/acme/other")
        .says(&format!(
            "{ARM} and other.json have two images for linux/arm64/v8"
        ))
        .says("no result has an image for x86_64-linux");
    assert!(registry.requests().is_empty(), "nobody was asked");

    let elsewhere = index(&scenario, &[ARM], &["-r", "ghcr.io/acme/web"]).with_code(2);
    elsewhere.with_the_error(&["was published to", "go to ghcr.io/acme/web"]);
}

#[test]
fn systems_and_tags_of_the_file_of_settings_count_too() {
    let (registry, scenario) = (Registry::start(), service());
    let target = at(&registry, "api");
    publish(&scenario, &target, "aarch64-linux");
    let yaml =
        format!("repository: {target}\ntags: [v3]\nsystems: [aarch64-linux, x86_64-linux]\n");
    let scenario = scenario.file("nixpy-ci.yaml", &yaml).without("flake.nix");
    let ended = index(&scenario, &[ARM], &[]).with_code(2);
    ended.with_the_error(&["no result has an image for x86_64-linux"]);
    index(&scenario, &[ARM], &["-s", "aarch64-linux"]).succeeded();
    assert_eq!(registry.tags("api"), ["v3"]);
}

#[test]
fn the_same_image_from_two_files_is_one() {
    let (registry, scenario) = (Registry::start(), service());
    publish(&scenario, &at(&registry, "api"), "aarch64-linux");
    let again = scenario.read(ARM);
    let scenario = scenario.file("again.json", &again);
    index(&scenario, &[ARM, "again.json"], &[]).succeeded();
    let index = registry.manifest("api", "latest").unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
}

#[test]
fn a_file_that_is_no_result_is_named_and_says_why() {
    let (registry, scenario) = (Registry::start(), service());
    publish(&scenario, &at(&registry, "api"), "aarch64-linux");
    let sound: Value = serde_json::from_str(&scenario.read(ARM)).unwrap();
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 12] = [
        (
            |r| r["version"] = json!(2),
            "version 2, and this nixpy-ci reads version 1",
        ),
        (|r| r["version"] = json!("new"), "not the result of"),
        (|r| *r = json!([1]), "not the result of"),
        (
            |r| r["repositories"] = json!(["api"]),
            "is not a repository",
        ),
        (|r| r["repositories"] = json!([]), "no repository"),
        (|r| r["platforms"] = json!([]), "names no image"),
        (|r| r["source"] = json!({}), "does not say what was built"),
        (
            |r| r["source"]["revision"] = json!("\u{1b}[2J"),
            "not a commit",
        ),
        (
            |r| r["platforms"][0]["manifest"]["digest"] = json!("sha256:0"),
            "sha256:0",
        ),
        (
            |r| r["platforms"][0]["manifest"]["platform"]["architecture"] = json!("amd64"),
            "for another platform",
        ),
        (
            |r| r["platforms"][0]["manifest"]["mediaType"] = json!("text/html"),
            "not an image manifest",
        ),
        (
            |r| r["platforms"][0]["digest"] = json!(format!("sha256:{}", "1".repeat(64))),
            "two digests",
        ),
    ];
    registry.reset_counts();
    for (change, reason) in changes {
        let mut result = sound.clone();
        change(&mut result);
        fs::write(scenario.checkout().join("r.json"), result.to_string()).unwrap();
        let ended = index(&scenario, &["r.json"], &[]).with_code(2);
        ended
            .with_the_error(&["r.json: it ", reason])
            .never_says("\u{1b}");
    }
    let large = fs::File::create(scenario.checkout().join("r.json")).unwrap();
    large.set_len(1 << 40).unwrap();
    let ended = index(&scenario, &["r.json"], &[]).with_code(2);
    ended.with_the_error(&["r.json", "too large"]);
    let ended = index(&scenario, &["absent.json", "."], &["-t", "no tag"]).with_code(2);
    assert_eq!(ended.errors().len(), 3, "{ended}");
    assert!(registry.requests().is_empty());
}

#[test]
fn an_image_that_is_not_where_its_result_says_keeps_the_tag_from_moving() {
    let (registry, scenario) = (Registry::start(), service());
    publish(&scenario, &at(&registry, "api"), "aarch64-linux");
    publish(&scenario, &at(&registry, "api"), "x86_64-linux");
    let sound: Value = serde_json::from_str(&scenario.read(ARM)).unwrap();
    let changes: [&dyn Fn(&mut Value); 2] = [
        &|result| set_digest(result, &format!("sha256:{}", "0".repeat(64))),
        &|result| result["platforms"][0]["manifest"]["size"] = json!(17),
    ];
    for change in changes {
        let mut result = sound.clone();
        change(&mut result);
        fs::write(scenario.checkout().join("r.json"), result.to_string()).unwrap();
        let ended = index(&scenario, &["r.json", INTEL], &["--json"]).with_code(4);
        assert!(
            ended
                .report()
                .error
                .unwrap()
                .contains("run the job of aarch64-linux again")
        );
        assert!(registry.tags("api").is_empty());
    }
}

#[test]
fn with_several_repositories_no_tag_moves_before_the_index_is_in_all() {
    let (registry, scenario) = (Registry::start(), service());
    let (api, web) = (at(&registry, "api"), at(&registry, "web"));
    let run = scenario.run(["-r", &api, "-r", &web, "--by-digest", "--result", "r.json"]);
    run.ended().succeeded();
    let refused = Fault::status(403).on(Method::PUT, "/web/manifests/");
    registry.fail(refused);
    let ended = index(&scenario, &["r.json"], &[])
        .with_code(4)
        .prints_nothing();
    ended.with_the_error(&["403", &web]);
    assert!(registry.tags("api").is_empty() && registry.tags("web").is_empty());

    let ended = index(&scenario, &["r.json"], &[]).succeeded();
    ended.prints(&format!("{api}:latest\n{web}:latest\n"));
    assert_eq!(registry.tag("api", "latest"), registry.tag("web", "latest"));
}

#[test]
fn an_index_of_two_platforms_costs_six_requests_at_most() {
    let (user, password) = ("ci-bot", "correct-horse");
    let registry = Registry::builder()
        .auth(Bearer::new(user, password))
        .start();
    let scenario = service();
    let login = [("NIXPY_USERNAME", user), ("NIXPY_PASSWORD", password)];
    let target = at(&registry, "api");
    for system in ["aarch64-linux", "x86_64-linux"] {
        let arguments = ["-r", &target, "--by-digest", "-s", system];
        scenario.run(arguments).envs(login).ended().succeeded();
    }
    registry.reset_counts();
    let arguments = ["index", ARM, INTEL, "-r", &target];
    scenario.nixpy(arguments).envs(login).ended().succeeded();
    let requests = registry.requests();
    assert!(requests.len() <= 6, "{requests:#?}");
    assert_eq!(registry.tags("api"), ["latest"]);
}

#[test]
fn a_password_is_shown_to_no_host_that_only_a_result_names() {
    let (registry, scenario) = (Registry::start(), service());
    publish(&scenario, &at(&registry, "api"), "aarch64-linux");
    registry.reset_counts();
    let login = [("NIXPY_USERNAME", "me"), ("NIXPY_PASSWORD", "hunter2")];
    let ended = scenario
        .nixpy(["index", ARM])
        .envs(login)
        .ended()
        .with_code(2);
    ended
        .with_the_error(&["NIXPY_USERNAME", "--repository"])
        .never_says("hunter2");
    assert!(registry.requests().is_empty());
}

#[test]
fn the_summary_and_the_report_are_those_of_a_run() {
    let (registry, scenario) = (Registry::start(), service());
    let target = at(&registry, "api");
    publish(&scenario, &target, "aarch64-linux");
    publish(&scenario, &target, "x86_64-linux");
    let ended = index(&scenario, &[INTEL, ARM], &["--json", "--summary", "s.md"]).succeeded();
    let report: Report = ended.report();
    let systems = report.platforms.iter().map(|one| one.system.as_str());
    assert_eq!(
        systems.collect::<Vec<_>>(),
        ["aarch64-linux", "x86_64-linux"]
    );
    assert_eq!(report.references, [format!("{target}:latest")]);
    let digest = report.index.unwrap().digest.to_string();
    assert_eq!(registry.tag("api", "latest"), Some(digest));
    let summary = scenario.read("s.md");
    assert!(summary.contains("## Image published") && summary.contains("| linux/arm64/v8 |"));
}

/// A checkout at a commit.
fn service() -> Scenario {
    Scenario::app().on(Replay::of(["flake", "metadata"]).stdout(metadata(Some(COMMIT))))
}

fn metadata(rev: Option<&str>) -> String {
    let hash = "sha256-tgvHTFvF2ho9BKLNRn8mORqP/fe3o5kdzmF6BUhIWoo=";
    json!({
        "locked": { "type": "git", "narHash": hash, "rev": rev },
        "locks": { "nodes": {} },
    })
    .to_string()
}

/// One job of a matrix, on a machine of its own.
fn publish(scenario: &Scenario, target: &str, system: &str) -> Ended {
    let run = scenario.run(["-r", target, "--by-digest", "-s", system]);
    new_machine(run).ended().succeeded()
}

fn index(scenario: &Scenario, results: &[&str], settings: &[&str]) -> Ended {
    let arguments = ["index"].iter().chain(results).chain(settings).copied();
    scenario.nixpy(arguments).without_nix().ended()
}

fn result(scenario: &Scenario, file: &str) -> RunResult {
    RunResult::parse(scenario.read(file).as_bytes()).unwrap()
}

fn set_digest(result: &mut Value, digest: &str) {
    result["platforms"][0]["digest"] = json!(digest);
    result["platforms"][0]["manifest"]["digest"] = json!(digest);
}

fn at(registry: &Registry, name: &str) -> String {
    format!("{}/{name}", registry.host())
}

/// A machine that remembers nothing.
fn new_machine(run: Run<'_>) -> Run<'_> {
    run.env("XDG_STATE_HOME", "/dev/null/state")
}
