//! From what a user has typed to a cache that can be written.

use nixpy_nix::Nix;
use nixpy_oci::registry::Registry;

use crate::attic::Attic;
use crate::binary::BinaryCache;
use crate::cachix::Cachix;
use crate::error::{CacheError, CacheErrorKind};
use crate::nix_store::NixStore;
use crate::registry::RegistryCache;
use crate::settings::CacheSettings;
use crate::spec::{Place, Spec};
use crate::store::Store;

/// What [`BinaryCache`] writes.
const BINARY_CACHES: [&str; 4] = ["file://", "http://", "https://", "s3://"];

/// The cache that this stands for. Nothing is asked of it yet.
///
/// # Errors
/// It cannot be written with these settings.
pub fn open(
    spec: &Spec,
    settings: &CacheSettings,
    nix: &Nix,
) -> Result<Box<dyn Store>, CacheError> {
    let name = spec.place.to_string();
    let token = settings.tokens.of(&name).cloned();
    Ok(match &spec.place {
        Place::BesideImage | Place::Registry(_) => {
            let registry = registry(&spec.place, settings)
                .map_err(|kind| CacheError::new(&name, "be used", kind))?;
            let trusted = settings.trusted_keys();
            Box::new(RegistryCache::new(name, registry, trusted, settings))
        }
        Place::Cachix { server, cache } => Box::new(Cachix::new(server, cache, token, settings)?),
        Place::Attic { server, cache } => Box::new(Attic::new(server, cache, token, settings)?),
        Place::Nix(url) if BINARY_CACHES.iter().any(|it| url.starts_with(it)) => {
            Box::new(BinaryCache::new(url, token, settings)?)
        }
        // What only Nix speaks to.
        Place::Nix(url) => Box::new(NixStore::new(url, nix.clone())),
    })
}

/// The caches upstream that can be asked what they hold.
pub fn upstream(settings: &CacheSettings) -> Vec<Box<dyn Store>> {
    let opened = settings.upstream.iter().filter_map(|url| {
        let cache = BinaryCache::new(url, None, settings);
        cache
            .inspect_err(|error| tracing::debug!(%error, "not asked"))
            .ok()
    });
    opened
        .map(|cache| Box::new(cache) as Box<dyn Store>)
        .collect()
}

fn registry(place: &Place, settings: &CacheSettings) -> Result<Registry, CacheErrorKind> {
    let Some(access) = settings.access(place) else {
        return Err(CacheErrorKind::Refused {
            message: "the image goes to no registry that it could be beside".to_owned(),
            cure: "name a --repository, or the cache's own place, as oci://HOST/NAME".to_owned(),
        });
    };
    let (repository, credentials) = (access.repository.clone(), access.credentials.clone());
    let registry = Registry::new(repository, credentials, access.options.clone());
    registry.map_err(|error| CacheErrorKind::Here(error.to_string()))
}
