//! The doubles, held against what they stand for: the registry against the text of
//! the distribution specification, the store against hashes that Nix computed.
// A test that cannot go on says best where it stopped by stopping there.
#![allow(clippy::unwrap_used)]

mod archive;
mod auth;
mod caches;
mod client;
mod fake_nix;
mod faults;
mod manifests;
mod proxy;
mod pull;
mod push;
mod redact;
mod store;
