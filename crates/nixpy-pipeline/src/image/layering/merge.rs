//! From many groups of paths to few layers: the two groups are merged that cost least to
//! have in one layer, again and again, until no merge saves anything and the limit is kept.
//!
//! What each pair would cost is known, and the best partner of each group, so that a merge
//! has to ask only for what it has changed. All pairs are too many in closures of thousands of paths: there, neighbours
//! in the order of stability are merged first, down to [`MANY`].
//!
//! What must not be mixed is kept apart for as long as the limit allows: what changes
//! with the app and what does not; and layers that are in the registry already, which
//! are merged only if there is no other way ([`super::sticky`]).

use std::cmp::Reverse;

use super::model::{Group, Hazards, Model};

/// Groups of which all pairs are looked at.
const MANY: usize = 192;

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
pub(super) fn merge(model: &Model<'_>, parts: Vec<Part>, limit: usize) -> Vec<Part> {
    let mut parts = neighbours(model, parts);
    let hazards = model
        .hazards()
        .condensed(parts.iter_mut().map(|part| &mut part.group));
    let mut merging = Merging::of(hazards, parts);
    while let Some(((need, _), first, second)) = merging.best()
        && (need == Need::None || merging.count > limit)
    {
        merging.merge(first, second);
    }
    let merged = merging.parts.into_iter().flatten();
    merged
        .map(|part| Part {
            group: model.group(part.group.nodes),
            ..part
        })
        .collect()
}

/// Parts, what each pair of them would cost in one, and the best pair of each.
struct Merging {
    hazards: Hazards,
    parts: Vec<Option<Part>>,
    count: usize,
    /// Of a part with each that comes after it.
    weights: Vec<Vec<Merge>>,
    best: Vec<Option<(Merge, usize)>>,
}

impl Merging {
    fn of(hazards: Hazards, parts: Vec<Part>) -> Self {
        let after = |(at, part): (usize, &Part)| {
            let others = parts[at + 1..].iter();
            others.map(|other| weigh(&hazards, part, other)).collect()
        };
        let weights = parts.iter().enumerate().map(after).collect();
        let mut merging = Self {
            count: parts.len(),
            best: vec![None; parts.len()],
            parts: parts.into_iter().map(Some).collect(),
            hazards,
            weights,
        };
        for at in 0..merging.count {
            merging.best[at] = merging.partner(at);
        }
        merging
    }

    fn best(&self) -> Option<(Merge, usize, usize)> {
        let best = self.best.iter().enumerate();
        best.filter_map(|(first, best)| best.map(|(merge, second)| (merge, first, second)))
            .min()
    }

    /// The best of those that come after it.
    fn partner(&self, at: usize) -> Option<(Merge, usize)> {
        self.parts[at].as_ref()?;
        let others = self.weights[at].iter().zip(at + 1..);
        others
            .filter(|(_, other)| self.parts[*other].is_some())
            .map(|(weight, other)| (*weight, other))
            .min()
    }

    /// Of two parts, the second of which comes after the first, there remains the first.
    fn merge(&mut self, first: usize, second: usize) {
        let (a, b) = (self.parts[first].take(), self.parts[second].take());
        let both = a.zip(b).map(|(a, b)| together(&self.hazards, a, b));
        if let Some(both) = &both {
            for (at, other) in self.parts.iter().enumerate() {
                let Some(other) = other else { continue };
                let (low, high) = (at.min(first), at.max(first));
                self.weights[low][high - low - 1] = match at < first {
                    true => weigh(&self.hazards, other, both),
                    false => weigh(&self.hazards, both, other),
                };
            }
        }
        self.parts[first] = both;
        self.count -= 1;
        self.best[second] = None;
        self.best[first] = self.partner(first);
        for at in (0..second).filter(|at| *at != first) {
            self.best[at] = match self.best[at] {
                Some((_, other)) if other == first || other == second => self.partner(at),
                Some(known) if at < first => {
                    Some(known.min((self.weights[at][first - at - 1], first)))
                }
                known => known,
            };
        }
    }
}

fn weigh(hazards: &Hazards, a: &Part, b: &Part) -> Merge {
    let sent_now = [a, b].into_iter().filter(|part| part.is_unchanged());
    let sent_now = sent_now
        .map(|part| part.group.size)
        .fold(0, u64::saturating_add);
    let added = hazards.added_by_merging(&a.group, &b.group);
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

fn together(hazards: &Hazards, a: Part, b: Part) -> Part {
    let (a, b) = if b.origin < a.origin { (b, a) } else { (a, b) };
    let origin = match a.origin {
        Origin::Previous { place, .. } => Origin::Previous {
            place,
            unchanged: false,
        },
        Origin::New => Origin::New,
    };
    Part {
        group: hazards.merged(a.group, b.group),
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
            .map(|(at, pair)| {
                (
                    model
                        .hazards()
                        .added_by_merging(&pair[0].group, &pair[1].group),
                    at,
                )
            })
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
                Some(previous) if with_previous => {
                    next.push(together(model.hazards(), previous, part))
                }
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
