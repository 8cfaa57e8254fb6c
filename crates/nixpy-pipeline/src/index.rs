//! The multi-platform index over images that are in place.

use nixpy_oci::image::Pushed;
use nixpy_oci::manifest::{Annotations, Descriptor, Index, media_type, to_bytes};

/// The index and its bytes. The same images give the same bytes in whatever
/// order they were published.
pub fn index(images: &[Pushed]) -> (Descriptor, Vec<u8>) {
    let entries = images.iter().map(|image| image.manifest.clone()).collect();
    let bytes = to_bytes(&Index::new(entries, Annotations::new()));
    (Descriptor::of(media_type::INDEX, &bytes), bytes)
}
