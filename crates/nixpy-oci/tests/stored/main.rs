//! Images that come as an OCI layout, and layouts that are not what they should be.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

mod hostile;
mod layout;
mod links;
#[path = "../archives/place.rs"]
#[allow(
    dead_code,
    reason = "the tests of archives publish to registries as well"
)]
mod place;
mod refused;
mod taken;
