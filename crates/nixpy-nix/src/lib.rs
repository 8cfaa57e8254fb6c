//! Everything said to `nix`, and everything it says back.
//!
//! - [`program`]: where `nix` is and how it is called; [`version`]: whose and which
//! - [`flake_ref`], [`installable`]: what a user types
//! - [`untracked`]: files of a flake that git does not track, and Nix does not see
//! - [`evaluate`]: what a flake offers, for all systems in one evaluation
//! - [`fingerprint`]: whether the answer would still be the same; [`source`]: of which tree it is
//! - [`prove`](mod@prove): whether a system is really built, here or on a builder
//! - [`build`]: one `nix build` over all of it, and whose fault a failure is
//! - [`builders`]: other machines that build, how they are reached, and what is wrong with them
//! - [`log`]: what Nix says while it works, as events
//! - [`path_info`], [`derivation`]: what the store knows; [`cache`]: what binary caches know,
//!   and small files out of their archives ([`nar`])
//! - [`narinfo`], [`signing`]: what a cache says of a path, and who says it; [`copying`]: paths
//!   brought to stores that only Nix speaks to
//! - [`store_path`], [`nar_hash`], [`system`]: the words of this trade, parsed
//! - [`settings`]: what Nix's configuration says; [`abilities`]: what this machine's Nix can
//!   build; [`machine`]: how it can learn to build more
//!
//! Versions from 2.8 on are understood, and Lix. This crate never prints (events go
//! to a callback), and has never heard of images, registries or CI.
#![warn(missing_docs)]

pub mod abilities;
mod as_text;
mod base32;
pub mod build;
pub mod builders;
pub mod cache;
pub mod copying;
pub mod derivation;
pub mod error;
pub mod evaluate;
pub mod fingerprint;
pub mod flake_ref;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod installable;
pub mod log;
pub mod machine;
pub mod nar;
pub mod nar_hash;
pub mod narinfo;
pub mod path_info;
pub mod program;
pub mod prove;
mod run;
pub mod script;
pub mod settings;
pub mod signing;
pub mod source;
pub mod store_path;
pub mod system;
pub mod untracked;
pub mod version;

pub use abilities::Abilities;
pub use error::{NixError, NixErrorKind};
pub use flake_ref::FlakeRef;
pub use installable::{AttrPath, Installable};
pub use nar_hash::NarHash;
pub use program::Nix;
pub use source::{Revision, Source};
pub use store_path::StorePath;
pub use system::System;
pub use version::{Flavour, NixVersion};
