//! What the repository holds, in memory: a path is found without a request.
//!
//! Narinfos are kept as their text and looked at when they are asked for: to read and to
//! verify ten thousand takes most of a second (80 µs for a signature), and a run asks for
//! some hundreds. A path may be there several times; the oldest that counts is given.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nixpy_nix::narinfo::NarInfo;
use nixpy_nix::signing::PublicKey;
use nixpy_oci::digest::Digest;
use nixpy_oci::name::Tag;

use super::documents::{Archives, Held, Listed, Pack};

/// What the repository holds.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Every tag there was.
    pub(super) tags: BTreeSet<Tag>,
    /// Those packs that are listed and could be read.
    pub(super) packs: BTreeMap<Tag, Listed>,
    /// Packs that are listed and make no sense: not read again.
    pub(super) unreadable: BTreeSet<Tag>,
    /// Packs that are about to be deleted: what only they hold does not count as there.
    pub(super) leaving: BTreeSet<Tag>,
    /// What announces them, with its manifest; only for who deletes.
    pub(super) markers: Vec<(Tag, Digest)>,
    /// Packs that the catalog holds, as far as is known.
    pub(super) catalogued: BTreeSet<Tag>,
    /// The catalog's manifest, after those that it took the place of.
    pub(super) catalogs: Vec<Digest>,
    /// Blobs that a pack names.
    pub(super) blobs: HashSet<Digest>,
    by_hash: HashMap<Box<str>, Vec<Place>>,
}

/// A pack, the number of the path in it, and the pack's tag.
type Place = (Arc<Pack>, usize, Tag);

/// A path that counts.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) narinfo: NarInfo,
    pub(super) archives: Archives,
    pub(super) offset: u64,
    /// Of the archive as it is compressed.
    pub(super) size: u64,
    pub(super) hash: Digest,
    pub(super) pack: Arc<Pack>,
    pub(super) path: usize,
}

/// Why an entry does not count.
pub(super) struct Refused {
    pub(super) what: String,
    pub(super) why: String,
}

impl Index {
    pub(super) fn insert(&mut self, listed: Listed) {
        self.blobs
            .extend(listed.pack.blobs.iter().map(|blob| blob.digest));
        for (number, held) in listed.pack.paths.iter().enumerate() {
            if let Some(hash) = held.hash_part() {
                let places = self.by_hash.entry(hash.into()).or_default();
                places.push((Arc::clone(&listed.pack), number, listed.tag.clone()));
            }
        }
        self.tags.insert(listed.tag.clone());
        self.packs.insert(listed.tag.clone(), listed);
    }

    /// Without the packs that are not listed any more; the rest is kept as it is, with what
    /// was found out about it.
    pub(super) fn only(self, tags: BTreeSet<Tag>) -> Self {
        let mut index = Self {
            unreadable: &self.unreadable & &tags,
            leaving: &self.leaving & &tags,
            catalogued: self.catalogued,
            catalogs: self.catalogs,
            ..Self::default()
        };
        let kept = self.packs.into_values();
        let kept: Vec<Listed> = kept.filter(|it| tags.contains(&it.tag)).collect();
        kept.into_iter().for_each(|listed| index.insert(listed));
        index.tags = tags;
        index
    }

    /// The path with this hash part, if one that counts is there, and those that do not count.
    pub(super) fn find(&self, hash: &str, trusted: &[PublicKey]) -> (Option<Found>, Vec<Refused>) {
        let mut refused = Vec::new();
        for (pack, path, tag) in self.by_hash.get(hash).into_iter().flatten() {
            if self.leaving.contains(tag) || pack.paths[*path].damaged.load(Ordering::Relaxed) {
                continue;
            }
            let held = &pack.paths[*path];
            if held.counts.get() == Some(&false) {
                continue;
            }
            let found = read(pack, *path).and_then(|found| match held.counts.get() {
                Some(_) => Ok(found),
                None => verified(found, trusted),
            });
            let _ = held.counts.set(found.is_ok());
            match found {
                Ok(found) => return (Some(found), refused),
                Err(why) => {
                    let line = held.narinfo.lines().next().unwrap_or_default();
                    let what = line.trim_start_matches("StorePath: ").chars();
                    let what = what.take(300).collect();
                    refused.push(Refused { what, why });
                }
            }
        }
        (None, refused)
    }
}

impl Index {
    /// The path with this hash part, whoever has signed it, as the first pack has it that does
    /// not leave.
    pub(super) fn find_any(&self, hash: &str) -> Option<Found> {
        let places = self.by_hash.get(hash).into_iter().flatten();
        let mut places = places.filter(|(_, _, tag)| !self.leaving.contains(tag));
        places.find_map(|(pack, path, _)| read(pack, *path).ok())
    }
}

/// The entry, if it makes sense.
fn read(pack: &Arc<Pack>, path: usize) -> Result<Found, String> {
    let held: &Held = &pack.paths[path];
    let mut narinfo: NarInfo = held.narinfo.parse().map_err(|e| format!("{e}"))?;
    let (Some(hash), Some(size)) = (narinfo.file_hash, narinfo.file_size) else {
        return Err("it does not say how its archive is stored".to_owned());
    };
    let archives = pack.blobs.get(held.blob).copied();
    let archives = archives.ok_or("its archive is in no blob")?;
    let ends = held.offset.checked_add(size);
    if size == 0 || ends.is_none_or(|end| end > archives.size) || narinfo.compression != "zstd" {
        return Err("its archive is not within its blob".to_owned());
    }
    let hash = Digest::from_hex(&hash.to_hex()).map_err(|e| format!("{e}"))?;
    narinfo.url = url(narinfo.info.path.hash_part(), hash);
    Ok(Found {
        narinfo,
        archives,
        offset: held.offset,
        size,
        hash,
        pack: Arc::clone(pack),
        path,
    })
}

fn verified(found: Found, trusted: &[PublicKey]) -> Result<Found, String> {
    let info = &found.narinfo.info;
    if trusted.iter().any(|key| key.has_signed(info)) {
        return Ok(found);
    }
    Err(match info.signatures.is_empty() {
        true => "nobody has signed it".to_owned(),
        false => "it is not signed by a key that this run trusts".to_owned(),
    })
}

/// The address of an archive: two packs may hold the same path, compressed differently.
pub(super) fn url(hash_part: &str, file: Digest) -> String {
    format!("nar/{hash_part}-{}.nar.zst", file.hex())
}

/// What an address says: the path's hash part, and the archive's digest.
pub(super) fn read_url(url: &str) -> Option<(&str, Digest)> {
    let name = url.strip_prefix("nar/")?.strip_suffix(".nar.zst")?;
    let (hash, file) = name.split_once('-')?;
    Some((hash, Digest::from_hex(file).ok()?))
}
