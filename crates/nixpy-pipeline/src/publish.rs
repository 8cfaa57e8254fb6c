//! From images to a tag that points to all of them.
//!
//! Every platform is in place, without a tag, before any tag moves.

use std::path::Path;

use futures_util::future::try_join_all;
use nixpy_oci::destination::{Destination, DestinationError};
use nixpy_oci::image::{Image, Pushed};
use nixpy_oci::layout::Layout;
use nixpy_oci::manifest::{Descriptor, media_type};
use nixpy_oci::platform::Platform;
use nixpy_oci::prior::Prior;
use nixpy_oci::publish::{Options, PublishError, Publisher, Sending};
use nixpy_oci::registry::Registry;

use crate::event::{Event, OnEvent};
use crate::index::index;
use crate::inputs::{Inputs, Target};

/// Where the image goes, and what is there before.
pub struct Place {
    /// A layout or a repository.
    pub destination: Destination,
    prior: Prior,
}

impl Place {
    /// Opens the destination and reads what its first tag points to; that one
    /// speaks for all.
    ///
    /// # Errors
    /// It cannot be used, cannot be reached, or does not let us in.
    pub async fn open(inputs: &Inputs, platforms: &[Platform]) -> Result<Self, DestinationError> {
        let destination = match &inputs.target {
            Target::Layout(path) => Destination::Layout(Layout::open(path)?),
            Target::Registry {
                repository,
                credentials,
                options,
            } => Destination::Registry(Registry::new(
                repository.clone(),
                credentials.clone(),
                options.clone(),
            )?),
        };
        let prior = match inputs.tags.first() {
            Some(tag) => Prior::read(&destination, tag, platforms).await?,
            None => Prior::default(),
        };
        Ok(Self { destination, prior })
    }

    /// Brings all images here, without a tag; in the order given.
    ///
    /// # Errors
    /// The first that fails ends all.
    pub async fn publish(
        &self,
        images: &[Image],
        inputs: &Inputs,
        on_event: &OnEvent<'_>,
    ) -> Result<Vec<Pushed>, PublishError> {
        let options = options(inputs, &self.destination);
        let on_layer = |event| on_event(Event::Layer(&event));
        let publisher = Publisher {
            destination: &self.destination,
            prior: &self.prior,
            options: &options,
            sending: Sending::default(),
            on_layer: &on_layer,
        };
        try_join_all(images.iter().map(|image| publisher.publish(image))).await
    }

    /// Puts the index over the images and points every tag at it. `on_tag` is told
    /// each reference that clients take from then on.
    ///
    /// # Errors
    /// The destination refuses; a tag that was not reached points where it did.
    pub async fn tag(
        &self,
        images: &[Pushed],
        inputs: &Inputs,
        mut on_tag: impl FnMut(String),
    ) -> Result<Descriptor, DestinationError> {
        let (descriptor, bytes) = index(images);
        // Also where the index was there before: somebody may have moved the tag since.
        for tag in &inputs.tags {
            self.destination.tag(tag, media_type::INDEX, &bytes).await?;
            on_tag(self.destination.reference(tag));
        }
        Ok(descriptor)
    }
}

fn options(inputs: &Inputs, destination: &Destination) -> Options {
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    Options {
        compression: inputs.compression,
        makers: processors,
        uploads: inputs.uploads,
        spool_dir: spool_dir(inputs, destination).to_owned(),
    }
}

/// Beside the blobs of a layout, where there must be room for them anyway.
fn spool_dir<'a>(inputs: &'a Inputs, destination: &'a Destination) -> &'a Path {
    match destination {
        Destination::Layout(layout) => layout.path(),
        Destination::Registry(_) => &inputs.temp_dir,
    }
}

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
/// As [`Place::publish`].
pub async fn loadable(
    image: &Image,
    pushed: &Pushed,
    place: &Place,
    inputs: &Inputs,
) -> Result<Loadable, PublishError> {
    if let Destination::Layout(layout) = &place.destination {
        return Ok(Loadable {
            layout: Layout::open(layout.path()).map_err(DestinationError::from)?,
            image: pushed.clone(),
            _scratch: None,
        });
    }
    let scratch =
        tempfile::tempdir_in(&inputs.temp_dir).map_err(nixpy_oci::layer::LayerError::Write)?;
    let layout = Layout::open(&scratch.path().join("image")).map_err(DestinationError::from)?;
    let local = Place {
        destination: Destination::Layout(layout),
        prior: Prior::default(),
    };
    let image = std::slice::from_ref(image);
    let mut images = local.publish(image, inputs, &|_| {}).await?;
    // Moved out, not opened again: without a tag its blobs go with this value.
    let Destination::Layout(layout) = local.destination else {
        unreachable!("it was made a layout some lines above");
    };
    Ok(Loadable {
        layout,
        image: images.remove(0),
        _scratch: Some(scratch),
    })
}
