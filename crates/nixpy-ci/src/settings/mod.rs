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

use clap::ArgMatches;

pub use caches::{ToServe, to_serve};
pub use hearing::{Hearers, hearers};
pub use image::days;
pub use joining::{ToJoin, to_join};
pub use output::{Output, Progress};
pub use releasing::{ToRelease, to_release};
pub use resolve::{Resolved, Surroundings, resolve};
pub use sources::{Environment, RawInputs};
pub use telling::{Telling, to_post};

/// Everything that a run needs, from all sources.
///
/// # Errors
/// Every problem there is, in words.
pub async fn resolved(
    flags: &ArgMatches,
    environment: &Environment,
) -> Result<Resolved, Vec<String>> {
    let raw = RawInputs::collect(flags, environment).map_err(|e| vec![e.to_string()])?;
    let around = Surroundings::here(environment).map_err(|e| vec![e])?;
    let resolved = resolve(&raw, &around).await;
    resolved.map_err(|e| e.iter().map(ToString::to_string).collect())
}
