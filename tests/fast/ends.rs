//! How a run ended, in the words that everybody reads first.

use nixpy_pipeline::report::{Outcome, Report};
use nixpy_testkit::registry::{Fault, Method, Registry};

use crate::scenario::Scenario;

fn at(registry: &Registry) -> String {
    format!("{}/api", registry.host())
}

fn headline(scenario: &Scenario) -> String {
    let summary = scenario.read("summary.md");
    summary.lines().next().unwrap_or_default().to_owned()
}

fn left(scenario: &Scenario) -> Report {
    serde_json::from_str(&scenario.read("report.json")).unwrap()
}

const FILES: [&str; 2] = ["--summary=summary.md", "--report=report.json"];

#[test]
fn a_second_tag_that_is_refused_is_no_caches_affair() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    let refused = Fault::status(403).on(Method::PUT, "/manifests/two");
    registry.fail(refused.always());
    let target = at(&registry);
    let words = ["-r", &target, "-t", "one", "-t", "two"];
    let run = scenario.run(words.into_iter().chain(FILES));
    run.ended().with_code(4);
    assert_eq!(headline(&scenario), "## Not all tags were moved");
    assert_eq!(left(&scenario).references, [format!("{target}:one")]);
}

#[test]
fn a_required_cache_that_lacks_something_is_named() {
    let scenario = Scenario::app().built();
    let cache = [
        "--cache=file:///proc/nowhere",
        "--cache-required",
        "--cache-upstream=file:///nowhere",
    ];
    let run = scenario.run(cache.into_iter().chain(FILES));
    run.ended().with_code(4);
    let named = "## Image published, but a required cache lacks something";
    assert_eq!(headline(&scenario), named);
}

#[test]
fn an_image_that_was_not_loaded_is_a_failure_wherever_it_is_told() {
    let refusing = "#!/bin/sh\necho no room >&2\nexit 1\n";
    let scenario = Scenario::app().program("podman", refusing);
    let run = scenario.run(["--load=podman"].into_iter().chain(FILES));
    run.ended()
        .with_code(3)
        .says("podman did not take the image");
    let report = left(&scenario);
    assert_eq!(report.outcome, Outcome::Failure);
    assert!(report.error.unwrap().contains("no room"));
    assert!(scenario.read("summary.md").contains("no room"));
    let told = "## Image published, but not all that was wanted is done";
    assert_eq!(headline(&scenario), told);
}
