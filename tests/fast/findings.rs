//! What is wrong, at its line of the project: in the log, in the report, and as GitHub's
//! annotations.

use nixpy_pipeline::findings::{Level, Place};
use nixpy_testkit::fake_nix::Replay;
use serde_json::json;

use crate::scenario::nix::{built, error};
use crate::scenario::{SYSTEMS, Scenario};
use crate::telling::failing_with;

const PYTEST: [&str; 9] = [
    "=================================== FAILURES ===================================",
    "___________________________________ test_add ___________________________________",
    "    def test_add():",
    ">       assert add(1, 2) == 4",
    "E       assert 3 == 4",
    "",
    "tests/test_x.py:3: AssertionError",
    "=========================== short test summary info ============================",
    "FAILED tests/test_x.py::test_add - assert 3 == 4",
];

fn failing_test() -> Scenario {
    failing_with(&PYTEST).file("tests/test_x.py", "def test_add():\n    pass\n")
}

fn place(file: &str, line: u32, column: Option<u32>) -> Option<Place> {
    Some(Place {
        file: file.to_owned(),
        line,
        column,
        end_line: None,
    })
}

#[test]
fn a_test_that_fails_in_a_build_is_in_the_report_with_its_line() {
    let report = failing_test().run(["--json"]).ended().with_code(1).report();
    let [finding] = report.findings.as_slice() else {
        panic!("{:?}", report.findings);
    };
    assert_eq!(finding.level, Level::Error);
    assert_eq!(finding.title, "test_add failed");
    assert_eq!(finding.message, "assert 3 == 4");
    assert_eq!(finding.place, place("tests/test_x.py", 3, None));
    assert_eq!(
        finding.derivation.as_ref(),
        Some(&report.failures[0].derivation)
    );
}

#[test]
fn github_shows_it_as_an_annotation_and_others_as_a_compiler_would() {
    let scenario = failing_test();
    let ended = scenario.run(["--progress=github"]).ended().with_code(1);
    ended.says("\n::error file=tests/test_x.py,line=3,title=test_add failed::assert 3 == 4\n");
    for progress in ["plain", "none", "bars"] {
        let progress = format!("--progress={progress}");
        let ended = scenario.run([progress.as_str()]).ended().with_code(1);
        ended.says("\ntests/test_x.py:3: error: test_add failed\n  assert 3 == 4\n");
    }
}

#[test]
fn a_step_gets_no_more_annotations_than_it_shows() {
    let lines: Vec<String> = (1..40)
        .map(|n| format!("app/x.py:{n}: error: number {n}  [code]"))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let scenario = failing_with(&lines).file("app/x.py", "");
    let ended = scenario.run(["--progress=github"]).ended().with_code(1);
    let errors = ended.stderr.lines();
    let errors: Vec<&str> = errors.filter(|line| line.starts_with("::error")).collect();
    assert_eq!(errors.len(), 10, "{ended}");
    assert!(errors[0].starts_with("::error::broken failed"), "{ended}");
    assert!(errors[9].contains("line=9,"), "{ended}");
    ended.says("30 findings more are in the report");
}

#[test]
fn a_name_in_a_log_cannot_end_the_annotation_that_it_is_in() {
    let lines = [
        "app/x.py:1: error: %0A::error::owned ##[set-env name=PATH]/tmp  [a,b::c]",
        "=== FAILURES ===",
        "_ test_x,file=/etc/passwd::owned _",
        "E   ::warning::owned",
        "app/x.py:2: Error",
    ];
    let scenario = failing_with(&lines).file("app/x.py", "");
    let ended = scenario.run(["--progress=github"]).ended().with_code(1);
    let told: Vec<&str> = ended
        .stderr
        .lines()
        .filter(|line| line.starts_with("::error file="))
        .collect();
    assert_eq!(told.len(), 2, "{ended}");
    for line in told {
        let (_, rest) = line.split_once("::error ").unwrap();
        let (properties, message) = rest.split_once("::").unwrap();
        assert_eq!(
            properties.matches("file=").count(),
            1 + usize::from(properties.contains("%2Cfile="))
        );
        assert!(properties.starts_with("file=app/x.py,line="), "{line}");
        assert!(!message.contains("##["), "{line}");
    }
}

fn not_evaluating(scenario: Scenario) -> Scenario {
    let text = "attribute 'hypercorn' missing\n\n       at /nix/store/18xqrvsx1s4sb0wibkn4wq04sggwxha2-source/flake.nix:1:11:\n\n            1| { outputs = _: { }; }";
    let metadata = json!({ "path": "/nix/store/18xqrvsx1s4sb0wibkn4wq04sggwxha2-source" });
    scenario
        .on(Replay::of(["eval"]).stderr(error(text)).exit(1))
        .on(Replay::of(["flake", "metadata"]).stdout(metadata.to_string()))
}

#[test]
fn an_evaluation_that_fails_is_an_annotation_of_the_flakes_line() {
    let scenario = not_evaluating(Scenario::app());
    let ended = scenario.run(["--progress=github"]).ended().with_code(1);
    let errors = ended.stderr.lines();
    let errors: Vec<&str> = errors.filter(|line| line.contains("::error")).collect();
    assert_eq!(errors.len(), 1, "{ended}");
    let expected = "::error file=flake.nix,line=1,col=11,title=the flake does not evaluate::attribute 'hypercorn' missing";
    assert!(errors[0].starts_with(expected), "{ended}");
    ended.says("error: cannot evaluate").prints_nothing();
}

#[test]
fn a_plan_that_fails_is_told_at_its_line_too() {
    let scenario = not_evaluating(Scenario::app());
    for arguments in [vec!["plan"], vec!["run", "--dry-run"]] {
        let run = scenario.nixpy(arguments);
        let ended = run.env("GITHUB_ACTIONS", "true").ended().with_code(1);
        ended
            .says("::error file=flake.nix,line=1,col=11,title=")
            .prints_nothing();
    }
}

#[test]
fn an_evaluation_that_fails_leaves_a_summary() {
    let scenario = not_evaluating(Scenario::app());
    scenario.run(["--summary=summary.md"]).ended().with_code(1);
    let summary = scenario.read("summary.md");
    assert!(
        summary.starts_with("## checkout: Not published\n"),
        "{summary}"
    );
    let told = summary.matches("attribute 'hypercorn' missing").count();
    assert_eq!(told, 1, "{summary}");
    let place = "**error** at `flake.nix:1`: `the flake does not evaluate`";
    assert!(summary.contains(place), "{summary}");
}

#[test]
fn where_several_systems_are_built_names_say_which() {
    let scenario = Scenario::app();
    let log: String = SYSTEMS
        .iter()
        .map(|system| built(&format!("{}.drv", scenario.output(system)), &["linking"]))
        .collect();
    let scenario = scenario.on(Replay::of(["build"]).stderr(log));
    for (progress, before) in [("plain", "  build "), ("github", "::group::")] {
        let progress = format!("--progress={progress}");
        let ended = scenario.run([progress.as_str()]).ended().succeeded();
        for system in SYSTEMS {
            let lines = ended.stderr.lines();
            let named = lines
                .filter(|line| line.starts_with(before) && line.ends_with(&format!(" ({system})")));
            assert_eq!(named.count(), 1, "{ended}");
        }
        let one = scenario
            .run([progress.as_str(), "--system", SYSTEMS[0]])
            .ended();
        let one = one.succeeded().never_says(&format!("({})", SYSTEMS[0]));
        drop(one);
    }
}
