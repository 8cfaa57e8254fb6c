//! A directory that is laid out like a Nix store, and what Nix would say of it.
//!
//! Paths get their hashes from their names alone, so that they are the same in
//! every run; their NAR hashes are the true ones, and sizes unless a test says others.
//! There is no database: references are what the test says they are.

mod item;
mod path_info;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

pub use item::Item;
pub use path_info::PathInfoShape;

use crate::nar::{nar, nar_hash};

/// The letters of Nix's base 32.
const LETTERS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// A store; it is gone when dropped.
pub struct FakeStore {
    root: TempDir,
    store_dir: String,
    paths: BTreeMap<String, FakePath>,
}

/// One path of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakePath {
    text: String,
    on_disk: PathBuf,
    references: Vec<String>,
    said_size: Option<usize>,
}

impl FakeStore {
    /// A store whose paths are called `/nix/store/…`, though they are elsewhere.
    pub fn new() -> Self {
        Self {
            root: TempDir::new().unwrap(),
            store_dir: "/nix/store".to_owned(),
            paths: BTreeMap::new(),
        }
        .laid_out()
    }

    /// A store whose paths are called by where they are: `<temporary>/nix/store/…`.
    pub fn in_place() -> Self {
        let mut store = Self::new();
        store.store_dir = store.dir().to_str().unwrap().to_owned();
        store
    }

    /// The directory that stands for `/`.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The directory that holds the paths.
    pub fn dir(&self) -> PathBuf {
        self.root().join("nix/store")
    }

    /// Puts a path there.
    pub fn add(&mut self, item: Item) -> FakePath {
        let base = format!("{}-{}", hash_of(&item.name), item.name);
        let on_disk = self.dir().join(&base);
        let text = format!("{}/{base}", self.store_dir);
        item.write(&on_disk);
        let mut references = item.references.clone();
        references.extend(item.refers_to_itself.then(|| text.clone()));
        references.sort();
        references.dedup();
        let path = FakePath {
            text,
            on_disk,
            references,
            said_size: item.said_size,
        };
        self.paths.insert(path.text.clone(), path.clone());
        path
    }

    /// The paths, and all that they refer to, sorted.
    pub fn closure(&self, roots: &[&FakePath]) -> Vec<FakePath> {
        let mut found = BTreeMap::new();
        let mut open: Vec<String> = roots.iter().map(|root| root.text.clone()).collect();
        while let Some(text) = open.pop() {
            let path = self
                .paths
                .get(&text)
                .expect("references lead to paths of this store");
            if found.insert(text, path.clone()).is_none() {
                open.extend(path.references.iter().cloned());
            }
        }
        found.into_values().collect()
    }

    fn laid_out(self) -> Self {
        fs::create_dir_all(self.dir()).unwrap();
        self
    }
}

impl Default for FakeStore {
    fn default() -> Self {
        Self::new()
    }
}

impl FakePath {
    /// What Nix calls it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it can be read.
    pub fn on_disk(&self) -> &Path {
        &self.on_disk
    }

    /// What it refers to, sorted.
    pub fn references(&self) -> &[String] {
        &self.references
    }

    /// `sha256-<base64>` of its archive.
    pub fn nar_hash(&self) -> String {
        nar_hash(&self.on_disk)
    }

    /// The length of its archive, or what is said of it.
    pub fn nar_size(&self) -> usize {
        self.said_size.unwrap_or_else(|| nar(&self.on_disk).len())
    }
}

impl fmt::Display for FakePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// 32 letters that depend on the name alone.
fn hash_of(name: &str) -> String {
    let hash = Sha256::digest(name);
    hash.iter()
        .take(32)
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
        .collect()
}
