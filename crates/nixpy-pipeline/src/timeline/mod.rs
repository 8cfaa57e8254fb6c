//! When what was done: stages, derivations, images; and how many of them there were.
//! [`recorder`] makes it from what is told while the run goes on.

mod builds;
mod recorder;
#[cfg(test)]
mod tests;

use nixpy_nix::System;
use serde::{Deserialize, Serialize};

pub(crate) use self::recorder::Recorder;

/// More spans are not kept: the longest tell where the time went.
const MOST: usize = 500;

/// Something that took time.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// A stage's, a derivation's or a platform's name.
    pub name: String,
    /// Of what kind.
    pub kind: SpanKind,
    /// Who it was for, if for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<System>,
    /// The remote machine that did it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// In seconds from the run's beginning.
    pub begin: f64,
    /// In seconds from the run's beginning.
    pub end: f64,
    /// Whether it failed.
    #[serde(default)]
    pub failed: bool,
}

/// What a span is about.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum SpanKind {
    /// A stage of the run.
    Stage,
    /// A derivation that was built.
    Build,
    /// A path that was fetched.
    Fetch,
    /// A platform's image that was brought to its place.
    Publish,
    /// A platform's image that was tried out.
    Smoke,
}

/// What Nix had to do.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Derivations that were built, here or on other machines.
    pub built: usize,
    /// Paths that were taken from caches.
    pub fetched: usize,
}
