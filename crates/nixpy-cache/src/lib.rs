//! Binary caches: what they lack is put there while Nix builds, and what they hold is
//! served to Nix where Nix cannot read it itself.
//!
//! - [`spec`]: what a user types; [`settings`]: everything that decides
//! - [`gather`]: which paths go into caches; [`queue`]: paths on their way there
//! - [`reading`]: what Nix is told, so that it reads them
//! - [`serve`]: what is read, given to Nix as an ordinary binary cache
//! - [`store`], [`source`]: what caches can do that are written and read; [`error`]: what they did not
//! - [`stores`]: the cache that a text stands for
//! - [`packed`]: a path made ready for a cache
//! - [`binary`]: the caches that Nix knows itself, in a folder, behind HTTP, on S3
//! - [`registry`]: the cache that is a repository of a registry
//! - [`binary`]: the caches that Nix knows itself, in a folder, behind HTTP, on S3;
//!   [`cachix`], [`attic`]: services with protocols of their own; [`nix_store`]: the rest, by Nix
//!
//! This crate never decides what is built and never prints. What goes into a cache is
//! signed before it gets here, or by a key of the settings; what comes out of one counts
//! only with a signature by a key that the run trusts.
#![warn(missing_docs)]

pub mod attic;
pub mod binary;
pub mod cachix;
pub mod error;
pub mod gather;
mod netrc;
pub mod nix_store;
mod ordered;
pub mod packed;
pub mod queue;
pub mod reading;
pub mod registry;
mod sections;
pub mod serve;
pub mod settings;
pub mod source;
pub mod spec;
pub mod store;
#[cfg(test)]
mod stored;
pub mod stores;
mod web;

pub use error::{CacheError, CacheErrorKind};
pub use registry::RegistryCache;
pub use serve::Server;
pub use settings::CacheSettings;
pub use source::{Nar, Source};
pub use spec::{Place, Spec};
pub use store::{Put, Store};
