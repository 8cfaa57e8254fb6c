//! Binary caches on loopback ports, in memory, that can fail on cue.

mod attic;
mod cachix;
mod http;
mod read;
mod server;

pub use attic::AtticServer;
pub use cachix::CachixServer;
pub use http::HttpCache;

pub use crate::registry::{Fault, Method, Recorded};
