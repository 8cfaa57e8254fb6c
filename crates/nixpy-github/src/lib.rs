//! What GitHub tells a workflow's job, and what it is told.
//!
//! [`context`] reads what a job is run for; [`tags`] makes of it the tags, labels and
//! annotations of an image, by the rules that people know from docker's metadata action;
//! [`runner`] speaks to the runner through its files and commands; [`api`] to GitHub
//! itself, and [`post`] leaves there what a run has to say; [`markdown`] writes what others have said so that it stays text.
//!
//! This crate has never heard of Nix or of registries. It reads no environment variable
//! and prints nothing: both are given to it.

pub mod api;
pub mod context;
pub mod markdown;
pub mod post;
pub mod runner;
pub mod tags;
