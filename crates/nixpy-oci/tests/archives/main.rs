//! Docker-archives under stress: destinations that refuse, archives that are
//! hostile, and publishing again under other circumstances.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

mod again;
mod base;
mod bytes;
mod damaged;
mod forms;
mod hostile;
mod place;
mod trouble;
