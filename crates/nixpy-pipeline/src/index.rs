//! The multi-platform index over images that are in place.

use nixpy_oci::manifest::{Annotations, Descriptor, Index, media_type, to_bytes};

/// The index and its bytes. The same images give the same bytes in whatever
/// order they were published.
pub fn index(manifests: &[Descriptor], annotations: &Annotations) -> (Descriptor, Vec<u8>) {
    let bytes = to_bytes(&Index::new(manifests.to_vec(), annotations.clone()));
    (Descriptor::of(media_type::INDEX, &bytes), bytes)
}
