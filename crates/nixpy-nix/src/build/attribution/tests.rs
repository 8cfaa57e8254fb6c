use std::time::Instant;

use super::*;
use crate::log::{Activity, Level, LogEvent, Message};

fn drv(name: &str) -> StorePath {
    format!("/nix/store/r5s4lx45nccwlks7ab5i534frw29w21b-{name}.drv")
        .parse()
        .unwrap()
}

fn needs(name: &str, references: &[&str]) -> PathInfo {
    let nar_hash = crate::NarHash::from_bytes([0; 32]);
    let references = references.iter().map(|name| drv(name)).collect();
    PathInfo {
        path: drv(name),
        nar_hash,
        nar_size: 0,
        references,
        deriver: None,
        ca: None,
        is_own: false,
        signatures: Vec::new(),
    }
}

fn watch(started: &[&str], errors: &[String]) -> BuildWatch {
    let mut watch = BuildWatch::new(5);
    for (id, name) in (1..).zip(started) {
        let activity = Activity::Build {
            derivation: drv(name),
            machine: None,
        };
        watch.observe(
            &LogEvent::Started {
                id,
                parent: None,
                activity,
            },
            Instant::now(),
        );
        watch.observe(
            &LogEvent::Line {
                id,
                text: format!("{name} says hello"),
            },
            Instant::now(),
        );
    }
    for text in errors {
        let message = Message {
            level: Level::Error,
            text: text.clone(),
            bare: None,
            position: None,
        };
        watch.observe(&LogEvent::Message(message), Instant::now());
    }
    watch
}

fn exit(name: &str) -> String {
    format!("builder for '{}' failed with exit code 1", drv(name))
}

#[test]
fn a_request_fails_by_the_dependency_that_failed_and_by_no_other() {
    let closure = [
        needs("image", &["app"]),
        needs("app", &["wheel"]),
        needs("wheel", &[]),
        needs("other", &[]),
    ];
    let consequence = format!(
        "1 dependencies of derivation '{}' failed to build",
        drv("image")
    );
    let watch = watch(
        &["wheel", "other"],
        &[exit("wheel"), exit("other"), consequence],
    );
    let failure = attribute(&drv("image"), &closure, &watch, &End::default());
    assert_eq!(failure.culprits.len(), 1);
    let culprit = &failure.culprits[0];
    assert_eq!(
        (culprit.derivation.clone(), culprit.reason.clone()),
        (drv("wheel"), FailureReason::Exit(1))
    );
    assert_eq!(culprit.tail, ["wheel says hello"]);
    assert_eq!(
        culprit.log_command().unwrap(),
        format!("nix log {}", drv("wheel"))
    );
    assert_eq!(
        failure.to_string(),
        "wheel: the builder ended with exit code 1"
    );
}

#[test]
fn a_build_that_ran_and_left_nothing_has_failed_without_a_reason() {
    let watch = watch(&["image", "other"], &[exit("other")]);
    let failure = attribute(
        &drv("image"),
        &[needs("image", &[])],
        &watch,
        &End::default(),
    );
    assert_eq!(failure.culprits[0].reason, FailureReason::Unreported);
}

#[test]
fn what_was_never_come_to_is_told_apart_from_what_nix_could_not_do_at_all() {
    let closure = [needs("image", &[])];
    let given_up = attribute(
        &drv("image"),
        &closure,
        &watch(&["other"], &[exit("other")]),
        &End::default(),
    );
    assert_eq!(given_up.culprits[0].reason, FailureReason::NotAttempted);
    assert_eq!(given_up.culprits[0].log_command(), None);
    let told = End {
        complaint: "interrupted by the user".to_owned(),
        given_up: false,
    };
    let at_all = attribute(&drv("image"), &closure, &watch(&[], &[]), &told);
    assert_eq!(
        at_all.culprits[0].reason,
        FailureReason::Other("interrupted by the user".to_owned())
    );
}

#[test]
fn what_was_running_when_nix_gave_up_is_not_at_fault() {
    let end = End {
        complaint: String::new(),
        given_up: true,
    };
    let failure = attribute(
        &drv("image"),
        &[needs("image", &[])],
        &watch(&["image"], &[exit("other")]),
        &end,
    );
    assert_eq!(failure.culprits[0].reason, FailureReason::NotAttempted);
}
