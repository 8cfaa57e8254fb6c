//! What came of a run, as facts: the JSON that machines read, and what every
//! other telling is made from.

use nixpy_nix::{StorePath, System};
use nixpy_oci::digest::Digest;
use nixpy_oci::image::PushedLayer;
use nixpy_oci::manifest::Descriptor;
use nixpy_oci::platform::Platform;
use serde::{Deserialize, Serialize};

use crate::build::BuildFailure;
use crate::plan::{Form, Strategy};

/// A run from its plan on. The JSON form is version 1: fields may be added.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Of this form of JSON.
    pub version: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// As it was given to Nix.
    pub flake: String,
    /// Where the image went.
    pub destination: String,
    /// What points to the index now, each a name that clients take.
    pub references: Vec<String>,
    /// The multi-platform index; `null` unless everything succeeded.
    pub index: Option<Descriptor>,
    /// Published images, sorted by system.
    pub platforms: Vec<PlatformReport>,
    /// Derivations that failed.
    pub failures: Vec<BuildFailure>,
    /// What the image was loaded into, and its name there.
    pub loaded: Option<String>,
    /// In seconds.
    pub timings: Timings,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Everything is published and tagged.
    Success,
    /// A build failed; nothing was tagged.
    Failure,
}

/// One platform's image.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PlatformReport {
    /// What it runs on.
    pub platform: Platform,
    /// What Nix calls that.
    pub system: System,
    /// The image's own name, or the package's.
    pub name: String,
    /// Under `packages.<system>`.
    pub attribute: String,
    /// What the attribute turned out to be.
    pub form: Form,
    /// How it was built.
    pub strategy: Strategy,
    /// What was built.
    pub derivation: StorePath,
    /// The built path.
    pub output: StorePath,
    /// Digest of the manifest.
    pub digest: Digest,
    /// What docker and podman call the image's ID.
    pub image_id: Digest,
    /// What a client downloads that has none of it, in bytes.
    pub compressed_size: u64,
    /// Bytes of layers that this run sent.
    pub sent_size: u64,
    /// From the bottom up.
    pub layers: Vec<PushedLayer>,
}

/// Where the time went, in seconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct Timings {
    /// Asking the flake what it offers.
    pub evaluate: f64,
    /// The one `nix build`.
    pub build: f64,
    /// Making images and sending them.
    pub publish: f64,
    /// All of it.
    pub total: f64,
}
