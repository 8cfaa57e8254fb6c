//! What is made of each tool's log.

use super::*;
use crate::findings::Level;

/// A log of a real program, with the paths that a builder would have.
fn recorded(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/findings/recorded");
    fs::read(folder.join(format!("{name}.log"))).unwrap()
}

fn told_of(name: &str) -> Vec<String> {
    told(&findings_of(&Checkout::recorded(), &recorded(name)))
}

#[test]
fn each_test_that_fails_is_at_the_innermost_line_of_the_project() {
    let expected = [
        "tests/test_gone.py:1: tests/test_gone.py cannot be collected",
        "tests/test_sums.py:22: test_bad: setup failed",
        "tests/test_sums.py:7: test_add failed",
        "tests/test_sums.py:12: test_twice[2] failed",
        "app/sums.py:9: TestAll.test_broken failed",
    ];
    assert_eq!(told_of("pytest-auto"), expected);
    assert_eq!(told_of("pytest-short"), expected);
}

#[test]
fn a_test_of_which_only_the_summary_tells_is_at_its_first_line() {
    let line = |name: &str| {
        let told = told_of(name);
        let of_tests = told
            .iter()
            .filter(|told| told.starts_with("tests/test_sums"));
        of_tests.cloned().collect::<Vec<_>>()
    };
    let expected = [
        "tests/test_sums.py:3: test_add failed",
        "tests/test_sums.py:6: test_twice[2] failed",
        "tests/test_sums.py:9: TestAll.test_broken failed",
        "tests/test_sums.py:11: test_bad cannot be run",
    ];
    assert_eq!(line("pytest-no"), expected);
    assert_eq!(line("pytest-line"), expected);
}

#[test]
fn a_message_says_what_was_expected() {
    let findings = findings_of(&Checkout::recorded(), &recorded("pytest-auto"));
    assert_eq!(
        findings[2].message,
        "assert 3 == 4\n +  where 3 = add(1, 2)"
    );
    assert_eq!(findings[4].message, "ValueError: no luck");
    assert!(findings.iter().all(|finding| finding.level == Level::Error));
}

#[test]
fn type_checkers_and_linters_are_read() {
    assert_eq!(told_of("mypy"), ["app/sums.py:5: return-value"]);
    let ruff = [
        "app/sums.py:1: F401",
        "app/syntax.py:1: invalid-syntax",
        "app/syntax.py:1: invalid-syntax",
        "tests/test_gone.py:1: F401",
    ];
    assert_eq!(told_of("ruff"), ruff);
    assert_eq!(told_of("ruff-concise"), ruff);
    assert_eq!(
        told_of("flake8"),
        ["app/sums.py:1: F401", "app/syntax.py:1: E999"]
    );
}

#[test]
fn a_traceback_ends_in_the_project_and_says_where_it_went_on() {
    assert_eq!(told_of("traceback"), ["app/sums.py:9: ValueError"]);
    let log = "\
Traceback (most recent call last):
  File \"/build/source/app/sums.py\", line 1, in <module>
    import json; json.loads('')
  File \"/nix/store/7hnr99nxrd2aw6lghybqdmkckq60j6l9-python3-3.11.7/lib/python3.11/json/decoder.py\", line 355, in raw_decode
    raise JSONDecodeError
json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)
";
    let findings = findings_of(&Checkout::recorded(), log.as_bytes());
    assert_eq!(told(&findings), ["app/sums.py:1: JSONDecodeError"]);
    assert!(
        findings[0]
            .message
            .contains("decoder.py, line 355, called from here")
    );
}

#[test]
fn a_failure_of_which_nothing_is_recognised_is_told_with_its_last_lines() {
    let findings = findings_of(&Checkout::recorded(), b"the last line");
    assert_eq!(told(&findings), ["python3.11-app-1.0 failed"]);
    let message = &findings[0].message;
    assert!(message.contains("exit code 1") && message.ends_with("the last line"));
}

#[test]
fn a_build_that_goes_well_is_told_of_as_a_warning_and_only_in_the_project() {
    let collector = Collector::default();
    let log = [recorded("ruff"), recorded("traceback")].concat();
    printed(&collector, APP, &log);
    let findings = collector.findings(Some(&Checkout::recorded().project(".")));
    assert_eq!(findings.len(), 4, "{findings:?}");
    assert!(
        findings
            .iter()
            .all(|finding| finding.level == Level::Warning)
    );
}

#[test]
fn two_platforms_that_fail_alike_are_told_of_once() {
    let other = "/nix/store/bgzcmj4irzzpj3q2xa9yaxhnqv7i5ym8-python3.11-app-1.0.drv";
    let collector = Collector::default();
    for derivation in [APP, other] {
        printed(&collector, derivation, &recorded("pytest-auto"));
        failed(&collector, derivation);
    }
    let findings = collector.findings(Some(&Checkout::recorded().project(".")));
    assert_eq!(findings.len(), 5);
}

#[test]
fn a_package_without_its_build_system_gets_the_override_of_what_packages_it() {
    let log = b"Traceback (most recent call last):\n  File \"<string>\", line 8, in <module>\nModuleNotFoundError: No module named 'hatchling'\nERROR Missing dependencies:\n\thatch-vcs\n";
    let lock = |input: &str| format!(r#"{{"nodes": {{"{input}": {{}}}}}}"#);
    let made = [
        (
            "uv2nix",
            "++ final.resolveBuildSystem { hatch-vcs = [ ]; hatchling = [ ]; };",
        ),
        ("poetry2nix", "++ [ prev.hatch-vcs prev.hatchling ];"),
        (
            "nixpkgs",
            "build-system = [ python3Packages.hatch-vcs python3Packages.hatchling ];",
        ),
    ];
    for (input, written) in made {
        let checkout = Checkout::with(&[
            ("flake.nix", "{\n overlay = x.overrideScope y;\n}"),
            ("flake.lock", &lock(input)),
        ]);
        let findings = findings_of(&checkout, log);
        let expected = ["flake.nix:2: app lacks hatch-vcs, hatchling to be built"];
        assert_eq!(told(&findings), expected);
        assert!(
            findings[0].message.contains(written),
            "{}",
            findings[0].message
        );
    }
    let checkout = Checkout::with(&[
        ("flake.nix", "{ }"),
        ("uv.lock", "[[package]]\nname = \"App\"\n"),
    ]);
    let findings = findings_of(&checkout, log);
    assert_eq!(findings[0].place.as_ref().unwrap().file, "uv.lock");
}

#[test]
fn a_hash_that_differs_is_at_the_line_that_has_the_old_one() {
    let specified = "sha256-lVlDRBZ9xnL8EC/RHaPl9aWxFCKEQzFk6JDkAcjGf8U=";
    let got = "sha256-VD34n+yFscKA5b57xqM+MS3bM0VyYk1TtmxnN2rfSNc=";
    let base32 = "1ibyz6mx0dcysni7ch1mqllaz5sd8z7wjfcs3jlsxpk7vq3w5pam";
    let hash: nixpy_nix::NarHash = specified.parse().unwrap();
    let base32 = match hash.to_nix_base32().strip_prefix("sha256:") {
        Some(text) => text.to_owned(),
        None => base32.to_owned(),
    };
    for written in [specified.to_owned(), base32, hash.to_hex()] {
        let nix = format!("{{\n  sha256 = \"{written}\";\n}}");
        let checkout = Checkout::with(&[("flake.nix", "{ }"), ("nix/fetch.nix", &nix)]);
        let collector = Collector::default();
        let text = format!(
            "hash mismatch in fixed-output derivation '{APP}':\n         specified: {specified}\n            got:    {got}"
        );
        let message = json!({ "action": "msg", "level": 0, "msg": format!("error: {text}"), "raw_msg": text });
        nix_says(&collector, &message);
        failed(&collector, APP);
        let findings = collector.findings(Some(&checkout.project(".")));
        let expected = ["nix/fetch.nix:2: hash mismatch in python3.11-app-1.0"];
        assert_eq!(told(&findings), expected);
        assert!(findings[0].message.ends_with(got));
    }
}
