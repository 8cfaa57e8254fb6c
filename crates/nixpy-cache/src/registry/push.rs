//! Putting paths there: archives are made and sent several at a time, and become visible pack
//! by pack, references before referrers.
//!
//! Nothing is asked of blobs that a pack names already; of others only large ones are asked
//! for, since to send a small one costs no more. A registry that refuses, is full or does not
//! answer is given up for this push: what is left fails at once, with the same reason.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use nixpy_nix::StorePath;
use nixpy_nix::narinfo::NarInfo;
use nixpy_nix::path_info::PathInfo;
use nixpy_oci::blob::Content;
use nixpy_oci::digest::Digest;
use nixpy_oci::manifest::{Annotations, Descriptor, media_type};
use nixpy_oci::name::Tag;
use nixpy_oci::registry::RemoteError;
use tokio::task::JoinSet;

use super::Inner;
use super::documents::{Archives, Held, Listed, PACK, Pack, VERSION, manifest, pack_tag};
use super::making::{self, MEDIA_TYPE, Made};
use super::trouble::kind_of;
use super::units::{Unit, in_order, units};
use crate::error::{CacheError, CacheErrorKind};
use crate::store::Put;

/// Blobs that are asked for before they are sent.
const WORTH_ASKING: u64 = 1 << 20;
/// Pushes that fail in a row for a passing reason before the rest is given up.
const MOST_FAILURES: usize = 3;

/// A blob that is there, or why it is not.
struct Sent {
    pack: usize,
    made: Result<Stored, Vec<(PathInfo, CacheErrorKind)>>,
    failed: Vec<(PathInfo, CacheErrorKind)>,
    bytes: u64,
}

struct Stored {
    archives: Archives,
    paths: Vec<(NarInfo, u64)>,
}

/// Why this push is given up, once it is.
#[derive(Debug, Default)]
struct Patience(Mutex<(usize, Option<CacheErrorKind>)>);

pub(super) async fn put(cache: &Arc<Inner>, paths: &[PathInfo]) -> Put {
    let mut put = Put::default();
    let mut wanted = Vec::new();
    match choose(cache, paths, &mut put).await {
        Ok(chosen) => wanted = unbroken(cache, chosen, &mut put),
        Err(error) => {
            let all = paths.iter().map(|info| (info.path.clone(), error.clone()));
            put.failed.extend(all);
        }
    }
    if wanted.is_empty() {
        return put;
    }
    let (units, packs) = units(wanted);
    let mut waiting: Vec<usize> = vec![0; packs];
    units.iter().for_each(|unit| waiting[unit.pack] += 1);
    let patience = Arc::new(Patience::default());
    let mut under_way = JoinSet::new();
    for unit in units {
        under_way.spawn(send(Arc::clone(cache), Arc::clone(&patience), unit));
    }
    let mut stored: BTreeMap<usize, Vec<Stored>> = BTreeMap::new();
    let mut next = 0;
    while let Some(sent) = under_way.join_next().await {
        // A task that panicked has said so; its paths are told as failed below.
        let Ok(sent) = sent else { continue };
        put.sent += sent.bytes;
        fail(cache, &mut put, sent.failed);
        match sent.made {
            Ok(made) => stored.entry(sent.pack).or_default().push(made),
            Err(failed) => fail(cache, &mut put, failed),
        }
        waiting[sent.pack] -= 1;
        while next < packs && waiting[next] == 0 {
            let made = stored.remove(&next).unwrap_or_default();
            commit(cache, &patience, made, &mut put).await;
            next += 1;
        }
    }
    let told: BTreeSet<&StorePath> = put.failed.iter().map(|(path, _)| path).collect();
    let told = |path: &StorePath| told.contains(path) || put.stored.contains(path);
    let lost: Vec<StorePath> = paths
        .iter()
        .map(|info| &info.path)
        .filter(|it| !told(it))
        .cloned()
        .collect();
    for path in lost {
        let kind = CacheErrorKind::Here("making its archive stopped unexpectedly".to_owned());
        put.failed
            .push((path.clone(), cache.error(format!("store {path}"), kind)));
    }
    put
}

/// Those that are to be made: not there yet, and signed.
async fn choose(
    cache: &Arc<Inner>,
    paths: &[PathInfo],
    put: &mut Put,
) -> Result<Vec<PathInfo>, CacheError> {
    if cache.read_only {
        let kind = CacheErrorKind::Refused {
            message: "this run only reads it".to_owned(),
            cure: "push from a run that may write".to_owned(),
        };
        return Err(cache.error("store anything", kind));
    }
    let missing = cache.missing(paths).await?;
    let mut chosen = Vec::new();
    let mut unsigned = Vec::new();
    for info in paths {
        if !missing.contains(&info.path) {
            put.stored.insert(info.path.clone());
        } else if cache.trusted.iter().any(|key| key.has_signed(info)) {
            chosen.push(info.clone());
        } else {
            let message = "no key that this run trusts has signed it".to_owned();
            let cure = "make a key with `nixpy-ci cache key NAME`, and give it as signing key";
            let cure = cure.to_owned();
            unsigned.push((info.clone(), CacheErrorKind::Refused { message, cure }));
        }
    }
    fail(cache, put, unsigned);
    Ok(chosen)
}

/// Makes a blob and sends it.
async fn send(cache: Arc<Inner>, patience: Arc<Patience>, unit: Unit) -> Sent {
    let Unit { pack, paths, .. } = unit;
    let none = |paths: Vec<PathInfo>, kind: &CacheErrorKind| Sent {
        pack,
        made: Err(paths.into_iter().map(|info| (info, kind.clone())).collect()),
        failed: Vec::new(),
        bytes: 0,
    };
    let closed = || CacheErrorKind::Here("the run ends".to_owned());
    let Ok(_upload) = cache.uploads.acquire().await else {
        return none(paths, &closed());
    };
    if let Some(kind) = patience.lost() {
        return none(paths, &kind);
    }
    let made = {
        let Ok(_making) = cache.making.acquire().await else {
            return none(paths, &closed());
        };
        let (copy, place) = (paths.clone(), cache.place.clone());
        tokio::task::spawn_blocking(move || making::make(copy, &place)).await
    };
    let Made {
        digest,
        size,
        content,
        paths: made,
        failed,
    } = match made {
        Ok(Ok(made)) => made,
        Ok(Err(error)) => {
            let why = format!(
                "no archive can be written in {}: {error}",
                cache.place.display()
            );
            return none(paths, &CacheErrorKind::Here(why));
        }
        Err(_) => {
            let why = "making its archive stopped unexpectedly".to_owned();
            return none(paths, &CacheErrorKind::Here(why));
        }
    };
    let archives = Archives { digest, size };
    let mut bytes = 0;
    if !made.is_empty() {
        match blob(&cache, MEDIA_TYPE, digest, &content).await {
            Ok(sent) => bytes = sent,
            Err(error) => {
                let kind = kind_of(&error);
                patience.lose(&kind);
                let paths = made.into_iter().map(|(it, _)| (it.info, kind.clone()));
                return Sent {
                    pack,
                    made: Err(paths.collect()),
                    failed,
                    bytes: 0,
                };
            }
        }
        patience.gain();
    }
    Sent {
        pack,
        made: Ok(Stored {
            archives,
            paths: made,
        }),
        failed,
        bytes,
    }
}

/// Stores a blob unless it is there; how many bytes that took.
pub(super) async fn blob(
    cache: &Inner,
    media_type: &str,
    digest: Digest,
    content: &Content,
) -> Result<u64, RemoteError> {
    let size = content.len();
    let state = cache.state.read().await;
    let known = state
        .index
        .as_ref()
        .is_some_and(|it| it.blobs.contains(&digest));
    drop(state);
    if known || (size >= WORTH_ASKING && cache.registry.has_blob(digest).await?) {
        return Ok(0);
    }
    let descriptor = Descriptor {
        media_type: media_type.to_owned(),
        digest,
        size,
        platform: None,
        annotations: Annotations::new(),
    };
    cache.registry.put_blob(&descriptor, content).await?;
    // Should what names it fail, the next try need not send it again.
    if let Some(index) = &mut cache.state.write().await.index {
        index.blobs.insert(digest);
    }
    Ok(size)
}

/// Makes what was sent visible.
async fn commit(cache: &Inner, patience: &Patience, made: Vec<Stored>, put: &mut Put) {
    let (pack, infos) = packed(cache, made, put);
    if pack.paths.is_empty() {
        return;
    }
    let written = match patience.lost() {
        Some(kind) => Err(kind),
        None => write(cache, pack).await.map_err(|error| {
            let kind = kind_of(&error);
            patience.lose(&kind);
            kind
        }),
    };
    match written {
        Ok(bytes) => {
            put.sent += bytes;
            put.stored.extend(infos.into_iter().map(|info| info.path));
        }
        Err(kind) => fail(
            cache,
            put,
            infos.into_iter().map(|info| (info, kind.clone())),
        ),
    }
}

/// The pack of what was made, without those that refer to what has failed.
fn packed(cache: &Inner, made: Vec<Stored>, put: &mut Put) -> (Pack, Vec<PathInfo>) {
    let mut places = HashMap::new();
    let mut infos = Vec::new();
    for (number, stored) in made.iter().enumerate() {
        for (narinfo, offset) in &stored.paths {
            places.insert(&narinfo.info.path, (narinfo, number, *offset));
            infos.push(narinfo.info.clone());
        }
    }
    let kept = unbroken(cache, infos, put);
    let mut blobs = Vec::new();
    let mut numbers = HashMap::new();
    let mut paths = Vec::new();
    for info in &kept {
        let Some((narinfo, number, offset)) = places.get(&info.path) else {
            continue;
        };
        let number = *numbers.entry(*number).or_insert_with(|| {
            blobs.push(made[*number].archives);
            blobs.len() - 1
        });
        paths.push(Held::new(narinfo.to_string(), number, *offset));
    }
    let pack = Pack {
        version: VERSION,
        blobs,
        paths,
    };
    (pack, kept)
}

/// Those that refer to none that has failed, references first; the others fail as well.
fn unbroken(cache: &Inner, paths: Vec<PathInfo>, put: &mut Put) -> Vec<PathInfo> {
    let failed = put.failed.iter();
    let failed = failed.map(|(path, error)| (path.clone(), error.kind.clone()));
    let mut failed: HashMap<StorePath, CacheErrorKind> = failed.collect();
    let (mut kept, mut broken) = (Vec::new(), Vec::new());
    for info in in_order(paths) {
        match info
            .references
            .iter()
            .find_map(|it| failed.get(it))
            .cloned()
        {
            Some(kind) => {
                failed.insert(info.path.clone(), kind.clone());
                broken.push((info, kind));
            }
            None => kept.push(info),
        }
    }
    fail(cache, put, broken);
    kept
}

/// Stores a pack and takes it into the index; how many bytes that took.
async fn write(cache: &Inner, pack: Pack) -> Result<u64, RemoteError> {
    let json = pack.to_json();
    let tag = pack_tag(cache.now(), Digest::of(&json));
    let layers = pack.layers();
    let (manifest, bytes) = store(cache, &tag, (PACK, json), layers, &[]).await?;
    cache.has_written(tag.clone());
    cache.state.write().await.stored(Listed {
        tag,
        manifest,
        pack: Arc::new(pack),
    });
    Ok(bytes)
}

/// Stores a document with its layers under a tag: the manifest's digest, and how many bytes
/// that took.
pub(super) async fn store(
    cache: &Inner,
    tag: &Tag,
    (config_type, json): (&str, Vec<u8>),
    layers: Vec<Descriptor>,
    replaced: &[Digest],
) -> Result<(Digest, u64), RemoteError> {
    let config = Descriptor::of(config_type, &json);
    let content = Content::Memory(json.into());
    let sent = blob(cache, config_type, config.digest, &content).await?;
    let mut named: Vec<Digest> = layers.iter().map(|layer| layer.digest).collect();
    named.push(config.digest);
    let bytes = manifest(tag, config, layers, replaced);
    let put = cache
        .registry
        .put_manifest(media_type::MANIFEST, &bytes, Some(tag));
    if let Err(error) = put.await {
        // What was taken to be there is not: the next push sends it.
        if error.is_missing_blob()
            && let Some(index) = &mut cache.state.write().await.index
        {
            named
                .iter()
                .for_each(|digest| _ = index.blobs.remove(digest));
        }
        return Err(error);
    }
    Ok((Digest::of(&bytes), sent))
}

fn fail(
    cache: &Inner,
    put: &mut Put,
    failed: impl IntoIterator<Item = (PathInfo, CacheErrorKind)>,
) {
    for (info, kind) in failed {
        let act = format!("store {}", info.path);
        put.failed.push((info.path, cache.error(act, kind)));
    }
}

impl Patience {
    fn lost(&self) -> Option<CacheErrorKind> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.1.as_ref().cloned()
    }

    fn lose(&self, kind: &CacheErrorKind) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 += 1;
        let is_final = matches!(
            kind,
            CacheErrorKind::Refused { .. } | CacheErrorKind::Full(_)
        );
        if is_final || state.0 >= MOST_FAILURES {
            state.1.get_or_insert_with(|| kind.clone());
        }
    }

    fn gain(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = 0;
    }
}
