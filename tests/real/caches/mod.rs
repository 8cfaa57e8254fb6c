//! Binary caches that are written by us and read by real Nix: into an empty store, with
//! nothing but our key to trust.

mod damaged;
mod folder;
mod nginx;
mod nix_stores;
mod s3;
mod versions;

use std::collections::BTreeSet;

use nixpy_cache::binary::BinaryCache;
use nixpy_cache::{CacheSettings, Put, Store as _};
use nixpy_nix::StorePath;
use nixpy_nix::path_info::PathInfo;
use nixpy_nix::signing::SecretKey;
use nixpy_oci::registry::Secret;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::world::closure::{chain, told_of};
use crate::world::program::{Ended, run};
use crate::world::store::Store;

/// Paths of real Nix, signed by a key that was made for them.
struct Signed {
    paths: Vec<PathInfo>,
    key: SecretKey,
}

impl Signed {
    /// A chain of paths of so many bytes each.
    fn chain(sizes: &[u64]) -> Self {
        Self::of(chain(sizes))
    }

    fn of(mut paths: Vec<PathInfo>) -> Self {
        let key = SecretKey::generate("test-1").unwrap();
        for info in &mut paths {
            info.signatures = vec![key.sign(info)];
        }
        Self { paths, key }
    }

    /// Paths that were built and signed before, in their order.
    fn again<'a>(key: &str, paths: impl Iterator<Item = &'a str>) -> Self {
        let key: SecretKey = key.parse().unwrap();
        let paths: Vec<StorePath> = paths.map(|path| path.parse().unwrap()).collect();
        let mut infos = told_of(&paths);
        infos.sort_by_key(|info| info.path.name().to_owned());
        for info in &mut infos {
            info.signatures = vec![key.sign(info)];
        }
        Self { paths: infos, key }
    }

    fn settings(&self) -> CacheSettings {
        CacheSettings {
            public_keys: vec![self.key.public()],
            ..CacheSettings::default()
        }
    }

    fn cache(&self, url: &str, token: Option<&str>) -> BinaryCache {
        BinaryCache::new(url, token.map(Secret::new), &self.settings()).unwrap()
    }

    /// Puts what is missing, which must succeed.
    fn push(&self, url: &str, token: Option<&str>) -> Put {
        let cache = self.cache(url, token);
        let put = Runtime::new().unwrap().block_on(async {
            let missing = cache.missing(&self.paths).await.unwrap();
            let paths = self
                .paths
                .iter()
                .filter(|info| missing.contains(&info.path));
            let paths: Vec<PathInfo> = paths.cloned().collect();
            cache.put(&paths).await
        });
        assert!(put.failed.is_empty(), "{put:?}");
        put
    }

    fn missing(&self, url: &str, token: Option<&str>) -> BTreeSet<StorePath> {
        let cache = self.cache(url, token);
        let missing = cache.missing(&self.paths);
        Runtime::new().unwrap().block_on(missing).unwrap()
    }

    fn last(&self) -> &PathInfo {
        self.paths.last().unwrap()
    }
}

/// A machine with nothing in its store, which trusts one key.
struct Reader {
    store: Store,
    home: TempDir,
    key: String,
}

impl Reader {
    fn that_trusts(key: &SecretKey) -> Self {
        Self {
            store: Store::empty(),
            home: tempfile::tempdir().unwrap(),
            key: key.public().to_string(),
        }
    }

    fn nix(&self, arguments: &[&str]) -> Ended {
        let mut command = self.store.command("nix");
        command
            .args(arguments)
            .args(["--option", "trusted-public-keys", &self.key])
            .args(["--option", "build-users-group", ""])
            // What a cache said is remembered by its address, which a later test may have again.
            .env("XDG_CACHE_HOME", self.home.path());
        run(&mut command)
    }

    /// Takes the last path, with all that it refers to.
    fn takes(&self, from: &str, signed: &Signed) -> Ended {
        self.nix(&["copy", "--from", from, signed.last().path.as_str()])
    }

    /// Fails the test unless every path is here, whole, and signed by the key.
    fn has(&self, signed: &Signed) {
        for info in &signed.paths {
            assert!(self.store.has(info.path.as_path()), "{}", info.path);
        }
        let last = signed.last().path.as_str();
        self.nix(&["store", "verify", "--recursive", "--sigs-needed", "1", last])
            .succeeded();
    }
}
