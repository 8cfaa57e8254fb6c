//! What a layer is made from: a description that can be turned into a tar, and
//! an identity by which a layer that was made before is recognised without
//! reading a file.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::compress::Compression;
use crate::contents::Content;
use crate::digest::Digest;
use crate::finished::Finished;
use crate::tarball::mapped::{MapError, MappedTree, write_mapped};
use crate::tarball::{Dialect, Stamp, TarWriter, TreeError, write_tree};

/// Names the bytes of a layer by what they are made from. Equal identities
/// mean equal tars; whoever makes one must put everything into it that can
/// change a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(Digest);

impl Identity {
    /// The identity of something described by this value. `form` names the
    /// description and the version of the code that makes bytes from it.
    pub fn of(form: &str, description: &impl Serialize) -> Self {
        let mut text = format!("{form}\n").into_bytes();
        serde_json::to_writer(&mut text, description)
            .expect("descriptions have string keys and go to memory");
        Self(Digest::of(&text))
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// One layer to be.
#[derive(Clone, Debug)]
pub struct Layer {
    /// By which an earlier making of it is known.
    pub identity: Identity,
    /// Where the bytes can be had.
    pub source: Source,
    /// About how many bytes its tar has: the largest are made first.
    pub size_hint: u64,
    /// The diff ID that somebody has stated; other bytes are an error.
    pub stated_diff_id: Option<Digest>,
    /// For the history in the config, and for people.
    pub comment: String,
    /// What is in it, as the manifest is to say it; may be empty.
    pub contents: Vec<Content>,
}

/// The kinds of layer.
#[derive(Clone, Debug)]
pub enum Source {
    /// Directories first, then trees of files under their own absolute names.
    Trees {
        /// Each with its mode, parents before children.
        directories: Vec<(String, u32)>,
        /// Absolute paths.
        trees: Vec<PathBuf>,
        /// For every entry.
        stamp: Stamp,
    },
    /// A few small entries that exist nowhere but here.
    Entries {
        /// In the order in which they are written.
        entries: Vec<Entry>,
        /// For every entry.
        stamp: Stamp,
    },
    /// Trees of files under other names, written as Go writes them.
    Mapped(Vec<MappedTree>),
    /// A file that is a layer's tar already.
    Tar(PathBuf),
    /// A file that is a layer's blob already: it goes out as it is, compressed as it is.
    Blob(Finished),
}

/// An entry of [`Source::Entries`].
#[derive(Clone, Debug, Serialize)]
pub enum Entry {
    /// Name and mode.
    Directory(String, u32),
    /// Name, mode and content.
    File(String, u32, String),
    /// Name and target.
    Symlink(String, String),
}

/// A layer's tar could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// One file of it.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Several files of it.
    #[error(transparent)]
    Map(#[from] MapError),
    /// A ready tar, or a finished blob.
    #[error("cannot read the layer {path}")]
    Tar {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A finished blob is another one.
    #[error(
        "the layer {path} has the digest {found}, but {stated} was stated: \
         it is damaged or was changed"
    )]
    Digest {
        /// The file.
        path: PathBuf,
        /// Stated.
        stated: Digest,
        /// Of the file.
        found: Digest,
    },
    /// Where the layer goes.
    #[error("cannot write a layer")]
    Write(#[from] io::Error),
    /// No room for a finished layer that waits to be sent.
    #[error(
        "the disk is full at {dir}, where finished layers wait: make room there, \
         or name another place with TMPDIR (for an image layout, with --layout)"
    )]
    DiskFull {
        /// Where.
        dir: PathBuf,
    },
}

impl LayerError {
    /// Tells a full disk from trouble with the file that was being read: only
    /// writing can fill a disk.
    pub(crate) fn blame_full_disk(self, dir: &Path) -> Self {
        let kind = match &self {
            Self::Tree(error) => error.kind(),
            Self::Map(error) => error.kind(),
            Self::Tar { source, .. } | Self::Write(source) => source.kind(),
            Self::Digest { .. } | Self::DiskFull { .. } => return self,
        };
        if kind == io::ErrorKind::StorageFull {
            return Self::DiskFull {
                dir: dir.to_owned(),
            };
        }
        self
    }
}

impl Source {
    /// The media type of its blob in a run with this compression.
    pub fn media_type(&self, compression: Compression) -> &'static str {
        match self {
            Self::Blob(finished) => finished.packing.media_type(),
            _ => compression.media_type(),
        }
    }

    /// Writes the uncompressed tar.
    ///
    /// # Errors
    /// [`LayerError`] says what could not be read, or that `out` failed.
    pub fn write_tar(&self, out: &mut dyn Write) -> Result<(), LayerError> {
        match self {
            Self::Trees {
                directories,
                trees,
                stamp,
            } => {
                let mut tar = TarWriter::new(out, Dialect::Python);
                for (name, mode) in directories {
                    tar.directory(name.as_bytes(), *mode, stamp)?;
                }
                for tree in trees {
                    write_tree(&mut tar, tree, stamp)?;
                }
                tar.finish()?;
            }
            Self::Entries { entries, stamp } => {
                let mut tar = TarWriter::new(out, Dialect::Python);
                for entry in entries {
                    match entry {
                        Entry::Directory(name, mode) => {
                            tar.directory(name.as_bytes(), *mode, stamp)?;
                        }
                        Entry::File(name, mode, content) => {
                            let size = content.len() as u64;
                            let content = &mut content.as_bytes();
                            tar.file(name.as_bytes(), *mode, size, content, stamp)?;
                        }
                        Entry::Symlink(name, target) => {
                            tar.symlink(name.as_bytes(), 0o777, target.as_bytes(), stamp)?;
                        }
                    }
                }
                tar.finish()?;
            }
            Self::Mapped(trees) => {
                let mut tar = TarWriter::new(out, Dialect::Go);
                write_mapped(&mut tar, trees)?;
                tar.finish()?;
            }
            Self::Tar(path) => {
                let blame = |source| LayerError::Tar {
                    path: path.clone(),
                    source,
                };
                let mut file = fs::File::open(path).map_err(blame)?;
                io::copy(&mut file, out).map_err(blame)?;
            }
            Self::Blob(finished) => finished.write_tar(out)?,
        }
        Ok(())
    }
}
