//! Builds that fail, told from logs that three versions of Nix have written.

use nixpy_pipeline::report::Outcome;
use nixpy_testkit::fake_nix::Replay;

use crate::scenario::Scenario;
use crate::scenario::nix::{Offer, Version, failing_build};

const BROKEN: &str = "/nix/store/r5s4lx45nccwlks7ab5i534frw29w21b-broken.drv";
const OUT: &str = "/nix/store/l8s71q1sbqa8q6yd8zi3ak40kn1h9dhf-broken";

/// A flake for x86_64-linux whose build leaves this log and nothing else.
fn building(version: Version, derivation: &str, log: &str, needs: &[&str]) -> Scenario {
    let offer = Offer::elsewhere("x86_64-linux", "app", derivation, OUT);
    let mut derivations: Vec<(&str, Option<&[&str]>)> = vec![(derivation, Some(needs))];
    derivations.extend(needs.iter().map(|need| (*need, Some(&[] as &[&str]))));
    let log = std::fs::read(version.log(log)).unwrap();
    Scenario::app()
        .version(version)
        .offering(vec![offer])
        .on(failing_build(log))
        .on(Replay::of(["path-info", "--derivation"]).stdout(version.paths(&derivations)))
        .on(Replay::of(["path-info"]).stdout(version.paths(&[(OUT, None)])))
}

#[test]
fn a_failure_is_told_with_its_derivation_its_last_lines_and_the_command_for_the_rest() {
    for version in Version::ALL {
        let scenario = building(version, BROKEN, "build-failure", &[]);
        let ended = scenario.run([]).ended().with_code(1);
        let ended = ended.says("broken.drv failed: the builder ended with exit code 3");
        let ended = ended
            .says("> about to fail\n")
            .says("> and this is stderr\n");
        let ended = ended.says(&format!("nix log {BROKEN}"));
        ended
            .says("nothing was published")
            .prints_nothing()
            .never_says("\u{1b}");
        assert!(!scenario.has("oci-image"));
    }
}

#[test]
fn the_report_of_a_failure_has_all_of_it() {
    let scenario = building(Version::Nix2_34, BROKEN, "build-failure", &[]);
    let report = scenario.run(["--json"]).ended().with_code(1).report();
    assert_eq!(report.outcome, Outcome::Failure);
    assert!(report.index.is_none() && report.references.is_empty());
    let [failure] = report.failures.as_slice() else {
        panic!("{:?}", report.failures);
    };
    assert_eq!(failure.derivation.to_string(), BROKEN);
    assert_eq!(failure.log_tail, ["about to fail", "and this is stderr"]);
    assert_eq!(
        failure.log_command.as_deref(),
        Some(&*format!("nix log {BROKEN}"))
    );
}

#[test]
fn a_failure_is_told_whatever_the_progress_looks_like() {
    for progress in ["auto", "bars", "plain", "github", "none"] {
        let scenario = building(Version::Nix2_26, BROKEN, "build-failure", &[]);
        let ended = scenario.run(["--progress", progress]).ended().with_code(1);
        ended.says("exit code 3").says("and this is stderr");
    }
}

#[test]
fn what_failed_by_itself_is_told_and_not_what_needed_it() {
    let needs = "/nix/store/bgzcmj4irzzpj3q2xa9yaxhnqv7i5ym8-needs-broken.drv";
    let broken = "/nix/store/hkxx3c52ipqc5knf72v4pa2k1jsjxzzq-broken.drv";
    let scenario = building(Version::Nix2_8, needs, "dependency-failure", &[broken]);
    let report = scenario.run(["--json"]).ended().with_code(1).report();
    assert_eq!(report.failures.len(), 1, "{:?}", report.failures);
    assert_eq!(report.failures[0].derivation.to_string(), broken);
    assert_eq!(report.failures[0].systems.len(), 1);
}

#[test]
fn a_hash_that_differs_is_told_with_the_one_that_came() {
    let fixed = "/nix/store/j3cbd7d72gs9px727pc7cljskwfhslxn-fixed.drv";
    let scenario = building(Version::Nix2_8, fixed, "hash-mismatch", &[]);
    let ended = scenario.run([]).ended().with_code(1);
    ended
        .says("sha256-VD34n+yFscKA5b57xqM+MS")
        .says("the flake specifies sha256-AAAAAAA");
}

#[test]
fn a_failure_on_another_machine_is_told_with_what_that_machine_said() {
    let remote = "/nix/store/lsnws2d8hi2321p7a9dwzscnidbyzdnl-broken.drv";
    let scenario = building(Version::Nix2_8, remote, "remote-failure", &[]);
    let ended = scenario.run([]).ended().with_code(1);
    ended.says("exit code 3").says("> and this is stderr");
}

#[test]
fn a_system_that_nothing_here_can_build_for_is_a_matter_for_setup() {
    let image = "/nix/store/g5fw0fxxinky4l7d492pyxqjg47wlmll-image.tar.gz.drv";
    let mut scenario = building(Version::Nix2_8, image, "no-builder", &[]);
    scenario = scenario.offering(vec![Offer::elsewhere("aarch64-linux", "app", image, OUT)]);
    let ended = scenario.run([]).ended().with_code(3);
    let ended = ended.says("nothing here can build for aarch64-linux");
    ended.says("`nixpy-ci setup`").says("`builders`");
}

#[test]
fn one_platform_that_fails_keeps_the_other_from_being_tagged() {
    let offers = vec![
        Offer::elsewhere("x86_64-linux", "app", BROKEN, OUT),
        Offer::elsewhere("aarch64-linux", "app", &fine("x.drv"), &fine("out")),
    ];
    let version = Version::Nix2_26;
    let scenario = building(version, BROKEN, "build-failure", &[]).offering(offers);
    // Asked before the rules of `building`: the other output is there.
    let outputs = version.paths(&[(OUT, None), (&fine("out"), Some(&[]))]);
    let scenario = scenario.asked_first(Replay::of(["path-info", &fine("out")]).stdout(outputs));
    let report = scenario.run(["--json"]).ended().with_code(1).report();
    assert_eq!(report.failures.len(), 1, "{:?}", report.failures);
    assert_eq!(report.failures[0].systems[0].to_string(), "x86_64-linux");
    assert!(report.platforms.is_empty() && !scenario.has("oci-image"));
}

#[test]
fn a_builder_for_one_system_only_lets_the_other_be_built() {
    let image = "/nix/store/g5fw0fxxinky4l7d492pyxqjg47wlmll-image.tar.gz.drv";
    let version = Version::Nix2_8;
    let offers = vec![
        Offer::elsewhere("aarch64-linux", "app", image, OUT),
        Offer::elsewhere("x86_64-linux", "app", &fine("x.drv"), &fine("out")),
    ];
    let derivations = version.paths(&[(image, Some(&[])), (&fine("x.drv"), Some(&[]))]);
    let outputs = version.paths(&[(OUT, None), (&fine("out"), None)]);
    let scenario = Scenario::app()
        .version(version)
        .offering(offers)
        .on(failing_build(std::fs::read(version.log("no-builder")).unwrap()).once())
        .on(Replay::of(["path-info", "--derivation"]).stdout(derivations))
        .on(Replay::of(["path-info"]).stdout(outputs));
    let ended = scenario.run(["--json"]).ended().with_code(3);
    assert_eq!(ended.calls("build"), 2, "the second is for what was spared");
    let report = ended.report();
    assert_eq!(report.failures.len(), 1, "{:?}", report.failures);
    assert!(report.failures[0].machine_cannot);
}

fn fine(ending: &str) -> String {
    format!("/nix/store/18xqrvsx1s4sb0wibkn4wq04sggwxha2-fine-{ending}")
}
