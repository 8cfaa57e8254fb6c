//! The few small files that tell what an image is made of: on this machine's disk, or
//! fetched one by one from a cache that holds the paths they are in.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// A description has some kilobytes for a hundred store paths.
const LARGEST: u64 = 64 << 20;

/// Where the files are read.
#[derive(Debug)]
pub enum Files {
    /// The paths are here.
    OnDisk,
    /// They are not; these files of theirs were fetched.
    Fetched(BTreeMap<PathBuf, Fetched>),
}

/// What was fetched.
#[derive(Debug)]
pub enum Fetched {
    /// A file's content.
    Text(String),
    /// The names in a directory.
    Directory(Vec<String>),
}

impl Files {
    pub(super) fn read(&self, file: &Path) -> io::Result<String> {
        match self {
            Self::OnDisk => {
                let mut text = String::new();
                let mut bounded = File::open(file)?.take(LARGEST + 1);
                bounded.read_to_string(&mut text)?;
                match text.len() as u64 > LARGEST {
                    true => Err(io::ErrorKind::FileTooLarge.into()),
                    false => Ok(text),
                }
            }
            Self::Fetched(files) => match files.get(file) {
                Some(Fetched::Text(text)) => Ok(text.clone()),
                _ => Err(io::ErrorKind::NotFound.into()),
            },
        }
    }

    /// Sorted; none if it is no directory.
    pub(super) fn names(&self, directory: &Path) -> Vec<String> {
        let mut names = match self {
            Self::OnDisk => {
                let entries = fs::read_dir(directory).into_iter().flatten().flatten();
                entries
                    .map(|entry| entry.file_name().to_string_lossy().into_owned())
                    .collect()
            }
            Self::Fetched(files) => match files.get(directory) {
                Some(Fetched::Directory(names)) => names.clone(),
                _ => Vec::new(),
            },
        };
        names.sort();
        names
    }
}
