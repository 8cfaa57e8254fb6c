//! The end of a run: what it has reached, whether all of it is still there, and the catalog.
//!
//! A run that has stored nothing, on a day that knows what it has reached, makes no request.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, PoisonError};

use nixpy_nix::StorePath;
use nixpy_nix::path_info::PathInfo;
use nixpy_oci::blob::Content;
use nixpy_oci::digest::Digest;
use nixpy_oci::manifest::{Descriptor, to_bytes};
use nixpy_oci::name::Tag;

use super::Inner;
use super::documents::{
    CATALOG, Listed, PART, Part, REACHED, Reached, VERSION, catalog_config, catalog_tag,
    reached_tag,
};
use super::index::Index;
use super::known::Since;
use super::push::{blob, put, store};
use crate::error::{CacheError, CacheErrorKind};

/// A part of the catalog is closed when it is as large as this, as JSON. Packs are in the
/// order of their age, so that all parts but the last stay what they are.
const PART_SIZE: usize = 2 << 20;
/// Packs that the catalog may lack before a run that has stored nothing writes it.
const MOST_UNKNOWN: usize = 8;
/// Digests of former catalogs that are remembered.
const MOST_REPLACED: usize = 100;

pub(super) async fn close(cache: &Arc<Inner>, reached: &[StorePath]) -> Result<(), CacheError> {
    let written = cache
        .written
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    if cache.read_only || (reached.is_empty() && written.is_empty()) {
        return Ok(());
    }
    let mut paths: Vec<String> = reached.iter().map(StorePath::to_string).collect();
    paths.sort();
    paths.dedup();
    let json = to_bytes(&Reached {
        version: VERSION,
        paths,
    });
    let tag = reached_tag(cache.now(), Digest::of(&json));
    let (known, before, lacking) = {
        let index = cache.index(Since::Ever).await?;
        let lacking = index
            .packs
            .keys()
            .filter(|it| !index.catalogued.contains(it));
        let known = index.tags.contains(&tag) || reached.is_empty();
        (known, index.packs.clone(), lacking.count())
    };
    if known && written.is_empty() && lacking <= MOST_UNKNOWN {
        return Ok(());
    }
    if !known {
        let noted = store(cache, &tag, (REACHED, json), Vec::new(), &[]).await;
        noted.map_err(|error| cache.remote("note what was reached", &error))?;
    }
    let index = cache.index(Since::Now).await?;
    let lost = lost(&index, before, reached, &written);
    drop(index);
    restore(cache, lost).await?;
    write_catalog(cache).await
}

/// What somebody has deleted, or is about to, of what this run relies on.
fn lost(
    index: &Index,
    before: BTreeMap<Tag, Listed>,
    reached: &[StorePath],
    written: &[Tag],
) -> Vec<PathInfo> {
    let is_there = |tag: &Tag| index.packs.contains_key(tag) && !index.leaving.contains(tag);
    if before.keys().all(is_there) {
        return Vec::new();
    }
    let mut former = Index::default();
    let own: BTreeSet<&Tag> = written.iter().collect();
    let mut wanted: Vec<String> = reached.iter().map(|it| it.hash_part().to_owned()).collect();
    for (tag, listed) in before {
        if own.contains(&tag) {
            let paths = listed.pack.paths.iter().filter_map(|held| held.hash_part());
            wanted.extend(paths.map(str::to_owned));
        }
        former.insert(listed);
    }
    let mut seen = BTreeSet::new();
    let mut lost = Vec::new();
    while let Some(hash) = wanted.pop() {
        if !seen.insert(hash.clone()) {
            continue;
        }
        // Signed or not was found out when it counted as there.
        let Some(found) = former.find_any(&hash) else {
            continue;
        };
        let info = found.narinfo.info;
        wanted.extend(info.references.iter().map(|it| it.hash_part().to_owned()));
        if index.find_any(&hash).is_none() {
            lost.push(info);
        }
    }
    lost
}

/// Puts again what somebody has deleted.
async fn restore(cache: &Arc<Inner>, lost: Vec<PathInfo>) -> Result<(), CacheError> {
    if lost.is_empty() {
        return Ok(());
    }
    tracing::debug!(
        paths = lost.len(),
        "deleted by somebody meanwhile; put again"
    );
    match put(cache, &lost).await.failed.into_iter().next() {
        None => Ok(()),
        Some((path, error)) => {
            let why = format!("it was deleted by somebody meanwhile, and {error}");
            let act = format!("keep {path}");
            Err(cache.error(act, CacheErrorKind::Broken(why)))
        }
    }
}

/// Writes what the index holds over the catalog.
pub(super) async fn write_catalog(cache: &Arc<Inner>) -> Result<(), CacheError> {
    let (packs, catalogs) = {
        let index = cache.index(Since::Ever).await?;
        let packs = index
            .packs
            .values()
            .filter(|it| !index.leaving.contains(&it.tag));
        (packs.cloned().collect::<Vec<_>>(), index.catalogs.clone())
    };
    write_catalog_of(cache, packs, catalogs).await
}

/// Writes the catalog of these packs.
pub(super) async fn write_catalog_of(
    cache: &Inner,
    packs: Vec<Listed>,
    catalogs: Vec<Digest>,
) -> Result<(), CacheError> {
    const ACT: &str = "write its catalog";
    let tags: BTreeSet<Tag> = packs.iter().map(|it| it.tag.clone()).collect();
    let made = tokio::task::spawn_blocking(move || parts(&packs)).await;
    let made = made.map_err(io::Error::other).and_then(|parts| parts);
    let made = made.map_err(|error| cache.error(ACT, CacheErrorKind::Here(error.to_string())))?;
    let mut layers = Vec::new();
    for part in made {
        let layer = Descriptor::of(PART, &part);
        let sent = blob(cache, PART, layer.digest, &Content::Memory(part.into())).await;
        sent.map_err(|error| cache.remote(ACT, &error))?;
        layers.push(layer);
    }
    let parts: Vec<Digest> = layers.iter().map(|layer| layer.digest).collect();
    let replaced = &catalogs[catalogs.len().saturating_sub(MOST_REPLACED)..];
    let config = (CATALOG, catalog_config());
    let stored = store(cache, &catalog_tag(), config, layers, replaced).await;
    let (digest, _) = stored.map_err(|error| cache.remote(ACT, &error))?;
    if let Some(index) = &mut cache.state.write().await.index {
        index.blobs.extend(parts);
        index.catalogued = tags;
        index.catalogs.push(digest);
    }
    Ok(())
}

/// The packs as parts of a catalog, compressed.
fn parts(packs: &[Listed]) -> io::Result<Vec<Vec<u8>>> {
    let mut parts = Vec::new();
    let (mut size, mut gathered) = (0, Vec::new());
    for listed in packs {
        let paths = listed.pack.paths.iter().map(|held| held.narinfo.len());
        size += paths.sum::<usize>();
        gathered.push(listed.clone());
        if size >= PART_SIZE {
            parts.push(part(std::mem::take(&mut gathered))?);
            size = 0;
        }
    }
    if !gathered.is_empty() {
        parts.push(part(gathered)?);
    }
    Ok(parts)
}

fn part(packs: Vec<Listed>) -> io::Result<Vec<u8>> {
    let json = to_bytes(&Part {
        version: VERSION,
        packs,
    });
    zstd::encode_all(json.as_slice(), 3)
}
