//! What is told, where, and in which words.

use nixpy_pipeline::budget::{Budget, OverBudget};
use nixpy_pipeline::build::BuildFailure;
use nixpy_pipeline::findings::{Finding, Level, Place};
use nixpy_pipeline::smoke::Verdict;

use super::*;

fn report(text: &str) -> Report {
    serde_json::from_str(text).expect("it is a report")
}

fn failed() -> Report {
    report(include_str!(
        "../../../../../../tests/fast/fixtures/report-v1-failure.json"
    ))
}

fn tried_out() -> Report {
    report(include_str!(
        "../../../../../../tests/fast/fixtures/report-v1-smoke.json"
    ))
}

fn finding(level: Level, message: &str, failure: Option<&BuildFailure>) -> Finding {
    Finding {
        level,
        title: "something is wrong".to_owned(),
        message: message.to_owned(),
        place: None,
        derivation: failure.map(|failure| failure.derivation.clone()),
    }
}

fn at(file: &str) -> Option<Place> {
    Some(Place {
        file: file.to_owned(),
        line: 3,
        column: None,
        end_line: None,
    })
}

/// These stand there, in this order.
#[track_caller]
fn in_order(told: &str, words: &[&str]) {
    let mut rest = told;
    for word in words {
        let at = rest.find(word);
        let at = at.unwrap_or_else(|| panic!("{word:?} is not there, or too early, in\n{told}"));
        rest = &rest[at + word.len()..];
    }
}

#[track_caller]
fn once(told: &str, words: &str) {
    assert_eq!(told.matches(words).count(), 1, "{words:?} in\n{told}");
}

fn first_line(told: &str) -> &str {
    told.lines().next().unwrap_or_default()
}

#[test]
fn warnings_of_builds_that_went_well_are_folded_below_what_changed() {
    let mut report = usual();
    report.findings[0].derivation = Some(report.platforms[0].derivation.clone());
    report.findings.extend(vec![report.findings[0].clone(); 2]);
    let notice = finding(Level::Notice, "worth knowing", None);
    report.findings.push(notice);
    let told = body(&report, LONGEST_COMMENT);
    let folded = "<details><summary>3 warnings and 1 notice of builds that went well</summary>";
    in_order(
        &told,
        &[
            "| `linux/amd64`",
            "### What changed",
            folded,
            "F401",
            "Pull and run",
        ],
    );
    assert!(!told.contains("To look at"), "{told}");
    is_harmless(&told);
}

#[test]
fn errors_and_what_a_failed_build_warned_of_stand_above_everything_else() {
    let mut report = usual();
    let failures = failed().failures;
    report.outcome = Outcome::Failure;
    let mut error = finding(Level::Error, "assert 3 == 4", Some(&failures[0]));
    error.place = at("tests/test_x.py");
    let warned = finding(Level::Warning, "it was deprecated", Some(&failures[0]));
    report.findings[0].derivation = Some(report.platforms[0].derivation.clone());
    report.findings.splice(0..0, [error, warned]);
    report.failures = failures;
    in_order(
        &body(&report, LONGEST_COMMENT),
        &[
            "### What failed",
            "boom",
            "### To look at",
            "**error** at `tests/test_x.py:3`",
            "assert 3 == 4",
            "it was deprecated",
            "| `linux/amd64`",
            "### What changed",
            "1 warning of builds that went well",
        ],
    );
}

#[test]
fn a_failed_build_is_told_once() {
    let mut report = failed();
    let message = "the builder ended with exit code 3\nIts last lines:\ncollecting\nboom";
    let told = finding(Level::Error, message, Some(&report.failures[0]));
    report.findings.push(told);
    let told = body(&report, LONGEST_COMMENT);
    once(&told, "the builder ended with exit code 3");
    once(&told, "boom");
    assert!(!told.contains("To look at"), "{told}");
    let page = crate::report::html::page(&report);
    once(&page, "boom");
}

#[test]
fn an_evaluation_that_fails_is_told_once_and_at_its_line_if_it_has_one() {
    let error = "cannot evaluate /srv/app: attribute 'hypercorn' missing";
    let mut report = Report::failed("/srv/app", &[], error);
    let message = "attribute 'hypercorn' missing\nwhile evaluating the outputs";
    report.findings = vec![finding(Level::Error, message, None)];
    let told = body(&report, LONGEST_COMMENT);
    once(&told, "hypercorn");
    assert!(!told.contains("To look at"), "{told}");
    report.findings[0].place = at("flake.nix");
    let told = body(&report, LONGEST_COMMENT);
    once(&told, "hypercorn");
    in_order(
        &told,
        &[
            "### To look at",
            "**error** at `flake.nix:3`",
            "while evaluating the outputs",
        ],
    );
}

#[test]
fn what_a_smoke_test_has_shown_is_told_once() {
    let report = tried_out();
    let told = body(&report, LONGEST_COMMENT);
    once(&told, "it ended with exit code 1");
    assert!(
        told.contains("- smoke test: `linux/amd64 is untested"),
        "{told}"
    );
    once(
        &crate::report::html::page(&report),
        "it ended with exit code 1",
    );
    let mut works = report;
    for image in &mut works.platforms {
        if let Some(tested) = &mut image.smoke {
            tested.verdict = Verdict::Passed;
        }
    }
    let told = body(&works, LONGEST_COMMENT);
    assert_eq!(told.matches("- smoke test: ").count(), 2, "{told}");
}

#[test]
fn the_heading_names_the_image() {
    let named = |name: &str| {
        let mut report = usual();
        report.platforms[0].name = name.to_owned();
        let told = body(&report, LONGEST_COMMENT);
        is_harmless(&told);
        first_line(&told).to_owned()
    };
    for name in ["base-api", "base_api", "api2", "facade-api"] {
        assert_eq!(named(name), format!("## {name}: Image published"));
    }
    // What GitHub might make a link or a mention of is shown as code.
    for name in [
        "gh-1",
        "deadbeef",
        "www.evil.example",
        "@acme",
        "_x_",
        "# x",
        "GH-1",
        "x\ny",
    ] {
        let heading = named(name);
        assert!(heading.starts_with("## `"), "{heading}");
        assert!(heading.ends_with("`: Image published"), "{heading}");
    }
    assert_eq!(
        named(&"x".repeat(500)).len(),
        "## ``: Image published".len() + 60 + 3
    );
}

#[test]
fn of_what_has_no_image_the_heading_names_the_repository_or_the_flake() {
    for (destination, flake, heading) in [
        ("ghcr.io/acme/api", ".", "## api: Not published"),
        (
            "oci:/tmp/out",
            "/srv/base_api/",
            "## base_api: Not published",
        ),
        (
            "oci:/tmp/out",
            "github:acme/api/main?dir=x",
            "## api: Not published",
        ),
        (
            "",
            "git+https://git.example.org/acme/api.git?ref=main#x",
            "## api: Not published",
        ),
        ("oci:/tmp/out", ".", "## Not published"),
    ] {
        let destinations = [destination.to_owned()];
        let report = Report::failed(flake, &destinations, "there is no such flake");
        assert_eq!(first_line(&body(&report, LONGEST_COMMENT)), heading);
    }
}

#[test]
fn a_directory_is_nowhere_where_others_could_find_the_image() {
    let mut report = usual();
    report.destination = "oci:/home/runner/work/_temp/image".to_owned();
    report.destinations = vec![report.destination.clone()];
    report.references = vec![format!("{}:main", report.destination)];
    for changes in &mut report.changes {
        changes.baseline = report.references[0].clone();
    }
    let told = body(&report, LONGEST_COMMENT);
    assert_eq!(first_line(&told), "## base-api: Image built");
    assert!(
        !told.contains("/home/runner") && !told.contains("published"),
        "{told}"
    );
    assert!(told.contains("\nSince `main`: "), "{told}");
    assert!(told.contains(", written in 9.6 s"), "{told}");
    let summary = summary(&report);
    assert!(
        summary.contains("- `oci:/home/runner/work/_temp/image:main`"),
        "{summary}"
    );
    // One registry is a place that others reach.
    report.destinations.push("ghcr.io/acme/base-api".to_owned());
    report
        .references
        .push("ghcr.io/acme/base-api:main".to_owned());
    let told = body(&report, LONGEST_COMMENT);
    assert_eq!(first_line(&told), "## base-api: Image published");
    assert!(!told.contains("/home/runner"), "{told}");
}

#[test]
fn nobody_is_told_that_a_rehearsal_has_published_anything() {
    let mut report = usual();
    report.rehearsed = true;
    report.references.clear();
    let told = body(&report, LONGEST_COMMENT);
    assert_eq!(first_line(&told), "## base-api: Image built, not pushed");
    assert!(!told.contains("published"), "{told}");
    assert!(told.contains(", layers made in 9.6 s"), "{told}");
    report.outcome = Outcome::Failure;
    report.error = Some("a required cache lacks something".to_owned());
    assert!(!body(&report, LONGEST_COMMENT).contains("published"));
}

#[test]
fn a_budget_that_is_broken_is_the_reason_and_stands_first() {
    let mut report = usual();
    report.outcome = Outcome::Failure;
    report.budgets = vec![
        Budget::Size(120_000_000),
        Budget::Growth(1),
        Budget::Growth(1 << 30),
    ];
    let (arm, amd) = (&report.platforms[0].platform, &report.platforms[1].platform);
    let over = |platform: &nixpy_oci::platform::Platform, budget, actual| OverBudget {
        platform: platform.clone(),
        budget,
        actual,
    };
    report.over_budget = vec![
        over(arm, Budget::Size(120_000_000), 125_321_171),
        over(amd, Budget::Growth(1), 465),
    ];
    let told = body(&report, LONGEST_COMMENT);
    in_order(
        &told,
        &[
            "## base-api: Over budget, no tag was moved",
            "### Size budget",
            "- `linux/arm64/v8` **is 125.3 MB, over its budget of 120.0 MB**",
            "- `linux/amd64` **has grown by 465 B, over its budget of 1 B of growth**",
            "| `linux/amd64` |",
            "Size budget kept: no larger than 120.0 MB (`linux/amd64`), no more than 1.1 GB larger than before.",
            "### What changed",
        ],
    );
    is_harmless(&told);
}

#[test]
fn growth_that_nobody_can_judge_is_told_once_for_all_platforms() {
    let mut report = usual();
    report.changes.clear();
    let told = body(&report, LONGEST_COMMENT);
    once(
        &told,
        "Size budget no more than 5.0 MB larger than before: there is no image before that it could be held against.",
    );
    assert!(
        told.contains("Size budget kept: no larger than 200.0 MB. "),
        "{told}"
    );
}

#[test]
fn nobody_is_sent_to_a_store_that_they_do_not_have() {
    let report = failed();
    assert!(report.failures[0].log_command.is_some());
    let page = crate::report::html::page(&report);
    for told in [summary(&report), body(&report, LONGEST_COMMENT), page] {
        assert!(!told.contains("nix log"), "{told}");
    }
}

#[test]
fn commands_map_the_ports_that_the_image_listens_on() {
    let mut report = usual();
    report.platforms[0].ports = (1..100).collect();
    let told = body(&report, LONGEST_COMMENT);
    let ports = "docker run --rm -p 1:1 -p 2:2 -p 3:3 -p 4:4 -p 5:5 ghcr.io/";
    assert!(told.contains(ports), "{told}");
    report.platforms[0].ports.clear();
    let told = body(&report, LONGEST_COMMENT);
    assert!(told.contains("docker run --rm ghcr.io/"), "{told}");
}

#[test]
fn bars_of_one_name_say_what_they_are_built_for() {
    let chart = gantt::chart(&usual().timeline).expect("there is something to draw");
    for system in ["x86_64-linux", "aarch64-linux"] {
        once(&chart, &format!("base-api-env for {system} :"));
    }
}

/// The run that docs/PULL_REQUESTS.md shows the comment of.
fn shown_in_the_docs() -> Report {
    let mut report = usual();
    report.references = vec!["ghcr.io/acme/base-api:pr-7".to_owned()];
    report
}

#[test]
fn the_comment_in_the_docs_is_one_of_ours() {
    let docs = include_str!("../../../../../../docs/PULL_REQUESTS.md");
    let told = body(&shown_in_the_docs(), LONGEST_COMMENT);
    let lines = docs.lines().filter_map(|line| line.strip_prefix("> "));
    let lines: Vec<String> = lines.map(|line| format!("{line}\n")).collect();
    assert!(lines.len() > 30, "{lines:?}");
    in_order(&told, &lines.iter().map(String::as_str).collect::<Vec<_>>());
}
