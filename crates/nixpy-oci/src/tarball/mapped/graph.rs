//! The tree of the tar to be, before it is written.
//!
//! A tree that keeps its own names and meets no other one is a single node, which
//! is read from the disk when it is written: so the memory that a layer takes is
//! that of its rewritten files, not of the closures beside them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io::Write;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::super::tree::write_one;
use super::{MAX_NAME, MapError, MappedTree, Stamp, TarWriter, TreeError};

/// All that goes into the tar.
#[derive(Default)]
pub(super) struct Graph<'a> {
    top: Node<'a>,
}

#[derive(Default)]
struct Node<'a> {
    /// `None` for a directory that only leads to others.
    file: Option<File<'a>>,
    /// Sorted by name.
    below: BTreeMap<OsString, Node<'a>>,
}

struct File<'a> {
    path: PathBuf,
    tree: &'a MappedTree,
    mode: u32,
    size: u64,
    /// What is below it on the disk comes along, and is not in the graph.
    whole: bool,
}

impl<'a> Graph<'a> {
    /// Adds all files of a tree.
    pub(super) fn add(&mut self, tree: &'a MappedTree) -> Result<(), MapError> {
        if tree.rewrite.is_none() {
            let name = clean(tree.root.as_os_str().as_bytes());
            let node = self.node(&name)?;
            if node.file.is_none() && node.below.is_empty() {
                node.file = Some(File::whole(&tree.root, tree)?);
                return Ok(());
            }
        }
        self.add_each(tree, &tree.root)
    }

    /// Writes everything, parents before children.
    pub(super) fn write<W: Write>(&self, tar: &mut TarWriter<W>) -> Result<(), MapError> {
        self.top.write_below(tar, b"")
    }

    fn add_each(&mut self, tree: &'a MappedTree, path: &Path) -> Result<(), MapError> {
        let metadata = fs::symlink_metadata(path).map_err(|e| TreeError::of(path, e))?;
        let name = tree.name_of(path)?;
        if !name.is_empty() {
            let name = clean(&name);
            if name.len() > MAX_NAME {
                let path = path.to_owned();
                return Err(MapError::LongName { path });
            }
            let file = File::of(path, tree, &metadata);
            self.node(&name)?.put(&name, file)?;
        }
        if metadata.is_dir() {
            for child in sorted_names(path)? {
                self.add_each(tree, &path.join(child))?;
            }
        }
        Ok(())
    }

    /// The node of this name, made if need be.
    fn node(&mut self, name: &[u8]) -> Result<&mut Node<'a>, MapError> {
        let mut node = &mut self.top;
        for part in parts(name) {
            let below = &mut node.expanded()?.below;
            node = below.entry(OsStr::from_bytes(part).to_owned()).or_default();
        }
        node.expanded()
    }
}

impl<'a> Node<'a> {
    /// The same, with what is directly below it on the disk in the graph.
    fn expanded(&mut self) -> Result<&mut Self, MapError> {
        if let Some(file) = &mut self.file
            && file.whole
        {
            file.whole = false;
            if file.is_dir() {
                for name in sorted_names(&file.path)? {
                    let child = File::whole(&file.path.join(&name), file.tree)?;
                    self.below.entry(name).or_default().file = Some(child);
                }
            }
        }
        Ok(self)
    }

    /// Of several files the last one counts, if it looks like the one before.
    fn put(&mut self, name: &[u8], file: File<'a>) -> Result<(), MapError> {
        if let Some(before) = &self.file
            && let Some(what) = before.differs_from(&file)
        {
            return Err(MapError::Conflict {
                name: String::from_utf8_lossy(name).into_owned(),
                first: before.path.clone(),
                second: file.path,
                what,
            });
        }
        self.file = Some(file);
        Ok(())
    }

    fn write_below<W: Write>(&self, tar: &mut TarWriter<W>, base: &[u8]) -> Result<(), MapError> {
        for (part, node) in &self.below {
            let name = join(base, part.as_bytes());
            match &node.file {
                None => {
                    // The stream is to blame, not the file that the directory leads to.
                    let written = tar.directory(&name, 0o755, &Stamp::root());
                    let path = Path::new(OsStr::from_bytes(&name));
                    written.map_err(|e| TreeError::of(path, e))?;
                }
                Some(file) if file.whole => write_whole(tar, &file.path, &name, file.tree)?,
                Some(file) => {
                    write_file(tar, &file.path, &name, file.tree)?;
                }
            }
            node.write_below(tar, &name)?;
        }
        Ok(())
    }
}

impl<'a> File<'a> {
    fn of(path: &Path, tree: &'a MappedTree, metadata: &Metadata) -> Self {
        Self {
            path: path.to_owned(),
            tree,
            mode: metadata.mode(),
            size: if metadata.is_file() {
                metadata.len()
            } else {
                0
            },
            whole: false,
        }
    }

    fn whole(path: &Path, tree: &'a MappedTree) -> Result<Self, MapError> {
        let metadata = fs::symlink_metadata(path).map_err(|e| TreeError::of(path, e))?;
        Ok(Self {
            whole: true,
            ..Self::of(path, tree, &metadata)
        })
    }

    fn is_dir(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    fn differs_from(&self, other: &Self) -> Option<&'static str> {
        let plain = self.tree.rewrite.is_none() && self.tree.permissions.is_empty();
        if self.mode != other.mode {
            Some("mode")
        } else if self.size != other.size {
            Some("size")
        } else if !plain && self.tree.permissions != other.tree.permissions {
            Some("set of permissions")
        } else {
            None
        }
    }
}

fn write_file<W: Write>(
    tar: &mut TarWriter<W>,
    path: &Path,
    name: &[u8],
    tree: &MappedTree,
) -> Result<Metadata, TreeError> {
    let (mode, stamp) = tree.appearance_of(path);
    write_one(tar, path, name, mode, &stamp)
}

fn write_whole<W: Write>(
    tar: &mut TarWriter<W>,
    path: &Path,
    name: &[u8],
    tree: &MappedTree,
) -> Result<(), TreeError> {
    if write_file(tar, path, name, tree)?.is_dir() {
        for child in sorted_names(path)? {
            let name = join(name, child.as_bytes());
            write_whole(tar, &path.join(child), &name, tree)?;
        }
    }
    Ok(())
}

fn sorted_names(directory: &Path) -> Result<Vec<OsString>, TreeError> {
    let read = || -> std::io::Result<Vec<OsString>> {
        let entries = fs::read_dir(directory)?;
        entries.map(|entry| Ok(entry?.file_name())).collect()
    };
    let mut names = read().map_err(|e| TreeError::of(directory, e))?;
    names.sort_unstable();
    Ok(names)
}

/// A name without `.`, `..` and doubled slashes, as Go's `path/filepath` cleans it:
/// `..` stays only at the beginning of what is relative.
fn clean(name: &[u8]) -> Vec<u8> {
    let absolute = name.starts_with(b"/");
    let mut kept: Vec<&[u8]> = Vec::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if kept.last().is_some_and(|last| last != b"..") => {
                kept.pop();
            }
            b".." if absolute => {}
            part => kept.push(part),
        }
    }
    let joined = kept.join(&b'/');
    match (absolute, joined.is_empty()) {
        (true, _) => [b"/", &*joined].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

/// The parts of a cleaned name. The root of an absolute one is a part without letters.
fn parts(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let only_root = name == b"/";
    name.split(|byte| *byte == b'/')
        .take(if only_root { 1 } else { usize::MAX })
}

fn join(base: &[u8], part: &[u8]) -> Vec<u8> {
    match (base, part) {
        (_, b"") => b"/".to_vec(),
        (b"", part) => part.to_vec(),
        (b"/", part) => [b"/", part].concat(),
        (base, part) => [base, b"/", part].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn names_are_cleaned_as_go_cleans_them() {
        for (name, cleaned) in [
            ("/", "/"),
            ("//", "/"),
            ("/a//b/./c/", "/a/b/c"),
            ("/../a", "/a"),
            ("/a/../../b", "/b"),
            ("a/..", "."),
            ("../../a", "../../a"),
            ("a/../../b", "../b"),
            ("./a", "a"),
        ] {
            assert_eq!(clean(name.as_bytes()), cleaned.as_bytes(), "{name}");
        }
    }
}
