//! A layer of whole store paths, as nixpkgs' `stream_layered_image.py` writes it: the
//! same tar, and the same words in the image's history, whether a description says
//! which paths lie in it ([`super::conf`]) or [`super::layering`] does.
//!
//! What a layer holds is told to later runs by [`contents`], for layers of any form.

use nixpy_nix::StorePath;
use nixpy_oci::contents::Content;
use nixpy_oci::layer::{Identity, Layer, Source};
use nixpy_oci::tarball::Stamp;

use super::{Closure, ImageErrorKind, info};

/// The layer of these paths, below these directories.
pub(super) fn store_layer(
    paths: &[StorePath],
    directories: &[(String, u32)],
    stamp: &Stamp,
    closure: &Closure,
) -> Result<Layer, ImageErrorKind> {
    let mut hashes = Vec::new();
    let mut size = 0_u64;
    for path in paths {
        let info = info(closure, path)?;
        hashes.push((path.to_string(), info.nar_hash.to_string()));
        // What a cache states may be anything.
        size = size.saturating_add(info.nar_size);
    }
    let description = (
        &hashes,
        directories,
        (
            stamp.mtime,
            stamp.uid,
            stamp.gid,
            &stamp.uname,
            &stamp.gname,
        ),
    );
    Ok(Layer {
        identity: Identity::of("trees/1", &description),
        source: Source::Trees {
            directories: directories.to_vec(),
            trees: paths.iter().map(|path| path.as_path().to_owned()).collect(),
            stamp: stamp.clone(),
        },
        size_hint: size,
        stated_diff_id: None,
        comment: comment(paths),
        contents: contents(paths, closure)?,
    })
}

/// `/nix` and `/nix/store` come first, as docker's own tools do it; the script
/// writes these two wherever the store is.
pub(super) fn store_directories(mode: u32) -> Vec<(String, u32)> {
    ["/nix", "/nix/store"]
        .map(|name| (name.to_owned(), mode))
        .to_vec()
}

/// As a later run finds it in the manifest.
pub(super) fn contents(
    paths: &[StorePath],
    closure: &Closure,
) -> Result<Vec<Content>, ImageErrorKind> {
    let named = paths.iter().map(|path| {
        Ok(Content {
            name: path.base_name().to_owned(),
            size: info(closure, path)?.nar_size,
        })
    });
    named.collect()
}

/// What [`contents`] has written, read back; what is no path of a store is left out.
pub(crate) fn paths_of(contents: &[Content], store_dir: &str) -> Vec<StorePath> {
    let named = contents.iter().map(|content| &content.name);
    named
        .filter_map(|name| StorePath::in_store(store_dir, name).ok())
        .collect()
}

/// What the image's history says of a layer of these paths.
pub(super) fn comment(paths: &[StorePath]) -> String {
    quoted(paths.iter().map(StorePath::as_str))
}

/// As Python prints a list of strings.
pub(super) fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names = names.into_iter().map(|name| format!("'{name}'"));
    format!("store paths: [{}]", names.collect::<Vec<_>>().join(", "))
}
