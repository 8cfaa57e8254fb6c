use super::*;
use crate::System;
use crate::build::Culprit;
use crate::builders::Builder;
use crate::store_path::StorePath;

const ONE: &str = "ssh-ng://one";
const TWO: &str = "ssh-ng://two";

fn derivation(name: &str) -> StorePath {
    format!("/nix/store/9fkkarnxx0vx8bkrd3k1x97fc8msda45-{name}.drv")
        .parse()
        .unwrap()
}

fn request(name: &str) -> BuildRequest {
    BuildRequest {
        drv_path: derivation(name),
        output: "out".to_owned(),
        out_path: format!("/nix/store/9fkkarnxx0vx8bkrd3k1x97fc8msda45-{name}")
            .parse()
            .unwrap(),
    }
}

fn failure(name: &str, reasons: &[FailureReason]) -> (BuildRequest, BuildFailure) {
    let culprit = |reason: &FailureReason| Culprit {
        derivation: derivation(name),
        reason: reason.clone(),
        tail: Vec::new(),
        duration: None,
        machine: Some(ONE.to_owned()),
    };
    let failure = BuildFailure {
        requested: derivation(name),
        culprits: reasons.iter().map(culprit).collect(),
    };
    (request(name), failure)
}

/// Two builders of aarch64, which is not emulated unless that is allowed.
fn means(emulate: &[&str]) -> Means {
    let lines = format!("{ONE} aarch64-linux\n{TWO} aarch64-linux");
    let aarch64: System = "aarch64-linux".parse().unwrap();
    Means {
        builders: Builder::parse_all(&lines, &|_| unreachable!()).unwrap(),
        emulate: emulate
            .iter()
            .map(|system| system.parse().unwrap())
            .collect(),
        remote: BTreeSet::from([aarch64]),
        platforms: vec!["aarch64-linux".to_owned()],
        ..Means::none()
    }
}

/// After a round of three requests, of which these failed, and these builders.
fn after(
    failed: Vec<(BuildRequest, BuildFailure)>,
    fallen: &[&str],
    faults: &[&str],
    means: Means,
) -> Next {
    let fallen: Vec<String> = fallen.iter().map(|name| (*name).to_owned()).collect();
    let round = Round {
        open: 3,
        failed,
        fallen: &fallen,
        faults: &faults.iter().map(|name| derivation(name)).collect(),
        spares: false,
        means,
    };
    round.next()
}

fn no_builder() -> FailureReason {
    no_builder_with(&[])
}

fn no_builder_with(features: &[&str]) -> FailureReason {
    FailureReason::NoBuilder {
        system: "aarch64-linux".to_owned(),
        features: features.iter().map(|name| (*name).to_owned()).collect(),
    }
}

#[test]
fn what_was_lost_with_its_machine_is_built_on_the_others() {
    let lost = failure("lost", &[FailureReason::Exit(1)]);
    let next = after(vec![lost], &[ONE], &["lost"], means(&["aarch64-linux"]));
    assert_eq!(next.again, [request("lost")]);
    assert!(next.failed.is_empty());
    assert_eq!(next.means.builders.len(), 1);
    assert_eq!(next.means.builders[0].name(), TWO);
    assert!(next.means.emulating.is_empty(), "a builder is left");
}

#[test]
fn when_none_is_left_it_is_emulated_where_that_is_allowed() {
    let lost = || vec![failure("lost", &[no_builder()])];
    let next = after(lost(), &[ONE, TWO], &[], means(&["aarch64-linux"]));
    assert_eq!(next.again, [request("lost")]);
    assert_eq!(next.means.emulating.len(), 1);

    let next = after(lost(), &[ONE, TWO], &[], means(&[]));
    assert!(next.again.is_empty());
    assert_eq!(next.failed, lost());
}

#[test]
fn what_requires_a_feature_that_no_builder_has_is_emulated_where_that_is_allowed() {
    let large = || vec![failure("large", &[no_builder_with(&["big-parallel"])])];
    let next = after(large(), &[], &[], means(&["aarch64-linux"]));
    assert_eq!(next.again, [request("large")]);
    assert_eq!(next.means.builders.len(), 2, "they build what they can");
    assert_eq!(next.means.emulating.len(), 1);
    // Emulated, and required in vain again.
    let next = after(large(), &[], &[], next.means);
    assert!(next.again.is_empty() && next.failed == large());

    let next = after(large(), &[], &[], means(&[]));
    assert!(next.again.is_empty() && next.failed == large());
}

#[test]
fn a_builder_that_has_the_feature_is_one_that_is_left() {
    let large = || vec![failure("large", &[no_builder_with(&["big-parallel"])])];
    let mut means = means(&["aarch64-linux"]);
    means.builders[1].features.insert("big-parallel".to_owned());
    let next = after(large(), &[ONE], &[], means.clone());
    assert_eq!(next.again, [request("large")]);
    assert!(next.means.emulating.is_empty());
    let next = after(large(), &[TWO], &[], means);
    assert_eq!(next.again, [request("large")]);
    assert_eq!(next.means.emulating.len(), 1);
}

#[test]
fn a_builder_that_insists_on_a_feature_does_not_keep_the_rest_from_being_emulated() {
    let mut means = means(&["aarch64-linux"]);
    for builder in &mut means.builders {
        builder.mandatory.insert("kvm".to_owned());
    }
    let plain = failure("plain", &[no_builder()]);
    let next = after(vec![plain], &[], &[], means);
    assert_eq!(next.again, [request("plain")]);
    assert_eq!(next.means.emulating.len(), 1);
}

#[test]
fn what_fails_by_itself_is_not_tried_again() {
    for reason in [
        FailureReason::Exit(3),
        FailureReason::Signal(9),
        FailureReason::OutputMissing,
        FailureReason::Unreported,
    ] {
        let failed = || vec![failure("broken", std::slice::from_ref(&reason))];
        let next = after(failed(), &[], &[], means(&["aarch64-linux"]));
        assert!(next.again.is_empty());
        assert_eq!(next.failed, failed());
    }
}

#[test]
fn neither_is_what_needs_something_that_did() {
    let both = [FailureReason::Exit(1), FailureReason::Exit(3)];
    let mut mixed = failure("lost", &both);
    mixed.1.culprits[1].derivation = derivation("broken");
    let next = after(vec![mixed], &[ONE], &["lost"], means(&[]));
    assert!(next.again.is_empty());
    assert_eq!(next.failed.len(), 1);
}

#[test]
fn of_failures_that_nix_does_not_tell_those_at_the_fallen_machine_are_its_own() {
    let untold = failure("second", &[FailureReason::Unreported]);
    let mut elsewhere = failure("third", &[FailureReason::Unreported]);
    elsewhere.1.culprits[0].machine = Some(TWO.to_owned());
    let lost = failure("lost", &[FailureReason::Exit(1)]);
    let next = after(vec![lost, untold, elsewhere], &[ONE], &["lost"], means(&[]));
    assert_eq!(next.again, [request("lost"), request("second")]);
}

#[test]
fn requests_that_nix_gave_up_for_another_are_spared_once() {
    let failed = || {
        vec![
            failure("arm", &[no_builder()]),
            failure("x86", &[FailureReason::NotAttempted]),
        ]
    };
    let round = |open, failed, spares| {
        Round {
            open,
            failed,
            fallen: &[],
            faults: &BTreeSet::new(),
            spares,
            means: Means::none(),
        }
        .next()
    };
    let next = round(2, failed(), true);
    assert_eq!(next.again, [request("x86")]);
    assert_eq!(next.failed.len(), 1);
    assert!(round(2, failed(), false).again.is_empty());
    // It would be the same again.
    let stuck = vec![failure("x86", &[FailureReason::NotAttempted])];
    let next = round(1, stuck, true);
    assert!(next.again.is_empty());
    assert_eq!(next.failed.len(), 1);
}

#[test]
fn a_machine_that_nix_uses_against_our_will_ends_it() {
    let lost = failure("lost", &[FailureReason::Exit(1)]);
    let next = after(vec![lost], &["ssh://unknown"], &["lost"], means(&[]));
    assert!(next.again.is_empty() && next.failed.len() == 1);
}
