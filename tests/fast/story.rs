//! What people are told of a run: what changed, whether a budget was kept, and the files
//! that tell it.

use nixpy_pipeline::report::{Outcome, Report};
use nixpy_testkit::registry::Registry;

use crate::joining::{ARM, INTEL, at, joined, new_machine, publish, service};
use crate::scenario::Scenario;
use crate::telling::failing_with;

/// So much longer that its layer is larger when it is compressed, too.
const LARGER: &str = "0.2.0+q8w4nrp0sdvfz71kxjm3gaybh59l2c6i";

/// The app in the registry under this tag, and a larger one in the flake.
fn grown(registry: &Registry, tag: &str) -> Scenario {
    let mut scenario = Scenario::app();
    let target = at(registry, "api");
    let run = scenario.run(["-r", &target, "-t", tag]);
    new_machine(run).ended().succeeded();
    scenario.release(LARGER);
    scenario
}

#[test]
fn what_changed_is_told_by_name_version_and_size() {
    let registry = Registry::start();
    let scenario = grown(&registry, "latest");
    let target = at(&registry, "api");
    let run = scenario.run(["-r", &target, "--json", "--summary=s.md"]);
    let report = new_machine(run).ended().succeeded().report();
    assert_eq!(report.changes.len(), 2);
    for changes in &report.changes {
        assert_eq!(changes.baseline, format!("{target}:latest"));
        assert!(
            changes.contents_known && changes.growth() > 0,
            "{changes:?}"
        );
        let [moved] = changes.libraries.as_slice() else {
            panic!("{:?}", changes.libraries);
        };
        let versions = (moved.before.as_deref(), moved.after.as_deref());
        assert_eq!(versions, (Some("0.1.0"), Some(LARGER)));
        assert!(
            changes.grown[0].name.starts_with("base-api-0.2.0"),
            "{:?}",
            changes.grown
        );
    }
    let summary = scenario.read("s.md");
    for words in [
        "### What changed",
        &format!("Since `{target}:latest`:"),
        &format!("| `base-api` | `0.1.0` | `{LARGER}` |"),
        "in 1 of 6 layers",
    ] {
        assert!(summary.contains(words), "{words} is not in\n{summary}");
    }
}

#[test]
fn the_same_image_again_is_told_to_be_the_same() {
    let (registry, scenario) = (Registry::start(), Scenario::app());
    let target = at(&registry, "api");
    let run = || scenario.run(["-r", &target, "--summary=s.md"]);
    new_machine(run()).ended().succeeded();
    let first = scenario.read("s.md");
    assert!(!first.contains("What changed"), "{first}");
    for more in [&[][..], &["--remake"]] {
        let again = scenario.run(
            ["-r", &target, "--summary=s.md"]
                .iter()
                .chain(more)
                .copied(),
        );
        new_machine(again).ended().succeeded();
        let summary = scenario.read("s.md");
        assert!(
            summary.contains("nothing, it is the same image"),
            "{summary}"
        );
    }
}

#[test]
fn a_pull_request_is_held_against_its_base_branch() {
    let registry = Registry::start();
    let scenario = grown(&registry, "main");
    let target = at(&registry, "api");
    // What the pull request has pushed before is not what it is held against.
    for _ in 0..2 {
        let run = scenario.run(["-r", &target, "-t", "pr-7", "--json"]);
        let run = new_machine(run).env("GITHUB_BASE_REF", "main");
        let report = run.ended().succeeded().report();
        for changes in &report.changes {
            assert_eq!(changes.baseline, format!("{target}:main"));
            assert!(changes.growth() > 0);
        }
    }
}

#[test]
fn a_rehearsal_tells_what_would_change() {
    let registry = Registry::start();
    let scenario = grown(&registry, "latest");
    let target = at(&registry, "api");
    let run = scenario.run(["-r", &target, "--push=never", "--json", "--summary=s.md"]);
    let report = new_machine(run).ended().succeeded().report();
    assert!(
        report.rehearsed && report.changes.len() == 2,
        "{:?}",
        report.changes
    );
    let summary = scenario.read("s.md");
    assert!(
        summary.starts_with("## base-api: Image built, not pushed\n"),
        "{summary}"
    );
    assert!(summary.contains(" would be, in 1 of 6 layers"), "{summary}");
    assert!(!summary.contains("published"), "{summary}");
}

#[test]
fn an_image_over_a_budget_is_under_no_tag() {
    for (budget, told) in [
        ("1kB", "its budget of 1.0 kB"),
        ("+1B", "its budget of 1 B of growth"),
    ] {
        let registry = Registry::start();
        let scenario = grown(&registry, "latest");
        let before = registry.tag("api", "latest");
        let target = at(&registry, "api");
        let run = scenario.run([
            "-r",
            &target,
            "--budget",
            budget,
            "--json",
            "--summary=s.md",
        ]);
        let ended = new_machine(run)
            .ended()
            .with_code(1)
            .says(told)
            .says("no tag was moved");
        let report = ended.report();
        assert_eq!(report.outcome, Outcome::Failure);
        assert_eq!((report.over_budget.len(), report.references.len()), (2, 0));
        assert_eq!(registry.tag("api", "latest"), before);
        let summary = scenario.read("s.md");
        assert!(
            summary.starts_with("## base-api: Over budget, no tag was moved\n"),
            "{summary}"
        );
        assert!(summary.contains(&format!(", over {told}**\n")), "{summary}");
        assert!(
            summary.contains("| `base-api` | `0.1.0` |"),
            "what has grown:\n{summary}"
        );
    }
}

#[test]
fn every_budget_is_told_and_one_that_is_kept_stops_nothing() {
    let registry = Registry::start();
    let scenario = grown(&registry, "latest");
    let target = at(&registry, "api");
    let arguments = [
        "-r",
        &target,
        "--budget=10MB",
        "--budget=+1MiB",
        "--summary=s.md",
    ];
    new_machine(scenario.run(arguments)).ended().succeeded();
    let summary = scenario.read("s.md");
    let kept =
        "\nSize budget kept: no larger than 10.0 MB, no more than 1.0 MB larger than before.\n";
    assert_eq!(summary.matches(kept).count(), 1, "{summary}");
}

#[test]
fn growth_of_the_first_image_is_told_to_be_unknown_and_passes() {
    let ended = Scenario::app().run(["--budget=+1B"]).ended().succeeded();
    ended.says("there is no image before that it could be held against");
}

#[test]
fn a_budget_that_is_no_size_is_refused_with_what_one_looks_like() {
    let ended = Scenario::app().run(["--budget=large"]).ended().with_code(2);
    ended.with_the_error(&["--budget", "large", "200MB", "+5MB"]);
}

#[test]
fn the_jobs_of_a_matrix_bring_what_changed_to_the_index() {
    let (registry, mut scenario) = (Registry::start(), service());
    let target = at(&registry, "api");
    new_machine(scenario.run(["-r", &target]))
        .ended()
        .succeeded();
    scenario.release(LARGER);
    publish(&scenario, &target, "aarch64-linux");
    publish(&scenario, &target, "x86_64-linux");
    let report = joined(&scenario, &[INTEL, ARM], &["--json"])
        .succeeded()
        .report();
    let platforms: Vec<String> = report
        .changes
        .iter()
        .map(|one| one.platform.to_string())
        .collect();
    assert_eq!(platforms, ["linux/arm64/v8", "linux/amd64"]);
    assert!(report.changes.iter().all(|one| one.growth() > 0));
}

#[test]
fn the_report_as_a_file_is_the_one_that_is_printed() {
    let scenario = Scenario::app();
    let ended = scenario
        .run(["--json", "--report=report.json"])
        .ended()
        .succeeded();
    assert_eq!(scenario.read("report.json"), ended.stdout);
}

#[test]
fn a_failure_has_its_report_and_its_page_as_well() {
    let scenario = failing_with(&["<script>alert(1)</script>", "it is broken"]);
    let run = scenario.run(["--report=report.json", "--html=page.html"]);
    run.ended().with_code(1);
    let report: Report = serde_json::from_str(&scenario.read("report.json")).unwrap();
    assert_eq!(
        (report.outcome, report.failures.len()),
        (Outcome::Failure, 1)
    );
    let failed: Vec<&str> = report
        .timeline
        .iter()
        .filter(|span| span.failed)
        .map(|span| span.name.as_str())
        .collect();
    assert!(
        failed.contains(&"build") && failed.contains(&"broken"),
        "{failed:?}"
    );
    let page = scenario.read("page.html");
    assert!(
        page.contains("it is broken") && !page.contains("<script"),
        "{page}"
    );
}

#[test]
fn a_file_that_cannot_be_written_is_named_and_the_others_are_there() {
    let scenario = Scenario::app();
    let arguments = [
        "--html=absent/page.html",
        "--report=absent/r.json",
        "--summary=s.md",
    ];
    let ended = scenario.run(arguments).ended().with_code(3);
    assert_eq!(ended.errors().len(), 2, "{:?}", ended.errors());
    ended
        .says("the page absent/page.html")
        .says("the report absent/r.json");
    assert!(scenario.has("s.md"));
}

#[test]
fn what_nix_built_and_when_is_in_the_report() {
    let report = Scenario::app().run(["--json"]).ended().succeeded().report();
    let names: Vec<&str> = report
        .timeline
        .iter()
        .map(|span| span.name.as_str())
        .collect();
    for name in [
        "evaluate",
        "build",
        "publish",
        "linux/amd64",
        "linux/arm64/v8",
    ] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    let mut begins = report.timeline.iter().map(|span| span.begin);
    assert!(begins.clone().is_sorted());
    assert!(report.timeline.iter().all(|span| span.end >= span.begin));
    assert!(begins.all(|begin| begin <= report.timings.total));
    assert!(
        report
            .platforms
            .iter()
            .all(|image| image.contents.iter().flatten().count() > 3)
    );
}
