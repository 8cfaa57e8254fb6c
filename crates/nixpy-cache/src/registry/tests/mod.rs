//! Against the loopback registry of `nixpy-testkit`: given paths and a registry, run, expect.
#![allow(clippy::unwrap_used)]

mod collecting;
mod pushing;
mod reading;
mod troubled;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::TryStreamExt as _;
use nixpy_nix::StorePath;
use nixpy_nix::path_info::PathInfo;
use nixpy_nix::signing::SecretKey;
use nixpy_oci::registry::{Credentials, Registry, RegistryOptions};
use nixpy_testkit::registry::{Method, Registry as Double};
use nixpy_testkit::store::{FakeStore, Item};
use tempfile::TempDir;

use super::RegistryCache;
use super::known::Since;
use crate::settings::CacheSettings;
use crate::source::Source as _;
use crate::store::Store as _;

const NAME: &str = "acme/api/nix-cache";

/// A store, a registry, and a key.
struct World {
    store: FakeStore,
    double: Double,
    key: SecretKey,
    place: TempDir,
}

impl World {
    fn new() -> Self {
        Self {
            store: FakeStore::in_place(),
            double: Double::start(),
            key: SecretKey::generate("test-1").unwrap(),
            place: TempDir::new().unwrap(),
        }
    }

    /// A path with a file of so many bytes, which no compressor makes smaller.
    fn path(&mut self, name: &str, size: usize, references: &[&PathInfo]) -> PathInfo {
        let item = Item::named(name).file("content", noise(name, size));
        let added = self.store.add(item);
        let mut references: Vec<StorePath> = references.iter().map(|it| it.path.clone()).collect();
        references.sort();
        let mut info = PathInfo {
            path: added.text().parse().unwrap(),
            nar_hash: added.nar_hash().parse().unwrap(),
            nar_size: added.nar_size() as u64,
            references,
            deriver: None,
            ca: None,
            is_own: false,
            signatures: Vec::new(),
        };
        info.signatures = vec![self.key.sign(&info)];
        info
    }

    /// Three small paths and a large one, each of which refers to the one before.
    fn chain(&mut self) -> Vec<PathInfo> {
        let glibc = self.path("glibc", 3_000, &[]);
        let zlib = self.path("zlib", 2_000, &[&glibc]);
        let torch = self.path("torch", 1_500_000, &[&zlib]);
        let api = self.path("api", 1_000, &[&torch]);
        vec![glibc, zlib, torch, api]
    }

    /// As a new process has it.
    fn cache(&self) -> RegistryCache {
        self.cache_with(|_| {}, |_| {})
    }

    fn cache_at(&self, clock: fn() -> SystemTime) -> RegistryCache {
        self.cache().at(clock)
    }

    fn cache_with(
        &self,
        change: impl FnOnce(&mut CacheSettings),
        options: impl FnOnce(&mut RegistryOptions),
    ) -> RegistryCache {
        let mut settings = CacheSettings {
            place: self.place.path().to_owned(),
            ..CacheSettings::default()
        };
        change(&mut settings);
        let mut patience = RegistryOptions {
            first_wait: Duration::from_millis(2),
            connect_timeout: Duration::from_secs(1),
            stall_timeout: Duration::from_millis(400),
            ..RegistryOptions::default()
        };
        options(&mut patience);
        let repository = format!("{}/{NAME}", self.double.host()).parse().unwrap();
        let registry = Registry::new(repository, Credentials::Anonymous, patience).unwrap();
        let name = "registry".to_owned();
        RegistryCache::new(name, registry, vec![self.key.public()], &settings)
    }

    /// What a new reader can take whole, archive and all.
    async fn readable(&self, paths: &[PathInfo]) -> BTreeSet<StorePath> {
        self.readable_in(&self.cache(), paths).await
    }

    async fn readable_in(&self, cache: &RegistryCache, paths: &[PathInfo]) -> BTreeSet<StorePath> {
        let mut readable = BTreeSet::new();
        for info in paths {
            if taken(cache, info)
                .await
                .is_some_and(|nar| nar == archive(info))
            {
                readable.insert(info.path.clone());
            }
        }
        readable
    }

    /// Panics if a new reader would see a path without one that it refers to.
    async fn assert_closed(&self, when: &str) -> RegistryCache {
        let cache = self.cache();
        let index = cache.0.index(Since::Ever).await.unwrap();
        for listed in index.packs.values() {
            for held in &listed.pack.paths {
                let found = cache.0.find(&index, held.hash_part().unwrap()).unwrap();
                for reference in &found.narinfo.info.references {
                    let there = index.find_any(reference.hash_part()).is_some();
                    assert!(
                        there,
                        "{when}: {} without {reference}",
                        found.narinfo.info.path
                    );
                }
                let digest = found.archives.digest.to_string();
                assert!(self.double.has_blob(NAME, &digest), "{when}: no blob");
            }
        }
        drop(index);
        cache
    }

    fn tags(&self, kind: &str) -> Vec<String> {
        let tags = self.double.tags(NAME).into_iter();
        tags.filter(|tag| tag.starts_with(kind)).collect()
    }

    fn writes(&self) -> usize {
        let is_write = |method: &Method| !matches!(*method, Method::GET | Method::HEAD);
        let requests = self.double.requests();
        requests.iter().filter(|it| is_write(&it.method)).count()
    }
}

fn noise(seed: &str, size: usize) -> Vec<u8> {
    let mut state = seed
        .bytes()
        .fold(7_u64, |sum, byte| sum * 31 + u64::from(byte))
        | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

fn archive(info: &PathInfo) -> Vec<u8> {
    nixpy_testkit::nar(info.path.as_path())
}

/// The archive as a reader gets it, decompressed.
async fn taken(cache: &RegistryCache, info: &PathInfo) -> Option<Vec<u8>> {
    let narinfo = cache.narinfo(info.path.hash_part()).await.ok()??;
    let nar = cache.nar(&narinfo.url, None).await.ok()??;
    let bytes: Vec<_> = nar.bytes.try_collect().await.ok()?;
    zstd::decode_all(bytes.concat().as_slice()).ok()
}

fn names(paths: &[PathInfo]) -> BTreeSet<StorePath> {
    paths.iter().map(|info| info.path.clone()).collect()
}

fn roots(paths: &[PathInfo]) -> Vec<StorePath> {
    paths.iter().map(|info| info.path.clone()).collect()
}

/// So many days after 2026-01-01.
const fn day(number: u64) -> Duration {
    Duration::from_secs(1_767_225_600 + number * 86_400)
}

fn on_day(number: u64) -> SystemTime {
    UNIX_EPOCH + day(number)
}
