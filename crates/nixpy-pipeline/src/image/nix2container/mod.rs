//! The description that `nix2container.buildImage` puts into the store: a JSON file
//! that says of each layer which store paths are in it, under which names, and which
//! digest its tar has (<https://github.com/nlewo/nix2container>, `types/types.go`).
//!
//! Layers come out as nix2container's own tool would write them, with the same diff
//! IDs, and the config with the same bytes: so an image keeps its ID. What the
//! description states is held against what is made ([`nixpy_oci::publish`]).

mod config;
mod description;
mod error;
mod layers;

use std::path::Path;

use nixpy_oci::image::{Body, Config};
use nixpy_oci::platform::Platform;

use self::description::Description;
pub(super) use self::error::DescriptionError;
use super::{Closure, Files, ImageErrorKind};

/// The image of a JSON file; `None` if that describes something else.
pub(super) fn body(
    path: &Path,
    closure: &Closure,
    files: &Files,
) -> Result<Option<Body>, ImageErrorKind> {
    let text = files.read(path).map_err(DescriptionError::from)?;
    let Some(description) = Description::parse(text.as_bytes())? else {
        return Ok(None);
    };
    let layers = layers::layers(&description.layers, closure)?;
    let config = Config::Whole {
        platform: Platform {
            architecture: description.arch.clone(),
            os: config::OS.to_owned(),
            variant: None,
        },
        bytes: config::bytes(&description),
    };
    Ok(Some(Body::Layers {
        base: None,
        layers,
        config,
    }))
}
