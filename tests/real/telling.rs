//! What a run tells, and where.

use std::process::Command;

use nixpy_testkit::ports::free_address;

use crate::world::example::example;
use crate::world::flake::{Flake, own_system};
use crate::world::nixpy::{Workplace, binary};
use crate::world::program::{program, run};

#[test]
fn a_terminal_shows_bars() {
    let (here, flake) = (
        Workplace::new(),
        Flake::built_by("echo working $stamp; sleep 2; cat $archive > $out"),
    );
    let line = format!("{} run {} --layout out", binary().display(), flake.image());
    // A terminal for a program that has none.
    let mut terminal = program("script");
    terminal.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    here.prepare(&mut terminal);
    let ended = run(terminal
        .env("TERM", "xterm-256color")
        .env_remove("CI")
        .env_remove("NO_COLOR"))
    .succeeded();
    assert!(ended.stdout.contains("\x1b["), "the cursor moves: {ended}");
    assert!(
        ended.stdout.contains("small-image"),
        "what is built is named: {ended}"
    );
    assert!(
        ended.stdout.contains("out:latest"),
        "the report ends it: {ended}"
    );
    here.has_only(&["out"]);
}

#[test]
fn github_gets_groups_in_which_a_builder_cannot_give_commands() {
    let (here, flake) = (
        Workplace::new(),
        Flake::built_by("echo ::error::$stamp; cat $archive > $out"),
    );
    let mut command = here.command([&flake.image(), "--layout", "out"]);
    let ended = run(command.env("GITHUB_ACTIONS", "true")).succeeded();
    let lines: Vec<&str> = ended.stderr.lines().collect();
    let place = |what: &str| {
        lines
            .iter()
            .position(|line| line.starts_with(what))
            .unwrap_or_else(|| panic!("{what}: {ended}"))
    };
    let group = place("::group::small-image");
    let told = place(&format!("::error::{}", flake.stamp()));
    let token = lines[group + 1].strip_prefix("::stop-commands::").unwrap();
    let end = place(&format!("::{token}::"));
    assert!(group < told && told < end, "{ended}");
    assert_eq!(lines[end + 1], "::endgroup::", "{ended}");
}

#[test]
fn json_is_alone_on_standard_output_and_progress_on_the_other() {
    let (here, flake) = (Workplace::new(), Flake::small());
    let ended = here
        .run([&flake.image(), "--layout", "out", "--json"])
        .succeeded();
    let report = ended.json();
    assert_eq!(report["version"], 1);
    assert_eq!(report["outcome"], "success");
    assert_eq!(report["platforms"][0]["system"], own_system());
    assert!(ended.stderr.contains("build small-image"), "{ended}");
}

#[test]
fn the_summary_is_markdown() {
    let (here, flake) = (Workplace::new(), Flake::small());
    let ended = here
        .run([
            &flake.image(),
            "--layout",
            "out",
            "--summary",
            "summary.md",
            "--json",
        ])
        .succeeded();
    let summary = std::fs::read_to_string(here.path("summary.md")).unwrap();
    let report = ended.json();
    for words in [
        "## ",
        "| platform |",
        "linux/",
        report["index"]["digest"].as_str().unwrap(),
    ] {
        assert!(summary.contains(words), "`{words}` is not in {summary}");
    }
    here.has_only(&["out", "summary.md"]);
}

#[test]
fn a_dry_run_prints_the_plan_and_touches_nothing() {
    let (here, flake) = (Workplace::new(), Flake::small());
    let repository = format!("{}/acme/api", free_address());
    let image = flake.image();
    let arguments = [image.as_str(), "--dry-run", "--repository", &repository];
    let plan = here
        .run([&arguments[..], &["--json"]].concat())
        .succeeded()
        .json();
    assert_eq!(plan["destination"], repository.as_str());
    assert_eq!(plan["jobs"][0]["system"], own_system());
    let output = plan["jobs"][0]["output"].as_str().unwrap();
    assert!(!std::path::Path::new(output).exists(), "nothing is built");

    let text = here.run(arguments).succeeded().stdout;
    assert!(
        text.contains(&repository) && text.contains("natively"),
        "{text}"
    );
    here.has_only(&[]);
}

#[test]
fn a_run_with_nothing_to_build_tells_of_both_platforms() {
    let here = Workplace::new();
    let ended = here
        .run([&example().flake("stream"), "--layout", "out"])
        .succeeded();
    for words in ["linux/amd64", "linux/arm64", "index", "out:latest"] {
        assert!(ended.stdout.contains(words), "`{words}` is not in {ended}");
    }
    // An image in place is an image unchanged.
    let again = here
        .run([&example().flake("stream"), "--layout", "out"])
        .succeeded();
    assert_eq!(again.stdout.matches("nothing new").count(), 2, "{again}");
}

#[test]
fn the_program_is_one_file_that_starts_by_itself() {
    let mut alone = Command::new(binary());
    let version = run(alone.arg("--version").env_clear()).succeeded();
    assert!(version.stdout.starts_with("nixpy-ci "), "{version}");
    let loaded = run(program("ldd").arg(binary()));
    assert!(
        format!("{}{}", loaded.stdout, loaded.stderr).contains("statically linked"),
        "{loaded}"
    );
}
