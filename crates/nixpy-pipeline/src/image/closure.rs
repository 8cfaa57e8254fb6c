//! An image of a plain package: its closure in layers, a small layer with what
//! programs expect of a machine, and a config made from the settings.
//!
//! Which path lies in which layer is decided by [`super::layering`].

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use nixpy_oci::image::{Body, ConfigTemplate};
use nixpy_oci::layer::{Entry, Identity, Layer, Source};
use nixpy_oci::tarball::Stamp;
use serde_json::{Value, json};

use super::conf::{EPOCH, store_directories, store_layer};
use super::layering::{self, Wishes};
use super::{Closure, ImageErrorKind};
use crate::inputs::ImageSettings;
use crate::plan::Job;

/// The image of a package. Of the layers that are wished for, one is the base layer.
pub(super) fn body(
    job: &Job,
    closure: &Closure,
    settings: &ImageSettings,
    wishes: Wishes<'_>,
) -> Result<Body, ImageErrorKind> {
    let store_layers = Wishes {
        max_layers: wishes
            .max_layers
            .min(layering::MAX_LAYERS)
            .saturating_sub(1),
        ..wishes
    };
    let partition = layering::layers(&job.output, closure, store_layers)
        .map_err(|unknown| ImageErrorKind::UnknownPath(unknown.0))?;
    let stamp = Stamp::root();
    let directories = store_directories();
    let base = base_layer(settings, &stamp);
    let mut layers = partition
        .layers
        .iter()
        .map(|layer| store_layer(&layer.paths, &directories, &stamp, closure))
        .collect::<Result<Vec<_>, _>>()?;
    layers.insert(0, base);
    let config = ConfigTemplate {
        created: EPOCH.to_owned(),
        platform: job.platform.clone(),
        config: config(job, settings)?,
    };
    Ok(Body::Layers { layers, config })
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
