//! An image of a plain package: its closure in layers, over a small layer with what
//! programs expect of a machine ([`super::root`]), and a config made from the
//! settings ([`super::config`]).
//!
//! Which path lies in which layer is decided by [`super::layering`].

use nixpy_oci::image::{Body, Config, ConfigTemplate};
use nixpy_oci::tarball::Stamp;

use super::config::config;
use super::layering::{self, Wishes};
use super::root::root_layer;
use super::store_layer::{store_directories, store_layer};
use super::{ImageErrorKind, Known};
use crate::inputs::ImageSettings;
use crate::plan::Job;

/// Everything is dated like this, as dockerTools does it by default.
const EPOCH: &str = "1970-01-01T00:00:01+00:00";

pub(super) fn body(
    job: &Job,
    known: &Known<'_>,
    settings: &ImageSettings,
    max_layers: usize,
) -> Result<Body, ImageErrorKind> {
    let Known { closure, files, .. } = *known;
    // One is taken by the bottom layer.
    let wishes = Wishes {
        max_layers: max_layers.min(layering::MAX_LAYERS).saturating_sub(1),
        previous: known.previous,
        lock: known.lock,
    };
    let partition = layering::layers(&job.output, closure, wishes)
        .map_err(|unknown| ImageErrorKind::UnknownPath(unknown.0))?;
    let stamp = Stamp::root();
    let directories = store_directories(0o755);
    let mut layers = vec![root_layer(&job.output, closure, files, settings, &stamp)?];
    for layer in &partition.layers {
        layers.push(store_layer(&layer.paths, &directories, &stamp, closure)?);
    }
    let config = Config::Template(ConfigTemplate {
        created: EPOCH.to_owned(),
        platform: job.platform.clone(),
        config: config(job, files, settings)?,
    });
    Ok(Body::Layers {
        base: None,
        layers,
        config,
    })
}
