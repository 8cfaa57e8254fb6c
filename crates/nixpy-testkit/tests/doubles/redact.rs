//! Redaction.

use nixpy_testkit::digest;
use nixpy_testkit::redact::redact;

#[test]
fn what_changes_goes_and_what_means_something_stays() {
    let (one, two) = (digest(b"1"), digest(b"2"));
    let directory = tempfile::tempdir().unwrap();
    let text = format!(
        "\u{1b}[32mpushed\u{1b}[0m {}/out to 127.0.0.1:43121/acme/api@{one} ({two}, again {one}) in 1m 02s, \
         3 layers, 1.5ms each, 2024-05-01T12:00:00Z, /nix/store/0a79yj1qsd77xaky6gch0mamb52aahbw-api",
        directory.path().display()
    );
    let redacted = redact(text)
        .ansi()
        .path(directory.path(), "[DIR]")
        .digests()
        .store_hashes()
        .ports()
        .dates()
        .durations();
    assert_eq!(
        redacted.to_string(),
        "pushed [DIR]/out to 127.0.0.1:[PORT]/acme/api@[DIGEST 1] ([DIGEST 2], again [DIGEST 1]) in [TIME], \
         3 layers, [TIME] each, [DATE], /nix/store/[HASH 1]-api"
    );
}
