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

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use nixpy_oci::image::{Body, Config};
use nixpy_oci::platform::Platform;

use self::description::Description;
pub(super) use self::error::DescriptionError;
use super::{Closure, ImageErrorKind};

/// One has some kilobytes a hundred store paths.
const MAX_SIZE: u64 = 64 << 20;

/// The image of a JSON file; `None` if that describes something else.
pub(super) fn body(path: &Path, closure: &Closure) -> Result<Option<Body>, ImageErrorKind> {
    let Some(description) = Description::parse(&read(path)?)? else {
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
    Ok(Some(Body::Layers { layers, config }))
}

fn read(path: &Path) -> Result<Vec<u8>, DescriptionError> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_SIZE + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(DescriptionError::Limit("bytes", MAX_SIZE));
    }
    Ok(bytes)
}
