//! Whether a flake is what it was: everything that an evaluation of it depends on,
//! hashed, for the price of `nix flake metadata`.
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

/// Options that let an evaluation look around.
const IMPURE: [&str; 2] = ["pure-eval", "impure-env"];

/// 64 hex digits that change when an evaluation may; `None` where Nix does not tell
/// enough, or fails: the evaluation itself will say why.
pub async fn fingerprint(nix: &Nix, flake: &FlakeRef) -> Option<String> {
    // Then an evaluation may depend on anything.
    if nix
        .options()
        .iter()
        .any(|(name, _)| IMPURE.contains(&name.as_str()))
    {
        return None;
    }
    let arguments = ["flake", "metadata", "--json", flake.as_str()].map(str::to_owned);
    let ended = run(nix, &arguments, &mut |_| {}).await.ok()?;
    let metadata: Value = serde_json::from_str(&ended.stdout).ok()?;
    let locked = metadata.get("locked")?;
    // A tree without a hash of its content may change unseen.
    locked.get("narHash").or_else(|| locked.get("rev"))?;
    let program = std::fs::canonicalize(nix.program()).ok()?;
    let file = std::fs::metadata(&program).ok()?;
    let parts = serde_json::json!([
        locked,
        metadata.get("locks")?,
        program,
        [file.size(), file.ino(), file.mtime().unsigned_abs()],
        nix.options(),
    ]);
    Some(hex::encode(Sha256::digest(parts.to_string())))
}
