//! Whether one may push is known before anything is built.

use nixpy_testkit::registry::{Bearer, Fault, Method, Registry};

use crate::scenario::{Ended, Scenario};

const USER: &str = "ci-bot";
const PASSWORD: &str = "correct-horse";

#[test]
fn who_may_only_read_is_told_so_before_a_build() {
    let readers = Bearer::new(USER, PASSWORD).pull_only();
    let registry = Registry::builder().auth(readers).start();
    let (scenario, target) = (Scenario::app(), at(&registry));
    let run = scenario
        .run(["-r", &target])
        .envs([("NIXPY_USERNAME", USER), ("NIXPY_PASSWORD", PASSWORD)]);
    let ended = run.ended().with_code(4).prints_nothing();
    refused_before_the_build(ended, &registry);
}

#[test]
fn one_registry_of_two_that_refuses_is_enough() {
    let (open, closed) = (Registry::start(), Registry::start());
    closed.fail(Fault::status(403).on(Method::POST, "/uploads/").always());
    let scenario = Scenario::stream();
    let arguments = ["-r", &at(&open), "-r", &at(&closed)];
    let ended = scenario.run(arguments).ended().with_code(4);
    refused_before_the_build(ended, &closed);
    assert_eq!(open.open_uploads(), 0);
}

#[test]
fn where_nothing_is_to_be_built_nobody_is_asked() {
    let (registry, scenario) = (Registry::start(), Scenario::app().built());
    let run = || scenario.run(["-r", &at(&registry)]).ended().succeeded();
    run();
    registry.reset_counts();
    run();
    assert_eq!(registry.count(Method::POST, ""), 0);
}

#[test]
fn what_was_asked_is_asked_once_and_leaves_no_upload() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    scenario.run(["-r", &at(&registry)]).ended().succeeded();
    assert_eq!(registry.count(Method::DELETE, "/blobs/uploads/"), 1);
    assert_eq!(registry.open_uploads(), 0);
}

#[track_caller]
fn refused_before_the_build(ended: Ended, registry: &Registry) {
    assert_eq!(ended.calls("build"), 0, "{ended}");
    assert_eq!(ended.calls("eval"), 1);
    ended.with_the_error(&["cannot push to", &at(registry), "403", "right to push"]);
}

fn at(registry: &Registry) -> String {
    format!("{}/api", registry.host())
}
