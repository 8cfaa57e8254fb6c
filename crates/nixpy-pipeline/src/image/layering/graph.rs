//! A closure as a graph of numbers: the paths in a lasting order, what each refers to,
//! and what depends on what.
//!
//! The order is by name, and by hash only where names are equal, because hashes change
//! with every rebuild: paths that are still the same keep their places.

use std::collections::{BTreeMap, BTreeSet};

use fixedbitset::FixedBitSet;
use nixpy_nix::StorePath;
use nixpy_nix::path_info::PathInfo;

use super::names::PackageName;
use super::{Closure, UnknownPath};

/// Paths and their references; a path is known by its place in the order.
pub(super) struct Graph<'a> {
    nodes: Vec<&'a PathInfo>,
    references: Vec<Vec<usize>>,
    places: BTreeMap<&'a StorePath, usize>,
}

impl<'a> Graph<'a> {
    /// The roots and all they refer to, within what is known of several closures.
    pub(super) fn of<'r>(
        roots: impl IntoIterator<Item = &'r StorePath>,
        closure: &'a Closure,
    ) -> Result<Self, UnknownPath> {
        let info = |path: &StorePath| closure.get(path).ok_or_else(|| UnknownPath(path.clone()));
        let mut found = BTreeSet::new();
        let mut todo = Vec::new();
        for root in roots {
            todo.push(info(root)?);
        }
        while let Some(node) = todo.pop() {
            if found.insert((node.path.name(), &node.path)) {
                for reference in &node.references {
                    todo.push(info(reference)?);
                }
            }
        }
        let nodes: Vec<&PathInfo> = found
            .iter()
            .filter_map(|(_, path)| closure.get(*path))
            .collect();
        let places: BTreeMap<&StorePath, usize> = nodes
            .iter()
            .enumerate()
            .map(|(at, node)| (&node.path, at))
            .collect();
        let others = |(at, node): (usize, &&PathInfo)| {
            let places = node
                .references
                .iter()
                .filter_map(|path| places.get(path).copied());
            places.filter(|other| *other != at).collect()
        };
        let references = nodes.iter().enumerate().map(others).collect();
        Ok(Self {
            nodes,
            references,
            places,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn path(&self, node: usize) -> &'a StorePath {
        &self.nodes[node].path
    }

    pub(super) fn name(&self, node: usize) -> PackageName<'a> {
        PackageName::of(&self.nodes[node].path)
    }

    pub(super) fn size(&self, node: usize) -> u64 {
        self.nodes[node].nar_size
    }

    pub(super) fn references(&self, node: usize) -> &[usize] {
        &self.references[node]
    }

    pub(super) fn place(&self, path: &StorePath) -> Option<usize> {
        self.places.get(path).copied()
    }

    /// The graph with one more reference, which the paths do not show.
    pub(super) fn referring(mut self, from: &[usize], to: usize) -> Self {
        for node in from.iter().filter(|node| **node != to) {
            self.references[*node].push(to);
        }
        self
    }

    /// All that these refer to, themselves included.
    pub(super) fn requisites(&self, of: impl IntoIterator<Item = usize>) -> FixedBitSet {
        reached(of, &self.references)
    }

    /// All that refers to these, themselves included.
    pub(super) fn dependents(&self, of: impl IntoIterator<Item = usize>) -> FixedBitSet {
        let mut referrers = vec![Vec::new(); self.len()];
        for (node, references) in self.references.iter().enumerate() {
            for reference in references {
                referrers[*reference].push(node);
            }
        }
        reached(of, &referrers)
    }

    /// For each path the columns of its requisites, `columns` at most: beyond that,
    /// paths share them, so that memory stays bounded whatever the closure.
    pub(super) fn columns(&self, columns: usize) -> Vec<FixedBitSet> {
        let columns = columns.min(self.len()).max(1);
        let mut sets: Vec<FixedBitSet> = (0..self.len())
            .map(|node| {
                let mut set = FixedBitSet::with_capacity(columns);
                set.insert(node % columns);
                set
            })
            .collect();
        // What is referred to comes first, so that one round does nearly all; more are
        // needed only for circles, which a store does not have.
        let order = self.references_first();
        let mut changed = true;
        while changed {
            changed = false;
            for &node in &order {
                let mut set = std::mem::take(&mut sets[node]);
                let before = set.count_ones(..);
                for reference in &self.references[node] {
                    set.union_with(&sets[*reference]);
                }
                changed |= set.count_ones(..) != before;
                sets[node] = set;
            }
        }
        sets
    }

    fn references_first(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.len());
        let mut seen = FixedBitSet::with_capacity(self.len());
        for start in 0..self.len() {
            let mut stack = vec![(start, 0)];
            while let Some((node, next)) = stack.pop() {
                if next == 0 && seen.put(node) {
                    continue;
                }
                match self.references[node].get(next) {
                    Some(reference) => stack.extend([(node, next + 1), (*reference, 0)]),
                    None => order.push(node),
                }
            }
        }
        order
    }
}

fn reached(from: impl IntoIterator<Item = usize>, edges: &[Vec<usize>]) -> FixedBitSet {
    let mut found = FixedBitSet::with_capacity(edges.len());
    let mut todo: Vec<usize> = from.into_iter().collect();
    while let Some(node) = todo.pop() {
        if !found.put(node) {
            todo.extend(&edges[node]);
        }
    }
    found
}
