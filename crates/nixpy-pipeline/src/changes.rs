//! What is different from the image that was published before.

use nixpy_oci::digest::Digest;
use nixpy_oci::platform::Platform;
use serde::{Deserialize, Serialize};

/// One platform's image against the one that it will replace.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    /// Which.
    pub platform: Platform,
    /// What it is held against, as in `ghcr.io/acme/api:main`.
    pub baseline: String,
    /// Of that one's manifest.
    pub digest: Digest,
    /// What a client downloads that has none of it, in bytes: before.
    pub size_before: u64,
    /// The same now.
    pub size: u64,
    /// Packages of Python, by name.
    pub python: Vec<Moved>,
    /// Everything else, by name.
    pub libraries: Vec<Moved>,
    /// The store paths that grew most, uncompressed; at most ten.
    pub grown: Vec<Grown>,
}

/// Something that is in another version now, came, or went.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Moved {
    /// Without a version.
    pub name: String,
    /// The version before; `None` if it was not there, empty if it has none.
    pub before: Option<String>,
    /// The version now; `None` if it is gone, empty if it has none.
    pub after: Option<String>,
}

/// A store path that is larger now.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Grown {
    /// Its name, without the hash.
    pub name: String,
    /// In bytes; 0 if it was not there.
    pub before: u64,
    /// In bytes.
    pub after: u64,
}
