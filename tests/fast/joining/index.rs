//! `nixpy-ci index`: the index of a single run, made of several.

use nixpy_pipeline::report::Report;
use nixpy_testkit::registry::{Bearer, Fault, Method, Registry};
use serde_json::json;

use super::{ARM, INTEL, at, joined, new_machine, publish, service};
use crate::naming::job;
use crate::scenario::Image;

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
        let ended = joined(&scenario, &results, &["-t", "v1"]).succeeded();
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
fn systems_and_tags_of_the_file_of_settings_count_too() {
    let (registry, scenario) = (Registry::start(), service());
    let target = at(&registry, "api");
    publish(&scenario, &target, "aarch64-linux");
    let yaml =
        format!("repository: {target}\ntags: [v3]\nsystems: [aarch64-linux, x86_64-linux]\n");
    let scenario = scenario.file("nixpy-ci.yaml", &yaml).without("flake.nix");
    let ended = joined(&scenario, &[ARM], &[]).with_code(2);
    ended.with_the_error(&["no result has an image for x86_64-linux"]);
    joined(&scenario, &[ARM], &["-s", "aarch64-linux"]).succeeded();
    assert_eq!(registry.tags("api"), ["v3"]);
}

/// As in the matrix of `examples`: the release's workflow has `latest`.
#[test]
fn on_github_the_flavor_leaves_latest_to_others() {
    let push = ("push", "refs/heads/main");
    for (flavor, has_latest) in [("latest=false", false), ("latest=auto", true)] {
        let (registry, scenario) = (Registry::start(), service());
        publish(&scenario, &at(&registry, "api"), "aarch64-linux");
        let run = scenario.nixpy(["index", ARM, "--flavor", flavor]);
        job(&scenario, run, push, json!({})).ended().succeeded();
        let tags = registry.tags("api");
        let has = |name: &str| tags.iter().any(|tag| tag == name);
        assert_eq!((has("main"), has("latest")), (true, has_latest), "{tags:?}");
    }
}

#[test]
fn the_same_image_from_two_files_is_one() {
    let (registry, scenario) = (Registry::start(), service());
    publish(&scenario, &at(&registry, "api"), "aarch64-linux");
    let again = scenario.read(ARM);
    let scenario = scenario.file("again.json", &again);
    joined(&scenario, &[ARM, "again.json"], &[]).succeeded();
    let index = registry.manifest("api", "latest").unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
}

#[test]
fn with_several_repositories_no_tag_moves_before_the_index_is_in_all() {
    let (registry, scenario) = (Registry::start(), service());
    let (api, web) = (at(&registry, "api"), at(&registry, "web"));
    let run = scenario.run(["-r", &api, "-r", &web, "--by-digest", "--result", "r.json"]);
    run.ended().succeeded();
    let refused = Fault::status(403).on(Method::PUT, "/web/manifests/");
    registry.fail(refused);
    let ended = joined(&scenario, &["r.json"], &[])
        .with_code(4)
        .prints_nothing();
    ended.with_the_error(&["403", &web]);
    assert!(registry.tags("api").is_empty() && registry.tags("web").is_empty());

    let ended = joined(&scenario, &["r.json"], &[]).succeeded();
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
fn the_summary_and_the_report_are_those_of_a_run() {
    let (registry, scenario) = (Registry::start(), service());
    let target = at(&registry, "api");
    publish(&scenario, &target, "aarch64-linux");
    publish(&scenario, &target, "x86_64-linux");
    let ended = joined(&scenario, &[INTEL, ARM], &["--json", "--summary", "s.md"]).succeeded();
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
    assert!(
        summary.starts_with("## base-api: Image published\n")
            && summary.contains("| `linux/arm64/v8` |")
    );
}
