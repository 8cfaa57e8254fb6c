//! What is in a project's folder, as far as `init` is concerned: the names of its files, and the
//! texts of those that say what it is. Nothing is decided here.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Larger texts say nothing that is looked for.
const LARGEST: u64 = 1 << 20;
/// How many files are looked at, and how deep below the folder they lie.
const MOST: usize = 2000;
const DEEPEST: usize = 4;
/// Folders that are made of something else, or hold what is not the service.
const SKIPPED: [&str; 10] = [
    "__pycache__",
    "build",
    "dist",
    "docs",
    "env",
    "examples",
    "migrations",
    "node_modules",
    "tests",
    "venv",
];

/// Names relative to the folder, with `/`, and texts where they are read.
#[derive(Debug, Default)]
pub struct Listing {
    files: BTreeMap<String, Option<String>>,
}

impl Listing {
    /// Reads a folder.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let mut listing = Self::default();
        let mut open = vec![(folder.to_owned(), 0)];
        while let Some((place, depth)) = open.pop() {
            for entry in fs::read_dir(&place)? {
                let entry = entry?;
                let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string())
                else {
                    continue;
                };
                if kind.is_dir() {
                    let is_wanted = !name.starts_with('.') && !SKIPPED.contains(&name.as_str());
                    if is_wanted && depth < DEEPEST {
                        open.push((entry.path(), depth + 1));
                    }
                } else if listing.files.len() < MOST {
                    listing.add(folder, &entry.path());
                }
            }
        }
        Ok(listing)
    }

    /// Of these names and texts.
    #[cfg(test)]
    pub fn with(files: &[(&str, &str)]) -> Self {
        let files = files.iter();
        Self {
            files: files
                .map(|(name, text)| ((*name).to_owned(), Some((*text).to_owned())))
                .collect(),
        }
    }

    fn add(&mut self, folder: &Path, path: &Path) {
        let Some(name) = path.strip_prefix(folder).ok().and_then(Path::to_str) else {
            return;
        };
        let text = is_read(name)
            .then(|| path.metadata().ok())
            .flatten()
            .filter(|about| about.is_file() && about.len() <= LARGEST)
            .and_then(|_| fs::read_to_string(path).ok());
        self.files.insert(name.to_owned(), text);
    }

    /// Whether there is such a file.
    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// Its text, if it was read.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.files.get(name)?.as_deref()
    }

    /// Texts, by name.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self.files.iter();
        files.filter_map(|(name, text)| Some((name.as_str(), text.as_deref()?)))
    }
}

fn is_read(name: &str) -> bool {
    let path = PathBuf::from(name);
    let ends = |wanted: &str| path.extension().is_some_and(|found| found == wanted);
    ends("py")
        || (ends("txt") && name.contains("requirements"))
        || ["pyproject.toml", "flake.nix", ".python-version"].contains(&name)
}
