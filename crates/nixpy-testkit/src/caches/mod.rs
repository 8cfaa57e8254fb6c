//! Binary caches on loopback ports, in memory, that can fail on cue.

mod http;
mod server;

pub use http::HttpCache;

pub use crate::registry::{Fault, Method, Recorded};
