//! One image's blobs on this machine, for docker or podman to take, or to be tried out.

use nixpy_oci::compress::Compression;
use nixpy_oci::destination::{Destination, DestinationError};
use nixpy_oci::image::{Image, Pushed};
use nixpy_oci::layout::Layout;
use nixpy_oci::prior::Prior;
use nixpy_oci::publish::{Options, PublishError, Publisher, Site};

use super::Places;
use crate::inputs::Inputs;

/// A layout that holds the blobs of one image, to load it from.
pub struct Loadable {
    /// Gone, with everything in it, when this is dropped, unless it is the destination itself.
    pub layout: Layout,
    /// The image in it.
    pub image: Pushed,
    _scratch: Option<tempfile::TempDir>,
}

/// Gets the blobs of one image into a layout on this machine.
///
/// # Errors
/// As [`Places::publish`].
pub async fn loadable(
    image: &Image,
    pushed: &Pushed,
    places: &Places,
    inputs: &Inputs,
) -> Result<Loadable, PublishError> {
    if let Some(layout) = places.layout() {
        return Ok(Loadable {
            layout: Layout::open(layout.path()).map_err(DestinationError::from)?,
            image: pushed.clone(),
            _scratch: None,
        });
    }
    let scratch =
        tempfile::tempdir_in(&inputs.temp_dir).map_err(nixpy_oci::layer::LayerError::Write)?;
    let path = scratch.path().join("image");
    let layout = Layout::open(&path).map_err(DestinationError::from)?;
    // Open as well in what is returned: without a tag its blobs go with the last of the two.
    let kept = Layout::open(&path).map_err(DestinationError::from)?;
    let site = Site::new(Destination::Layout(layout), Prior::default());
    // It is read once, and on this machine.
    let options = Options {
        compression: Compression::None,
        ..places.options.clone()
    };
    let publisher = Publisher {
        sites: std::slice::from_ref(&site),
        options: &options,
        on_layer: &|_| {},
        making: true,
    };
    Ok(Loadable {
        layout: kept,
        image: publisher.publish(image).await?,
        _scratch: Some(scratch),
    })
}
