//! The executable that replays recorded output.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nixpy_testkit::fake_nix::{FakeNix, Replay};

fn run(nix: &FakeNix, args: &[&str]) -> Output {
    Command::new(nix.program()).args(args).output().unwrap()
}

#[test]
fn the_first_rule_that_fits_answers_and_calls_are_kept() {
    let nix = FakeNix::builder()
        .on(Replay::of(["build", "--json"])
            .stdout("[{}]\n")
            .stderr("@nix {}\nno newline")
            .exit(3))
        .on(Replay::of(["build"])
            .mentioning("#api")
            .stdout("it's 'quoted' $HOME\n"))
        .build();
    let first = run(
        &nix,
        &["--json", "build", "two words", "", "it's\nthree lines"],
    );
    assert_eq!(
        (first.status.code(), first.stdout.as_slice()),
        (Some(3), b"[{}]\n".as_slice())
    );
    assert_eq!(first.stderr, b"@nix {}\nno newline");
    assert_eq!(
        run(&nix, &["build", "path:/somewhere#api"]).stdout,
        b"it's 'quoted' $HOME\n"
    );
    let calls = nix.calls();
    assert_eq!(
        calls[0],
        ["--json", "build", "two words", "", "it's\nthree lines"]
    );
    assert_eq!(calls[1], ["build", "path:/somewhere#api"]);
    assert_eq!(
        (nix.count(&["build"]), nix.count(&["build", "--json"])),
        (2, 1)
    );
}

#[test]
fn a_call_that_no_rule_foresees_fails_loudly() {
    let nix = FakeNix::builder().on(Replay::of(["build"])).build();
    let output = run(&nix, &["copy", "--all"]);
    assert_eq!(output.status.code(), Some(99));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        said,
        "fake nix: no rule foresees this call: nix 'copy' '--all'\n"
    );
    assert_eq!(nix.calls().len(), 1);
}

#[test]
fn a_rule_can_be_used_up() {
    let nix = FakeNix::builder()
        .on(Replay::of(["build"]).exit(1).once())
        .on(Replay::of(["build"]).stdout("ok"))
        .build();
    assert_eq!(run(&nix, &["build"]).status.code(), Some(1));
    assert_eq!(run(&nix, &["build"]).stdout, b"ok");
}

#[test]
fn it_takes_its_time_reads_its_input_and_keeps_its_configuration() {
    let pause = Duration::from_millis(60);
    let nix = FakeNix::builder()
        .on(Replay::of(["copy"])
            .stderr("one\ntwo\n")
            .pause(pause)
            .hang(pause)
            .stdout("done")
            .keep_stdin())
        .build();
    let begun = Instant::now();
    let mut child = Command::new("nix")
        .arg("copy")
        .env("PATH", nix.path_dir())
        .env("NIX_CONFIG", "access-tokens = x")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"a path\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(begun.elapsed() >= 3 * pause);
    assert_eq!(
        (output.stdout, output.stderr),
        (b"done".to_vec(), b"one\ntwo\n".to_vec())
    );
    assert_eq!(nix.stdin(0).unwrap(), b"a path\n");
    assert_eq!(nix.nix_config(0).unwrap(), "access-tokens = x");
}

#[test]
fn calls_at_the_same_time_are_all_kept() {
    let nix = FakeNix::builder().on(Replay::of(["log"])).build();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let nix = &nix;
            scope.spawn(move || run(nix, &["log", &number.to_string()]));
        }
    });
    let mut seen: Vec<String> = nix
        .calls()
        .into_iter()
        .map(|argv| argv[1].clone())
        .collect();
    seen.sort();
    assert_eq!(seen, ["0", "1", "2", "3", "4", "5", "6", "7"]);
}
