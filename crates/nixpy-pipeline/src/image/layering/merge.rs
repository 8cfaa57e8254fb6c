//! From many groups of paths to few layers: the two groups are merged that cost least to
//! have in one layer, again and again, until no merge saves anything and the limit is kept.
//!
//! Each group knows its best partner, so that a merge asks little more than what it has
//! changed. All pairs are too many in closures of thousands of paths: there, neighbours
//! in the order of stability are merged first, down to [`MANY`].
//!
//! What must not be mixed is kept apart for as long as the limit allows: what changes
//! with the app and what does not; and layers that are in the registry already, which
//! are merged only if there is no other way ([`super::sticky`]).

use std::cmp::Reverse;

use super::model::{Group, Model};

/// Groups of which all pairs are looked at.
const MANY: usize = 256;

/// A group, and what it has to do with the previous image.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) group: Group,
    pub(super) origin: Origin,
}

/// Ordered as layers and paths are to be: the previous image's first, as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// The previous image's layer of this place.
    Previous {
        place: usize,
        /// It is exactly what it was: the registry has it.
        unchanged: bool,
    },
    /// Of this image.
    New,
}

impl Part {
    pub(super) fn is_unchanged(&self) -> bool {
        matches!(
            self.origin,
            Origin::Previous {
                unchanged: true,
                ..
            }
        )
    }
}

/// How a merge is looked at: what is less is better.
type Merge = (Need, i64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    /// It saves more than it costs.
    None,
    /// Only to keep the limit.
    Limit,
    /// Only to keep the limit, and when nothing else does.
    LastResort,
}

/// Merges until there are at most `limit` parts and no merge saves anything.
pub(super) fn merge(model: &Model<'_>, mut parts: Vec<Part>, limit: usize) -> Vec<Part> {
    parts.sort_by_key(|part| (part.origin, part.group.nodes.first().copied()));
    let mut parts: Vec<Option<Part>> = neighbours(model, parts).into_iter().map(Some).collect();
    let mut count = parts.len();
    let mut best: Vec<Option<(Merge, usize)>> = (0..parts.len())
        .map(|at| partner(model, &parts, at))
        .collect();
    while let Some((((need, _), second), first)) = best
        .iter()
        .enumerate()
        .filter_map(|(at, best)| best.map(|best| (best, at)))
        .min()
    {
        if need > Need::None && count <= limit {
            break;
        }
        parts[first] = match (parts[first].take(), parts[second].take()) {
            (Some(a), Some(b)) => Some(together(model, a, b)),
            (a, b) => a.or(b),
        };
        count -= 1;
        (best[second], best[first]) = (None, partner(model, &parts, first));
        for at in 0..second {
            match best[at] {
                Some((_, other)) if other == first || other == second => {
                    best[at] = partner(model, &parts, at);
                }
                Some(known) if at < first => {
                    if let (Some(a), Some(b)) = (&parts[at], &parts[first]) {
                        best[at] = Some(known.min((weigh(model, a, b), first)));
                    }
                }
                _ => {}
            }
        }
    }
    parts.into_iter().flatten().collect()
}

/// The best of those that come after it.
fn partner(model: &Model<'_>, parts: &[Option<Part>], at: usize) -> Option<(Merge, usize)> {
    let part = parts[at].as_ref()?;
    let others = parts.iter().enumerate().skip(at + 1);
    others
        .filter_map(|(at, other)| Some((weigh(model, part, other.as_ref()?), at)))
        .min()
}

fn weigh(model: &Model<'_>, a: &Part, b: &Part) -> Merge {
    let sent_now = [a, b].into_iter().filter(|part| part.is_unchanged());
    let sent_now: u64 = sent_now
        .map(|part| part.group.size)
        .fold(0, u64::saturating_add);
    let added = model.added_by_merging(&a.group, &b.group);
    let added = added.saturating_add_unsigned(sent_now);
    let is_settled = a.is_unchanged()
        || b.is_unchanged()
        || (a.origin != Origin::New && b.origin != Origin::New);
    let need = match () {
        () if a.group.with_app != b.group.with_app => Need::LastResort,
        () if is_settled || added >= 0 => Need::Limit,
        () => Need::None,
    };
    (need, added)
}

fn together(model: &Model<'_>, a: Part, b: Part) -> Part {
    let (a, b) = if b.origin < a.origin { (b, a) } else { (a, b) };
    let origin = match a.origin {
        Origin::Previous { place, .. } => Origin::Previous {
            place,
            unchanged: false,
        },
        Origin::New => Origin::New,
    };
    Part {
        group: model.merged(a.group, b.group),
        origin,
    }
}

/// For large closures: merges new groups that are next to one another in the order of
/// stability, the cheapest first and at most a quarter at a time, since each merge
/// changes what its neighbours would cost.
fn neighbours(model: &Model<'_>, parts: Vec<Part>) -> Vec<Part> {
    let (mut parts, settled): (Vec<_>, Vec<_>) = parts
        .into_iter()
        .partition(|part| part.origin == Origin::New);
    parts.sort_by_key(|part| {
        let group = &part.group;
        (
            group.with_app,
            group.hazard(),
            Reverse(group.size),
            group.nodes.first().copied(),
        )
    });
    while parts.len() > MANY {
        let mut pairs: Vec<(i64, usize)> = parts
            .windows(2)
            .enumerate()
            .filter(|(_, pair)| pair[0].group.with_app == pair[1].group.with_app)
            .map(|(at, pair)| (model.added_by_merging(&pair[0].group, &pair[1].group), at))
            .collect();
        pairs.sort_unstable();
        let wanted = (parts.len() - MANY).min(parts.len() / 4).max(1);
        let mut joined = vec![false; parts.len() + 1];
        let mut count = 0;
        for (_, at) in pairs {
            let is_free = !joined[at] && !joined[at + 1] && (at == 0 || !joined[at - 1]);
            if is_free && count < wanted {
                joined[at] = true;
                count += 1;
            }
        }
        let mut next: Vec<Part> = Vec::with_capacity(parts.len());
        let mut with_previous = false;
        for (at, part) in parts.into_iter().enumerate() {
            match next.pop() {
                Some(previous) if with_previous => next.push(together(model, previous, part)),
                previous => next.extend(previous.into_iter().chain([part])),
            }
            with_previous = joined[at];
        }
        parts = next;
    }
    parts.extend(settled);
    parts.sort_by_key(|part| (part.origin, part.group.nodes.first().copied()));
    parts
}
