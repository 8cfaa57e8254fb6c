//! An image of a plain package: its closure in layers, over a small layer with what
//! programs expect of a machine ([`super::root`]), and a config made from the
//! settings ([`super::config`]).
//!
//! Layering is by popularity, as dockerTools does it: what most paths depend on
//! lies at the bottom in a layer of its own, and images that share it share the
//! layer; what is over the limit shares the last store layer.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use nixpy_nix::StorePath;
use nixpy_oci::image::{Body, ConfigTemplate};
use nixpy_oci::tarball::Stamp;

use super::conf::{EPOCH, store_directories, store_layer};
use super::config::config;
use super::root::root_layer;
use super::{Closure, Files, ImageErrorKind};
use crate::inputs::ImageSettings;
use crate::plan::Job;

pub(super) fn body(
    job: &Job,
    closure: &Closure,
    files: &Files,
    settings: &ImageSettings,
    max_layers: usize,
) -> Result<Body, ImageErrorKind> {
    let paths = requisites(&job.output, closure)?;
    let stamp = Stamp::root();
    let directories = store_directories();
    let base = root_layer(&job.output, files, settings, &stamp)?;
    // One is taken by the base layer.
    let mut layers = by_popularity(&paths, closure, max_layers.saturating_sub(1).max(1))
        .iter()
        .map(|paths| store_layer(paths, &directories, &stamp, closure))
        .collect::<Result<Vec<_>, _>>()?;
    layers.insert(0, base);
    let config = ConfigTemplate {
        created: EPOCH.to_owned(),
        platform: job.platform.clone(),
        config: config(job, files, settings)?,
    };
    Ok(Body::Layers {
        base: None,
        layers,
        config,
    })
}

/// The output and all it refers to, within what is known of several closures.
fn requisites(
    output: &StorePath,
    closure: &Closure,
) -> Result<BTreeSet<StorePath>, ImageErrorKind> {
    let mut found = BTreeSet::new();
    let mut todo = vec![output.clone()];
    while let Some(path) = todo.pop() {
        if found.contains(&path) {
            continue;
        }
        todo.extend(super::info(closure, &path)?.references.iter().cloned());
        found.insert(path);
    }
    Ok(found)
}

/// The most depended-on first; ties go to the larger, then by name, so that the
/// order is the same on every machine.
fn by_popularity(
    paths: &BTreeSet<StorePath>,
    closure: &Closure,
    max_layers: usize,
) -> Vec<Vec<StorePath>> {
    let mut dependents: BTreeMap<&StorePath, usize> = BTreeMap::new();
    for path in paths {
        for reached in requisites(path, closure).unwrap_or_default() {
            if let Some(known) = paths.get(&reached) {
                *dependents.entry(known).or_default() += 1;
            }
        }
    }
    let mut order: Vec<&StorePath> = paths.iter().collect();
    order.sort_by_key(|path| {
        let size = closure.get(*path).map_or(0, |info| info.nar_size);
        (Reverse(dependents[path]), Reverse(size), path.as_str())
    });
    let alone = max_layers.saturating_sub(1).min(order.len());
    let (alone, together) = order.split_at(alone);
    let mut layers: Vec<Vec<StorePath>> = alone.iter().map(|path| vec![(*path).clone()]).collect();
    if !together.is_empty() {
        layers.push(together.iter().map(|path| (*path).clone()).collect());
    }
    layers
}

#[cfg(test)]
mod tests {
    use super::*;
    use nixpy_nix::NarHash;
    use nixpy_nix::path_info::PathInfo;

    fn path(name: &str) -> StorePath {
        StorePath::in_store("/nix/store", &format!("{}-{name}", "0".repeat(32)))
            .expect("the name is that of a store path")
    }

    fn closure(paths: &[(&str, u64, &[&str])]) -> Closure {
        let info = |(name, size, references): &(&str, u64, &[&str])| PathInfo {
            path: path(name),
            nar_hash: NarHash::from_bytes([0; 32]),
            nar_size: *size,
            references: references.iter().map(|name| path(name)).collect(),
            deriver: None,
            ca: None,
            signatures: Vec::new(),
        };
        paths.iter().map(|p| (path(p.0), info(p))).collect()
    }

    fn names(layers: &[Vec<StorePath>]) -> Vec<Vec<&str>> {
        let each = layers.iter();
        each.map(|layer| layer.iter().map(StorePath::name).collect())
            .collect()
    }

    fn service() -> Closure {
        closure(&[
            ("glibc", 30, &[]),
            ("zlib", 1, &["glibc"]),
            ("python", 50, &["glibc", "zlib"]),
            ("fastapi", 5, &["python"]),
            ("app", 2, &["fastapi", "python"]),
            ("of-another-system", 9, &[]),
        ])
    }

    #[test]
    fn what_all_depend_on_lies_at_the_bottom_and_the_app_on_top() {
        let closure = service();
        let paths = requisites(&path("app"), &closure).expect("all paths are known");
        let layers = by_popularity(&paths, &closure, 100);
        assert_eq!(
            names(&layers),
            [["glibc"], ["zlib"], ["python"], ["fastapi"], ["app"]]
        );
    }

    #[test]
    fn what_is_over_the_limit_shares_the_last_layer() {
        let closure = service();
        let paths = requisites(&path("app"), &closure).expect("all paths are known");
        let layers = by_popularity(&paths, &closure, 3);
        assert_eq!(
            names(&layers),
            [
                vec!["glibc"],
                vec!["zlib"],
                vec!["python", "fastapi", "app"]
            ]
        );
    }
}
