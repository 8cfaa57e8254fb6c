//! Logs that are written to do harm, or that no tool writes.

use super::*;

#[test]
fn a_line_of_a_megabyte_is_looked_at_only_at_its_beginning() {
    let mut log = b"app/sums.py:5: error: ".to_vec();
    log.extend(std::iter::repeat_n(b'x', 1 << 20));
    let findings = findings_of(&Checkout::recorded(), &log);
    assert_eq!(told(&findings), ["app/sums.py:5: type error"]);
    assert!(findings[0].message.len() < 3000);
}

#[test]
fn a_log_without_end_leaves_a_hundred_findings() {
    let mut log = String::new();
    for n in 1..5000 {
        log += &format!("app/sums.py:{n}: error: {n}\n");
    }
    assert_eq!(
        findings_of(&Checkout::recorded(), log.as_bytes()).len(),
        100
    );
}

#[test]
fn whatever_is_printed_makes_no_finding_outside_of_the_project_and_no_panic() {
    let lines: [&[u8]; 14] = [
        b"\xff\xfe\x00 File \"\xc3\x28\", line 3",
        b"../../etc/passwd:1: error: x",
        b"/etc/passwd:1: error: x",
        b"Traceback (most recent call last):",
        b"  File \"../../../etc/passwd\", line 1, in f",
        b"X: y",
        b"=== FAILURES ===",
        b"_ ERROR collecting  _",
        "_ \u{fdd0}\u{202e} _".as_bytes(),
        b"E   \xe2\x82",
        b"../x.py:1: Error",
        b"=",
        b"ERROR Missing dependencies:",
        b"\t\t\t",
    ];
    let findings = findings_of(&Checkout::recorded(), &lines.join(&b'\n'));
    assert_eq!(told(&findings), ["python3.11-app-1.0 failed"]);
}

#[test]
fn a_builder_cannot_have_a_hash_recommended() {
    let log = format!(
        "hash mismatch in fixed-output derivation '{APP}':\n  specified: sha256-a\n  got: sha256-b\n"
    );
    let findings = findings_of(&Checkout::recorded(), log.as_bytes());
    assert_eq!(told(&findings), ["python3.11-app-1.0 failed"]);
}
