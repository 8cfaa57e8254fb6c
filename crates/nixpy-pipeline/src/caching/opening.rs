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
    let closed = |end, problem| Err(Filled::closed(&name, end, problem));
    // First: a fork has no secrets, and is not to be told to get some.
    if settings.from_fork {
        let what = "a pull request from a fork pushes nothing".to_owned();
        let problem = Problem { what, cure: None };
        return closed(End::ReadOnly, Some(problem));
    }
    if settings.read_only {
        return closed(End::ReadOnly, None);
    }
    let is_registry = matches!(spec.place, Place::BesideImage | Place::Registry(_));
    if is_registry && settings.signing_key.is_none() {
        let problem = Problem {
            what: "there is no key to sign with, and nobody could trust what is not signed".to_owned(),
            cure: Some(
                "make one with `nixpy-ci cache key`, and give it as NIXPY_CACHE_KEY; or say `read` \
                 behind the cache"
                    .to_owned(),
            ),
        };
        return closed(End::Refused, Some(problem));
    }
    stores::open(spec, settings, nix).or_else(|error| {
        let end = match error.kind {
            CacheErrorKind::Refused { .. } => End::Refused,
            _ => End::GivenUp,
        };
        closed(end, Some(Problem::from(&error)))
    })
}
