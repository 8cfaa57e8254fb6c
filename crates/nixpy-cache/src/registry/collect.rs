//! Removing what no recent run has reached.
//!
//! What goes is decided first (`plan`). Then packs of which a part lives are written anew,
//! without sending a blob; the catalog without those that go; and a tag that names them, for
//! whoever pushes at this moment. After that the list is read again: what was reached or
//! stored meanwhile is kept. Only then is anything deleted, referrers first. So it can be
//! stopped at any moment, and whoever reads finds no path without its references.
//!
//! Blobs that no manifest names any more are the registry's own affair (`registry
//! garbage-collect`, for distribution).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use nixpy_oci::digest::Digest;
use nixpy_oci::manifest::to_bytes;
use nixpy_oci::name::Tag;
use serde::Serialize;

use super::closing::write_catalog_of;
use super::documents::{
    Archives, Held, Kind, LEAVING, Leaving, Listed, PACK, Pack, VERSION, leaving_tag, pack_tag,
};
use super::index::Index;
use super::load::{LEAVING_FOR, load, reached};
use super::plan::{Plan, Set, plan, referrers_first};
use super::push::store;
use super::{Inner, RegistryCache};
use crate::error::{CacheError, CacheErrorKind};

/// Documents that are read at once.
const AT_ONCE: usize = 8;
/// The catalog, and the one before, which was deleted after it had been named in this one.
const USUAL_CATALOGS: usize = 2;

/// What is to be kept. Without either, all that is there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keep {
    /// What was reached no longer ago than this.
    pub age: Option<Duration>,
    /// So many bytes.
    pub size: Option<u64>,
}

/// What was kept and what was removed; of a dry run, what would have been.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Collected {
    /// Nothing was changed.
    pub dry_run: bool,
    /// Paths that are kept.
    pub paths_kept: usize,
    /// Paths that are not.
    pub paths_removed: usize,
    /// Packs deleted.
    pub packs_removed: usize,
    /// Packs of which a part was kept.
    pub packs_rewritten: usize,
    /// Packs that were to be removed and were needed by somebody meanwhile.
    pub packs_spared: usize,
    /// What runs had reached and does not count any more.
    pub runs_forgotten: usize,
    /// Bytes of archives that are kept.
    pub bytes_kept: u64,
    /// Bytes of archives that nothing names any more: free once the registry has collected
    /// its own garbage.
    pub bytes_freed: u64,
    /// Even what is kept in any case is larger than was asked for: what the last run reached,
    /// and what is younger than an hour.
    pub is_too_large: bool,
}

/// What happens meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CollectEvent {
    /// All was read.
    Read {
        /// Packs.
        packs: usize,
        /// Paths in them, each once.
        paths: usize,
    },
    /// A pack was written anew.
    Rewritten {
        /// Its tag, and the new one.
        from: Tag,
        /// The new one.
        to: Tag,
    },
    /// A pack was deleted.
    Deleted(Tag),
    /// A pack was to be deleted, and is needed by somebody meanwhile.
    Spared(Tag),
}

/// Removes what is not to be kept.
///
/// # Errors
/// The registry cannot be read or written, or lets nothing be deleted. What was not deleted
/// by then is by the next call.
pub async fn collect(
    cache: &RegistryCache,
    keep: Keep,
    dry_run: bool,
    now: SystemTime,
    mut on_event: impl FnMut(CollectEvent),
) -> Result<Collected, CacheError> {
    let cache = &*cache.0;
    let (index, sets) = read(cache, now).await?;
    let before = plan(&index.packs, &sets, keep, now);
    let paths = paths(&index.packs);
    on_event(CollectEvent::Read {
        packs: index.packs.len(),
        paths: paths.len(),
    });
    let mut collected = Collected {
        dry_run,
        paths_kept: paths.iter().filter(|it| before.live.contains(**it)).count(),
        packs_removed: before.packs.len(),
        packs_rewritten: before.packs.values().filter(|it| !it.is_empty()).count(),
        packs_spared: 0,
        runs_forgotten: before.forgotten.len(),
        bytes_kept: before.kept,
        bytes_freed: before.freed,
        is_too_large: before.is_too_large,
        paths_removed: 0,
    };
    collected.paths_removed = paths.len() - collected.paths_kept;
    let is_idle =
        before.packs.is_empty() && before.forgotten.is_empty() && voided(&index, now).is_empty();
    if dry_run || (is_idle && index.catalogs.len() <= USUAL_CATALOGS) {
        return Ok(collected);
    }
    if cache.read_only {
        let message = "this run only reads it".to_owned();
        let cure = "collect from a run that may write".to_owned();
        let kind = CacheErrorKind::Refused { message, cure };
        return Err(cache.error("delete anything", kind));
    }
    // Of no manifest: whether anything can be deleted is known before anything is written.
    delete(cache, Digest::of(b"nothing")).await?;
    let (current, former) = match index.catalogs.split_last() {
        Some((current, former)) => (Some(*current), former),
        None => (None, &[][..]),
    };
    for manifest in former {
        delete(cache, *manifest).await?;
    }
    let mut ended = voided(&index, now);
    if !before.packs.is_empty() {
        let rewritten = rewrite(cache, &index, &before, &mut on_event).await?;
        let kept = index
            .packs
            .values()
            .filter(|it| !before.packs.contains_key(&it.tag));
        let kept: Vec<Listed> = sorted(kept.cloned().chain(rewritten));
        write_catalog_of(cache, kept, current.into_iter().collect()).await?;
        ended.extend(current);
        ended.push(announce(cache, &before, now).await?);
    }
    let (index, sets) = read(cache, now).await?;
    let after = plan(&index.packs, &sets, keep, now);
    let mut leaving = BTreeSet::new();
    for (tag, written) in before.packs {
        match after.packs.get(&tag) {
            Some(living) if living.iter().all(|path| written.contains(path)) => {
                leaving.insert(tag);
            }
            // Somebody else was quicker.
            None if !index.packs.contains_key(&tag) => {}
            _ => {
                collected.packs_spared += 1;
                collected.packs_removed -= 1;
                on_event(CollectEvent::Spared(tag));
            }
        }
    }
    for (_, manifest) in &after.forgotten {
        delete(cache, *manifest).await?;
    }
    for tag in referrers_first(leaving, &index.packs) {
        if let Some(listed) = index.packs.get(&tag) {
            delete(cache, listed.manifest).await?;
            on_event(CollectEvent::Deleted(tag));
        }
    }
    // Last of all what nobody looks at any more.
    for manifest in ended {
        delete(cache, manifest).await?;
    }
    cache.forget().await;
    Ok(collected)
}

async fn read(cache: &Inner, now: SystemTime) -> Result<(Index, Vec<Set>), CacheError> {
    const ACT: &str = "list its paths";
    let mut index = Index::default();
    let loaded = load(&cache.registry, &mut index, now).await;
    let troubles = loaded.map_err(|error| cache.remote(ACT, &error))?;
    // What cannot be read may be needed by what can: nothing is decided without it.
    if let Some((what, why)) = troubles.into_iter().next() {
        let kind = CacheErrorKind::Broken(format!("{what}: {why}"));
        return Err(cache.error("tell what is needed", kind));
    }
    let tags = index.tags.iter();
    let tags =
        tags.filter(|tag| matches!(Kind::of(tag), Some(Kind::Reached(_) | Kind::Leaving(_))));
    let reads = tags.cloned().map(|tag| async move {
        let read = reached(&cache.registry, &tag).await?;
        Ok(read.map(|(manifest, reached)| Set {
            tag,
            manifest,
            paths: reached.map(|reached| reached.paths),
        }))
    });
    let reads = stream::iter(reads).buffer_unordered(AT_ONCE);
    let sets: Result<Vec<Option<Set>>, _> = reads.try_collect().await;
    let sets = sets.map_err(|error| cache.remote(ACT, &error))?;
    let sets: Vec<Set> = sets.into_iter().flatten().collect();
    let (markers, sets) = sets
        .into_iter()
        .partition::<Vec<_>, _>(|set| matches!(Kind::of(&set.tag), Some(Kind::Leaving(_))));
    index.markers = markers
        .into_iter()
        .map(|it| (it.tag, it.manifest))
        .collect();
    Ok((index, sets))
}

/// What others have announced and did not end.
fn voided(index: &Index, now: SystemTime) -> Vec<Digest> {
    let markers = index.markers.iter().filter(|(tag, _)| match Kind::of(tag) {
        Some(Kind::Leaving(since)) => now.duration_since(since).unwrap_or_default() > LEAVING_FOR,
        _ => false,
    });
    markers.map(|(_, manifest)| *manifest).collect()
}

/// Writes anew the packs of which a part lives, with what lives of them. They keep their age.
async fn rewrite(
    cache: &Inner,
    index: &Index,
    plan: &Plan,
    on_event: &mut impl FnMut(CollectEvent),
) -> Result<Vec<Listed>, CacheError> {
    let mut rewritten = Vec::new();
    for (tag, living) in plan.packs.iter().filter(|(_, living)| !living.is_empty()) {
        let (Some(listed), Some(Kind::Pack(written))) = (index.packs.get(tag), Kind::of(tag))
        else {
            continue;
        };
        let pack = part_of(&listed.pack, living);
        let json = pack.to_json();
        let to = pack_tag(written, Digest::of(&json));
        let layers = pack.layers();
        let stored = store(cache, &to, (PACK, json), layers, &[]).await;
        let (manifest, _) =
            stored.map_err(|error| cache.remote(format!("write {tag} anew"), &error))?;
        on_event(CollectEvent::Rewritten {
            from: tag.clone(),
            to: to.clone(),
        });
        rewritten.push(Listed {
            tag: to,
            manifest,
            pack: Arc::new(pack),
        });
    }
    Ok(rewritten)
}

fn part_of(pack: &Pack, living: &[usize]) -> Pack {
    let mut blobs: Vec<Archives> = Vec::new();
    let mut numbers = BTreeMap::new();
    let mut paths = Vec::new();
    for held in living.iter().filter_map(|number| pack.paths.get(*number)) {
        let Some(blob) = pack.blobs.get(held.blob) else {
            continue;
        };
        let number = *numbers.entry(held.blob).or_insert_with(|| {
            blobs.push(*blob);
            blobs.len() - 1
        });
        paths.push(Held::new(held.narinfo.clone(), number, held.offset));
    }
    Pack {
        version: VERSION,
        blobs,
        paths,
    }
}

/// Says which packs leave, to whoever pushes at this moment.
async fn announce(cache: &Inner, plan: &Plan, now: SystemTime) -> Result<Digest, CacheError> {
    let json = to_bytes(&Leaving {
        version: VERSION,
        packs: plan.packs.keys().cloned().collect(),
    });
    let tag = leaving_tag(now, Digest::of(&json));
    let stored = store(cache, &tag, (LEAVING, json), Vec::new(), &[]).await;
    let (manifest, _) = stored.map_err(|error| cache.remote("announce what is deleted", &error))?;
    Ok(manifest)
}

async fn delete(cache: &Inner, manifest: Digest) -> Result<(), CacheError> {
    let deleted = cache.registry.delete_manifest(manifest).await;
    deleted.map_err(|error| cache.remote("delete what nobody needs", &error))?;
    Ok(())
}

fn paths(packs: &BTreeMap<Tag, Listed>) -> BTreeSet<&str> {
    let held = packs.values().flat_map(|listed| &listed.pack.paths);
    held.filter_map(Held::hash_part).collect()
}

fn sorted(packs: impl Iterator<Item = Listed>) -> Vec<Listed> {
    let packs: BTreeMap<Tag, Listed> = packs.map(|it| (it.tag.clone(), it)).collect();
    packs.into_values().collect()
}
