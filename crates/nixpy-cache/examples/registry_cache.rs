//! Drives the cache in a registry for `bench/caches.py`, and nothing else: pushes the closure
//! of a path, or reads all of it back, and says in JSON what that took.
//!
//! ```text
//! registry_cache push|read HOST/NAME KEYFILE PATH
//! ```
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use nixpy_cache::{CacheSettings, RegistryCache, Source as _, Store as _};
use nixpy_nix::Nix;
use nixpy_nix::path_info::{PathInfo, path_info};
use nixpy_nix::signing::SecretKey;
use nixpy_oci::registry::{Credentials, Registry, RegistryOptions};
use serde_json::json;

/// As many as Nix reads at once.
const READS: usize = 16;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [act, repository, key, path] = arguments.as_slice() else {
        return Err("registry_cache push|read HOST/NAME KEYFILE PATH".into());
    };
    let key: SecretKey = std::fs::read_to_string(key)?.parse()?;
    let path = path.parse()?;
    let nix = Nix::find(None)?;
    let mut paths = path_info(&nix, std::slice::from_ref(&path), true).await?;
    for info in &mut paths {
        info.signatures = vec![key.sign(info)];
    }
    let registry = Registry::new(
        repository.parse()?,
        Credentials::Anonymous,
        RegistryOptions::default(),
    )?;
    let settings = CacheSettings::default();
    let cache = RegistryCache::new(repository.clone(), registry, vec![key.public()], &settings);
    let begun = Instant::now();
    let told = match act.as_str() {
        "push" => {
            cache.missing(&paths).await?;
            let put = cache.put(&paths).await;
            if let Some((_, error)) = put.failed.into_iter().next() {
                return Err(error.into());
            }
            cache.close(&[path]).await?;
            json!({ "paths": put.stored.len(), "sent_bytes": put.sent })
        }
        "read" => read(Arc::new(cache), paths).await?,
        other => return Err(format!("{other} is neither push nor read").into()),
    };
    println!(
        "{}",
        json!({ "seconds": begun.elapsed().as_secs_f64(), "told": told })
    );
    Ok(())
}

/// Every archive, as it is stored.
async fn read(
    cache: Arc<RegistryCache>,
    paths: Vec<PathInfo>,
) -> Result<serde_json::Value, Box<dyn Error>> {
    let reads = paths.into_iter().map(|info| {
        let cache = Arc::clone(&cache);
        async move {
            let narinfo = cache.narinfo(info.path.hash_part()).await?;
            let narinfo = narinfo.ok_or_else(|| format!("{} is not there", info.path))?;
            let nar = cache.nar(&narinfo.url, None).await?;
            let nar = nar.ok_or_else(|| format!("{} has no archive", info.path))?;
            let sizes = nar.bytes.map_ok(|piece| piece.len() as u64);
            let sizes: Vec<u64> = sizes.try_collect().await?;
            Ok::<u64, Box<dyn Error>>(sizes.iter().sum())
        }
    });
    let sizes: Vec<u64> = stream::iter(reads)
        .buffer_unordered(READS)
        .try_collect()
        .await?;
    Ok(json!({ "paths": sizes.len(), "read_bytes": sizes.iter().sum::<u64>() }))
}
