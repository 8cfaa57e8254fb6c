//! The last step: one index over manifests that are in place, and tags that point to it.

use nixpy_oci::destination::{Destination, DestinationError};
use nixpy_oci::manifest::{Annotations, Descriptor, media_type};
use nixpy_oci::name::Tag;

use crate::index::index;

/// Puts the index over the manifests and points every tag at it, everywhere. `on_tag` is
/// told each reference that clients take from then on.
///
/// # Errors
/// A destination refuses; a tag that was not reached points where it did.
pub async fn tag(
    places: &[&Destination],
    manifests: &[Descriptor],
    annotations: &Annotations,
    tags: &[Tag],
    mut on_tag: impl FnMut(String),
) -> Result<Descriptor, DestinationError> {
    let (descriptor, bytes) = index(manifests, annotations);
    if places.len() > 1 {
        // One that refuses it does so before another's tag has moved.
        for place in places {
            place.put_manifest(media_type::INDEX, &bytes).await?;
        }
    }
    // Also where the index was there before: somebody may have moved the tag since.
    for place in places {
        for tag in tags {
            place.tag(tag, media_type::INDEX, &bytes).await?;
            on_tag(place.reference(tag));
        }
    }
    Ok(descriptor)
}
