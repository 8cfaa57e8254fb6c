//! The docker-archive that `docker load` and `podman load` read, written from
//! an image in a layout.
//!
//! Layers stay compressed: both programs look at the first bytes of a layer,
//! not at its name.

use std::fs::File;
use std::io::{self, Write};

use serde_json::json;

use crate::digest::Digest;
use crate::image::Pushed;
use crate::layout::Layout;
use crate::manifest::to_bytes;

/// Writes the archive of one image of a layout, to be known as `repo_tag`.
///
/// # Errors
/// Those of reading the layout and of `out`; a program that does not want the
/// archive any more is a broken pipe.
pub fn write_docker_archive(
    layout: &Layout,
    image: &Pushed,
    repo_tag: &str,
    out: impl Write,
) -> io::Result<()> {
    let mut tar = tar::Builder::new(out);
    let config = format!("{}.json", image.image_id.hex());
    let layers: Vec<String> = image
        .layers
        .iter()
        .map(|layer| file_of(layer.digest))
        .collect();
    let manifest = to_bytes(&json!([{
        "Config": config,
        "RepoTags": [repo_tag],
        "Layers": layers,
    }]));
    append(
        &mut tar,
        "manifest.json",
        manifest.len() as u64,
        &mut manifest.as_slice(),
    )?;
    append_blob(&mut tar, layout, &config, image.image_id)?;
    let mut written = std::collections::BTreeSet::new();
    for layer in &image.layers {
        if written.insert(layer.digest) {
            append_blob(&mut tar, layout, &file_of(layer.digest), layer.digest)?;
        }
    }
    tar.into_inner()?.flush()
}

/// Writes the archive of an image that has nothing in it, for this machine.
///
/// # Errors
/// Those of `out`.
pub fn write_empty_docker_archive(repo_tag: &str, out: impl Write) -> io::Result<()> {
    let layer = tar::Builder::new(Vec::new()).into_inner()?;
    let config = to_bytes(&json!({
        "architecture": match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        },
        "os": "linux",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(&layer)] },
    }));
    let name = format!("{}.json", Digest::of(&config).hex());
    let layer_name = file_of(Digest::of(&layer));
    let manifest = to_bytes(&json!([{
        "Config": name,
        "RepoTags": [repo_tag],
        "Layers": [layer_name],
    }]));
    let mut tar = tar::Builder::new(out);
    for (name, bytes) in [
        ("manifest.json", &manifest),
        (&name, &config),
        (&layer_name, &layer),
    ] {
        append(&mut tar, name, bytes.len() as u64, &mut bytes.as_slice())?;
    }
    tar.into_inner()?.flush()
}

fn file_of(layer: Digest) -> String {
    format!("{}/layer.tar", layer.hex())
}

fn append_blob(
    tar: &mut tar::Builder<impl Write>,
    layout: &Layout,
    name: &str,
    digest: Digest,
) -> io::Result<()> {
    let mut file = File::open(layout.blob_path(digest))?;
    let size = file.metadata()?.len();
    append(tar, name, size, &mut file)
}

fn append(
    tar: &mut tar::Builder<impl Write>,
    name: &str,
    size: u64,
    content: &mut dyn io::Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    tar.append_data(&mut header, name, content)
}
