//! From a place to what can be read there: in one place, for a run and for `cache serve`.

use std::path::PathBuf;
use std::sync::Arc;

use nixpy_cache::{CacheSettings, Folder, Place, RegistryCache, Source};
use nixpy_nix::signing::PublicKey;
use nixpy_oci::registry::Registry;
use nixpy_pipeline::inputs::Target;
use nixpy_pipeline::report::told;

use crate::settings::CacheRegistry;

/// What can be read at a place; or why nothing can, with the cure.
pub(super) fn open(
    place: &Place,
    trusted: Vec<PublicKey>,
    settings: &CacheSettings,
    registries: &[CacheRegistry],
) -> Result<Arc<dyn Source>, String> {
    if trusted.is_empty() {
        return Err(
            "no key is trusted, and without one nothing is taken from it: `nixpy-ci cache key` makes one; give \
             its secret half in NIXPY_CACHE_KEY where the cache is written, its public one by --cache-public-key \
             where it is read"
                .to_owned(),
        );
    }
    match place {
        Place::Nix(url) if url.starts_with("file://") => {
            let path = url.trim_start_matches("file://");
            let path = PathBuf::from(path.split('?').next().unwrap_or_default());
            Ok(Arc::new(Folder::new(place.to_string(), path, trusted)))
        }
        Place::Registry(_) | Place::BesideImage => {
            let registry = registry(place, registries)?;
            let cache = RegistryCache::new(place.to_string(), registry, trusted, settings);
            Ok(Arc::new(cache))
        }
        _ => Err("Nix reads it itself".to_owned()),
    }
}

fn registry(place: &Place, registries: &[CacheRegistry]) -> Result<Registry, String> {
    let mut registries = registries.iter();
    let known = registries.find(|known| known.place == *place);
    match known.map(|known| &known.target) {
        Some(Target::Registry {
            repository,
            credentials,
            options,
        }) => Registry::new(repository.clone(), credentials.clone(), options.clone())
            .map_err(|error| told(&error)),
        _ => Err(
            "it is beside the image, which goes to no registry: name a --repository, or the cache's own place, \
             as oci://HOST/NAME"
                .to_owned(),
        ),
    }
}
