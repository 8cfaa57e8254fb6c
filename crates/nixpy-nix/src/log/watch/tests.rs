use super::*;
use crate::log::LogParser;

fn watch(fixture: &str, tail: usize) -> BuildWatch {
    let path = format!("{}/tests/fixtures/{fixture}", env!("CARGO_MANIFEST_DIR"));
    let mut watch = BuildWatch::new(tail);
    let mut now = Instant::now();
    let mut parser = LogParser::default();
    // Every event comes a second after the one before.
    let mut observe = |event: LogEvent| {
        now += Duration::from_secs(1);
        watch.observe(&event, now);
    };
    parser.feed(&std::fs::read(path).unwrap(), &mut observe);
    parser.finish(&mut observe);
    watch
}

fn names(watch: &BuildWatch) -> Vec<(String, FailureReason)> {
    let name = |failure: &Failure| failure.derivation.as_ref().unwrap().name().to_owned();
    watch
        .failures()
        .iter()
        .map(|failure| (name(failure), failure.reason.clone()))
        .collect()
}

#[test]
fn a_failure_is_kept_with_its_last_lines_in_every_version() {
    for version in ["2.8.0", "2.26.3", "2.34.8"] {
        let watch = watch(
            &format!("{version}/build-failure.internal-json.log"),
            DEFAULT_TAIL,
        );
        assert_eq!(
            names(&watch),
            [("broken.drv".to_owned(), FailureReason::Exit(3))],
            "{version}"
        );
        let build = watch.builds().values().next().unwrap();
        assert_eq!(
            build.tail,
            ["about to fail", "and this is stderr"],
            "{version}"
        );
        assert!(
            build.duration().unwrap() < Duration::from_secs(12),
            "{version}: {:?}",
            build.duration()
        );
    }
}

#[test]
fn a_dependency_s_failure_and_its_consequence_are_two_things() {
    let watch = watch("2.8.0/dependency-failure.internal-json.log", DEFAULT_TAIL);
    let expected = [
        ("broken.drv".to_owned(), FailureReason::Exit(3)),
        ("needs-broken.drv".to_owned(), FailureReason::Dependency),
    ];
    assert_eq!(names(&watch), expected);
}

#[test]
fn a_remote_failure_has_the_machine_s_own_exit_code() {
    let watch = watch("2.8.0/remote-failure.internal-json.log", DEFAULT_TAIL);
    assert_eq!(
        names(&watch),
        [("broken.drv".to_owned(), FailureReason::Exit(3))]
    );
    let build = watch.builds().values().next().unwrap();
    assert_eq!(
        build.machine.as_deref(),
        Some("ssh-ng://builder@arm.example")
    );
    assert_eq!(build.tail.len(), 2);
}

#[test]
fn a_missing_builder_and_a_wrong_hash_are_recognised_in_recorded_logs() {
    let reasons = names(&watch("2.8.0/no-builder.internal-json.log", DEFAULT_TAIL));
    assert!(
        matches!(&reasons[..], [(_, FailureReason::NoBuilder { system, .. })] if system == "aarch64-linux"),
        "{reasons:?}"
    );
    let reasons = names(&watch(
        "2.8.0/hash-mismatch.internal-json.log",
        DEFAULT_TAIL,
    ));
    assert!(
        matches!(&reasons[..], [(_, FailureReason::HashMismatch { specified, got })]
        if specified.starts_with("sha256-") && got.starts_with("sha256-")),
        "{reasons:?}"
    );
}

#[test]
fn only_the_last_lines_are_kept() {
    let watch = watch("2.8.0/build-failure.internal-json.log", 1);
    assert_eq!(
        watch.builds().values().next().unwrap().tail,
        ["and this is stderr"]
    );
}

#[test]
fn a_full_disk_in_the_log_is_the_reason_whatever_the_exit_code() {
    let derivation: StorePath = "/nix/store/r5s4lx45nccwlks7ab5i534frw29w21b-broken.drv"
        .parse()
        .unwrap();
    let mut watch = BuildWatch::new(5);
    let text = format!("builder for '{derivation}' failed with exit code 1");
    let activity = Activity::Build {
        derivation,
        machine: None,
    };
    let message = crate::log::Message {
        level: Level::Error,
        text,
        bare: None,
        position: None,
    };
    for event in [
        LogEvent::Started {
            id: 1,
            parent: None,
            activity,
        },
        LogEvent::Line {
            id: 1,
            text: "cp: write error: No space left on device".to_owned(),
        },
        LogEvent::Message(message),
    ] {
        watch.observe(&event, Instant::now());
    }
    assert_eq!(watch.failures()[0].reason, FailureReason::DiskFull);
}

#[test]
fn numbers_that_cannot_be_are_borne() {
    let mut watch = BuildWatch::new(1);
    for line in [
        r#"@nix {"action":"start","id":1,"type":104}"#,
        r#"@nix {"action":"result","id":1,"type":105,"fields":[18446744073709551615,0,0,7]}"#,
    ] {
        let event = crate::log::parser::parse_line(line).unwrap();
        watch.observe(&event, Instant::now());
    }
    assert!(watch.builds().is_empty());
}
