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
    assert_eq!(headline(&scenario), "## base-api: Not all tags were moved");
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
    let named = "## base-api: Image built, but a required cache lacks something";
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
    let told = "## base-api: Image built, but not all that was wanted is done";
    assert_eq!(headline(&scenario), told);
}

/// A run before this one has left something in every file.
fn with_stale_files(scenario: Scenario) -> Scenario {
    let files = ["summary.md", "report.json", "page.html"];
    let write = |scenario: Scenario, file: &&str| scenario.file(file, "stale");
    files.iter().fold(scenario, write)
}

#[test]
fn what_ends_before_it_has_begun_is_told_in_every_file() {
    let settings: [(&[&str], i32, &str); 4] = [
        (&["-r", "base-api"], 2, "write HOST/NAME"),
        (&["--config=settings.yaml"], 2, "settings.yaml"),
        (&["--config=broken.yaml"], 2, "broken.yaml"),
        (&["--load=docker"], 3, "there is no docker"),
    ];
    for (words, code, why) in settings {
        let scenario = with_stale_files(Scenario::app()).file("broken.yaml", "{");
        let run = scenario.run(FILES.into_iter().chain(["--html=page.html"]));
        let run = words.iter().fold(run, |run, word| run.argument(word));
        run.ended().with_code(code).says(why);
        assert!(headline(&scenario).ends_with("Not published"), "{why}");
        assert!(scenario.read("summary.md").contains(why), "{why}");
        let report = left(&scenario);
        assert_eq!(report.outcome, Outcome::Failure);
        assert!(report.error.unwrap().contains(why), "{why}");
        assert!(scenario.read("page.html").contains("Not published"));
    }
}

#[test]
fn a_machine_without_nix_is_told_of_in_the_summary() {
    let scenario = with_stale_files(Scenario::app());
    let run = scenario.run(FILES).without_nix();
    run.ended().with_code(3);
    assert!(scenario.read("summary.md").contains("nix"));
    assert_eq!(left(&scenario).outcome, Outcome::Failure);
}

#[test]
fn results_that_cannot_be_joined_are_told_in_every_file() {
    let scenario = with_stale_files(Scenario::app());
    let words = ["index", "nothing.json", "-r", "reg.example/api"];
    let run = scenario.nixpy(words.into_iter().chain(FILES));
    run.ended().with_code(2);
    let summary = scenario.read("summary.md");
    assert!(
        summary.contains("nothing.json: it is not there"),
        "{summary}"
    );
    assert_eq!(left(&scenario).destination, "reg.example/api");
}

#[test]
fn a_dry_run_that_cannot_be_leaves_every_file_as_it_was() {
    let scenario = with_stale_files(Scenario::app());
    let words = ["--dry-run", "-r", "base-api"];
    let run = scenario.run(words.into_iter().chain(FILES));
    run.ended().with_code(2);
    assert_eq!(scenario.read("summary.md"), "stale");
    assert_eq!(scenario.read("report.json"), "stale");
}

#[test]
fn a_step_of_a_workflow_without_a_flake_has_a_summary_and_a_report() {
    let scenario = Scenario::app().without("flake.nix");
    let scenario = scenario.file(".git/HEAD", "ref: refs/heads/main\n");
    let place = |name: &str| scenario.checkout().join(name);
    let run = scenario.nixpy(["action"]);
    let run = run
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", place("summary.md"))
        .env("GITHUB_OUTPUT", place("outputs"))
        .env("RUNNER_TEMP", scenario.checkout());
    run.ended().with_code(2).says("there is no flake.nix");
    assert!(scenario.read("summary.md").contains("nixpy-ci init"));
    let outputs = scenario.read("outputs");
    assert!(outputs.contains("nixpy-ci-report-"), "{outputs}");
}

#[test]
fn a_step_that_finds_no_results_to_join_has_a_summary_and_a_report_of_its_own() {
    for files in [Some("results"), None] {
        let scenario = with_stale_files(Scenario::app())
            .file("results/log.txt", "nothing")
            .file("nixpy-ci-results/log.txt", "nothing");
        let place = |name: &str| scenario.checkout().join(name);
        let mut run = scenario.nixpy(["action"]);
        run = run
            .env("GITHUB_ACTIONS", "true")
            .env("INPUT_COMMAND", "index")
            .env("INPUT_REPORT", place("report.json"))
            .env("GITHUB_STEP_SUMMARY", place("summary.md"))
            .env("GITHUB_OUTPUT", place("outputs"))
            .env("RUNNER_TEMP", scenario.checkout());
        if let Some(files) = files {
            run = run.env("INPUT_FILES", files);
        }
        let why = format!(
            "no file in {} ends in .json",
            files.unwrap_or("nixpy-ci-results")
        );
        run.ended().with_code(2).says(&why);
        assert!(scenario.read("summary.md").contains(&why));
        let report = left(&scenario);
        assert_eq!(report.outcome, Outcome::Failure);
        assert!(report.error.unwrap().contains(&why));
        let outputs = scenario.read("outputs");
        assert!(outputs.contains("report.json"), "{outputs}");
    }
}

#[test]
fn a_setting_that_is_wrong_is_told_without_the_secret_in_it() {
    let scenario = Scenario::app();
    let words = ["--username=robot", "--tag=hunter22 too"];
    let run = scenario.run(words.into_iter().chain(FILES));
    run.env("NIXPY_PASSWORD", "hunter22").ended().with_code(2);
    let told = left(&scenario).error.unwrap();
    assert!(told.contains("***") && !told.contains("hunter22"), "{told}");
    assert!(!scenario.read("summary.md").contains("hunter22"));
}
