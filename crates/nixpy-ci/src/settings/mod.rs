//! From what was written somewhere to [`Inputs`](nixpy_pipeline::inputs::Inputs).

mod builders;
mod image;
#[cfg(test)]
mod reference;
mod resolve;
mod sources;
pub mod table;
mod target;

pub use resolve::{Progress, Resolved, Surroundings, resolve};
pub use sources::{Environment, RawInputs};
