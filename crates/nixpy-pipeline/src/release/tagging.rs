//! Points the tags, each at the very bytes that were found.

use nixpy_oci::destination::Stored;
use nixpy_oci::name::Tag;
use nixpy_oci::registry::{Registry, RemoteError};

use super::plan::ReleasePlan;

/// Does what a plan says, in all repositories: the version's own tag everywhere before any
/// tag moves that clients follow. `on_tag` is told each reference that points there now.
///
/// # Errors
/// A registry refuses; a tag that was not reached points where it did, and the next
/// release of the same version goes on from there.
pub async fn point(
    registries: &[Registry],
    plan: &ReleasePlan,
    stored: &Stored,
    mut on_tag: impl FnMut(String),
) -> Result<(), RemoteError> {
    let own = plan.version.tag();
    for is_own in [true, false] {
        for (registry, place) in registries.iter().zip(&plan.places) {
            let steps = place.tags.iter().filter(|step| step.step.is_change());
            for step in steps.filter(|step| (Some(&step.tag) == own.as_ref()) == is_own) {
                set(registry, &step.tag, stored).await?;
                on_tag(format!("{}:{}", place.repository, step.tag));
            }
        }
    }
    Ok(())
}

async fn set(registry: &Registry, tag: &Tag, stored: &Stored) -> Result<(), RemoteError> {
    let media_type = &stored.descriptor.media_type;
    registry
        .put_manifest(media_type, &stored.bytes, Some(tag))
        .await
}
