//! Binary caches, and what opens them.

use nixpy_cache::CacheSettings;
use nixpy_cache::settings::Tokens;

use super::image::time;
use super::resolve::{Reader, Surroundings, parse};

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
        }
    }
}
