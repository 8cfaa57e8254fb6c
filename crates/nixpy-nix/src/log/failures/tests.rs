use super::*;

const DRV: &str = "/nix/store/r5s4lx45nccwlks7ab5i534frw29w21b-broken.drv";

fn reason(text: &str) -> FailureReason {
    recognise(text).expect(text).reason
}

#[test]
fn each_version_s_words_are_understood() {
    let no_builder = FailureReason::NoBuilder {
        system: "aarch64-linux".to_owned(),
        features: Vec::new(),
    };
    let needs_kvm = FailureReason::NoBuilder {
        system: "x86_64-linux".to_owned(),
        features: vec!["kvm".to_owned()],
    };
    for (text, expected) in [
        (
            format!("builder for '{DRV}' failed with exit code 3"),
            FailureReason::Exit(3),
        ),
        (
            format!(
                "builder for '{DRV}' failed with exit code 1;\n last 1 log lines:\n > failed with exit code 7"
            ),
            FailureReason::Exit(1),
        ),
        (
            format!(
                "Cannot build '{DRV}'.\nReason: builder failed with exit code 3.\nOutput paths:\n  /nix/store/x"
            ),
            FailureReason::Exit(3),
        ),
        (
            format!("builder for '{DRV}' failed due to signal 9 (Killed)"),
            FailureReason::Signal(9),
        ),
        (
            format!(
                "Cannot build '{DRV}'.\nReason: builder failed due to signal 11 (Segmentation fault)."
            ),
            FailureReason::Signal(11),
        ),
        (
            format!("1 dependencies of derivation '{DRV}' failed to build"),
            FailureReason::Dependency,
        ),
        (
            format!("Cannot build '{DRV}'.\nReason: 1 dependency failed.\nOutput paths:"),
            FailureReason::Dependency,
        ),
        (
            format!(
                "a 'aarch64-linux' with features {{}} is required to build '{DRV}', but I am a 'x86_64-linux' with features {{benchmark}}"
            ),
            no_builder.clone(),
        ),
        (
            format!(
                "a 'x86_64-linux' with features {{kvm}} is required to build '{DRV}', but I am a 'x86_64-linux' with features {{}}"
            ),
            needs_kvm,
        ),
        (
            format!(
                "Cannot build '{DRV}'.\nReason: required system or feature not available\nRequired system: 'aarch64-linux' with features {{}}\nCurrent system: 'x86_64-linux' with features {{kvm}}"
            ),
            no_builder,
        ),
        (
            format!("building of '{DRV}' timed out after 60 seconds"),
            FailureReason::TimedOut {
                seconds: 60,
                silent: false,
            },
        ),
        (
            format!("building of '{DRV}' timed out after 60 seconds of silence"),
            FailureReason::TimedOut {
                seconds: 60,
                silent: true,
            },
        ),
        (
            format!(
                "builder for '{DRV}' failed to produce output path for output 'out' at '/nix/store/x'"
            ),
            FailureReason::OutputMissing,
        ),
        (
            format!("while setting up the build environment of '{DRV}': No space left on device"),
            FailureReason::DiskFull,
        ),
        (
            format!(
                "build of '{DRV}' on 'ssh-ng://builder' failed: builder for '{DRV}' failed with exit code 3;\n last 1 log lines:\n > x"
            ),
            FailureReason::Exit(3),
        ),
        (
            format!("builder for '{DRV}' did something new"),
            FailureReason::Other(format!("builder for '{DRV}' did something new")),
        ),
    ] {
        let failure = recognise(&text).expect(&text);
        assert_eq!(failure.reason, expected, "{text}");
        assert_eq!(
            failure.derivation.map(|path| path.to_string()).as_deref(),
            Some(DRV),
            "{text}"
        );
    }
}

#[test]
fn a_wrong_hash_gives_both_hashes() {
    let text = format!(
        "hash mismatch in fixed-output derivation '{DRV}':\n         specified: sha256-AAA=\n            got:    sha256-BBB="
    );
    let expected = FailureReason::HashMismatch {
        specified: "sha256-AAA=".to_owned(),
        got: "sha256-BBB=".to_owned(),
    };
    assert_eq!(reason(&text), expected);
}

#[test]
fn what_is_not_about_a_build_is_left_alone() {
    for text in [
        "",
        "undefined variable 'foo'",
        "unable to download 'https://x': timeout",
        "'''",
        "a 'x",
    ] {
        assert_eq!(recognise(text), None, "{text}");
    }
}

#[test]
fn a_missing_builder_is_explained_without_nix_s_jargon() {
    let text = reason(&format!(
        "a 'aarch64-linux' with features {{}} is required to build '{DRV}', but I am a 'x86_64-linux'"
    ));
    assert!(
        text.to_string()
            .contains("nothing here can build for aarch64-linux"),
        "{text}"
    );
}
