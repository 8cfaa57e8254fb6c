//! A tree of files, written in the order in which Python sorts `pathlib`
//! paths: component by component, so that a directory comes before what is in
//! it and `a/b` before `a-b`.
//!
//! Hard links are written as the files they are, as nixpkgs does: which files
//! of a store share an inode depends on the machine (`auto-optimise-store`).

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{Stamp, TarWriter};

/// A file of a tree could not be put into the tar.
#[derive(Debug, thiserror::Error)]
#[error("cannot put {path} into a layer")]
pub struct TreeError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl TreeError {
    pub(super) fn of(path: &Path, source: io::Error) -> Self {
        Self {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// Writes `path` and everything below it, without following links, under its
/// own absolute name.
///
/// # Errors
/// [`TreeError`] names the file: unreadable, changed meanwhile, or of a type
/// that no store path has; or it was the stream that failed.
pub fn write_tree<W: Write>(
    tar: &mut TarWriter<W>,
    path: &Path,
    stamp: &Stamp,
) -> Result<(), TreeError> {
    let found = write_one(tar, path, path.as_os_str().as_bytes(), None, stamp)?;
    if found.is_dir() {
        for child in sorted_names(path).map_err(|e| TreeError::of(path, e))? {
            write_tree(tar, &path.join(child), stamp)?;
        }
    }
    Ok(())
}

/// Writes one file, directory or link under a name, with the mode that it has
/// unless another one is given.
pub(super) fn write_one<W: Write>(
    tar: &mut TarWriter<W>,
    path: &Path,
    name: &[u8],
    mode: Option<u32>,
    stamp: &Stamp,
) -> Result<Metadata, TreeError> {
    let mut write = || -> io::Result<Metadata> {
        let found = fs::symlink_metadata(path)?;
        let mode = mode.unwrap_or(found.permissions().mode() & 0o7777);
        if found.is_dir() {
            tar.directory(name, mode, stamp)?;
        } else if found.is_symlink() {
            let target = fs::read_link(path)?;
            tar.symlink(name, mode, target.as_os_str().as_bytes(), stamp)?;
        } else if found.is_file() {
            let mut file = fs::File::open(path)?;
            tar.file(name, mode, found.len(), &mut file, stamp)?;
        } else {
            return Err(io::Error::other(
                "it is neither a file, a directory nor a symbolic link",
            ));
        }
        Ok(found)
    };
    write().map_err(|source| TreeError::of(path, source))
}

fn sorted_names(directory: &Path) -> io::Result<Vec<OsString>> {
    let mut names = fs::read_dir(directory)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort_unstable_by(|a, b| compare_as_python(a, b));
    Ok(names)
}

/// Python compares code points. For UTF-8 that is the order of the bytes; a
/// stray byte counts as the surrogate that `surrogateescape` makes of it.
fn compare_as_python(a: &OsStr, b: &OsStr) -> Ordering {
    if a.to_str().is_some() && b.to_str().is_some() {
        return a.as_bytes().cmp(b.as_bytes());
    }
    code_points(a).cmp(code_points(b))
}

fn code_points(name: &OsStr) -> impl Iterator<Item = u32> + '_ {
    name.as_bytes().utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid().chars().map(u32::from);
        valid.chain(chunk.invalid().iter().map(|byte| 0xDC00 + u32::from(*byte)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stray_bytes_sort_where_python_puts_their_surrogates() {
        let stray = OsStr::from_bytes(b"\xff");
        assert_eq!(
            compare_as_python(stray, OsStr::new("\u{e000}")),
            Ordering::Less
        );
        assert_eq!(compare_as_python(stray, OsStr::new("é")), Ordering::Greater);
    }
}
