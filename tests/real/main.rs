//! The real tier: the program with everything real around it. Nix builds, qemu
//! emulates, a registry stores, and skopeo, podman and curl judge what came of it.
//!
//! Nothing here is skipped: a part that is missing fails the test that needs it,
//! and says which package has it. `make test-deps` installs them all. Root is
//! needed, for mounts and for Nix's store.
//!
//! What is not tested here: whatever a recorded Nix or a registry that fails on
//! cue can show as well. That is the fast tier.
#![allow(clippy::unwrap_used)]

mod world;

mod action;
mod between;
mod builders;
mod builds;
mod cached;
mod caches;
mod cancelling;
mod crossing;
mod derived;
mod doctor;
mod filling;
mod findings;
mod github;
mod joining;
mod layouts;
mod machines;
mod metadata;
mod page;
mod payloads;
mod pushes;
mod refusals;
mod releasing;
mod smoke;
mod stored;
mod telling;
mod versions;
