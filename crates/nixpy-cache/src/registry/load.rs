//! Reading what the repository holds: the list of tags, the catalog, and the packs that are
//! listed and not in the catalog. Three requests if there are none.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use nixpy_oci::digest::Digest;
use nixpy_oci::manifest::{Descriptor, Manifest, media_type};
use nixpy_oci::name::Tag;
use nixpy_oci::registry::{Registry, RemoteError, one_line};
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::documents::{
    Kind, LEAVING, LONGEST, Leaving, Listed, PACK, PART, Pack, Part, REACHED, REPLACED, Reached,
    VERSION, catalog_tag,
};
use super::index::{Index, Known};

/// Documents that are read at once.
const AT_ONCE: usize = 8;
/// What the index may take in memory. Room for 40,000 paths and more.
pub(super) const LARGEST: u64 = 32 << 20;
/// The same for who removes packs: shrinking a cache must not fail on its size.
pub(super) const LARGEST_TO_SHRINK: u64 = 2 << 30;
/// A path in memory beside its text: places, and where it is found by its hash.
const PATH: usize = 200;
/// A blob in memory: listed in its pack, and among all blobs.
const BLOB: usize = 150;
/// A pack in memory: its tag, several times.
const PACK_ALONE: usize = 1_000;
/// Kilobytes of documents that are under way at once, however many wait.
static UNDER_WAY: Semaphore = Semaphore::const_new((LONGEST >> 10) as usize);
/// Read from JSON one after another: in between it takes several times its size.
static PARSING: Semaphore = Semaphore::const_new(1);
/// Whoever deletes packs says so before, and has this long to do it. If it was killed, the
/// word is void after that.
pub(super) const LEAVING_FOR: Duration = Duration::from_secs(900);

/// What made no sense: subject and reason.
pub(super) type Troubles = Vec<(String, String)>;

/// What a look at the repository has found that was not known.
#[derive(Debug, Default)]
pub(super) struct News {
    /// All of them.
    pub(super) tags: BTreeSet<Tag>,
    pub(super) leaving: BTreeSet<Tag>,
    pub(super) packs: BTreeMap<Tag, Listed>,
    /// Packs that make no sense, or that there is no room for.
    pub(super) unreadable: BTreeSet<Tag>,
    /// The catalog's manifest, after those that it took the place of; once it has been read.
    pub(super) catalogs: Option<Vec<Digest>>,
    /// Packs that it holds.
    pub(super) catalogued: BTreeSet<Tag>,
    /// Its parts that have been read.
    pub(super) parts: BTreeSet<Digest>,
    pub(super) troubles: Troubles,
    size: u64,
}

impl News {
    /// How many documents have been read.
    pub(super) fn documents(&self) -> usize {
        self.packs.len() + self.unreadable.len() + self.parts.len()
    }

    /// Whether there was room for it.
    fn take(&mut self, listed: Listed, room: u64) -> bool {
        let size = self.size + size_of(&listed.pack);
        if size > room {
            return false;
        }
        self.size = size;
        self.packs.insert(listed.tag.clone(), listed);
        true
    }
}

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

/// All that the repository holds, for who removes some of it.
///
/// # Errors
/// The registry cannot be read.
pub(super) async fn load(
    registry: &Registry,
    now: SystemTime,
) -> Result<(Index, Troubles), RemoteError> {
    let (mut index, mut news) = (Index::default(), News::default());
    fetch(registry, &index.known(), &mut news, LARGEST_TO_SHRINK, now).await?;
    let troubles = std::mem::take(&mut news.troubles);
    index.take(news, &BTreeSet::new());
    Ok((index, troubles))
}

/// Finds what the repository holds and is not known yet, nor among the news of a look that
/// broke off. Who knows nothing begins with the catalog. What is known and all that is found
/// is as large as `largest` in memory, and no larger.
///
/// # Errors
/// The registry cannot be read; what was read of it by then is kept in the news.
pub(super) async fn fetch(
    registry: &Registry,
    known: &Known,
    news: &mut News,
    largest: u64,
    now: SystemTime,
) -> Result<(), RemoteError> {
    let room = largest.saturating_sub(known.size);
    news.tags = registry.tags().await?;
    let tags = &news.tags;
    news.packs.retain(|tag, _| tags.contains(tag));
    news.size = news.packs.values().map(|it| size_of(&it.pack)).sum();
    if !known.has_any && news.catalogs.is_none() && news.tags.contains(&catalog_tag()) {
        match catalog(registry, news, room).await {
            Ok(()) | Err(Unread::Gone) => {}
            Err(Unread::Senseless(why)) => news.troubles.push(("the catalog".to_owned(), why)),
            Err(Unread::Remote(error)) => return Err(error),
        }
    }
    news.leaving = leaving(registry, &news.tags, now).await?;
    let wanted = news.tags.iter().filter(|tag| {
        let is_pack = matches!(Kind::of(tag), Some(Kind::Pack(_)));
        let is_known = known.packs.contains(tag) || news.packs.contains_key(tag);
        is_pack && !is_known && !news.unreadable.contains(tag)
    });
    let wanted: Vec<Tag> = wanted.cloned().collect();
    let reads = wanted.iter().cloned().map(|tag| async move {
        let read = pack(registry, &tag).await;
        (tag, read)
    });
    // In their order, which is that of their age: what there is room for lacks no reference.
    let mut reads = stream::iter(reads).buffered(AT_ONCE);
    while let Some((tag, read)) = reads.next().await {
        let why = match read {
            Ok(listed) => match news.take(listed, room) {
                true => continue,
                false => {
                    let others = wanted.iter().skip_while(|it| **it != tag);
                    news.unreadable.extend(others.cloned());
                    let why = "it and those after it do not fit in memory; shrink the cache \
                               with `nixpy-ci cache gc`";
                    news.troubles
                        .push((format!("the pack {tag}"), why.to_owned()));
                    return Ok(());
                }
            },
            Err(Unread::Gone) => continue,
            Err(Unread::Senseless(why)) => why,
            Err(Unread::Remote(error)) => return Err(error),
        };
        news.troubles
            .push((format!("the pack {tag}"), one_line(&why)));
        news.unreadable.insert(tag);
    }
    Ok(())
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
    is_sound(&pack).map_err(Unread::Senseless)?;
    Ok(Listed {
        tag: tag.clone(),
        manifest: stored.descriptor.digest,
        pack: Arc::new(pack),
    })
}

/// Whether it is of the version that is known, and no larger than what it holds.
fn is_sound(pack: &Pack) -> Result<(), String> {
    of_version(pack.version)?;
    match pack.blobs.len() > pack.paths.len() {
        true => Err("it has more blobs than paths".to_owned()),
        false => Ok(()),
    }
}

async fn catalog(registry: &Registry, news: &mut News, room: u64) -> Result<(), Unread> {
    let stored = registry.resolve(&catalog_tag()).await?;
    let stored = stored.ok_or(Unread::Gone)?;
    let manifest = manifest(&stored.bytes)?;
    let replaced = manifest.annotations.get(REPLACED).map(String::as_str);
    let replaced = replaced.unwrap_or_default().split(' ');
    let mut catalogs: Vec<Digest> = replaced.filter_map(|it| it.parse().ok()).collect();
    catalogs.push(stored.descriptor.digest);
    let parts = manifest.layers.iter().filter(|it| it.media_type == PART);
    let parts = parts.filter(|it| !news.parts.contains(&it.digest)).cloned();
    let parts: Vec<Descriptor> = parts.collect();
    let reads = parts.into_iter().map(|part| part_of(registry, part));
    let mut reads = stream::iter(reads).buffered(2);
    while let Some((digest, part)) = reads.try_next().await? {
        for listed in part.packs {
            let is_wanted = news.tags.contains(&listed.tag) && is_sound(&listed.pack).is_ok();
            if !is_wanted || news.packs.contains_key(&listed.tag) {
                continue;
            }
            let tag = listed.tag.clone();
            if !news.take(listed, room) {
                // The packs themselves are looked at next, and it is told there.
                news.catalogs = Some(catalogs);
                return Ok(());
            }
            news.catalogued.insert(tag);
        }
        news.parts.insert(digest);
    }
    news.catalogs = Some(catalogs);
    Ok(())
}

async fn part_of(registry: &Registry, part: Descriptor) -> Result<(Digest, Part), Unread> {
    let (bytes, _under_way) = whole(registry, &part).await?;
    let _parsing = PARSING.acquire().await;
    let read = tokio::task::spawn_blocking(move || {
        let decoder = zstd::Decoder::new(bytes.as_slice()).map_err(|e| e.to_string())?;
        let mut json = Vec::new();
        let read = decoder.take(LONGEST).read_to_end(&mut json);
        read.map_err(|e| e.to_string())?;
        serde_json::from_slice::<Part>(&json).map_err(|e| one_line(&e.to_string()))
    });
    let read = read.await.map_err(|e| Unread::Senseless(e.to_string()))?;
    let read = read.map_err(Unread::Senseless)?;
    of_version(read.version).map_err(Unread::Senseless)?;
    Ok((part.digest, read))
}

/// Takes note of packs that somebody is about to delete.
async fn leaving(
    registry: &Registry,
    tags: &BTreeSet<Tag>,
    now: SystemTime,
) -> Result<BTreeSet<Tag>, RemoteError> {
    let young = tags.iter().filter(|tag| is_young(tag, now));
    let mut leaving = BTreeSet::new();
    for tag in young {
        let Some(stored) = registry.resolve(tag).await? else {
            continue;
        };
        match document::<Leaving>(registry, &stored.bytes, LEAVING).await {
            Ok(document) if document.version == VERSION => leaving.extend(document.packs),
            Err(Unread::Remote(error)) => return Err(error),
            _ => {}
        }
    }
    Ok(leaving)
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
        return Err(Unread::Senseless(one_line(&found)));
    }
    let (json, _under_way) = whole(registry, &manifest.config).await?;
    // Neither is ever closed.
    let _parsing = PARSING.acquire().await;
    serde_json::from_slice(&json).map_err(|e| Unread::Senseless(one_line(&e.to_string())))
}

fn manifest(bytes: &[u8]) -> Result<Manifest, Unread> {
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|e| Unread::Senseless(e.to_string()))?;
    match manifest.media_type == media_type::MANIFEST {
        true => Ok(manifest),
        false => Err(Unread::Senseless("it is no manifest".to_owned())),
    }
}

/// A small blob, and its share of what may be under way; its digest was checked on the way.
async fn whole(
    registry: &Registry,
    blob: &Descriptor,
) -> Result<(Vec<u8>, Option<SemaphorePermit<'static>>), Unread> {
    if blob.size > LONGEST {
        return Err(Unread::Senseless("it is too large".to_owned()));
    }
    let share = u32::try_from(blob.size.div_ceil(1 << 10)).unwrap_or(u32::MAX);
    let share = UNDER_WAY.acquire_many(share).await.ok();
    let reading = registry.read_blob(blob.digest, None).await?;
    let mut reading = reading.ok_or(Unread::Gone)?;
    let mut bytes = Vec::new();
    while let Some(piece) = reading.bytes.try_next().await? {
        if (bytes.len() + piece.len()) as u64 > blob.size {
            return Err(Unread::Senseless("it is larger than stated".to_owned()));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok((bytes, share))
}

fn of_version(version: u32) -> Result<(), String> {
    match version {
        VERSION => Ok(()),
        other => Err(format!(
            "it is of version {other}, which this program does not know"
        )),
    }
}

/// What it takes in memory.
pub(super) fn size_of(pack: &Pack) -> u64 {
    let paths = pack.paths.iter().map(|held| held.narinfo.len() + PATH);
    (PACK_ALONE + paths.sum::<usize>() + pack.blobs.len() * BLOB) as u64
}
