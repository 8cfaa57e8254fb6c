//! From what a user has typed to a cache that can be written, or served.

use std::sync::Arc;

use nixpy_nix::Nix;
use nixpy_nix::signing::{PublicKey, SecretKey};
use nixpy_oci::registry::Secret;

use crate::attic::Attic;
use crate::binary::BinaryCache;
use crate::cachix::Cachix;
use crate::error::{CacheError, CacheErrorKind};
use crate::nix_store::NixStore;
use crate::settings::CacheSettings;
use crate::source::Source;
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
            let opened = settings.in_registry(&spec.place, &[]);
            Box::new(opened.map_err(|kind| CacheError::new(&name, "be used", kind))?)
        }
        Place::Cachix { server, cache } => Box::new(Cachix::new(server, cache, token, settings)?),
        Place::Attic { server, cache } => Box::new(Attic::new(server, cache, token, settings)?),
        Place::Nix(url) if is_ours(url, token.as_ref()) => {
            let mut keys = spec.keys.clone();
            keys.extend(settings.public_keys.iter().cloned());
            keys.extend(settings.signing_key.as_ref().map(SecretKey::public));
            Box::new(BinaryCache::new(url, token, settings)?.trusting(keys))
        }
        // What only Nix speaks to.
        Place::Nix(url) => Box::new(NixStore::new(url, nix.clone())),
    })
}

/// The cache at this place, for whoever serves it to Nix; `trusted` are the keys that count.
/// Nothing is asked of it yet.
///
/// # Errors
/// No key is trusted; it cannot be used with these settings; or Nix alone speaks to it.
pub fn open_to_read(
    place: &Place,
    trusted: Vec<PublicKey>,
    settings: &CacheSettings,
) -> Result<Arc<dyn Source>, CacheError> {
    let name = place.to_string();
    let unusable = |kind| CacheError::new(&name, "be read", kind);
    if trusted.is_empty() {
        return Err(unusable(CacheErrorKind::Refused {
            message: "no key is trusted, and without one nothing is taken from it".to_owned(),
            cure: "`nixpy-ci cache key` makes one: give its secret half in NIXPY_CACHE_KEY where the cache is \
                   written, its public one by --cache-public-key where it is read"
                .to_owned(),
        }));
    }
    Ok(match place {
        Place::BesideImage | Place::Registry(_) => {
            Arc::new(settings.in_registry(place, &trusted).map_err(unusable)?)
        }
        Place::Nix(url) if is_binary(url) => {
            let token = settings.tokens.of(&name).cloned();
            Arc::new(BinaryCache::new(url, token, settings)?.trusting(trusted))
        }
        _ => {
            let problem = "Nix reads it itself: give it to Nix as a substituter".to_owned();
            return Err(unusable(CacheErrorKind::Broken(problem)));
        }
    })
}

/// The caches upstream that can be asked what they hold.
pub fn upstream(settings: &CacheSettings) -> Vec<Box<dyn Store>> {
    let opened = settings.upstream.iter().filter_map(|url| {
        let cache = BinaryCache::new(url, None, settings);
        let cache = cache.inspect_err(|error| tracing::debug!(%error, "not asked"));
        // By whom it is signed is for Nix to see.
        cache.ok().map(|cache| cache.trusting(Vec::new()))
    });
    opened
        .map(|cache| Box::new(cache) as Box<dyn Store>)
        .collect()
}

/// Whether it is of the ordinary form, and opened by what we know. Of a bucket that nothing
/// opens Nix may know more: it asks Amazon's machines as well.
fn is_ours(url: &str, token: Option<&Secret>) -> bool {
    is_binary(url) && !BinaryCache::lacks_credentials(url, token)
}

fn is_binary(url: &str) -> bool {
    BINARY_CACHES.iter().any(|scheme| url.starts_with(scheme))
}

/// Whether this program serves the cache to Nix. Of those that Nix reads itself that is S3:
/// a Nix may be built without it, and a daemon does not have this user's credentials.
pub fn is_served(place: &Place, settings: &CacheSettings) -> bool {
    match place {
        Place::BesideImage | Place::Registry(_) => true,
        Place::Nix(url) if url.starts_with("s3://") => {
            !BinaryCache::lacks_credentials(url, settings.tokens.of(url))
        }
        _ => false,
    }
}
