//! An image of a plain package: its closure in layers, a small layer with what
//! programs expect of a machine, and a config made from the settings.
//!
//! Layering is by popularity, as dockerTools does it: what most paths depend on
//! lies at the bottom in a layer of its own, and images that share it share the
//! layer; what is over the limit shares the last store layer.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use nixpy_nix::StorePath;
use nixpy_oci::image::{Body, Config, ConfigTemplate};
use nixpy_oci::layer::{Entry, Identity, Layer, Source};
use nixpy_oci::tarball::Stamp;
use serde_json::{Value, json};

use super::conf::{EPOCH, store_directories, store_layer};
use super::{Closure, ImageErrorKind};
use crate::inputs::ImageSettings;
use crate::plan::Job;

pub(super) fn body(
    job: &Job,
    closure: &Closure,
    settings: &ImageSettings,
    max_layers: usize,
) -> Result<Body, ImageErrorKind> {
    let paths = requisites(&job.output, closure)?;
    let stamp = Stamp::root();
    let directories = store_directories();
    let base = base_layer(settings, &stamp);
    // One is taken by the base layer.
    let mut layers = by_popularity(&paths, closure, max_layers.saturating_sub(1).max(1))
        .iter()
        .map(|paths| store_layer(paths, &directories, &stamp, closure))
        .collect::<Result<Vec<_>, _>>()?;
    layers.insert(0, base);
    let config = Config::Template(ConfigTemplate {
        created: EPOCH.to_owned(),
        platform: job.platform.clone(),
        config: config(job, settings)?,
    });
    Ok(Body::Layers { layers, config })
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

/// What a program finds on every machine and in no store path: a place for
/// temporary files, and names for its user.
fn base_layer(settings: &ImageSettings, stamp: &Stamp) -> Layer {
    let mut passwd = "root:x:0:0:root:/root:/noshell\n".to_owned();
    let mut group = "root:x:0:\n".to_owned();
    let user = settings.user.as_deref().unwrap_or("0");
    let (uid, gid) = user.split_once(':').unwrap_or((user, user));
    if let (Ok(uid), Ok(gid)) = (uid.parse::<u32>(), gid.parse::<u32>())
        && uid != 0
    {
        passwd.push_str(&format!("app:x:{uid}:{gid}:app:/tmp:/noshell\n"));
        if gid != 0 {
            group.push_str(&format!("app:x:{gid}:\n"));
        }
    }
    let entries = vec![
        Entry::Directory("etc".to_owned(), 0o755),
        Entry::File("etc/group".to_owned(), 0o644, group),
        Entry::File("etc/passwd".to_owned(), 0o644, passwd),
        Entry::Directory("tmp".to_owned(), 0o1777),
    ];
    Layer {
        identity: Identity::of("entries/1", &entries),
        source: Source::Entries {
            entries,
            stamp: stamp.clone(),
        },
        size_hint: 0,
        stated_diff_id: None,
        comment: "/etc/passwd, /etc/group and /tmp".to_owned(),
    }
}

fn config(job: &Job, settings: &ImageSettings) -> Result<Value, ImageErrorKind> {
    let mut env = settings.env.clone();
    env.entry("PATH".to_owned())
        .or_insert_with(|| format!("{}/bin", job.output));
    let env: Vec<String> = env
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut config = json!({
        "Entrypoint": entrypoint(job, settings)?,
        "Env": env,
    });
    let mut set = |key: &str, value: Value| config[key] = value;
    if !settings.cmd.is_empty() {
        set("Cmd", json!(settings.cmd));
    }
    if !settings.ports.is_empty() {
        let ports: BTreeMap<&String, Value> = settings
            .ports
            .iter()
            .map(|port| (port, json!({})))
            .collect();
        set("ExposedPorts", json!(ports));
    }
    if let Some(user) = &settings.user {
        set("User", json!(user));
    }
    if let Some(workdir) = &settings.workdir {
        set("WorkingDir", json!(workdir));
    }
    if !settings.labels.is_empty() {
        set("Labels", json!(settings.labels));
    }
    Ok(config)
}

/// The setting; else the package's main program; else the only one it has.
fn entrypoint(job: &Job, settings: &ImageSettings) -> Result<Vec<String>, ImageErrorKind> {
    let bin = job.output.as_path().join("bin");
    if let [first, ..] = settings.entrypoint.as_slice() {
        // A bare name is one of the package's own programs.
        let mut entrypoint = settings.entrypoint.clone();
        if !first.contains('/') {
            let own = bin.join(first);
            if !own.exists() {
                return Err(ImageErrorKind::NoSuchProgram(first.clone(), names_in(&bin)));
            }
            entrypoint[0] = own.display().to_string();
        }
        return Ok(entrypoint);
    }
    if let Some(program) = &job.main_program
        && bin.join(program).exists()
    {
        return Ok(vec![bin.join(program).display().to_string()]);
    }
    let names = names_in(&bin);
    match names.as_slice() {
        [only] => Ok(vec![bin.join(only).display().to_string()]),
        _ => Err(ImageErrorKind::NoProgram(names)),
    }
}

fn names_in(bin: &Path) -> Vec<String> {
    let entries = fs::read_dir(bin).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
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
