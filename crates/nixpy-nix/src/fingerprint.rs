//! Whether a flake is what it was: everything that an evaluation of it depends on,
//! hashed, for the price of `nix flake metadata`; and which tree it is.
//!
//! Evaluation of a flake is pure: it depends on the flake's tree, on the inputs that
//! its lock file (or, without one, this moment's registries) names, and on the
//! program that evaluates. Nix's own cache of evaluations knows the same, but serves
//! only single attributes, not the one question that is asked here.

use std::os::unix::fs::MetadataExt as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::flake_ref::FlakeRef;
use crate::program::Nix;
use crate::run::run;
use crate::source::Source;

/// Options that let an evaluation look around.
const IMPURE: [&str; 2] = ["pure-eval", "impure-env"];

/// What `nix flake metadata` tells of a flake.
#[derive(Debug)]
pub struct Metadata(Value);

/// Asks; `None` where Nix fails: the evaluation itself will say why.
pub async fn metadata(nix: &Nix, flake: &FlakeRef) -> Option<Metadata> {
    let arguments = ["flake", "metadata", "--json", flake.as_str()].map(str::to_owned);
    let ended = run(nix, &arguments, &mut |_| {}).await.ok()?;
    Some(Metadata(serde_json::from_str(&ended.stdout).ok()?))
}

/// Whether an evaluation by this Nix depends on nothing but what a fingerprint holds.
pub fn is_pure(nix: &Nix) -> bool {
    let mut options = nix.options().iter();
    !options.any(|(name, _)| IMPURE.contains(&name.as_str()))
}

impl Metadata {
    /// 64 hex digits that change when an evaluation may; `None` where Nix does not tell
    /// enough.
    pub fn fingerprint(&self, nix: &Nix) -> Option<String> {
        if !is_pure(nix) {
            return None;
        }
        let locked = self.0.get("locked")?;
        // A tree without a hash of its content may change unseen.
        locked.get("narHash").or_else(|| locked.get("rev"))?;
        let program = std::fs::canonicalize(nix.program()).ok()?;
        let file = std::fs::metadata(&program).ok()?;
        let parts = serde_json::json!([
            locked,
            self.0.get("locks")?,
            program,
            [file.size(), file.ino(), file.mtime().unsigned_abs()],
            nix.options(),
        ]);
        Some(hex::encode(Sha256::digest(parts.to_string())))
    }

    /// Which tree the flake is.
    pub fn source(&self) -> Source {
        self.0
            .get("locked")
            .map(Source::of_locked)
            .unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_version_tells_the_same_tree() {
        for version in ["2.8.0", "2.26.3", "2.34.8"] {
            let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
            let file = format!("{fixtures}/{version}/flake-metadata.json");
            let metadata: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
            let source = Metadata(metadata).source();
            let hash = "sha256-KYC5SfdT0JD3a1ojJBE7UW1sxa1OTSf8WUy4DqC0TZ8=";
            assert_eq!(source.nar_hash, hash.parse().ok(), "{version}");
            assert_eq!((source.revision, source.directory), (None, None));
        }
    }
}
