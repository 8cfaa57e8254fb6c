//! What is in a store path, and its way to the disk.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::FakePath;

/// What is to be in a path: described first, put there by [`FakeStore::add`](super::FakeStore::add).
#[derive(Clone, Debug)]
pub struct Item {
    pub(super) name: String,
    entries: Vec<(String, Entry)>,
    pub(super) references: Vec<String>,
    pub(super) refers_to_itself: bool,
    pub(super) said_size: Option<usize>,
}

#[derive(Clone, Debug)]
enum Entry {
    File { content: Vec<u8>, executable: bool },
    Directory,
    Symlink(String),
}

impl Item {
    /// A path with this name, for instance `python3-3.12.4`; an empty directory until more is said.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            entries: Vec::new(),
            references: Vec::new(),
            refers_to_itself: false,
            said_size: None,
        }
    }

    /// Nix will say that it has this size, so that a path of a few bytes stands for a
    /// large one where sizes decide.
    pub fn said_to_have(mut self, bytes: usize) -> Self {
        self.said_size = Some(bytes);
        self
    }

    /// With a file. An empty place makes the path itself the file, as with scripts.
    pub fn file(self, place: &str, content: impl AsRef<[u8]>) -> Self {
        self.entry(
            place,
            Entry::File {
                content: content.as_ref().to_vec(),
                executable: false,
            },
        )
    }

    /// With an executable file.
    pub fn executable(self, place: &str, content: impl AsRef<[u8]>) -> Self {
        self.entry(
            place,
            Entry::File {
                content: content.as_ref().to_vec(),
                executable: true,
            },
        )
    }

    /// With a directory, which may stay empty.
    pub fn directory(self, place: &str) -> Self {
        self.entry(place, Entry::Directory)
    }

    /// With a symlink to a target that need not be there.
    pub fn symlink(self, place: &str, target: &str) -> Self {
        self.entry(place, Entry::Symlink(target.to_owned()))
    }

    /// Referring to these paths.
    pub fn references<'a>(mut self, paths: impl IntoIterator<Item = &'a FakePath>) -> Self {
        self.references
            .extend(paths.into_iter().map(|path| path.text.clone()));
        self
    }

    /// Referring to itself, as most real paths do.
    pub fn refers_to_itself(mut self) -> Self {
        self.refers_to_itself = true;
        self
    }

    /// Puts it there.
    pub(super) fn write(&self, on_disk: &Path) {
        for (place, entry) in &self.entries {
            let path = if place.is_empty() {
                on_disk.to_path_buf()
            } else {
                on_disk.join(place)
            };
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            entry.write(&path);
        }
        if self.entries.is_empty() {
            fs::create_dir(on_disk).unwrap();
        }
        set_times(on_disk);
    }

    fn entry(mut self, place: &str, entry: Entry) -> Self {
        self.entries.push((place.to_owned(), entry));
        self
    }
}

impl Entry {
    fn write(&self, path: &Path) {
        match self {
            Self::File {
                content,
                executable,
            } => {
                fs::write(path, content).unwrap();
                let mode = if *executable { 0o555 } else { 0o444 };
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            }
            Self::Directory => fs::create_dir_all(path).unwrap(),
            Self::Symlink(target) => symlink(target, path).unwrap(),
        }
    }
}

/// A store's files are from one second after the epoch. Directories stay
/// writable, unlike in a real store, so that the whole can be removed again.
fn set_times(path: &Path) {
    let metadata = fs::symlink_metadata(path).unwrap();
    if metadata.is_symlink() {
        return;
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            set_times(&entry.unwrap().path());
        }
    }
    let time = UNIX_EPOCH + Duration::from_secs(1);
    let times = FileTimes::new().set_modified(time).set_accessed(time);
    File::open(path).unwrap().set_times(times).unwrap();
}
