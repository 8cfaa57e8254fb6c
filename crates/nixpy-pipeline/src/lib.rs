//! The story of a run, one stage a file:
//!
//! ```text
//! inputs → offer → look → plan → build → image → publish → smoke → index → report
//!                                                            ↓       ↑
//!                                                         result → join
//! ```
//!
//! Beside all of them goes [`caching`], which pushes what is built to binary caches.
//!
//! This crate decides, and asks `nixpy-nix` and `nixpy-oci` to act. It never
//! reads the environment, opens a socket, starts a process or prints: settings
//! and secrets are given to it, and what happens is told as [`event::Event`]s.
//! It has never heard of GitHub.

pub mod budget;
pub mod build;
pub mod caching;
pub mod changes;
pub mod described;
pub mod doctor;
pub mod event;
mod fetches;
pub mod findings;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod image;
pub mod index;
pub mod inputs;
pub mod join;
pub mod lockfile;
pub mod look;
pub mod matrix;
pub mod memo;
pub mod offer;
pub mod plan;
pub mod platform;
pub mod preview;
pub mod publish;
pub mod release;
pub mod report;
pub mod result;
pub mod run;
pub mod smoke;
pub mod timeline;
