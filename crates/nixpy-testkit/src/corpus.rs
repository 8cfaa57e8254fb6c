//! The inputs that fuzzing has found worth keeping, fed once more.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Feeds every input that is kept for a target, and names the one that it stops at.
/// `run` tells whether an input was one that is understood.
///
/// # Panics
/// One makes `run` panic; or none is understood, or all are: then they test nothing.
pub fn replay(target: &str, run: impl Fn(&[u8]) -> bool) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let entries = fs::read_dir(&corpus).unwrap_or_else(|e| panic!("{}: {e}", corpus.display()));
    let mut understood = BTreeSet::new();
    for entry in entries {
        let file = entry.unwrap().path();
        let input = fs::read(&file).unwrap();
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&input)));
        let Ok(outcome) = outcome else {
            panic!("it does not hold of {}", file.display());
        };
        understood.insert(outcome);
    }
    assert_eq!(understood.len(), 2, "inputs of both kinds for {target}");
}
