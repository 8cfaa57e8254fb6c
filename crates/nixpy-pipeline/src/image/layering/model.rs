//! What a partition costs: the bytes that are expected to be sent again, by a push.
//!
//! A path's hash changes when its own source changes or anything it refers to does. So
//! a layer changes unless all sources in the closures of its paths stay as they are:
//!
//! ```text
//! P(layer) = 1 - Π (1 - rate of source)
//! cost     = Σ P(layer) × size + (P(layer) + FRESH) × ROUND_TRIPS
//! ```
//!
//! The second term is for what a layer costs beside its bytes. It is paid when a layer
//! changes and by those who fetch the image for the first time, so tiny paths merge, and
//! paths of some size only when they change together anyway.
//!
//! Left out: bytes that other images could share (a layer of the interpreter alone comes
//! out alike in all of them, often enough), and compression.

use std::collections::BTreeMap;

use fixedbitset::FixedBitSet;
use nixpy_nix::StorePath;

use super::graph::Graph;
use super::roles::{self, Role};
use super::{Closure, UnknownPath};
use crate::lockfile::LockFile;

/// In bytes of NAR: a layer is asked for, announced and put, each with an answer to wait
/// for. At 20 ms and 100 Mbit/s three answers are worth 750 KiB on an idle line; but
/// layers are sent and fetched side by side, and compress to a third.
const ROUND_TRIPS: f64 = (64 << 10) as f64;

/// How many fetch all of an image, by push: new nodes, empty caches.
const FRESH: f64 = 0.05;

/// Memory for closures is bounded by so many bits a path; see [`Graph::columns`].
const COLUMNS: usize = 1 << 14;

/// Hazards are added as whole numbers, since sums of floats depend on their order.
const UNIT: f64 = (1u64 << 32) as f64;

/// A closure, and how often what of it changes.
pub(super) struct Model<'a> {
    pub(super) graph: Graph<'a>,
    pub(super) roles: Vec<Role>,
    sources: Vec<FixedBitSet>,
    hazards: Hazards,
    /// What changes with the app.
    with_app: FixedBitSet,
}

/// By column of sources: -ln(1 - rate), so that chances multiply by adding.
pub(super) struct Hazards(Vec<u64>);

/// Paths that may become a layer.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) nodes: Vec<usize>,
    pub(super) size: u64,
    /// Whether a change of the app is one of it.
    pub(super) with_app: bool,
    sources: FixedBitSet,
    hazard: u64,
}

impl<'a> Model<'a> {
    pub(super) fn of<'r>(
        roots: impl IntoIterator<Item = &'r StorePath>,
        output: &StorePath,
        closure: &'a Closure,
        lock: Option<&LockFile>,
    ) -> Result<Self, UnknownPath> {
        let graph = Graph::of(roots, closure)?;
        let (graph, roles) = roles::assign(graph, output, lock);
        let sources = graph.columns(COLUMNS);
        let mut hazards = vec![0; COLUMNS.min(graph.len()).max(1)];
        for (node, role) in roles.iter().enumerate() {
            let rate = roles::rate(*role, graph.path(node), lock);
            let column = node % hazards.len();
            hazards[column] += (-(-rate).ln_1p() * UNIT).round() as u64;
        }
        let app = (0..graph.len()).filter(|node| roles[*node] == Role::App);
        let with_app = graph.dependents(app);
        Ok(Self {
            graph,
            roles,
            sources,
            hazards: Hazards(hazards),
            with_app,
        })
    }

    pub(super) fn group(&self, nodes: Vec<usize>) -> Group {
        let mut sources = FixedBitSet::with_capacity(self.hazards.0.len());
        for node in &nodes {
            sources.union_with(&self.sources[*node]);
        }
        let sizes = nodes.iter().map(|node| self.graph.size(*node));
        Group {
            size: sizes.fold(0, u64::saturating_add),
            with_app: nodes.iter().any(|node| self.with_app.contains(*node)),
            hazard: sources.ones().map(|source| self.hazards.0[source]).sum(),
            sources,
            nodes,
        }
    }

    pub(super) fn hazards(&self) -> &Hazards {
        &self.hazards
    }

    /// Whether a change of the path's own source changes the group.
    pub(super) fn depends(&self, group: &Group, node: usize) -> bool {
        group.sources.contains(node % self.hazards.0.len())
    }
}

impl Hazards {
    /// Both in one; the first one's paths come first.
    pub(super) fn merged(&self, mut first: Group, second: Group) -> Group {
        first.hazard = self.common(&first, &second);
        first.sources.union_with(&second.sources);
        first.size = first.size.saturating_add(second.size);
        first.with_app |= second.with_app;
        first.nodes.extend(second.nodes);
        first
    }

    /// What merging adds to the cost; below zero if it saves.
    pub(super) fn added_by_merging(&self, a: &Group, b: &Group) -> i64 {
        let size = a.size.saturating_add(b.size);
        cost(size, self.common(a, b)) - a.cost() - b.cost()
    }

    fn common(&self, a: &Group, b: &Group) -> u64 {
        let added = b.sources.difference(&a.sources);
        a.hazard + added.map(|source| self.0[source]).sum::<u64>()
    }

    /// Columns that the same groups have, as one: of hundreds of groups there remain
    /// hundreds of columns, however many paths there are. What such groups cost, and
    /// merged ones, is the same as before.
    pub(super) fn condensed<'g>(&self, groups: impl Iterator<Item = &'g mut Group>) -> Self {
        let groups: Vec<&mut Group> = groups.collect();
        let mut holders = vec![FixedBitSet::with_capacity(groups.len()); self.0.len()];
        for (at, group) in groups.iter().enumerate() {
            group
                .sources
                .ones()
                .for_each(|source| holders[source].insert(at));
        }
        let mut columns: BTreeMap<FixedBitSet, usize> = BTreeMap::new();
        let mut hazards = Vec::new();
        let mut column_of = Vec::with_capacity(self.0.len());
        for (hazard, holders) in self.0.iter().zip(holders) {
            let column = *columns.entry(holders).or_insert(hazards.len());
            match hazards.get_mut(column) {
                Some(sum) => *sum += hazard,
                None => hazards.push(*hazard),
            }
            column_of.push(column);
        }
        for group in groups {
            let mut sources = FixedBitSet::with_capacity(hazards.len());
            sources.extend(group.sources.ones().map(|source| column_of[source]));
            group.sources = sources;
        }
        Self(hazards)
    }
}

impl Group {
    /// Expected bytes by push.
    pub(super) fn cost(&self) -> i64 {
        cost(self.size, self.hazard)
    }

    /// How likely a push comes with a change of it.
    pub(super) fn chance(&self) -> f64 {
        chance(self.hazard)
    }

    /// Grows with the chance, and is exact.
    pub(super) fn hazard(&self) -> u64 {
        self.hazard
    }
}

fn chance(hazard: u64) -> f64 {
    -(-(hazard as f64) / UNIT).exp_m1()
}

fn cost(size: u64, hazard: u64) -> i64 {
    let chance = chance(hazard);
    (size as f64 * chance + ROUND_TRIPS * (chance + FRESH)).round() as i64
}
