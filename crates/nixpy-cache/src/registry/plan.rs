//! What is kept, decided before anything is done.
//!
//! A path lives through what was reached: by a run that said so at its end, or by being
//! stored. What was reached within the time that is asked for lives, with all that it refers
//! to; and beyond the size that is asked for, what was reached longest ago goes first. What is
//! younger than an hour always lives, since a run may be at work on it; and what was reached
//! last lives however large it is, since without it there would be no cache at all.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::{Duration, SystemTime};

use nixpy_oci::digest::Digest;
use nixpy_oci::name::Tag;

use super::collect::Keep;
use super::documents::{Held, Kind, Listed, Pack};

/// Nothing younger is removed.
pub(super) const YOUNG: Duration = Duration::from_secs(3600);

/// What a run has reached.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) tag: Tag,
    pub(super) manifest: Digest,
    /// `None` for what cannot be read.
    pub(super) paths: Option<Vec<String>>,
}

/// What is to be kept.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Hash parts of the paths that live.
    pub(super) live: HashSet<String>,
    /// What was reached too long ago.
    pub(super) forgotten: Vec<(Tag, Digest)>,
    /// Packs without a path that lives, or with some that do not: the numbers of those that do.
    pub(super) packs: BTreeMap<Tag, Vec<usize>>,
    /// Bytes of all blobs that a living path lies in, and of the others.
    pub(super) kept: u64,
    pub(super) freed: u64,
    /// Even the least that is kept is larger than was asked for.
    pub(super) is_too_large: bool,
}

pub(super) fn plan(
    packs: &BTreeMap<Tag, Listed>,
    sets: &[Set],
    keep: Keep,
    now: SystemTime,
) -> Plan {
    let graph = Graph::of(packs);
    let mut plan = Plan::default();
    let mut blobs = HashSet::new();
    let mut is_full = false;
    let mut is_first = true;
    for (at, source) in sources(packs, sets) {
        let age = now.duration_since(at).unwrap_or_default();
        let is_young = age < YOUNG;
        let is_old = keep.age.is_some_and(|most| age > most.max(YOUNG));
        let (fresh, size) = graph.reach(source.roots(), &plan.live, &blobs);
        let is_large = keep.size.is_some_and(|most| plan.kept + size > most);
        // What adds nothing costs nothing.
        is_full |= is_large && !is_young && !is_first && !fresh.is_empty();
        if !is_young && (is_old || (is_full && !fresh.is_empty())) {
            if let Source::Set(set) = source {
                plan.forgotten.push((set.tag.clone(), set.manifest));
            }
            continue;
        }
        is_first = false;
        plan.kept += size;
        for hash in fresh {
            blobs.extend(graph.blobs(hash).map(|(digest, _)| digest));
            plan.live.insert(hash.to_owned());
        }
    }
    plan.is_too_large = keep.size.is_some_and(|most| plan.kept > most);
    let mut dead = HashMap::new();
    for (tag, listed) in packs {
        let lives = |held: &Held| {
            held.hash_part()
                .is_some_and(|hash| plan.live.contains(hash))
        };
        let paths = listed.pack.paths.iter().enumerate();
        let living: Vec<usize> = paths
            .filter(|(_, held)| lives(held))
            .map(|(n, _)| n)
            .collect();
        if living.len() < listed.pack.paths.len() || living.is_empty() {
            plan.packs.insert(tag.clone(), living);
        }
        let gone = listed
            .pack
            .blobs
            .iter()
            .filter(|it| !blobs.contains(&it.digest));
        dead.extend(gone.map(|blob| (blob.digest, blob.size)));
    }
    plan.freed = dead.values().sum();
    plan
}

/// These packs, each before those that it refers to: so they can be taken away one after
/// another, and whoever looks meanwhile finds no path whose references are gone.
pub(super) fn referrers_first(tags: BTreeSet<Tag>, packs: &BTreeMap<Tag, Listed>) -> Vec<Tag> {
    let mut holders: HashMap<&str, Vec<&Tag>> = HashMap::new();
    for tag in &tags {
        for held in packs.get(tag).into_iter().flat_map(|it| &it.pack.paths) {
            if let Some(hash) = held.hash_part() {
                holders.entry(hash).or_default().push(tag);
            }
        }
    }
    let mut ordered = Vec::new();
    let mut seen = BTreeSet::new();
    for tag in &tags {
        let mut stack = vec![(tag, false)];
        while let Some((tag, is_done)) = stack.pop() {
            if is_done {
                ordered.push(tag.clone());
                continue;
            }
            if !seen.insert(tag) {
                continue;
            }
            stack.push((tag, true));
            let held = packs.get(tag).into_iter().flat_map(|it| &it.pack.paths);
            let references = held.flat_map(references);
            let behind = references.filter_map(|hash| holders.get(hash)).flatten();
            stack.extend(
                behind
                    .filter(|it| !seen.contains(*it))
                    .map(|it| (*it, false)),
            );
        }
    }
    ordered.reverse();
    ordered
}

/// Those of the deleted packs that hold what these packs refer to and do not hold themselves.
pub(super) fn needed(packs: &BTreeMap<Tag, Listed>, deleted: &[Listed]) -> BTreeSet<Tag> {
    let graph = Graph::of(packs);
    let mut lost: HashMap<&str, Vec<(&Tag, &Held)>> = HashMap::new();
    for listed in deleted {
        for held in &listed.pack.paths {
            if let Some(hash) = held.hash_part().filter(|hash| !graph.0.contains_key(*hash)) {
                lost.entry(hash).or_default().push((&listed.tag, held));
            }
        }
    }
    let held = packs.values().flat_map(|listed| &listed.pack.paths);
    let mut wanted: Vec<&str> = held.flat_map(references).collect();
    let mut needed = BTreeSet::new();
    while let Some(hash) = wanted.pop() {
        for (tag, held) in lost.remove(hash).into_iter().flatten() {
            needed.insert(tag.clone());
            wanted.extend(references(held));
        }
    }
    needed
}

/// Where paths were reached from, the latest first.
fn sources<'a>(packs: &'a BTreeMap<Tag, Listed>, sets: &'a [Set]) -> Vec<(SystemTime, Source<'a>)> {
    let stored = packs
        .values()
        .filter_map(|listed| match Kind::of(&listed.tag) {
            Some(Kind::Pack(at)) => Some((at, Source::Pack(&listed.pack))),
            _ => None,
        });
    let reached = sets.iter().filter_map(|set| match Kind::of(&set.tag) {
        Some(Kind::Reached(at)) => Some((at, Source::Set(set))),
        _ => None,
    });
    let mut sources: Vec<_> = stored.chain(reached).collect();
    sources.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    sources
}

#[derive(Clone, Copy)]
enum Source<'a> {
    Pack(&'a Pack),
    Set(&'a Set),
}

impl<'a> Source<'a> {
    fn roots(self) -> Vec<&'a str> {
        match self {
            Self::Pack(pack) => pack.paths.iter().filter_map(Held::hash_part).collect(),
            Self::Set(set) => {
                let paths = set.paths.iter().flatten();
                paths.filter_map(|path| hash_of(path)).collect()
            }
        }
    }
}

/// What refers to what, and where it lies.
struct Graph<'a>(HashMap<&'a str, Vec<(&'a Pack, &'a Held)>>);

impl<'a> Graph<'a> {
    fn of(packs: &'a BTreeMap<Tag, Listed>) -> Self {
        let mut places: HashMap<&str, Vec<_>> = HashMap::new();
        for listed in packs.values() {
            for held in &listed.pack.paths {
                if let Some(hash) = held.hash_part() {
                    places.entry(hash).or_default().push((&*listed.pack, held));
                }
            }
        }
        Self(places)
    }

    /// Every copy's: who relies on which is not known.
    fn blobs(&self, hash: &str) -> impl Iterator<Item = (Digest, u64)> {
        let places = self.0.get(hash).into_iter().flatten();
        places.filter_map(|(pack, held)| {
            let blob = pack.blobs.get(held.blob)?;
            Some((blob.digest, blob.size))
        })
    }

    /// What is there of these and all that they refer to and does not live yet, and the size
    /// of the blobs that are needed for it and not yet kept.
    fn reach(
        &self,
        roots: Vec<&'a str>,
        live: &HashSet<String>,
        kept: &HashSet<Digest>,
    ) -> (HashSet<&'a str>, u64) {
        let mut fresh = HashSet::new();
        let mut blobs = HashMap::new();
        let mut wanted = roots;
        while let Some(hash) = wanted.pop() {
            let Some((hash, places)) = self.0.get_key_value(hash) else {
                continue;
            };
            if live.contains(*hash) || !fresh.insert(*hash) {
                continue;
            }
            blobs.extend(
                self.blobs(hash)
                    .filter(|(digest, _)| !kept.contains(digest)),
            );
            wanted.extend(places.iter().flat_map(|(_, held)| references(held)));
        }
        (fresh, blobs.values().sum())
    }
}

/// The hash parts of what a path refers to.
fn references(held: &Held) -> impl Iterator<Item = &str> {
    let line = held
        .narinfo
        .lines()
        .find_map(|it| it.strip_prefix("References: "));
    let names = line.unwrap_or_default().split_ascii_whitespace();
    names.filter_map(hash_of)
}

fn hash_of(path: &str) -> Option<&str> {
    path.rsplit('/')
        .next()?
        .split_once('-')
        .map(|(hash, _)| hash)
}
