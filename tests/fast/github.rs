//! What GitHub's runner makes of the output: read as the runner reads it.

use std::collections::BTreeSet;

use crate::caches_read::Service;
use crate::scenario::Scenario;
use crate::scenario::nix::{built, error, failing_build, one_has_failed};
use crate::telling::failing_with;
use nixpy_testkit::fake_nix::Replay;

/// What the runner obeyed, what it showed, and the tokens it was given.
#[derive(Default)]
struct Runner {
    obeyed: Vec<String>,
    shown: Vec<String>,
    tokens: Vec<String>,
}

/// By the rules of `ActionCommand` in <https://github.com/actions/runner>: a line
/// that begins with `::`, or has `##[` anywhere, is a command, unless a token has
/// stopped commands; then only that token is.
fn runner(log: &str) -> Runner {
    let mut runner = Runner::default();
    let mut stopped: Option<String> = None;
    for line in log.lines() {
        if let Some(token) = &stopped {
            if line.trim() == format!("::{token}::") {
                stopped = None;
            } else {
                runner.shown.push(line.to_owned());
            }
        } else if let Some(token) = line.trim_start().strip_prefix("::stop-commands::") {
            runner.tokens.push(token.to_owned());
            stopped = Some(token.to_owned());
        } else if line.trim_start().starts_with("::") || line.contains("##[") {
            runner.obeyed.push(line.to_owned());
        } else {
            runner.shown.push(line.to_owned());
        }
    }
    assert_eq!(stopped, None, "commands are allowed again in the end");
    runner
}

const HOSTILE: [&str; 9] = [
    "::error::owned",
    "::set-output name=digest::owned",
    "::stop-commands::owned",
    "::endgroup::",
    "##[endgroup]",
    "# owned [x](https://e.example) @octocat",
    "  ::add-mask::a",
    "see ##[set-env name=PATH]/tmp",
    "::00000000::",
];

#[test]
fn a_builder_cannot_give_commands() {
    let scenario = failing_with(&HOSTILE);
    let ended = scenario.run(["--progress=github"]).ended().with_code(1);
    let runner = runner(&ended.stderr);
    let commands: Vec<&str> = runner
        .obeyed
        .iter()
        .map(|line| line.split("::").nth(1).unwrap_or(line))
        .collect();
    assert_eq!(commands, ["error"], "what failed is not folded: {ended}");
    assert!(
        runner.obeyed.iter().all(|line| !line.contains("owned")),
        "{ended}"
    );
    for line in HOSTILE {
        assert!(
            runner.shown.iter().any(|shown| shown.contains(line)),
            "{line} is not shown"
        );
    }
}

#[test]
fn each_fence_has_a_token_of_its_own() {
    let drv = |name: &str| format!("/nix/store/18xqrvsx1s4sb0wibkn4wq04sggwxha2-{name}.drv");
    let log = built(&drv("one"), &HOSTILE) + &built(&drv("other"), &HOSTILE);
    let scenario = Scenario::app().on(Replay::of(["build"]).stderr(log));
    let ended = scenario.run(["--progress=github"]).ended();
    let tokens = runner(&ended.stderr).tokens;
    let distinct: BTreeSet<_> = tokens.iter().collect();
    assert!(tokens.len() > 1 && tokens.iter().all(|token| token.len() >= 32));
    assert_eq!(distinct.len(), tokens.len());
}

#[test]
fn each_derivation_has_a_group_of_its_lines() {
    let drv = |name: &str| format!("/nix/store/18xqrvsx1s4sb0wibkn4wq04sggwxha2-{name}.drv");
    let log = built(&drv("fastapi"), &["unpacking", "done"]) + &built(&drv("app"), &["linking"]);
    let scenario = Scenario::app().on(Replay::of(["build"]).stderr(log));
    let ended = scenario
        .run([])
        .env("GITHUB_ACTIONS", "true")
        .ended()
        .succeeded();
    let obeyed = runner(&ended.stderr).obeyed;
    assert_eq!(
        obeyed,
        [
            "::group::fastapi",
            "::endgroup::",
            "::group::app",
            "::endgroup::"
        ]
    );
    let groups: Vec<&str> = ended.stderr.split("::group::").collect();
    assert!(groups[1].contains("unpacking") && groups[2].contains("linking"));
}

#[test]
fn a_flake_that_does_not_evaluate_cannot_give_commands() {
    let said = "attribute 'x' missing\n::error::owned\n##[set-env name=PATH]/tmp";
    let scenario = Scenario::where_nix_says(said).on(Replay::of(["flake", "metadata"]).exit(1));
    let ended = scenario
        .run(["--progress=github"])
        .ended()
        .with_code(1)
        .says("missing");
    let obeyed = runner(&ended.stderr).obeyed;
    assert_eq!(obeyed.len(), 1, "{ended}");
    assert!(obeyed[0].starts_with("::error::cannot evaluate"), "{ended}");
}

#[test]
fn a_setting_that_is_wrong_is_an_error_of_the_workflow() {
    let scenario = Scenario::app();
    let run = scenario.run(["--port=##[set-env name=PATH]"]);
    let ended = run.env("GITHUB_ACTIONS", "true").ended().with_code(2);
    let obeyed = runner(&ended.stderr).obeyed;
    assert_eq!(obeyed.len(), 1, "{ended}");
    assert!(obeyed[0].starts_with("::error::--port: "), "{ended}");
}

#[test]
fn a_warning_of_nix_cannot_give_commands() {
    let warning =
        r###"@nix {"action":"msg","level":1,"msg":"warning: x ##[set-env name=PATH]/tmp"}"###;
    let scenario = Scenario::app().on(Replay::of(["build"]).stderr(format!("{warning}\n")));
    let ended = scenario.run(["--progress=github"]).ended().succeeded();
    assert_eq!(runner(&ended.stderr).obeyed, [""; 0], "{ended}");
}

#[test]
fn a_cache_cannot_give_commands() {
    let said = "https://c.example/##[set-env name=PATH]/tmp";
    let answer = format!(r#"{{"uri": "{said}", "publicSigningKeys": []}}"#);
    let service = Service::start(&[("/api/v1/cache/acme", answer)]);
    let cache = format!("cachix:{}:acme read", service.url());
    let scenario = Scenario::app();
    for progress in ["github", "plain"] {
        let progress = format!("--progress={progress}");
        let ended = scenario.run([&progress, "--cache", &cache]).ended();
        let ended = ended.succeeded().says("[set-env name=PATH]");
        let runner = runner(&format!("{}{}", ended.stderr, ended.stdout));
        assert!(runner.obeyed.is_empty(), "{:?}\n{ended}", runner.obeyed);
    }
}

/// A build that writes these lines and goes well.
fn building(lines: &[&str]) -> Scenario {
    let derivation = "/nix/store/18xqrvsx1s4sb0wibkn4wq04sggwxha2-app.drv";
    Scenario::app().on(Replay::of(["build"]).stderr(built(derivation, lines)))
}

#[test]
fn what_failed_stands_open_below_its_error_and_what_went_well_is_folded() {
    let fine = "/nix/store/18xqrvsx1s4sb0wibkn4wq04sggwxha2-fine.drv";
    let broken = "/nix/store/r5s4lx45nccwlks7ab5i534frw29w21b-broken.drv";
    let log = built(fine, &["all is well"])
        + &one_has_failed()
        + &built(broken, &["the first line", "the last line"])
        + &error(&format!("builder for '{broken}' failed with exit code 3"));
    let scenario = failing_with(&[]).asked_first(failing_build(log));
    let ended = scenario.run(["--progress=github"]).ended().with_code(1);
    let runner = runner(&ended.stderr);
    assert_eq!(
        runner.obeyed,
        [
            "::group::fine",
            "::endgroup::",
            "::error::broken failed: the builder ended with exit code 3"
        ],
        "{ended}"
    );
    let (_, open) = ended.stderr.split_once("::error::broken").unwrap();
    assert!(open.contains("the first line\nthe last line\n"), "{ended}");
    assert_eq!(ended.stderr.matches("the last line").count(), 1, "{ended}");
}

#[test]
fn what_moves_a_cursor_or_is_no_text_does_not_get_into_the_log() {
    let scenario = building(&[
        "\u{1b}[2J\u{1b}[1;1H\u{1b}[31mred\u{1b}[0m\u{7}",
        "10%\r55%\r100%",
        "\u{1b}]0;owned\u{7}title",
        "a\u{85}::error::owned",
        "\u{fffd}\u{0}",
    ]);
    let ended = scenario.run(["--progress=github"]).ended().succeeded();
    assert!(!ended.stderr.contains(['\u{1b}', '\r', '\u{7}', '\u{85}']));
    let runner = runner(&ended.stderr);
    assert_eq!(runner.obeyed, ["::group::app", "::endgroup::"], "{ended}");
    for shown in ["red", "100%", "title"] {
        assert!(
            runner.shown.iter().any(|line| line == shown),
            "{shown}: {ended}"
        );
    }
}

#[test]
fn a_line_of_a_megabyte_is_cut_and_says_so() {
    let long = "x".repeat(1 << 20);
    let ended = building(&[&long, "after"])
        .run(["--progress=github"])
        .ended();
    let ended = ended.succeeded();
    assert!(ended.stderr.len() < 20_000, "{}", ended.stderr.len());
    ended.says("xxx… (1.0 MB more)\nafter\n");
}

#[test]
fn secrets_are_masked_before_anything_else_is_printed() {
    let scenario = Scenario::app();
    let run = |command| {
        scenario
            .nixpy([command])
            .env("NIXPY_PROGRESS", "github")
            .env("NIXPY_USERNAME", "robot")
            .env("NIXPY_PASSWORD", "hunter22")
            .env("INPUT_CACHE-KEY", "acme-1:c2VjcmV0a2V5")
    };
    let ended = run("action").env("GITHUB_ACTIONS", "true").ended();
    let first = ended
        .stderr
        .lines()
        .take_while(|line| line.starts_with("::add-mask::"));
    let masked: Vec<&str> = first
        .filter_map(|line| line.strip_prefix("::add-mask::"))
        .collect();
    // The last is `robot:hunter22`, as HTTP sends it.
    for secret in [
        "hunter22",
        "acme-1:c2VjcmV0a2V5",
        "c2VjcmV0a2V5",
        "cm9ib3Q6aHVudGVyMjI=",
    ] {
        assert!(masked.contains(&secret), "{secret}: {ended}");
    }
    let told = ended.stderr.matches("hunter22").count();
    assert_eq!(told, 1, "only where it is masked: {ended}");
    let ended = run("action").ended();
    ended.never_says("hunter22").never_says("add-mask");
    // What a step of a workflow writes may end in a file.
    let ended = run("run").env("GITHUB_ACTIONS", "true").ended();
    ended.never_says("hunter22").never_says("add-mask");
}

#[test]
fn what_a_step_has_written_to_its_summary_stays_above_ours() {
    let scenario = Scenario::app().file("step/summary.md", "# Tests\n\nall fine");
    let file = scenario.checkout().join("step/summary.md");
    // However it is called, in one step after another, and also where a run ends early.
    std::os::unix::fs::symlink("step", scenario.checkout().join("link")).unwrap();
    let step = |words: &[&str]| {
        let run = scenario.run(words.iter().copied());
        run.env("GITHUB_STEP_SUMMARY", &file).ended()
    };
    step(&["--summary", file.to_str().unwrap()]).succeeded();
    step(&["--summary=link/summary.md", "-r", "base-api"]).with_code(2);
    step(&["--summary=step/summary.md"]).succeeded();
    let summary = scenario.read("step/summary.md");
    let headings: Vec<&str> = summary
        .lines()
        .filter(|line| line.starts_with("# ") || line.starts_with("## "))
        .collect();
    let made = headings[1];
    assert!(made.contains("Image built"), "{summary}");
    assert_eq!(headings.len(), 4, "{summary}");
    assert_eq!((headings[0], headings[3]), ("# Tests", made));
    assert!(headings[2].contains("Not published"), "{summary}");
    assert!(summary.contains("all fine\n\n## "), "{summary}");
    // Any other file is this run's alone.
    let scenario = scenario.file("own.md", "# Stale");
    let run = scenario.run(["--summary=own.md"]);
    run.env("GITHUB_STEP_SUMMARY", &file).ended().succeeded();
    let own = scenario.read("own.md");
    assert!(own.starts_with("## ") && !own.contains("Stale"), "{own}");
}
