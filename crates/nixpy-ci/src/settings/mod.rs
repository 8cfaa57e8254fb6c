//! From what was written somewhere to [`Inputs`](nixpy_pipeline::inputs::Inputs).

#[cfg(test)]
mod action_yml;
mod builders;
mod caches;
mod forks;
mod hearing;
mod image;
mod joining;
mod naming;
mod output;
mod part;
#[cfg(test)]
mod reference;
mod releasing;
mod resolve;
mod smoke;
mod sources;
pub mod table;
mod target;
mod telling;

pub use caches::{ToServe, to_serve};
pub use hearing::{Hearers, hearers};
pub use image::days;
pub use joining::{ToJoin, to_join};
pub use output::{Output, Progress};
pub use releasing::{ToRelease, to_release};
pub use resolve::{Resolved, Surroundings, resolve};
pub use sources::{Environment, RawInputs};
pub use telling::{Telling, to_post};
