//! The world around nixpy-ci, made small enough for a test.
//!
//! Each double speaks the protocol of what it stands for: [`registry::Registry`]
//! is an OCI registry on a loopback port, [`fake_nix::FakeNix`] an executable
//! named `nix`, [`store::FakeStore`] a directory that is laid out and hashed as
//! Nix would. So the code under test runs unchanged, and a test says only what
//! the world does and what must come of it.
//!
//! This crate never knows the code under test: no type of the other crates
//! appears here, so that a mistake in one of them cannot hide behind the same
//! mistake in its double.
#![warn(missing_docs)]
// A double that cannot do its part must end the test at once, and the place of
// the panic is the best message there is: errors would only have to be unwrapped
// by every test that uses them.
#![allow(clippy::unwrap_used)]

pub mod archive;
mod background;
pub mod caches;
pub mod corpus;
mod digest;
pub mod fake_nix;
pub mod github;
pub mod nar;
pub mod ports;
pub mod proxy;
pub mod redact;
pub mod registry;
pub mod store;

pub use digest::digest;
pub use nar::{nar, nar_hash};
