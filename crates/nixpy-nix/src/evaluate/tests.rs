use std::path::Path;

use super::*;
use crate::log::{Level, Message};

fn question() -> Question {
    let flake = FlakeRef::parse("github:o/r", Path::new("/")).unwrap();
    let candidates = ["image", "default"].map(AttrPath::name).to_vec();
    Question {
        flake,
        systems: None,
        candidates,
        cross: None,
        extra_arguments: Vec::new(),
    }
}

fn message(text: &str, bare: Option<&str>) -> Message {
    Message {
        level: Level::Error,
        text: text.to_owned(),
        bare: bare.map(str::to_owned),
        position: None,
    }
}

const ANSWER: &str = r#"{"nixVersion":"2.8.0","storeDir":"/nix/store","offered":["aarch64-linux","x86_64-darwin","x86_64-linux"],
  "systems":{
    "aarch64-linux":{"attributes":["tool"],"chosen":null},
    "x86_64-linux":{"attributes":["default","image"],"chosen":{"path":["image"],"name":"image.tar.gz","pname":null,"version":null,
      "drvPath":"/nix/store/j2r24ql5ms50d1yj3d19b9s1jx7rdd2n-image.tar.gz.drv","output":"out","outputs":["out"],
      "place":"/nix/store/q9z544xqq77yqiry2k0h8pvq1xj8d8z9-image.tar.gz",
      "imageName":"demo","imageTag":"t1","mainProgram":null,"architecture":null}}}}"#;

#[test]
fn an_attribute_that_one_system_lacks_is_absent_there_and_chosen_elsewhere() {
    let offers = read(&question(), ANSWER).unwrap();
    assert_eq!(offers.offered.len(), 3);
    assert_eq!(
        offers.systems[&"aarch64-linux".parse().unwrap()].chosen,
        None
    );
    let image = offers.systems[&"x86_64-linux".parse().unwrap()]
        .chosen
        .clone()
        .unwrap();
    assert_eq!(image.attribute, AttrPath::name("image"));
    assert_eq!(
        (image.image_name.as_deref(), image.image_tag.as_deref()),
        (Some("demo"), Some("t1"))
    );
    assert_eq!(offers.nix_version.minor, 8);
}

#[test]
fn something_else_than_a_derivation_is_named_with_its_type() {
    let answer = r#"{"nixVersion":"2.8.0","storeDir":"/nix/store","offered":[],"systems":{"x86_64-linux":
        {"attributes":["image"],"chosen":{"path":["image"],"found":"lambda"}}}}"#;
    let error = read(&question(), answer).unwrap_err().to_string();
    assert!(
        error.contains("packages.x86_64-linux.image is of type lambda"),
        "{error}"
    );
}

#[test]
fn an_unknown_answer_is_shown_by_its_beginning() {
    let error = read(&question(), &"x".repeat(5000))
        .unwrap_err()
        .to_string();
    assert!(error.contains("xxx") && error.len() < 400, "{error}");
}

#[test]
fn failures_with_a_cure_of_their_own_are_told_apart() {
    let flake = question().flake;
    let kind = |complaint: &str| failure::known(&flake, complaint);
    let none = "flake 'path:/srv/demo' does not provide attribute 'packages.x86_64-linux.packages', 'legacyPackages.x86_64-linux.packages' or 'packages'";
    assert!(matches!(kind(none), Some(NixErrorKind::NoPackages)));
    let away = "getting status of '/nix/store/0ccnxa25whszw7mgbgyzdm4nqc0zwnm8-source/flake.nix': No such file or directory";
    assert!(matches!(kind(away), Some(NixErrorKind::NotAFlake(_))));
    let daemon =
        "cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Connection refused";
    assert!(matches!(kind(daemon), Some(NixErrorKind::Store(_))));
    assert!(kind("undefined variable 'foo'").is_none());
}

#[test]
fn only_a_fetch_that_may_work_later_is_transient() {
    let flake = question().flake;
    for (complaint, transient) in [
        (
            "unable to download 'https://x/y': Couldn't resolve host name (6)",
            true,
        ),
        ("unable to download 'https://x/y': HTTP error 502", true),
        ("unable to download 'https://x/y': HTTP error 404", false),
        (
            "unable to download 'https://api.github.com/…': HTTP error 403\nresponse body: API rate limit exceeded",
            false,
        ),
    ] {
        let kind = failure::known(&flake, complaint).expect(complaint);
        let error = NixError::new("evaluate", &flake, kind);
        assert_eq!(error.is_transient(), transient, "{error}");
    }
}

#[test]
fn the_position_is_the_innermost_in_the_flake_s_own_files() {
    const OWN: &str = "/nix/store/3zljbksw0zwhiz31l2cv5bjb6lmk72zs-source";
    const INPUT: &str = "/nix/store/0f59dhsbr2xcjq83a8hj4nkb0g00h3fq-source";
    let text = format!(
        "\n       … while evaluating the attribute 'drvPath'\n         at {INPUT}/lib/customisation.nix:3:7:\n       … while calling 'mkImage'\n         at {OWN}/nix/image.nix:12:5:\n           11| x\n       error: no such wheel\n       at {INPUT}/lib/throw.nix:9:1:"
    );
    let failure = failure::explain_text(&message(&text, None), &question().flake, OWN);
    assert_eq!(failure.message, "no such wheel");
    assert_eq!(failure.position.unwrap().to_string(), "nix/image.nix:12:5");
    assert_eq!(
        failure.trace,
        [
            "… while evaluating the attribute 'drvPath'",
            "… while calling 'mkImage'"
        ]
    );
}

#[test]
fn a_position_in_the_question_itself_is_never_shown() {
    let text = "value is an integer\n\n       at «string»:1:15:\n\n            1| packages: let";
    let failure = failure::explain_text(
        &message(text, Some("value is an integer")),
        &question().flake,
        "/nix/store/x",
    );
    assert_eq!(
        (failure.message.as_str(), failure.position),
        ("value is an integer", None)
    );
}
