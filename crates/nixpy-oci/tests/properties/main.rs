//! What holds of all archives, trees and records, tried with random ones. Damaged
//! archives are in `tests/archives/damaged.rs`, since they have to be published.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

mod archives;
mod identities;
mod records;
mod trees;

use proptest::test_runner::Config;

/// So many cases; what fails is printed, and no file is written beside the tests.
fn cases(cases: u32) -> Config {
    Config {
        failure_persistence: None,
        ..Config::with_cases(cases)
    }
}
