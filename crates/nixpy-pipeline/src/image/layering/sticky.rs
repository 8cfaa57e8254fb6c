//! Keeps the previous image's partition, so that a rebuild sends what has changed and
//! does not reshuffle what has not.
//!
//! - A layer whose paths are all still there is kept exactly.
//! - Where a path has gone, its successor (the same package, of another version or hash)
//!   takes its place; the rest of the layer stays together.
//! - Paths that are new altogether become layers by the model, among themselves or in a
//!   layer that has to be sent anyway.
//!
//! Partitions would decay that way. So a fresh one is made beside it, and taken when it
//! is clearly better *and* what it sends more now comes back within [`PUSHES`]. The second
//! half is what keeps normal life calm: a few MiB for a wheel at an odd place never pay
//! for sending Python again. Whatever was decided is decided again by the next run that
//! finds the same paths: a kept partition sends nothing, so a fresh one only gets dearer.
//!
//! The previous partition is what a registry says, so anything may be in it.

use std::collections::{BTreeMap, VecDeque};

use fixedbitset::FixedBitSet;
use nixpy_nix::StorePath;

use super::MAX_LAYERS;
use super::merge::{Origin, Part};
use super::model::Model;
use super::names::PackageName;

/// A fresh partition costs less than two thirds.
const CLEARLY: (i64, i64) = (3, 2);

/// In so many pushes a new partition has to pay for being sent.
const PUSHES: i64 = 100;

/// The parts of the previous partition with the successors in place, and each new path
/// by itself. `None` if it is nothing that could be kept.
pub(super) fn parts(
    model: &Model<'_>,
    output: Option<usize>,
    previous: &[Vec<StorePath>],
) -> Option<Vec<Part>> {
    // Registries take no more, so whatever this is, it was no image.
    if previous.len() > MAX_LAYERS {
        return None;
    }
    let mut places = Places::of(model, output, previous);
    let mut parts = Vec::new();
    for (place, layer) in previous.iter().enumerate() {
        let nodes: Vec<usize> = layer
            .iter()
            .filter_map(|path| places.take(model, path))
            .collect();
        let paths = nodes.iter().map(|node| model.graph.path(*node));
        let unchanged = paths.eq(layer);
        if !nodes.is_empty() {
            let group = model.group(nodes);
            let origin = Origin::Previous { place, unchanged };
            parts.push(Part { group, origin });
        }
    }
    if parts.is_empty() {
        return None;
    }
    let new = (0..model.graph.len()).filter(|node| !places.taken.contains(*node));
    parts.extend(new.map(|node| Part {
        group: model.group(vec![node]),
        origin: Origin::New,
    }));
    Some(parts)
}

/// Whether the fresh partition is worth being sent.
pub(super) fn pays(
    model: &Model<'_>,
    kept: &[Part],
    fresh: &[Part],
    previous: &[Vec<StorePath>],
) -> bool {
    let cost = |parts: &[Part]| parts.iter().map(|part| part.group.cost()).sum::<i64>();
    let (kept_cost, fresh_cost) = (cost(kept), cost(fresh));
    let is_there = |part: &&Part| {
        previous.iter().any(|layer| {
            layer.len() == part.group.nodes.len()
                && part
                    .group
                    .nodes
                    .iter()
                    .map(|node| model.graph.path(*node))
                    .eq(layer)
        })
    };
    let sent = |parts: &[Part]| {
        let sent = parts.iter().filter(|part| !is_there(part));
        sent.fold(0u64, |sum, part| sum.saturating_add(part.group.size))
    };
    let more_now = i64::try_from(sent(fresh).saturating_sub(sent(kept))).unwrap_or(i64::MAX);
    let saved = kept_cost.saturating_sub(fresh_cost).saturating_mul(PUSHES);
    kept_cost.saturating_mul(CLEARLY.1) > fresh_cost.saturating_mul(CLEARLY.0) && saved > more_now
}

/// Bottom to top: the kept layers as they were, the new ones between them by stability.
pub(super) fn ordered(parts: Vec<Part>) -> Vec<Part> {
    let (new, mut ordered): (Vec<_>, Vec<_>) = parts
        .into_iter()
        .partition(|part| part.origin == Origin::New);
    ordered.sort_by_key(|part| part.origin);
    let mut new: Vec<Part> = new.into_iter().map(sorted).collect();
    new.sort_by_key(|part| {
        let group = &part.group;
        (group.with_app, group.hazard(), group.nodes.first().copied())
    });
    for part in new {
        let stability = |part: &Part| (part.group.with_app, part.group.hazard());
        let above = ordered
            .iter()
            .position(|other| stability(other) > stability(&part));
        ordered.insert(above.unwrap_or(ordered.len()), part);
    }
    ordered
}

fn sorted(mut part: Part) -> Part {
    part.group.nodes.sort_unstable();
    part
}

/// Where paths go: each once.
struct Places<'p> {
    taken: FixedBitSet,
    successors: BTreeMap<&'p StorePath, usize>,
}

impl<'p> Places<'p> {
    fn of(model: &Model<'_>, output: Option<usize>, previous: &'p [Vec<StorePath>]) -> Self {
        // The output has a layer of its own.
        let mut taken = FixedBitSet::with_capacity(model.graph.len());
        taken.extend(output);
        let mut new = FixedBitSet::with_capacity(model.graph.len());
        new.insert_range(..);
        let mut gone: Vec<&StorePath> = Vec::new();
        for path in previous.iter().flatten() {
            match model.graph.place(path) {
                Some(node) => new.set(node, false),
                None => gone.push(path),
            }
        }
        new.difference_with(&taken);
        let mut successors = BTreeMap::new();
        // A rebuild of the same version first, then other versions.
        let same_name = |path: &StorePath| path.name().to_owned();
        succeed(model, &mut new, &gone, &mut successors, same_name);
        let lineage = |path: &StorePath| format!("{:?}", PackageName::of(path).lineage());
        succeed(model, &mut new, &gone, &mut successors, lineage);
        Self { taken, successors }
    }

    fn take(&mut self, model: &Model<'_>, path: &StorePath) -> Option<usize> {
        let successor = || self.successors.get(path).copied();
        let node = model.graph.place(path).or_else(successor)?;
        (!self.taken.put(node)).then_some(node)
    }
}

/// Finds for each path that has gone one of the new ones that has the same key.
fn succeed<'p>(
    model: &Model<'_>,
    new: &mut FixedBitSet,
    gone: &[&'p StorePath],
    successors: &mut BTreeMap<&'p StorePath, usize>,
    key: impl Fn(&StorePath) -> String,
) {
    let mut heirs: BTreeMap<String, VecDeque<usize>> = BTreeMap::new();
    for node in new.ones() {
        heirs
            .entry(key(model.graph.path(node)))
            .or_default()
            .push_back(node);
    }
    for &path in gone {
        if successors.contains_key(path) {
            continue;
        }
        if let Some(heir) = heirs.get_mut(&key(path)).and_then(VecDeque::pop_front) {
            new.set(heir, false);
            successors.insert(path, heir);
        }
    }
}
