//! The fast tier: the binary from outside, with a recorded Nix in its `PATH` and
//! servers on the loopback. It needs neither root nor Nix, and takes seconds.
//!
//! A test gives a [`scenario::Scenario`], runs the program, and expects; what
//! real Nix, real registries and real clients make of it is the real tier's part.

// A test that cannot go on ends best where it stands.
#![allow(clippy::unwrap_used)]

mod architecture;
mod archives;
mod bad_inputs;
mod builders;
mod caches_read;
mod collecting;
mod compared;
mod credentials;
mod destinations;
mod doctor;
mod ends;
mod failing_builds;
mod filling;
mod findings;
mod formats;
mod github;
mod init;
mod joining;
mod matrix;
mod may_push;
mod naming;
mod nix2container;
mod planning;
mod rehearsing;
mod releasing;
mod scenario;
mod secrets;
mod set;
mod settings;
mod smoke;
mod stored;
mod story;
mod telling;
mod to_layout;
mod to_registry;
mod trouble;
