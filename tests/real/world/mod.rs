//! The parts that tests are made of: each module starts, asks or reads one real thing.

pub mod act;
pub mod alone;
pub mod builder;
pub mod chain;
pub mod closure;
pub mod daemon;
pub mod disk;
pub mod example;
pub mod flake;
pub mod layout;
pub mod lints;
pub mod machine;
pub mod moto;
pub mod nap;
pub mod nginx;
pub mod nixpy;
pub mod podman;
pub mod program;
pub mod registry;
pub mod secrets;
pub mod skopeo;
pub mod store;
pub mod versions;
