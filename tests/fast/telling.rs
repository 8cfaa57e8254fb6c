//! What is told, where, and in which form.

use nixpy_pipeline::plan::{Form, Plan};
use nixpy_testkit::fake_nix::Replay;
use nixpy_testkit::redact::redact;
use nixpy_testkit::registry::Registry;
use serde_json::Value;

use crate::scenario::Scenario;
use crate::scenario::nix::{Offer, Version, built, error, failing_build, one_has_failed};

const BROKEN: &str = "/nix/store/r5s4lx45nccwlks7ab5i534frw29w21b-broken.drv";
const OUT: &str = "/nix/store/l8s71q1sbqa8q6yd8zi3ak40kn1h9dhf-broken";

/// A build that writes these lines and fails.
pub fn failing_with(lines: &[&str]) -> Scenario {
    let version = Version::Nix2_26;
    let failed = error(&format!("builder for '{BROKEN}' failed with exit code 3"));
    Scenario::app()
        .offering(vec![Offer::elsewhere("x86_64-linux", "app", BROKEN, OUT)])
        .on(failing_build(
            one_has_failed() + &built(BROKEN, lines) + &failed,
        ))
        .on(Replay::of(["path-info", "--derivation"]).stdout(version.paths(&[(BROKEN, Some(&[]))])))
        .on(Replay::of(["path-info"]).stdout(version.paths(&[(OUT, None)])))
}

#[test]
fn the_result_and_nothing_else_is_on_standard_output() {
    let scenario = Scenario::app();
    let ended = scenario.run([]).ended().succeeded();
    let printed = redact(&ended.stdout)
        .path(scenario.checkout(), "[HERE]")
        .digests()
        .to_string();
    let sizes = without_sizes(&printed);
    assert_eq!(
        sizes,
        "oci:[HERE]/oci-image:latest\n  [DIGEST 1]  index\n  [DIGEST 2]  linux/arm64/v8\n  [DIGEST 3]  linux/amd64\n"
    );
    ended.says("building").says("linux/amd64");
}

/// The lines without what stands behind the platform: sizes depend on where the store lies.
fn without_sizes(text: &str) -> String {
    let line = |line: &str| {
        let words: Vec<&str> = line
            .split("  ")
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .take(2)
            .collect();
        let indent = if line.starts_with(' ') { "  " } else { "" };
        format!("{indent}{}\n", words.join("  "))
    };
    text.lines().map(line).collect()
}

#[test]
fn silence_can_be_asked_for() {
    let ended = Scenario::app().run(["--progress=none"]).ended().succeeded();
    assert_eq!(ended.stderr, "");
    assert!(ended.stdout.contains("index"));
}

#[test]
fn the_report_can_be_read_back_and_says_the_same() {
    let ended = Scenario::app().run(["--json"]).ended().succeeded();
    let report = ended.report();
    let printed: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(serde_json::to_value(&report).unwrap(), printed);
    assert_eq!((report.version, report.platforms.len()), (1, 2));
    assert!(ended.stdout.ends_with("}\n"));
}

#[test]
fn the_summary_is_a_table_of_platforms() {
    let scenario = Scenario::app();
    let report = scenario
        .run(["--summary=summary.md", "--port=8000", "--json"])
        .ended()
        .succeeded()
        .report();
    let summary = scenario.read("summary.md");
    assert!(summary.starts_with("## base-api: Image built\n"));
    assert!(summary.contains("| platform | digest | size |"));
    for image in &report.platforms {
        assert_eq!(image.ports, [8000]);
        let digest = image.digest.to_string();
        let row = format!("| `{}` | `{}` |", image.platform, &digest[..19]);
        assert!(summary.contains(&row), "{row} is not in\n{summary}");
        let whole = format!("- `{}` `{digest}`\n", image.platform);
        assert!(summary.contains(&whole), "{whole} is not in\n{summary}");
    }
}

#[test]
fn a_hostile_log_stays_inside_its_block_of_the_summary() {
    let hostile = [
        "```",
        "````",
        "</details>",
        "# Buy now",
        "::error::x",
        "@octocat",
    ];
    let scenario = failing_with(&hostile);
    scenario.run(["--summary=summary.md"]).ended().with_code(1);
    let summary = scenario.read("summary.md");
    assert!(summary.starts_with("## checkout: Build failed, nothing was published\n"));
    let outside = outside_of_blocks(&summary);
    for line in hostile {
        assert!(summary.contains(line), "{line} is not told");
        assert!(!outside.contains(line), "{line} stands outside\n{summary}");
    }
}

/// By CommonMark's rule: a fence is closed by one of at least its length.
fn outside_of_blocks(markdown: &str) -> String {
    let mut outside = String::new();
    let mut open = 0;
    for line in markdown.lines() {
        let ticks = line.len() - line.trim_start_matches('`').len();
        let only_ticks = ticks == line.trim_end().len();
        match open {
            0 if ticks >= 3 => open = ticks,
            0 => outside.push_str(line),
            _ if only_ticks && ticks >= open => open = 0,
            _ => {}
        }
    }
    outside
}

#[test]
fn a_dry_run_evaluates_and_touches_nothing() {
    let scenario = Scenario::app();
    let ended = scenario
        .run(["--dry-run", "--summary=summary.md"])
        .ended()
        .succeeded();
    // Beside the flake, this machine: its configuration and its store.
    assert_eq!(ended.nix_calls().len(), 3);
    assert_eq!(ended.calls("eval"), 1);
    let ended = ended.prints("would publish").prints("linux/arm64/v8");
    ended.prints("oci-image as latest");
    let files = std::fs::read_dir(scenario.checkout()).unwrap();
    let names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names, ["flake.nix"]);
}

#[test]
fn a_dry_run_asks_no_registry() {
    let registry = Registry::start();
    let target = format!("{}/base-api", registry.host());
    let ended = Scenario::app()
        .run(["-n", "-r", &target])
        .ended()
        .succeeded();
    ended.prints(&target);
    assert!(registry.requests().is_empty());
}

#[test]
fn the_plan_can_be_had_as_json() {
    let ended = Scenario::stream()
        .run(["--dry-run", "--json"])
        .ended()
        .succeeded();
    let plan: Plan = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((plan.version, plan.jobs.len()), (1, 2));
    assert_eq!(plan.jobs[0].form, Form::Stream);
    let printed: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(serde_json::to_value(&plan).unwrap(), printed);
}

#[test]
fn nobody_listening_is_no_failure() {
    let scenario = Scenario::app();
    scenario.run(["--json"]).ended_unheard().succeeded();
    scenario.run([]).ended_unheard().succeeded();
    scenario.run(["--dry-run"]).ended_unheard().succeeded();
    scenario
        .nixpy(["run", "--help"])
        .ended_unheard()
        .succeeded();
    assert_eq!(scenario.layout().tags(), ["latest"]);
}

#[test]
fn no_colour_reaches_what_is_no_terminal() {
    let scenario = failing_with(&["\u{1b}[31mred\u{1b}[0m"]);
    for progress in ["auto", "plain", "github"] {
        let run = scenario.run(["--progress", progress]).env("NO_COLOR", "1");
        run.ended().with_code(1).says("red").never_says("\u{1b}");
        scenario
            .run(["--progress", progress])
            .ended()
            .never_says("\u{1b}");
    }
}

#[test]
fn warnings_of_nix_are_passed_on() {
    let warning = r#"@nix {"action":"msg","level":1,"msg":"warning: Git tree is dirty"}"#;
    let scenario = Scenario::app().on(Replay::of(["build"]).stderr(format!("{warning}\n")));
    scenario
        .run([])
        .ended()
        .succeeded()
        .says("warning: Git tree is dirty");
}

#[test]
fn help_is_there_with_examples() {
    let scenario = Scenario::app();
    for (arguments, texts) in [
        (vec!["--help"], vec!["run", "setup"]),
        (
            vec!["run", "--help"],
            vec![
                "Examples:",
                "nixpy-ci run --dry-run",
                "--repository",
                "Exit codes:",
                "[default: gzip]",
            ],
        ),
        (
            vec!["setup", "--help"],
            vec!["Examples:", "nixpy-ci setup --dry-run"],
        ),
        (vec!["--version"], vec!["nixpy-ci 0.1.0"]),
    ] {
        let ended = scenario.nixpy(arguments).ended().succeeded();
        assert_eq!(ended.stderr, "");
        texts
            .into_iter()
            .fold(ended, |ended, text| ended.prints(text));
    }
}

#[test]
fn alone_it_shows_its_help() {
    let ended = Scenario::app().nixpy([]).ended().with_code(2);
    ended.prints_nothing().says("Usage: nixpy-ci").says("setup");
}
