//! Builders, as far as a recorded Nix can tell of them: what it is told, what becomes of a
//! run when they fail, and what is said of wrong settings.

use nixpy_testkit::fake_nix::Replay;
use serde_json::json;

use crate::scenario::Ended;
use crate::scenario::Scenario;
use crate::scenario::nix::{Offer, Version, failing_build, machine_with, own_system};

const LOST: &str = "/nix/store/3v56r9pkbrhagx3bw0126crgpkn2gw2z-lost.drv";
const OUT: &str = "/nix/store/l8s71q1sbqa8q6yd8zi3ak40kn1h9dhf-lost";
const KEY: &str =
    "-----BEGIN OPENSSH PRIVATE KEY-----\\nc2VjcmV0\\n-----END OPENSSH PRIVATE KEY-----";

/// Where Nix is configured as a machine that emulates aarch64, and takes these answers of builders.
fn where_builders_say(scenario: Scenario, version: Version, said: &[(&str, &str)]) -> Scenario {
    let store_verb = match version {
        Version::Nix2_8 => "ping",
        _ => "info",
    };
    let scenario = said.iter().fold(scenario, |scenario, (uri, words)| {
        let asked = Replay::of(["store", store_verb, *uri]).stderr(words);
        scenario.on(match words.is_empty() {
            true => asked,
            false => asked.exit(1),
        })
    });
    let machine = machine_with(version, |settings| {
        settings["builders"]["value"] = "".into();
        settings["extra-platforms"]["value"] = json!(["aarch64-linux", "i686-linux"]);
        settings["substituters"]["value"] = json!([]);
    });
    let scenario = scenario.version(version);
    machine.into_iter().fold(scenario, Scenario::on)
}

/// Where something for aarch64 is not there, and cannot be built.
fn not_built(version: Version) -> Scenario {
    let offer = Offer::elsewhere("aarch64-linux", "app", LOST, OUT);
    let failed = std::fs::read(version.log("build-failure")).unwrap();
    let derivations = version.paths(&[(LOST, Some(&[]))]);
    Scenario::app()
        .offering(vec![offer])
        .on(failing_build(failed))
        .on(Replay::of(["path-info", "--derivation"]).stdout(derivations))
        .on(Replay::of(["path-info"]).stdout(version.paths(&[(OUT, None)])))
}

/// What `--option NAME` was in each `nix build`.
fn options(ended: &Ended, name: &str) -> Vec<Option<String>> {
    let calls = ended.nix_calls();
    let builds = calls
        .iter()
        .filter(|call| call.iter().any(|word| word == "build"));
    let option = |call: &Vec<String>| {
        let at = call.iter().position(|word| word == name)?;
        call.get(at + 1).cloned()
    };
    builds.map(option).collect()
}

#[test]
fn nix_is_told_the_builders_that_answer_and_not_to_emulate_what_they_build() {
    for version in Version::ALL {
        let said = [
            (
                "ssh-ng://root@down",
                "ssh: connect to host down port 22: Connection refused\r\n",
            ),
            ("ssh-ng://root@up", ""),
        ];
        let scenario = where_builders_say(not_built(version), version, &said);
        let lines = "ssh-ng://root@down:2222 aarch64-linux\nssh-ng://root@up aarch64-linux - 4";
        let run = scenario.run(["--builders-use-substitutes"]);
        let ended = run.env("NIXPY_BUILDERS", lines).ended().with_code(1);
        let told = "ssh-ng://root@up aarch64-linux - 4 1 - - -".to_owned();
        assert_eq!(options(&ended, "builders"), [Some(told)]);
        assert_eq!(
            options(&ended, "extra-platforms"),
            [Some("i686-linux".to_owned())]
        );
        assert_eq!(
            options(&ended, "builders-use-substitutes"),
            [Some("true".to_owned())]
        );
        let ended = ended.says(
            "warning: builder ssh-ng://root@down:2222: it cannot be reached: ssh: connect to host",
        );
        ended.says("check that it is on");
    }
}

#[test]
fn a_run_without_builders_asks_nothing_more_than_before() {
    let (scenario, system) = (Scenario::app(), own_system());
    let ended = scenario.run(["-s", &system]).ended().succeeded();
    assert_eq!((ended.calls("store"), ended.calls("config")), (0, 0));
    assert_eq!(options(&ended, "builders"), [None]);
}

#[test]
fn what_was_lost_with_a_builder_is_built_again_without_it() {
    for version in Version::ALL {
        // Recorded when a cable was pulled.
        let (uri, words) = match version {
            Version::Nix2_8 => (
                "ssh://root@10.213.11.2",
                "Timeout, server 10.213.11.2 not responding.",
            ),
            _ => (
                "ssh-ng://root@10.213.11.2",
                "Nix daemon disconnected unexpectedly (maybe it crashed?)",
            ),
        };
        let said = [(uri, ""), ("ssh-ng://other", "")];
        let lost = std::fs::read(version.log("builder-lost")).unwrap();
        let scenario = not_built(version).asked_first(failing_build(lost).once());
        let scenario = where_builders_say(scenario, version, &said);
        let lines = format!("{uri} aarch64-linux\nssh-ng://other aarch64-linux");
        let run = scenario.run(["--json"]).env("NIXPY_BUILDERS", lines);
        let ended = run.env("NIXPY_BUILDER_SSH_KEY", KEY).ended().with_code(1);
        let both =
            format!("{uri} aarch64-linux - 1 1 - - - ; ssh-ng://other aarch64-linux - 1 1 - - -");
        let other = "ssh-ng://other aarch64-linux - 1 1 - - -".to_owned();
        assert_eq!(options(&ended, "builders"), [Some(both), Some(other)]);
        let troubles = ended.report().troubles;
        assert_eq!(troubles.len(), 1);
        assert_eq!(troubles[0].builder, uri);
        let what = format!("the connection was lost in mid-build: {words}");
        assert_eq!(troubles[0].what, what);
        assert_eq!(
            std::fs::read_dir(scenario.temporary()).unwrap().count(),
            0,
            "the key is gone"
        );
        ended.says(&what).never_says("c2VjcmV0");
    }
}

#[test]
fn every_wrong_setting_is_told_and_no_secret_is_repeated() {
    let scenario = Scenario::app();
    let run = scenario.run([
        "--builders",
        "arm linux/arm64",
        "--builders",
        "@nowhere",
        "--builder-silence",
        "soon",
    ]);
    let run = run
        .env("NIXPY_BUILDER_SSH_KEY", "hunter2")
        .env("NIXPY_BUILDER_KNOWN_HOSTS", "SHA256:abc");
    let ended = run.ended().with_code(2);
    let errors = ended.errors().join("\n");
    for words in [
        "--builders: line 1, `linux/arm64`",
        "--builders: line 2, `@nowhere`: cannot be read: No such file",
        "NIXPY_BUILDER_SSH_KEY: this is not a private key",
        "NIXPY_BUILDER_KNOWN_HOSTS: \"SHA256:abc\" is not a line of a known_hosts file",
        "--builder-silence: \"soon\" is not a time",
    ] {
        assert!(errors.contains(words), "{words}: {errors}");
    }
    ended.never_says("hunter2");
}

#[test]
fn a_builder_that_is_not_behind_ssh_is_left_to_nixs_configuration() {
    let ended = Scenario::app()
        .run(["--builders", "local x86_64-linux"])
        .ended();
    ended
        .with_code(2)
        .with_the_error(&["\"local\" is no machine behind ssh", "ssh-ng://"]);
}

#[test]
fn two_builders_that_nix_could_not_tell_apart_are_refused() {
    let scenario = where_builders_say(Scenario::app(), Version::Nix2_26, &[]);
    let lines = "ssh-ng://arm:22 aarch64-linux\nssh-ng://arm:2222 aarch64-linux";
    let ended = scenario
        .run([])
        .env("NIXPY_BUILDERS", lines)
        .ended()
        .with_code(2);
    ended.with_the_error(&["ssh-ng://arm:22", "ssh-ng://arm:2222", "~/.ssh/config"]);
}
