//! What cannot work: one clear line, what to do about it, the right exit code,
//! and nothing left behind.

use nixpy_testkit::fake_nix::Replay;

use crate::scenario::{Ended, Scenario};

/// Nothing was begun: no file, and nothing on standard output.
#[track_caller]
fn refused(scenario: &Scenario, arguments: &[&str], code: i32, texts: &[&str]) -> Ended {
    let ended = scenario.run(arguments.iter().copied()).ended();
    let ended = ended.with_code(code).prints_nothing().with_the_error(texts);
    assert_eq!(ended.calls("build"), 0, "{ended}");
    assert!(!scenario.has("oci-image"), "a layout was begun");
    ended
}

#[test]
fn a_setting_that_cannot_be_is_refused_with_its_cure() {
    let scenario = Scenario::app();
    for (arguments, cure) in [
        (["-r", "base-api"], "write HOST/NAME"),
        (["-r", "acme/base-api"], "docker.io/acme/base-api"),
        (["-r", "https://ghcr.io/acme/api"], "leave the scheme out"),
        (["-r", "ghcr.io/Acme/API"], "ghcr.io/acme/api"),
        (["-r", "ghcr.io/acme/api:v1"], "--tag v1"),
        (["-t", "v 1"], "letters, digits"),
        (["-t", ""], "letters, digits"),
        (["-p", "http"], "write 8000, 8000/tcp or 53/udp"),
        (["-p", "0"], "write 8000, 8000/tcp or 53/udp"),
        (["-p", "70000"], "write 8000, 8000/tcp or 53/udp"),
        (["--compression-level", "13"], "a number from 1 to 12"),
        (["--compression", "brotli"], "gzip, zstd, none"),
        (["--workdir", "srv"], "absolute path"),
        (["--env", "GREETING"], "KEY=VALUE"),
        (["--label", "=x"], "KEY=VALUE"),
        (["--max-layers", "128"], "from 2 to 127"),
        (["--uploads", "none"], "from 1 to 64"),
        (["--load", "buildah"], "docker, podman"),
        (["--progress", "loud"], "auto, bars, plain, github, none"),
        (["--system", "amd64"], "x86_64-linux"),
    ] {
        let ended = refused(&scenario, &arguments, 2, &[cure]);
        assert_eq!(ended.nix_calls().len(), 0, "{arguments:?}");
    }
}

#[test]
fn a_level_is_measured_by_its_compression() {
    let scenario = Scenario::app();
    scenario
        .run(["--compression=zstd", "--compression-level=19"])
        .ended()
        .succeeded();
    let ended = scenario
        .run(["--compression=zstd", "--compression-level=20"])
        .ended();
    ended
        .with_code(2)
        .with_the_error(&["a number from 1 to 19"]);
}

#[test]
fn a_repository_and_a_layout_exclude_each_other() {
    let scenario = Scenario::app();
    refused(
        &scenario,
        &["-r", "localhost/a", "--layout", "x"],
        2,
        &["not both"],
    );
}

#[test]
fn a_flag_that_is_none_is_named_with_the_one_that_was_meant() {
    let ended = Scenario::app()
        .run(["--repositori", "x"])
        .ended()
        .with_code(2);
    ended
        .prints_nothing()
        .says("--repositori")
        .says("--repository");
}

#[test]
fn a_directory_without_a_flake_is_named() {
    let scenario = Scenario::app().without("flake.nix");
    let place = scenario.checkout().display().to_string();
    refused(
        &scenario,
        &[],
        2,
        &["no flake.nix", &place, "run it where the flake is"],
    );
    refused(
        &scenario,
        &["./service"],
        2,
        &["no flake.nix", "checkout/service"],
    );
}

#[test]
fn an_attribute_that_the_flake_lacks_is_told_with_those_it_has() {
    let scenario = Scenario::app().without_the_attribute();
    for arguments in [
        ["--attribute", "imgae"],
        ["--system=x86_64-linux", ".#imgae"],
    ] {
        let ended = scenario
            .run(arguments)
            .ended()
            .with_code(2)
            .prints_nothing();
        let ended = ended.says("has no `imgae` for x86_64-linux; it offers: app, devTools");
        assert_eq!(ended.calls("build"), 0);
    }
    let ended = scenario.run([]).ended().with_code(2);
    ended.says("any of stream, streamImage, image");
}

#[test]
fn a_system_that_the_flake_lacks_is_told_with_those_it_has() {
    let scenario = Scenario::app();
    let texts = ["nothing for riscv64-linux", "aarch64-linux, x86_64-linux"];
    refused(&scenario, &["-s", "riscv64-linux"], 2, &texts);
    refused(
        &scenario,
        &["-s", "aarch64-darwin"],
        2,
        &["no image can be for aarch64-darwin"],
    );
}

#[test]
fn a_flake_for_no_linux_system_says_so() {
    let scenario = Scenario::app().offering(Vec::new());
    refused(&scenario, &[], 2, &["packages for no Linux system"]);
}

#[test]
fn something_else_than_a_package_is_named_with_its_type() {
    let answer = r#"{"nixVersion":"2.26.3","storeDir":"/nix/store","offered":["x86_64-linux"],"systems":{"x86_64-linux":
        {"attributes":["image"],"chosen":{"path":["image"],"found":"lambda"}}}}"#;
    let scenario = Scenario::app().on(Replay::of(["eval"]).stdout(answer));
    refused(
        &scenario,
        &[],
        2,
        &["packages.x86_64-linux.image is of type lambda"],
    );
}

#[test]
fn without_nix_the_cure_is_setup() {
    let scenario = Scenario::app();
    let ended = scenario
        .run([])
        .without_nix()
        .ended()
        .with_code(3)
        .prints_nothing();
    ended.with_the_error(&["nix", "nixpy-ci setup"]);
    refused(&scenario, &["--nix", "/nowhere/nix"], 3, &["/nowhere/nix"]);
}

#[test]
fn what_nix_says_against_the_flake_is_told_with_what_to_do() {
    let cases = [
        (
            "flake 'path:/srv/demo' does not provide attribute 'packages'",
            2,
            "no `packages`",
        ),
        (
            "cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Connection refused",
            3,
            "check that the Nix daemon runs",
        ),
        (
            "unable to download 'https://example.org/x': Couldn't resolve host name (6)",
            4,
            "check the network",
        ),
        (
            "unable to download 'https://example.org/x': HTTP error 404",
            4,
            "check the address",
        ),
        (
            "undefined variable 'pythn3'",
            1,
            "undefined variable 'pythn3'",
        ),
    ];
    for (said, code, told) in cases {
        let scenario = Scenario::where_nix_says(said).on(Replay::of(["flake", "metadata"]).exit(1));
        refused(&scenario, &[], code, &[told, "evaluate"]);
    }
}

#[test]
fn an_answer_in_an_unknown_form_asks_for_a_report() {
    let scenario = Scenario::app().on(Replay::of(["eval"]).stdout("[]"));
    refused(
        &scenario,
        &[],
        1,
        &["form not known here", "please report it"],
    );
}

#[test]
fn a_directory_with_other_files_is_not_taken_for_a_layout() {
    let scenario = Scenario::app().file("photos/cat.jpg", "meow");
    let ended = scenario.run(["--layout", "photos"]).ended();
    let ended = ended.with_code(2).prints_nothing();
    ended.with_the_error(&["photos", "other files", "a new or an empty directory"]);
    let files = std::fs::read_dir(scenario.checkout().join("photos")).unwrap();
    assert_eq!(files.count(), 1, "nothing was put there");
}

#[test]
fn a_directory_with_other_files_is_refused_before_anything_is_built() {
    let scenario = Scenario::app().file("photos/cat.jpg", "meow");
    let ended = scenario.run(["--layout", "photos"]).ended();
    assert_eq!(ended.calls("build"), 0, "{ended}");
}

#[test]
fn a_directory_that_was_there_stays_when_nothing_comes_to_it() {
    let scenario = Scenario::image(|_| b"just a text\n".to_vec());
    std::fs::create_dir(scenario.checkout().join("empty")).unwrap();
    std::os::unix::fs::symlink("empty", scenario.checkout().join("link")).unwrap();
    for place in ["empty", "link"] {
        scenario.run(["--layout", place]).ended().with_code(2);
        let files = std::fs::read_dir(scenario.checkout().join(place)).unwrap();
        assert_eq!(files.count(), 0, "{place}");
    }
}

#[test]
fn a_layout_whose_place_cannot_be_is_named() {
    let scenario = Scenario::app().file("taken", "a file");
    let ended = scenario
        .run(["--layout", "taken/image"])
        .ended()
        .with_code(3);
    ended.prints_nothing().with_the_error(&["taken/image"]);
}

#[test]
fn a_package_without_a_program_says_what_there_is() {
    let scenario = Scenario::app();
    let output = scenario.output("x86_64-linux");
    std::fs::remove_file(format!("{output}/bin/base-api")).unwrap();
    for name in ["manage", "worker"] {
        std::fs::write(format!("{output}/bin/{name}"), "").unwrap();
    }
    let ended = scenario.run([]).ended().with_code(2).prints_nothing();
    ended.with_the_error(&["no program to start", "entrypoint", "manage, worker"]);
    assert!(!scenario.has("oci-image"));
}

#[test]
fn a_file_that_is_no_image_says_what_would_be_one() {
    let scenario = Scenario::image(|_| b"just a text\n".to_vec());
    let ended = scenario.run([]).ended().with_code(2).prints_nothing();
    ended.with_the_error(&["neither an image archive nor a script", "dockerTools"]);
}

/// Running it would do what it says: it may be the package of a deployment.
#[test]
fn a_script_that_is_no_stream_of_an_image_is_not_run() {
    let scenario = Scenario::image(|_| b"#!/bin/sh\ntouch was-run\n".to_vec());
    let ended = scenario.run([]).ended().with_code(2).prints_nothing();
    ended.with_the_error(&["neither an image archive nor a script"]);
    assert!(!scenario.has("was-run"));
}

#[test]
fn names_that_a_terminal_would_act_on_are_shown_as_they_are_written() {
    let scenario = Scenario::where_nix_says("\u{1b}]0;title\u{7} is not an attribute");
    let ended = scenario.run([]).ended().with_code(1);
    ended.never_says("\u{1b}").never_says("\u{7}");
}

#[test]
fn a_user_that_the_image_does_not_know_is_refused() {
    let scenario = Scenario::app();
    refused(&scenario, &["--user=nobody"], 2, &["--user", "1000:1000"]);
}

#[test]
fn an_entrypoint_that_is_not_there_is_refused_with_what_is() {
    let scenario = Scenario::app();
    let run = scenario.run(["--entrypoint=base-api --port 8000"]);
    let ended = run.ended().with_code(2).prints_nothing();
    ended.with_the_error(&["entrypoint", "its bin/ has base-api"]);
}

#[test]
fn a_summary_that_cannot_be_written_is_named() {
    let scenario = Scenario::app();
    let ended = scenario
        .run(["--summary", "absent/summary.md"])
        .ended()
        .with_code(3);
    ended.with_the_error(&["absent/summary.md"]);
}

#[test]
fn a_call_of_nix_that_says_nothing_is_still_told() {
    let scenario = Scenario::app().on(Replay::of(["eval"]).exit(1));
    refused(&scenario, &[], 1, &["evaluate", "said nothing"]);
    let scenario = Scenario::where_nix_says("first line\nsecond line")
        .on(Replay::of(["flake", "metadata"]).exit(1));
    let ended = scenario.run([]).ended().with_code(1);
    ended.says("error: cannot evaluate").says("second line");
}
