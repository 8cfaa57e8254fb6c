//! Trees of files merged under other names, as nix2container describes its layers
//! (<https://github.com/nlewo/nix2container>): each file goes where a rewrite of its
//! path says, and may be given another mode and owner.
//!
//! The tree of the tar is known before a byte is written ([`graph`]), since files of
//! several trees may meet in one directory, whose entries are sorted by name.
//! Directories that lead to a file and come from no tree belong to root and have the
//! mode 0755. Everything is dated one second after the epoch.

mod graph;
mod pattern;

use std::borrow::Cow;
use std::io::Write;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use self::graph::Graph;
pub use self::pattern::{InvalidPattern, Pattern};
use super::{Stamp, TarWriter, TreeError};

/// Nothing unpacks a longer name: it is Linux's limit for a path.
const MAX_NAME: usize = 4096;

/// One tree, and what becomes of it in the tar.
#[derive(Clone, Debug)]
pub struct MappedTree {
    /// Absolute.
    pub root: PathBuf,
    /// Where its files go; under their own names if there is none.
    pub rewrite: Option<Rewrite>,
    /// Applied one after the other.
    pub permissions: Vec<Permission>,
}

/// Makes the name in the tar from a file's path. What gets an empty name is left out.
#[derive(Clone, Debug)]
pub struct Rewrite {
    /// Every match is replaced.
    pub pattern: Pattern,
    /// By this, in which `$1` and `${name}` stand for groups of the pattern.
    pub replacement: String,
}

/// Mode and owner of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Of those whose path in the tree, not in the tar, has this in it.
    pub pattern: Pattern,
    /// Unless it stays.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Unless it stays.
    pub uname: Option<String>,
    /// Unless it stays.
    pub gname: Option<String>,
}

/// Trees cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// A file cannot be read, or the stream failed.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Two files want the same name, and are not the same.
    #[error(
        "{first} and {second} are both {name:?} in the layer, with another {what}: \
         leave one of them out"
    )]
    Conflict {
        /// In the tar.
        name: String,
        /// Came first.
        first: PathBuf,
        /// Came second.
        second: PathBuf,
        /// In what they differ.
        what: &'static str,
    },
    /// A rewrite makes names without end.
    #[error(
        "{path} would have a name of more than {MAX_NAME} bytes in the layer: correct its rewrite"
    )]
    LongName {
        /// The file.
        path: PathBuf,
    },
}

impl MapError {
    pub(crate) fn kind(&self) -> std::io::ErrorKind {
        match self {
            Self::Tree(error) => error.kind(),
            Self::Conflict { .. } | Self::LongName { .. } => std::io::ErrorKind::InvalidInput,
        }
    }
}

/// Writes the trees, merged.
///
/// # Errors
/// [`MapError`]
pub fn write_mapped<W: Write>(
    tar: &mut TarWriter<W>,
    trees: &[MappedTree],
) -> Result<(), MapError> {
    let mut graph = Graph::default();
    for tree in trees {
        graph.add(tree)?;
    }
    graph.write(tar)
}

impl MappedTree {
    /// The name that a file of the tree gets.
    fn name_of<'a>(&self, path: &'a Path) -> Result<Cow<'a, [u8]>, MapError> {
        let own = path.as_os_str().as_bytes();
        let Some(Rewrite {
            pattern,
            replacement,
        }) = &self.rewrite
        else {
            return Ok(Cow::Borrowed(own));
        };
        let name = pattern.replace_all(own, replacement, MAX_NAME);
        let name = name.ok_or_else(|| MapError::LongName {
            path: path.to_owned(),
        })?;
        Ok(Cow::Owned(name))
    }

    /// The mode, if it is another than the file's own, and the owner.
    fn appearance_of(&self, path: &Path) -> (Option<u32>, Stamp) {
        let path = path.as_os_str().as_bytes();
        let applying = self
            .permissions
            .iter()
            .filter(|permission| permission.pattern.is_match(path));
        applying.fold((None, Stamp::root()), |(mode, stamp), permission| {
            let stamp = Stamp {
                uid: permission.uid,
                gid: permission.gid,
                uname: permission.uname.clone().unwrap_or(stamp.uname),
                gname: permission.gname.clone().unwrap_or(stamp.gname),
                ..stamp
            };
            (permission.mode.or(mode), stamp)
        })
    }
}
