//! What an image is held against: whether it is another one, and whether it has grown.

use nixpy_testkit::registry::{Fault, Registry};
use serde_json::json;

use crate::naming::{job, pull_request};
use crate::scenario::{Ended, Scenario};

const MAIN: (&str, &str) = ("push", "refs/heads/main");
const PULL: (&str, &str) = ("pull_request", "refs/pull/7/merge");

/// The default branch has published.
fn published() -> (Registry, Scenario, String) {
    let (registry, scenario) = (Registry::start(), crate::joining::service());
    let target = format!("{}/api", registry.host());
    ended(&scenario, MAIN, &["run", "-r", &target]);
    (registry, scenario, target)
}

fn ended(scenario: &Scenario, what: (&str, &str), words: &[&str]) -> Ended {
    let payload = match what {
        PULL => pull_request(),
        _ => json!({}),
    };
    let run = scenario.nixpy(words.iter().copied());
    job(scenario, run, what, payload).ended().succeeded()
}

fn changed(scenario: &Scenario, what: (&str, &str), words: &[&str]) -> bool {
    ended(scenario, what, words).report().changed
}

#[test]
fn a_first_tag_that_is_new_says_nothing_of_whether_the_image_is() {
    let (_registry, mut scenario, target) = published();
    let run = ["run", "-r", &target, "--json"];
    let release = |version| ("push", version);
    assert!(!changed(&scenario, PULL, &run));
    assert!(!changed(&scenario, release("refs/tags/v1.0.0"), &run));
    scenario.release("0.2.0");
    assert!(changed(&scenario, PULL, &run));
    assert!(changed(&scenario, release("refs/tags/v1.1.0"), &run));
    assert!(changed(&scenario, MAIN, &run));
    assert!(!changed(&scenario, MAIN, &run));
}

#[test]
fn what_was_joined_in_a_rehearsal_is_another_image_or_is_not() {
    let (_registry, mut scenario, target) = published();
    let joined = |scenario: &Scenario| {
        for system in ["aarch64-linux", "x86_64-linux"] {
            let leg = ["run", "-r", &target, "--by-digest", "-s", system];
            ended(scenario, PULL, &leg);
        }
        let [arm, intel] = [crate::joining::ARM, crate::joining::INTEL];
        changed(scenario, PULL, &["index", arm, intel, "--json"])
    };
    assert!(!joined(&scenario));
    scenario.release("0.2.0");
    assert!(joined(&scenario));
}

#[test]
fn a_budget_that_nobody_could_judge_is_told_wherever_the_run_is() {
    let (registry, scenario, target) = published();
    registry.fail(Fault::status(503).on_path("/v2/").always());
    let files = ["--summary=summary.md", "--html=page.html", "--json"];
    let words = ["run", "-r", &target, "--budget", "+1MB"];
    let ended = ended(&scenario, PULL, &[words.as_slice(), &files].concat());
    let why = format!("not judged, {target} could not be read: ");
    let ended = ended.says("::warning::linux/amd64 is to be ").says(&why);
    ended.never_says("no image before");
    let (summary, page) = (scenario.read("summary.md"), scenario.read("page.html"));
    let note = format!("what {target} has is not known");
    for (text, why) in [
        (&summary, format!("not judged, `{target} could not be read")),
        (&page, why.trim().to_owned()),
    ] {
        assert!(text.contains(&why), "{why} is not in\n{text}");
        assert!(text.contains(&note), "{note} is not in\n{text}");
        assert!(!text.contains("no image before"), "{text}");
    }
}
