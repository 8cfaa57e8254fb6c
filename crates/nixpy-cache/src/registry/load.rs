//! Reading what the repository holds: the list of tags, the catalog, and the packs that are
//! listed and not in the catalog. Three requests if there are none.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use nixpy_oci::digest::Digest;
use nixpy_oci::manifest::{Descriptor, Manifest, media_type};
use nixpy_oci::name::Tag;
use nixpy_oci::registry::{Registry, RemoteError};
use serde::de::DeserializeOwned;

use super::documents::{
    Kind, LEAVING, LONGEST, Leaving, Listed, PACK, PART, Pack, Part, REACHED, REPLACED, Reached,
    VERSION, catalog_tag,
};
use super::index::Index;

/// Documents that are read at once.
const AT_ONCE: usize = 8;
/// Text of all packs together: what the index may take in memory. Room for 60,000 paths.
const LARGEST: u64 = 40 << 20;
/// Whoever deletes packs says so before, and has this long to do it. If it was killed, the
/// word is void after that.
pub(super) const LEAVING_FOR: Duration = Duration::from_secs(900);

/// What made no sense: subject and reason.
pub(super) type Troubles = Vec<(String, String)>;

/// Why a document is not used.
enum Unread {
    /// It is not there any more: somebody has deleted it meanwhile.
    Gone,
    Senseless(String),
    Remote(RemoteError),
}

impl From<RemoteError> for Unread {
    fn from(error: RemoteError) -> Self {
        Self::Remote(error)
    }
}

/// Brings the index to what the repository holds now. What was read before is not read
/// again; an index that is empty begins with the catalog.
///
/// # Errors
/// The registry cannot be read; what is in the index then is true, and may lack packs.
pub(super) async fn load(
    registry: &Registry,
    index: &mut Index,
    now: SystemTime,
) -> Result<Troubles, RemoteError> {
    let tags = registry.tags().await?;
    let mut troubles = Vec::new();
    let is_new = index.packs.is_empty();
    *index = std::mem::take(index).only(tags);
    let mut room = LARGEST - index_size(index).min(LARGEST);
    if is_new && index.tags.contains(&catalog_tag()) {
        match catalog(registry, index, &mut room).await {
            Ok(()) | Err(Unread::Gone) => {}
            Err(Unread::Senseless(why)) => troubles.push(("the catalog".to_owned(), why)),
            Err(Unread::Remote(error)) => return Err(error),
        }
    }
    leaving(registry, index, now).await?;
    let wanted = index.tags.iter().filter(|tag| {
        let is_pack = matches!(Kind::of(tag), Some(Kind::Pack(_)));
        is_pack && !index.packs.contains_key(tag) && !index.unreadable.contains(tag)
    });
    let wanted: Vec<Tag> = wanted.cloned().collect();
    let reads = wanted.into_iter().map(|tag| async move {
        let read = pack(registry, &tag).await;
        (tag, read)
    });
    let mut reads = stream::iter(reads).buffer_unordered(AT_ONCE);
    while let Some((tag, read)) = reads.next().await {
        let why = match read {
            Ok(listed) if size_of(&listed.pack) <= room => {
                room -= size_of(&listed.pack);
                index.insert(listed);
                continue;
            }
            Ok(_) => "the cache holds more than fits in memory; shrink it with `nixpy-ci cache gc`"
                .to_owned(),
            Err(Unread::Gone) => continue,
            Err(Unread::Senseless(why)) => why,
            Err(Unread::Remote(error)) => return Err(error),
        };
        troubles.push((format!("the pack {tag}"), why));
        index.unreadable.insert(tag);
    }
    Ok(troubles)
}

/// What the run that set this tag had in hand; `None` if it cannot be told.
pub(super) async fn reached(
    registry: &Registry,
    tag: &Tag,
) -> Result<Option<(Digest, Option<Reached>)>, RemoteError> {
    let Some(stored) = registry.resolve(tag).await? else {
        return Ok(None);
    };
    let digest = stored.descriptor.digest;
    let read = document::<Reached>(registry, &stored.bytes, REACHED).await;
    match read {
        Ok(reached) if reached.version == VERSION => Ok(Some((digest, Some(reached)))),
        Err(Unread::Remote(error)) => Err(error),
        _ => Ok(Some((digest, None))),
    }
}

async fn pack(registry: &Registry, tag: &Tag) -> Result<Listed, Unread> {
    let stored = registry.resolve(tag).await?.ok_or(Unread::Gone)?;
    let pack: Pack = document(registry, &stored.bytes, PACK).await?;
    of_version(pack.version)?;
    Ok(Listed {
        tag: tag.clone(),
        manifest: stored.descriptor.digest,
        pack: Arc::new(pack),
    })
}

async fn catalog(registry: &Registry, index: &mut Index, room: &mut u64) -> Result<(), Unread> {
    let stored = registry.resolve(&catalog_tag()).await?;
    let stored = stored.ok_or(Unread::Gone)?;
    let manifest = manifest(&stored.bytes)?;
    let replaced = manifest.annotations.get(REPLACED).map(String::as_str);
    let replaced = replaced.unwrap_or_default().split(' ');
    index.catalogs = replaced.filter_map(|it| it.parse().ok()).collect();
    index.catalogs.push(stored.descriptor.digest);
    let parts = manifest.layers.iter().filter(|it| it.media_type == PART);
    let parts: Vec<Descriptor> = parts.cloned().collect();
    let reads = parts.into_iter().map(|part| part_of(registry, part));
    let mut reads = stream::iter(reads).buffered(2);
    while let Some(part) = reads.try_next().await? {
        index.blobs.insert(part.0);
        for listed in part.1.packs {
            if !index.tags.contains(&listed.tag) || index.packs.contains_key(&listed.tag) {
                continue;
            }
            let size = size_of(&listed.pack);
            if size <= *room && listed.pack.version == VERSION {
                *room -= size;
                index.catalogued.insert(listed.tag.clone());
                index.insert(listed);
            }
        }
    }
    Ok(())
}

async fn part_of(registry: &Registry, part: Descriptor) -> Result<(Digest, Part), Unread> {
    let bytes = whole(registry, &part).await?;
    let read = tokio::task::spawn_blocking(move || {
        let decoder = zstd::Decoder::new(bytes.as_slice()).map_err(|e| e.to_string())?;
        let mut json = Vec::new();
        let read = decoder.take(LONGEST).read_to_end(&mut json);
        read.map_err(|e| e.to_string())?;
        serde_json::from_slice::<Part>(&json).map_err(|e| e.to_string())
    });
    let read = read.await.map_err(|e| Unread::Senseless(e.to_string()))?;
    let read = read.map_err(Unread::Senseless)?;
    of_version(read.version)?;
    Ok((part.digest, read))
}

/// Takes note of packs that somebody is about to delete.
async fn leaving(
    registry: &Registry,
    index: &mut Index,
    now: SystemTime,
) -> Result<(), RemoteError> {
    let young: Vec<Tag> = index
        .tags
        .iter()
        .filter(|tag| is_young(tag, now))
        .cloned()
        .collect();
    let mut leaving = BTreeSet::new();
    for tag in young {
        let Some(stored) = registry.resolve(&tag).await? else {
            continue;
        };
        match document::<Leaving>(registry, &stored.bytes, LEAVING).await {
            Ok(document) if document.version == VERSION => leaving.extend(document.packs),
            Err(Unread::Remote(error)) => return Err(error),
            _ => {}
        }
    }
    index.leaving = leaving;
    Ok(())
}

fn is_young(tag: &Tag, now: SystemTime) -> bool {
    let Some(Kind::Leaving(since)) = Kind::of(tag) else {
        return false;
    };
    // Another machine's clock may be ahead.
    now.duration_since(since).unwrap_or_default() < LEAVING_FOR
}

/// The config of a manifest, if it is of this type.
async fn document<T: DeserializeOwned>(
    registry: &Registry,
    manifest: &[u8],
    wanted: &str,
) -> Result<T, Unread> {
    let manifest = self::manifest(manifest)?;
    if manifest.config.media_type != wanted {
        let found = format!("it is a {}", manifest.config.media_type);
        return Err(Unread::Senseless(found));
    }
    let json = whole(registry, &manifest.config).await?;
    serde_json::from_slice(&json).map_err(|e| Unread::Senseless(e.to_string()))
}

fn manifest(bytes: &[u8]) -> Result<Manifest, Unread> {
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|e| Unread::Senseless(e.to_string()))?;
    match manifest.media_type == media_type::MANIFEST {
        true => Ok(manifest),
        false => Err(Unread::Senseless("it is no manifest".to_owned())),
    }
}

/// A small blob; its digest was checked on the way.
async fn whole(registry: &Registry, blob: &Descriptor) -> Result<Vec<u8>, Unread> {
    if blob.size > LONGEST {
        return Err(Unread::Senseless("it is too large".to_owned()));
    }
    let reading = registry.read_blob(blob.digest, None).await?;
    let mut reading = reading.ok_or(Unread::Gone)?;
    let mut bytes = Vec::new();
    while let Some(piece) = reading.bytes.try_next().await? {
        bytes.extend_from_slice(&piece);
        if bytes.len() as u64 > blob.size {
            return Err(Unread::Senseless("it is larger than stated".to_owned()));
        }
    }
    Ok(bytes)
}

fn of_version(version: u32) -> Result<(), Unread> {
    match version {
        VERSION => Ok(()),
        other => Err(Unread::Senseless(format!(
            "it is of version {other}, which this program does not know"
        ))),
    }
}

fn size_of(pack: &Pack) -> u64 {
    let text = pack.paths.iter().map(|held| held.narinfo.len() + 200);
    text.sum::<usize>() as u64
}

fn index_size(index: &Index) -> u64 {
    index.packs.values().map(|it| size_of(&it.pack)).sum()
}
