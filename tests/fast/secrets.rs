//! No command tells a secret, in whatever form it tells something: neither what it was given,
//! nor what opens a host in the words of others.

use nixpy_testkit::fake_nix::Replay;
use nixpy_testkit::registry::Registry;

use crate::joining::{ARM, at, joined, metadata, new_machine, publish};
use crate::scenario::nix::{self, Version};
use crate::scenario::{Ended, Run, Scenario};
use crate::telling::failing_with;

const PASSWORD: &str = "correct-horse-battery";
/// In an address, and given to nobody.
const TOKEN: &str = "ghp_fetch";
const COMMIT: &str = "1f518446f2de55ec5d6c0a8d6cad1d8918d3284d";
/// What `Nix` says, or a builder.
const SAID: &str =
    "cannot fetch git+https://me:ghp_fetch@git.example/x: correct-horse-battery is wrong";
/// The files that a command can be asked for.
const FILES: [&str; 3] = ["r.json", "s.md", "p.html"];
const ASKED: [&str; 3] = ["--report=r.json", "--summary=s.md", "--html=p.html"];

fn with_password(run: Run<'_>) -> Run<'_> {
    run.envs([("NIXPY_USERNAME", "ci-bot"), ("NIXPY_PASSWORD", PASSWORD)])
}

/// It did tell what was said, and neither of the secrets in it.
#[track_caller]
fn tells_the_rest(ended: Ended) -> Ended {
    let told = format!("{}{}", ended.stdout, ended.stderr);
    assert!(told.contains("https://***@git.example/x"), "{ended}");
    assert!(told.contains("*** is wrong"), "{ended}");
    ended.never_says(PASSWORD).never_says(TOKEN)
}

#[track_caller]
fn files_tell_the_rest(scenario: &Scenario, files: &[&str]) {
    for file in files {
        let told = scenario.read(file);
        assert!(told.contains("https://***@git.example/x"), "{file}: {told}");
        assert!(
            !told.contains(PASSWORD) && !told.contains(TOKEN),
            "{file}: {told}"
        );
    }
}

#[test]
fn a_flake_that_cannot_be_evaluated_has_every_command_tell_the_rest() {
    let commands: [&[&str]; 8] = [
        &["plan"],
        &["plan", "--json"],
        &["plan", "--matrix"],
        &["run", "--dry-run"],
        &["run"],
        &["run", "--json"],
        &["doctor"],
        &["doctor", "--json"],
    ];
    let scenario = Scenario::where_nix_says(SAID);
    for command in commands {
        for progress in ["plain", "github", "none", "bars"] {
            let run = with_password(scenario.nixpy(command.iter().copied()));
            let ended = run.env("NIXPY_PROGRESS", progress).ended();
            assert_ne!(ended.code, 0, "{ended}");
            tells_the_rest(ended);
        }
    }
}

#[test]
fn a_doctor_says_what_is_wrong_with_a_cache_without_what_opens_it() {
    let cache = "https://me:ghp_fetch@git.example/x";
    let refused = nix::error(&format!(
        "unable to download '{cache}': {PASSWORD} is wrong"
    ));
    let scenario = nix::machine(Version::Nix2_26, &[cache])
        .into_iter()
        .fold(Scenario::app(), Scenario::on)
        .asked_first(Replay::of(["path-info", cache]).stderr(refused).exit(1));
    let system = nix::own_system();
    for arguments in [
        &["doctor", "-s", &system][..],
        &["doctor", "--json", "-s", &system],
    ] {
        let ended = with_password(scenario.nixpy(arguments.iter().copied())).ended();
        tells_the_rest(ended.succeeded());
    }
}

#[test]
fn a_release_tells_in_no_file_what_kept_its_image_from_being_built() {
    let registry = Registry::start();
    let target = at(&registry, "api");
    let failing = failing_with(&[SAID]);
    for scenario in [Scenario::where_nix_says(SAID), failing] {
        let commit = Replay::of(["flake", "metadata"]).stdout(metadata(Some(COMMIT)));
        let scenario = scenario.on(commit).file(
            "nixpy-ci.yaml",
            "report: r.json\nsummary: s.md\nhtml: p.html\n",
        );
        for json in [&[][..], &["--json"]] {
            let arguments = ["release", "v1.2.3", "--commit", COMMIT, "-r", &target];
            let run = scenario.nixpy(arguments.into_iter().chain(json.iter().copied()));
            let ended = new_machine(with_password(run)).ended();
            assert_ne!(ended.code, 0, "{ended}");
            tells_the_rest(ended.prints_nothing());
            files_tell_the_rest(&scenario, &FILES);
        }
    }
}

#[test]
fn what_a_builder_says_is_shown_and_reported_without_secrets() {
    let scenario = failing_with(&[SAID]);
    for progress in ["plain", "github", "none", "bars"] {
        let arguments = ASKED.into_iter().chain(["--progress", progress]);
        let ended = with_password(scenario.run(arguments)).ended().with_code(1);
        tells_the_rest(ended);
        files_tell_the_rest(&scenario, &FILES);
    }
}

#[test]
fn settings_that_are_wrong_are_quoted_without_what_is_secret_in_them() {
    let repository = format!("https://me:{TOKEN}@git.example/x y/{PASSWORD} is wrong");
    let scenario = Scenario::app();
    for command in ["run", "plan", "doctor", "release", "index"] {
        let mut arguments = vec![command];
        arguments.extend((command == "release").then_some("v1.2.3"));
        arguments.extend((command == "index").then_some("result.json"));
        arguments.extend(["-r", &repository]);
        let ended = with_password(scenario.nixpy(arguments))
            .ended()
            .with_code(2);
        ended.never_says(PASSWORD).never_says(TOKEN);
    }
    // What is no setting at all is quoted by who reads the command line.
    let more = with_password(scenario.nixpy(["plan", ".", &repository])).ended();
    let more = more.with_code(2).never_says(PASSWORD).never_says(TOKEN);
    more.says("unexpected argument 'https://***@git.example/x y/*** is wrong'");
    // Of commands that read no such setting, what they were asked for.
    let cache = format!("https://me:{TOKEN}@git.example/x");
    let serving = with_password(scenario.nixpy(["cache", "serve", "--cache", &cache])).ended();
    let serving = serving.with_code(2).never_says(TOKEN);
    serving.says("https://***@git.example/x");
}

#[test]
fn a_result_names_its_flake_without_what_opens_it_and_so_does_the_index_of_it() {
    let registry = Registry::start();
    let flake = format!("git+https://me:{TOKEN}@git.example/x");
    let commit = Replay::of(["flake", "metadata"]).stdout(metadata(Some(COMMIT)));
    let scenario = Scenario::app()
        .on(commit)
        .file("nixpy-ci.yaml", &format!("flake: {flake}\n"));
    let target = at(&registry, "api");
    publish(&scenario, &target, "aarch64-linux").never_says(TOKEN);
    files_tell_the_rest(&scenario, &[ARM]);
    let ended = joined(&scenario, &[ARM], &["-r", &target, "--json"]).succeeded();
    ended.prints("https://***@git.example/x").never_says(TOKEN);
}

#[test]
fn the_log_of_the_libraries_has_no_secret_either() {
    let scenario = Scenario::where_nix_says(SAID);
    let run = with_password(scenario.nixpy(["plan"])).env("NIXPY_LOG", "trace");
    let ended = run.ended().says("calling nix");
    tells_the_rest(ended);
}

#[test]
fn a_secret_that_is_a_word_of_the_runner_stops_no_command() {
    let scenario = Scenario::where_nix_says(SAID);
    let run = scenario.run(["--progress=github"]);
    let run = run.envs([("NIXPY_USERNAME", "ci-bot"), ("NIXPY_PASSWORD", "error")]);
    run.ended().says("::error::").never_says(TOKEN);
}
