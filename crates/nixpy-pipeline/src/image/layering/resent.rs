//! How many bytes are sent again after a change of one thing: of any partition, our own
//! or that of a described image.
//!
//! A layer is sent again if one of its paths depends on what has changed. Registries
//! need those alone; Docker's classic store fetches everything above as well, which is
//! why layers that change often lie on top.

use std::collections::BTreeMap;

use nixpy_nix::StorePath;
use serde::{Deserialize, Serialize};

use super::model::{Group, Model};
use super::roles::Role;
use super::{Closure, Partition, UnknownPath};
use crate::lockfile::LockFile;

/// Something that changes.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Change {
    /// The output or other code of the project.
    App,
    /// The wheel whose change sends most.
    CostliestWheel {
        /// Without version.
        name: String,
    },
    /// The wheel in the middle, by what its change sends.
    TypicalWheel {
        /// Without version.
        name: String,
    },
    /// The interpreter.
    Python,
    /// glibc or musl.
    CLibrary,
}

/// What a change sends again.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Resent {
    /// What has changed.
    pub change: Change,
    /// So many layers.
    pub layers: usize,
    /// Their size, not compressed, as Nix counts it.
    pub nar_bytes: u64,
}

/// What is sent again after a change of the app, of wheels, of Python and of the C
/// library, as far as there are such.
///
/// # Errors
/// [`UnknownPath`] if the closure lacks a path of the partition or one that it needs.
pub fn resent(
    partition: &Partition,
    output: &StorePath,
    closure: &Closure,
    lock: Option<&LockFile>,
) -> Result<Vec<Resent>, UnknownPath> {
    let paths = partition.layers.iter().flat_map(|layer| &layer.paths);
    let model = Model::of(paths, output, closure, lock)?;
    let groups: Vec<Group> = partition
        .layers
        .iter()
        .map(|layer| {
            let nodes = layer.paths.iter();
            model.group(nodes.filter_map(|path| model.graph.place(path)).collect())
        })
        .collect();
    let of = |change: Change, sources: &[usize]| {
        let changes = |group: &&Group| sources.iter().any(|node| model.depends(group, *node));
        let changed = groups.iter().filter(changes);
        let (layers, nar_bytes) = changed.fold((0, 0u64), |(layers, bytes), group| {
            (layers + 1, bytes.saturating_add(group.size))
        });
        Resent {
            change,
            layers,
            nar_bytes,
        }
    };
    let with_role = |role| -> Vec<usize> {
        (0..model.graph.len())
            .filter(|node| model.roles[*node] == role)
            .collect()
    };
    let single = |change, role| {
        let sources = with_role(role);
        (!sources.is_empty()).then(|| of(change, &sources))
    };

    let mut wheels: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for node in with_role(Role::Wheel) {
        let name = model.graph.name(node).package.to_owned();
        wheels.entry(name).or_default().push(node);
    }
    let mut wheels: Vec<(u64, String, Vec<usize>)> = wheels
        .into_iter()
        .map(|(name, nodes)| (of(Change::Python, &nodes).nar_bytes, name, nodes))
        .collect();
    wheels.sort();
    let costliest = wheels
        .last()
        .map(|(_, name, nodes)| of(Change::CostliestWheel { name: name.clone() }, nodes));
    let typical = wheels
        .get(wheels.len() / 2)
        .map(|(_, name, nodes)| of(Change::TypicalWheel { name: name.clone() }, nodes));
    let all = [
        single(Change::App, Role::App),
        typical,
        costliest,
        single(Change::Python, Role::Interpreter),
        single(Change::CLibrary, Role::CLibrary),
    ];
    Ok(all.into_iter().flatten().collect())
}
