//! Opening the caches that are to be written, as far as this run may write them.

use nixpy_cache::queue::{End, Filled, Problem};
use nixpy_cache::{CacheErrorKind, CacheSettings, Place, Spec, Store, stores};
use nixpy_nix::Nix;

/// Those that are open; and what became of the others.
pub(super) fn open(
    specs: &[&Spec],
    settings: &CacheSettings,
    nix: &Nix,
) -> (Vec<Box<dyn Store>>, Vec<Filled>) {
    let (mut opened, mut closed) = (Vec::new(), Vec::new());
    for spec in specs {
        match one(spec, settings, nix) {
            Ok(store) => opened.push(store),
            Err(filled) => closed.push(filled),
        }
    }
    (opened, closed)
}

fn one(spec: &Spec, settings: &CacheSettings, nix: &Nix) -> Result<Box<dyn Store>, Filled> {
    let name = spec.place.to_string();
    if let Some((end, problem)) = why_not(spec, settings) {
        return Err(Filled::closed(&name, end, problem));
    }
    stores::open(spec, settings, nix).map_err(|error| {
        let end = match error.kind {
            CacheErrorKind::Refused { .. } => End::Refused,
            _ => End::GivenUp,
        };
        Filled::closed(&name, end, Some(Problem::from(&error)))
    })
}

/// Why this run does not write to this cache, if that is known without looking at it.
pub(crate) fn why_not(spec: &Spec, settings: &CacheSettings) -> Option<(End, Option<Problem>)> {
    // First: a fork has no secrets, and is not to be told to get some.
    if settings.from_fork {
        let what =
            "what runs for a pull request from a fork, or for a comment on any, pushes nothing"
                .to_owned();
        let problem = Problem { what, cure: None };
        return Some((End::ReadOnly, Some(problem)));
    }
    if settings.read_only {
        return Some((End::ReadOnly, None));
    }
    let is_registry = matches!(spec.place, Place::BesideImage | Place::Registry(_));
    if is_registry && settings.signing_key.is_none() {
        let what = "there is no key to sign with, and nobody could trust what is not signed";
        let cure = "make one with `nixpy-ci cache key`, and give it as NIXPY_CACHE_KEY; or say \
                    `read` behind the cache";
        let problem = Problem {
            what: what.to_owned(),
            cure: Some(cure.to_owned()),
        };
        return Some((End::Refused, Some(problem)));
    }
    None
}
