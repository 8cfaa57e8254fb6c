//! The image of a commit that has none yet.

use nixpy_testkit::registry::{Method, Registry};
use serde_json::{Value, json};

use super::{COMMIT, OTHER, at, json, published, written};
use crate::joining::{metadata, new_machine, service};
use crate::scenario::{Ended, Scenario};
use nixpy_testkit::fake_nix::Replay;

fn release(scenario: &Scenario, registry: &Registry, commit: &str) -> Ended {
    let target = at(registry, "api");
    let arguments = [
        "release", "v1.2.3", "--commit", commit, "-r", &target, "--json",
    ];
    new_machine(scenario.nixpy(arguments)).ended()
}

#[test]
fn the_image_is_built_published_under_its_commit_and_released() {
    let registry = Registry::start();
    let ended = release(&service(), &registry, COMMIT).succeeded();
    let told = json(&ended);
    assert_eq!(
        (&told["built"], &told["unchanged"]),
        (&json!(true), &json!(false))
    );
    let commit = format!("sha-{COMMIT}");
    assert_eq!(
        registry.tags("api"),
        ["1", "1.2", "1.2.3", "latest", &commit]
    );
    let digest = registry.tag("api", &commit);
    assert_eq!(registry.tag("api", "1.2.3"), digest);
    assert_eq!(told["digest"].as_str(), digest.as_deref());
    assert_eq!(told["platforms"].as_array().unwrap().len(), 2);
}

#[test]
fn nothing_is_built_beside_an_image_that_another_repository_has() {
    let registry = Registry::start();
    let scenario = published(&registry, &["api"]);
    let commit = format!("sha-{COMMIT}");
    let before = registry.tag("api", &commit);
    let (api, web) = (at(&registry, "api"), at(&registry, "web"));
    let arguments = [
        "release", "v1.2.3", "--commit", COMMIT, "-r", &api, "-r", &web,
    ];
    let ended = new_machine(scenario.nixpy(arguments)).ended().with_code(4);
    ended.prints_nothing().with_the_error(&[
        "web has no image of this commit, and",
        &format!("skopeo copy --all docker://{api}:{commit} docker://{web}:{commit}"),
    ]);
    assert_eq!(written(&registry), [""; 0]);
    assert_eq!(registry.tag("api", &commit), before);
}

#[test]
fn rules_for_the_tags_of_other_runs_are_not_those_of_a_release() {
    let registry = Registry::start();
    let scenario = service().file("nixpy-ci.yaml", "tags: ['type=ref,event=branch']\n");
    release(&scenario, &registry, COMMIT).succeeded();
    let commit = format!("sha-{COMMIT}");
    assert_eq!(
        registry.tags("api"),
        ["1", "1.2", "1.2.3", "latest", &commit]
    );
}

#[test]
fn a_job_that_pushes_nothing_releases_nothing_that_is_not_there() {
    let registry = Registry::start();
    let scenario = service().file("nixpy-ci.yaml", "push: never\n");
    let ended = release(&scenario, &registry, COMMIT)
        .with_code(2)
        .prints_nothing();
    ended.with_the_error(&["the commit has no image", "`push`"]);
    assert_eq!(registry.tags("api"), [""; 0]);
}

#[test]
fn what_is_checked_out_must_be_the_commit_that_is_released() {
    let dirty = Scenario::app().on(Replay::of(["flake", "metadata"]).stdout(metadata(None)));
    for (scenario, commit) in [(service(), OTHER), (dirty, COMMIT)] {
        let registry = Registry::start();
        let ended = release(&scenario, &registry, commit)
            .with_code(2)
            .prints_nothing();
        ended.with_the_error(&["what is checked out here is of", commit]);
        assert!(registry.tags("api").is_empty(), "no tag of any kind");
    }
}

#[test]
fn a_build_that_fails_releases_nothing() {
    let registry = Registry::start();
    let scenario = service().on(crate::scenario::nix::failing_build(""));
    let ended = release(&scenario, &registry, COMMIT).prints_nothing();
    assert_ne!(ended.code, 0, "{ended}");
    assert!(registry.tags("api").is_empty());
    assert_eq!(registry.count(Method::PUT, "/manifests/"), 0);
}

#[test]
fn an_image_that_is_over_its_budget_is_told_as_that_and_leaves_a_summary_and_a_report() {
    let registry = Registry::start();
    let settings = "budget: [1kB]\nsummary: summary.md\nreport: report.json\n";
    let scenario = service().file("nixpy-ci.yaml", settings);
    let ended = release(&scenario, &registry, COMMIT).with_code(1);
    let ended = ended.prints_nothing().says("over its budget of 1.0 kB");
    ended.says("the image is over its budget, and so nothing is released");
    assert!(registry.tags("api").is_empty());
    let summary = scenario.read("summary.md");
    assert!(summary.starts_with("## base-api: Over budget"), "{summary}");
    let report: Value = serde_json::from_str(&scenario.read("report.json")).unwrap();
    assert_eq!(report["outcome"], "failure");
}
