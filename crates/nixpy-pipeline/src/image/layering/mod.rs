//! A plain closure in image layers, so that a push sends little and a rebuild sends only
//! what it has changed. Nothing is read here: the closure, the previous image's layers
//! and the lock file are given.
//!
//! Popularity, as dockerTools has it, gives each of the most depended-on paths a layer
//! and leaves the rest to one that is sent again with every change. Here layers are
//! chosen by what they are expected to cost ([`model`]): paths that change together share
//! one, large wheels that change by themselves have their own, tiny ones merge
//! ([`merge`]). The output is always alone on top, below it what changes with it. If there
//! was an image before, its layers are kept ([`sticky`]).
//!
//! Stable layers lie at the bottom: registries and containerd do not mind the order,
//! Docker's classic store fetches all that is above a change.

mod graph;
mod merge;
mod model;
pub(crate) mod names;
mod resent;
mod roles;
mod sticky;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use nixpy_nix::StorePath;
use serde::{Deserialize, Serialize};

use self::merge::{Origin, Part, merge};
use self::model::{Group, Model};
pub use self::resent::{Change, Resent, resent};
use super::Closure;
use crate::lockfile::LockFile;

/// containerd and registries take no more.
pub const MAX_LAYERS: usize = 127;

/// What decides about layers beside the closure.
#[derive(Clone, Copy, Debug)]
pub struct Wishes<'a> {
    /// At most so many; never more than [`MAX_LAYERS`].
    pub max_layers: usize,
    /// The previous image's store layers, bottom to top, and the paths in them as they
    /// lie there.
    pub previous: Option<&'a [Vec<StorePath>]>,
    /// That of the project.
    pub lock: Option<&'a LockFile>,
}

/// Every path of a closure in one of several layers.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Partition {
    /// How it came about.
    pub decided: Decided,
    /// Bottom to top.
    pub layers: Vec<StoreLayer>,
}

/// How a partition came about.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Decided {
    /// There was none before, or none to be kept.
    Fresh,
    /// From the previous image, with successors and new paths put in.
    Kept,
    /// The previous one costs so much that a fresh one pays for being sent.
    Renewed,
    /// By somebody else, as in a described image.
    Given,
}

/// The store paths of one layer.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StoreLayer {
    /// In the order they are written.
    pub paths: Vec<StorePath>,
    /// Their size, not compressed, as Nix counts it.
    pub nar_size: u64,
    /// How likely a push comes with a change of one of them, from 0 to 1: an estimate.
    pub chance: f64,
    /// Whether the previous image has exactly this layer.
    pub kept: bool,
}

/// The closure is not whole.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0} is referred to but not known; ask Nix for the whole closure")]
pub struct UnknownPath(pub StorePath);

/// The layers for an output.
///
/// # Errors
/// [`UnknownPath`] if the closure lacks a path that the output needs.
pub fn layers(
    output: &StorePath,
    closure: &Closure,
    wishes: Wishes<'_>,
) -> Result<Partition, UnknownPath> {
    let model = Model::of([output], output, closure, wishes.lock)?;
    let top = model.graph.place(output);
    let mut below: Vec<usize> = (0..model.graph.len())
        .filter(|node| Some(*node) != top)
        .collect();
    let Some(limit) = wishes
        .max_layers
        .min(MAX_LAYERS)
        .checked_sub(1)
        .filter(|limit| *limit > 0)
    else {
        below.extend(top);
        let only = described(&model, &model.group(below), wishes.previous);
        return Ok(Partition {
            decided: Decided::Fresh,
            layers: vec![only],
        });
    };

    let single = |node| Part {
        group: model.group(vec![node]),
        origin: Origin::New,
    };
    let fresh = || {
        sticky::ordered(merge(
            &model,
            below.iter().copied().map(single).collect(),
            limit,
        ))
    };
    let previous = wishes.previous.unwrap_or_default();
    let (decided, parts) = match sticky::parts(&model, top, previous) {
        None => (Decided::Fresh, fresh()),
        Some(parts) => {
            let kept = sticky::ordered(merge(&model, parts, limit));
            let fresh = fresh();
            match sticky::pays(&model, &kept, &fresh, previous) {
                true => (Decided::Renewed, fresh),
                false => (Decided::Kept, kept),
            }
        }
    };
    let top = top.map(|node| model.group(vec![node]));
    let groups = parts.iter().map(|part| &part.group).chain(&top);
    let layers = groups.map(|group| described(&model, group, wishes.previous));
    Ok(Partition {
        decided,
        layers: layers.collect(),
    })
}

impl Partition {
    /// Describes layers that somebody else has chosen. `output` says whose code changes
    /// with every push: where no output is among the layers, the path of the entrypoint.
    ///
    /// # Errors
    /// [`UnknownPath`] if the closure lacks a path of a layer or one that it needs.
    pub fn given(
        layers: &[Vec<StorePath>],
        output: &StorePath,
        closure: &Closure,
        lock: Option<&LockFile>,
    ) -> Result<Self, UnknownPath> {
        let model = Model::of(layers.iter().flatten(), output, closure, lock)?;
        let layer = |paths: &Vec<StorePath>| {
            let nodes = paths.iter().filter_map(|path| model.graph.place(path));
            described(&model, &model.group(nodes.collect()), None)
        };
        let layers = layers.iter().map(layer).collect();
        Ok(Self {
            decided: Decided::Given,
            layers,
        })
    }

    /// The bytes that a push is expected to send, not compressed: sizes by chances.
    pub fn expected_nar_bytes(&self) -> u64 {
        let expected = self
            .layers
            .iter()
            .map(|layer| layer.nar_size as f64 * layer.chance);
        expected.sum::<f64>().round() as u64
    }
}

fn described(model: &Model<'_>, group: &Group, previous: Option<&[Vec<StorePath>]>) -> StoreLayer {
    let paths: Vec<StorePath> = group
        .nodes
        .iter()
        .map(|node| model.graph.path(*node).clone())
        .collect();
    StoreLayer {
        kept: previous.is_some_and(|layers| layers.contains(&paths)),
        nar_size: group.size,
        chance: group.chance(),
        paths,
    }
}
