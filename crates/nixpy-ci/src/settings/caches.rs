//! Binary caches, and what opens them.

use nixpy_cache::settings::{Ready, Tokens};
use nixpy_cache::{CacheSettings, Place};
use nixpy_oci::name::Repository;
use nixpy_pipeline::inputs::Target;

use super::image::time;
use super::resolve::{Output, Problem, Reader, Surroundings, parse};
use super::sources::RawInputs;
use super::target::{another, targets};

/// A cache in a registry, and how it is reached.
#[derive(Debug)]
pub struct CacheRegistry {
    /// The cache.
    pub place: Place,
    /// Where it is. Never a layout.
    pub target: Target,
}

/// Everything that serving caches needs.
#[derive(Debug)]
pub struct ToServe {
    /// Which, and what opens them.
    pub caches: CacheSettings,
    /// Those in registries.
    pub registries: Vec<CacheRegistry>,
    /// What is told.
    pub output: Output,
}

/// The repository of the cache beside an image.
const BESIDE: &str = "nix-cache";

/// Parses what `nixpy-ci cache serve` takes.
///
/// # Errors
/// Every problem there is, not the first.
pub async fn to_serve(raw: &RawInputs, around: &Surroundings<'_>) -> Result<ToServe, Vec<Problem>> {
    let mut reader = Reader::of(raw);
    let caches = reader.caches(around);
    if raw.get("cache").is_none() {
        reader.fail(
            "--cache",
            "name a cache, as in --cache oci://ghcr.io/owner/name/nix-cache",
        );
    }
    let targets = targets(&mut reader, around).await;
    let registries = cache_registries(&mut reader, &caches, &targets, around).await;
    let output = reader.output();
    reader.ended(ToServe {
        caches,
        registries,
        output,
    })
}

/// Those of the caches that are in a registry; without the one beside the image, where no
/// image goes to a registry.
pub(super) async fn cache_registries(
    reader: &mut Reader<'_>,
    caches: &CacheSettings,
    targets: &[Target],
    around: &Surroundings<'_>,
) -> Vec<CacheRegistry> {
    let mut found = Vec::new();
    for spec in &caches.wanted {
        let target = match &spec.place {
            Place::BesideImage => match beside(reader, targets) {
                Some(repository) => another(reader, &repository, targets, around).await,
                None => None,
            },
            Place::Registry(repository) => another(reader, repository, targets, around).await,
            _ => None,
        };
        let place = spec.place.clone();
        found.extend(target.map(|target| CacheRegistry { place, target }));
    }
    found
}

/// Of the first registry that the image goes to.
fn beside(reader: &mut Reader<'_>, targets: &[Target]) -> Option<Repository> {
    let mut targets = targets.iter();
    let repository = targets.find_map(|target| match target {
        Target::Registry { repository, .. } => Some(repository),
        Target::Layout(_) => None,
    })?;
    let beside = repository.beside(BESIDE);
    beside
        .map_err(|e| reader.fail("--cache", e.to_string()))
        .ok()
}

impl Reader<'_> {
    pub(super) fn caches(&mut self, around: &Surroundings<'_>) -> CacheSettings {
        let default = CacheSettings::default();
        let mut upstream = self.many("cache-upstream", |url| {
            Ok(url.trim_end_matches('/').to_owned())
        });
        if self.raw.get("cache-upstream").is_none() {
            upstream = default.upstream;
        }
        CacheSettings {
            wanted: self.many("cache", parse),
            public_keys: self.many("cache-public-key", parse),
            signing_key: self.one("cache-key", parse),
            tokens: self
                .one("cache-token", |text| Ok(Tokens::parse(text)))
                .unwrap_or_default(),
            upstream,
            exclude: self.many("cache-exclude", |pattern| Ok(pattern.to_owned())),
            read_only: self.switch("cache-read-only"),
            required: self.switch("cache-required"),
            drain: self.one("cache-drain", time).unwrap_or(default.drain),
            uploads: self
                .number("cache-uploads", 1..=64)
                .unwrap_or(default.uploads),
            place: around.temp_dir(),
            port: self
                .number("cache-port", 1..=65_535)
                .and_then(|port| u16::try_from(port).ok()),
            ready: Ready::default(),
        }
    }
}
