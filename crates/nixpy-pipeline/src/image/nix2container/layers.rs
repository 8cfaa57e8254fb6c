//! The layers of a description: each with the identity of what its tar is made from,
//! or of the digest of the file that holds it.
//!
//! Nothing is read that the image does not refer to: store paths must be in its
//! closure, and so must the files of ready layers.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use nixpy_nix::StorePath;
use nixpy_oci::finished::{Finished, Packing};
use nixpy_oci::layer::{Identity, Layer, Source};
use nixpy_oci::tarball::mapped::{MappedTree, Pattern, Permission, Rewrite};

use super::super::store_layer::contents;
use super::super::{Closure, ImageErrorKind, info};
use super::description::{self, Options, Perm};
use super::error::{DescriptionError, LayerFault};

/// Each takes memory when it is compiled, and people write a handful.
const MAX_PATTERNS: usize = 500;

pub(super) fn layers(
    described: &[description::Layer],
    closure: &Closure,
) -> Result<Vec<Layer>, ImageErrorKind> {
    let mut reader = Reader {
        closure,
        patterns: HashMap::new(),
    };
    let numbered = described.iter().enumerate();
    numbered
        .map(|(n, layer)| {
            reader.layer(layer).map_err(|stop| match stop {
                Stop::Fault(kind) => DescriptionError::Layer {
                    number: n + 1,
                    kind,
                }
                .into(),
                Stop::Other(kind) => kind,
            })
        })
        .collect()
}

/// Why a layer was given up.
enum Stop {
    Fault(LayerFault),
    Other(ImageErrorKind),
}

impl From<LayerFault> for Stop {
    fn from(fault: LayerFault) -> Self {
        Self::Fault(fault)
    }
}

impl From<ImageErrorKind> for Stop {
    fn from(kind: ImageErrorKind) -> Self {
        Self::Other(kind)
    }
}

struct Reader<'a> {
    closure: &'a Closure,
    /// Compiled once, though each path of a closure may name the same.
    patterns: HashMap<String, Pattern>,
}

impl Reader<'_> {
    fn layer(&mut self, layer: &description::Layer) -> Result<Layer, Stop> {
        let packing = Packing::of(&layer.mediatype)
            .ok_or_else(|| LayerFault::MediaType(layer.mediatype.clone()))?;
        if packing == Packing::None && layer.digest != layer.diff_ids {
            return Err(LayerFault::Digests.into());
        }
        let (identity, source, comment) = match &layer.layer_path {
            Some(text) => self.ready(layer, text, packing)?,
            None if packing == Packing::None && !layer.paths.is_empty() => self.made(layer)?,
            None => return Err(LayerFault::Empty.into()),
        };
        let paths: Vec<StorePath> = layer.paths.iter().map(|path| path.path.clone()).collect();
        Ok(Layer {
            identity,
            source,
            size_hint: layer.size,
            stated_diff_id: Some(layer.diff_ids),
            comment,
            contents: contents(&paths, self.closure)?,
        })
    }

    /// One whose tar is in a file. What is stated of the file is checked when it is
    /// read, so the digest says all about it.
    fn ready(
        &self,
        layer: &description::Layer,
        text: &str,
        packing: Packing,
    ) -> Result<(Identity, Source, String), Stop> {
        let path = self.file(text)?;
        let broken = |source| LayerFault::File {
            path: path.clone(),
            source,
        };
        let found = fs::metadata(&path).map_err(broken)?;
        if !found.is_file() {
            return Err(broken(io::Error::other("it is not a regular file")).into());
        }
        if layer.size != 0 && layer.size != found.len() {
            return Err(LayerFault::Size {
                path,
                stated: layer.size,
                found: found.len(),
            }
            .into());
        }
        let comment = path.display().to_string();
        Ok(match packing {
            Packing::None => {
                let identity = Identity::of("tar/1", &layer.diff_ids);
                (identity, Source::Tar(path), comment)
            }
            packing => {
                let stated = (packing.media_type(), layer.digest, layer.diff_ids);
                let finished = Finished {
                    path,
                    packing,
                    digest: layer.digest,
                };
                let identity = Identity::of("blob/1", &stated);
                (identity, Source::Blob(finished), comment)
            }
        })
    }

    /// A file in a store path of the closure.
    fn file(&self, text: &str) -> Result<PathBuf, Stop> {
        let outside = || LayerFault::NotInStore(text.to_owned());
        let (path, below) = StorePath::split(text).ok_or_else(outside)?;
        info(self.closure, &path)?;
        let below = Path::new(below);
        let plain = |component| matches!(component, Component::Normal(_));
        if !below.components().all(plain) {
            return Err(outside().into());
        }
        // Joining nothing would put a slash behind the path.
        match below.as_os_str().is_empty() {
            true => Ok(path.as_path().to_owned()),
            false => Ok(path.as_path().join(below)),
        }
    }

    /// One whose tar is made from store paths.
    fn made(&mut self, layer: &description::Layer) -> Result<(Identity, Source, String), Stop> {
        let mut contents = Vec::new();
        let mut trees = Vec::new();
        for description::Path { path, options } in &layer.paths {
            let nar_hash = info(self.closure, path)?.nar_hash.to_string();
            contents.push((path.as_str(), nar_hash, options));
            trees.push(self.tree(path, options)?);
        }
        let identity = Identity::of("mapped/1", &contents);
        let comment = comment(&layer.paths);
        Ok((identity, Source::Mapped(trees), comment))
    }

    fn tree(&mut self, path: &StorePath, options: &Options) -> Result<MappedTree, Stop> {
        let rewrite = &options.rewrite;
        let rewrite = match rewrite.regex.is_empty() {
            true => None,
            false => Some(Rewrite {
                pattern: self.pattern(&rewrite.regex)?,
                replacement: rewrite.repl.clone(),
            }),
        };
        let permissions = options.perms.iter();
        Ok(MappedTree {
            root: path.as_path().to_owned(),
            rewrite,
            permissions: permissions
                .map(|perm| self.permission(perm))
                .collect::<Result<_, _>>()?,
        })
    }

    fn permission(&mut self, perm: &Perm) -> Result<Permission, Stop> {
        Ok(Permission {
            pattern: self.pattern(&perm.regex)?,
            mode: mode(&perm.mode)?,
            uid: perm.uid.into(),
            gid: perm.gid.into(),
            uname: owner(&perm.uname)?,
            gname: owner(&perm.gname)?,
        })
    }

    fn pattern(&mut self, text: &str) -> Result<Pattern, Stop> {
        if let Some(known) = self.patterns.get(text) {
            return Ok(known.clone());
        }
        if self.patterns.len() == MAX_PATTERNS {
            let limit = DescriptionError::Limit("regular expressions", MAX_PATTERNS as u64);
            return Err(ImageErrorKind::from(limit).into());
        }
        let pattern = Pattern::new(text).map_err(LayerFault::Pattern)?;
        self.patterns.insert(text.to_owned(), pattern.clone());
        Ok(pattern)
    }
}

fn mode(text: &str) -> Result<Option<u32>, LayerFault> {
    if text.is_empty() {
        return Ok(None);
    }
    let octal = text.len() <= 7 && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = octal.then(|| u32::from_str_radix(text, 8).ok()).flatten();
    let wrong = || LayerFault::Mode(text.to_owned());
    mode.map(Some).ok_or_else(wrong)
}

fn owner(name: &str) -> Result<Option<String>, LayerFault> {
    if name.contains('\0') {
        return Err(LayerFault::Owner(name.to_owned()));
    }
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

/// The first few of what may be hundreds.
fn comment(paths: &[description::Path]) -> String {
    const SHOWN: usize = 3;
    let named = paths.iter().map(|path| path.path.to_string());
    let mut comment = named.take(SHOWN).collect::<Vec<_>>().join(", ");
    if paths.len() > SHOWN {
        comment.push_str(&format!(" and {} more", paths.len() - SHOWN));
    }
    comment
}
