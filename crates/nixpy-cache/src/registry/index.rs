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
use nixpy_oci::registry::one_line;

use super::documents::{Archives, Held, Listed, Pack};
use super::load::{News, size_of};

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
    by_hash: HashMap<HashPart, Vec<Place>>,
}

/// The 32 characters that identify a path.
type HashPart = [u8; 32];

/// A pack, the number of the path in it, and the pack's tag.
type Place = (Arc<Pack>, usize, Arc<Tag>);

/// What need not be read again.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Packs, whether they make sense or not.
    pub(super) packs: BTreeSet<Tag>,
    /// Whether there are any that do.
    pub(super) has_any: bool,
    /// What they take in memory.
    pub(super) size: u64,
}

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
        let tag = Arc::new(listed.tag.clone());
        for (number, held) in listed.pack.paths.iter().enumerate() {
            if let Some(hash) = held.hash_part().and_then(key) {
                let place = (Arc::clone(&listed.pack), number, Arc::clone(&tag));
                // Most are there once, and a list that grows takes room for four.
                let places = self.by_hash.entry(hash);
                places.or_insert_with(|| Vec::with_capacity(1)).push(place);
            }
        }
        self.tags.insert(listed.tag.clone());
        self.packs.insert(listed.tag.clone(), listed);
    }

    pub(super) fn known(&self) -> Known {
        let sizes = self.packs.values().map(|listed| size_of(&listed.pack));
        Known {
            packs: self.packs.keys().chain(&self.unreadable).cloned().collect(),
            has_any: !self.packs.is_empty(),
            size: sizes.sum(),
        }
    }

    /// Becomes what a look at the repository has found; packs that were stored meanwhile, which
    /// it may not have seen, stay.
    pub(super) fn take(&mut self, news: News, meanwhile: &BTreeSet<Tag>) {
        let before = self.packs.len();
        let is_listed = |tag: &Tag| news.tags.contains(tag) || meanwhile.contains(tag);
        self.packs.retain(|tag, _| is_listed(tag));
        if self.packs.len() < before {
            self.by_hash.retain(|_, places| {
                places.retain(|(_, _, tag)| is_listed(tag));
                !places.is_empty()
            });
            let packs = self.packs.values();
            let blobs = packs.flat_map(|listed| &listed.pack.blobs);
            self.blobs = blobs.map(|blob| blob.digest).collect();
        }
        self.unreadable.retain(is_listed);
        self.unreadable.extend(news.unreadable);
        self.leaving = news.leaving;
        self.tags = news.tags;
        self.tags.extend(self.packs.keys().cloned());
        self.blobs.extend(news.parts);
        if let Some(catalogs) = news.catalogs {
            self.catalogs = catalogs;
            self.catalogued = news.catalogued;
        }
        for (tag, listed) in news.packs {
            if !self.packs.contains_key(&tag) {
                self.insert(listed);
            }
        }
    }

    /// The path with this hash part, if one that counts is there, and those that do not count.
    pub(super) fn find(&self, hash: &str, trusted: &[PublicKey]) -> (Option<Found>, Vec<Refused>) {
        let mut refused = Vec::new();
        for (pack, path, tag) in self.places(hash) {
            if self.leaving.contains(&**tag) || pack.paths[*path].damaged.load(Ordering::Relaxed) {
                continue;
            }
            let held = &pack.paths[*path];
            if held.counts.get() == Some(&false) {
                continue;
            }
            let found = read(pack, *path, hash).and_then(|found| match held.counts.get() {
                Some(_) => Ok(found),
                None => verified(found, trusted),
            });
            let _ = held.counts.set(found.is_ok());
            match found {
                Ok(found) => return (Some(found), refused),
                Err(why) => {
                    let line = held.narinfo.lines().next().unwrap_or_default();
                    refused.push(Refused {
                        what: one_line(line.trim_start_matches("StorePath: ")),
                        why: one_line(&why),
                    });
                }
            }
        }
        (None, refused)
    }
}

impl Index {
    fn places(&self, hash: &str) -> impl Iterator<Item = &Place> {
        let places = key(hash).and_then(|hash| self.by_hash.get(&hash));
        places.into_iter().flatten()
    }

    /// The path with this hash part, whoever has signed it, as the first pack has it that does
    /// not leave.
    pub(super) fn find_any(&self, hash: &str) -> Option<Found> {
        let mut places = self
            .places(hash)
            .filter(|(_, _, tag)| !self.leaving.contains(&**tag));
        places.find_map(|(pack, path, _)| read(pack, *path, hash).ok())
    }
}

fn key(hash: &str) -> Option<HashPart> {
    hash.as_bytes().try_into().ok()
}

/// The entry, if it makes sense, and is of the path that it is found by.
fn read(pack: &Arc<Pack>, path: usize, hash_part: &str) -> Result<Found, String> {
    let held: &Held = &pack.paths[path];
    let mut narinfo: NarInfo = held.narinfo.parse().map_err(|e| format!("{e}"))?;
    let about = &narinfo.info.path;
    if about.hash_part() != hash_part {
        return Err(format!("it is about {about}"));
    }
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
