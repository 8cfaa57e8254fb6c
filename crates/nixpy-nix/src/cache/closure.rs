//! A closure that is known path by path, and small files out of its paths.
//!
//! What a cache holds is fetched as an archive, once, and read only if the archive has
//! the hash and the size that are known of the path. `nix store cat` would not do: it
//! shows whatever the cache sends.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::PATIENCE;
use crate::nar::Object;
use crate::nar_hash::NarHash;
use crate::path_info::{PathInfo, elsewhere};
use crate::program::Nix;
use crate::run::run_for_bytes;
use crate::store_path::StorePath;

/// Bytes of a path, or of a file on this machine, that something is read from. What
/// describes an image has some kilobytes, but a package with programs may be asked for
/// their names.
const LARGEST: u64 = 64 << 20;

/// A closure that is known path by path.
#[derive(Debug, Default)]
pub struct KnownClosure {
    /// Every path, from wherever it is known.
    pub paths: BTreeMap<StorePath, PathInfo>,
    /// Which cache holds a path; none for what this machine has.
    held_by: BTreeMap<StorePath, String>,
    /// Archives that were fetched and have the right hash.
    archives: BTreeMap<StorePath, Vec<u8>>,
}

impl KnownClosure {
    /// The text of a small file in a path of the closure.
    pub async fn read(&mut self, nix: &Nix, path: &StorePath, file: &Path) -> Option<String> {
        if !self.is_elsewhere(path)? {
            return text_here(file).ok();
        }
        let below = file.strip_prefix(path.as_path()).ok()?;
        let archive = self.archive(nix, path).await?;
        match object_of(path, archive)?.at(below)? {
            Object::Regular(contents) => String::from_utf8(contents.to_vec()).ok(),
            _ => None,
        }
    }

    /// The names in a directory of a path of the closure, none if it is not there;
    /// `None` if that cannot be told.
    pub async fn names(
        &mut self,
        nix: &Nix,
        path: &StorePath,
        directory: &Path,
    ) -> Option<Vec<String>> {
        if !self.is_elsewhere(path)? {
            return names_here(directory).ok();
        }
        let below = directory.strip_prefix(path.as_path()).ok()?;
        let archive = self.archive(nix, path).await?;
        let root = object_of(path, archive)?;
        match (root.at(below), &root) {
            // Through a link, what is there on a disk cannot be told from this.
            (Some(Object::Symlink), _) | (None, Object::Symlink) => None,
            (Some(Object::Directory(entries)), _) => {
                let names = entries.iter().map(|(name, _)| name);
                let names = names.map(|name| String::from_utf8_lossy(name).into_owned());
                Some(names.collect())
            }
            _ => Some(Vec::new()),
        }
    }

    /// Takes note of a path, unless it is known already.
    pub(super) fn add(&mut self, info: PathInfo, from: Option<&String>) {
        if self.paths.contains_key(&info.path) {
            return;
        }
        if let Some(url) = from {
            self.held_by.insert(info.path.clone(), url.clone());
        }
        self.paths.insert(info.path.clone(), info);
    }

    pub(super) fn missing<'a>(
        &'a self,
        paths: &'a [StorePath],
    ) -> impl Iterator<Item = StorePath> + 'a {
        let missing = paths.iter().filter(|path| !self.paths.contains_key(path));
        missing.cloned()
    }

    /// What is known from each cache.
    pub(super) fn by_cache(&self) -> BTreeMap<&str, Vec<&StorePath>> {
        let mut by_cache = BTreeMap::<&str, Vec<&StorePath>>::new();
        for (path, url) in &self.held_by {
            by_cache.entry(url).or_default().push(path);
        }
        by_cache
    }

    /// Whether the hashes that caches tell are bound to the paths wherever Nix believes
    /// them. A signature binds them. That a path is content-addressed does not: Nix
    /// compares its name with the address then, and the address with the content only when
    /// it has it. So the address has to be the hash itself; of one made otherwise, from a
    /// file's bytes for instance, we could not know.
    pub(super) fn is_bound(&self) -> bool {
        self.held_by.keys().all(|path| {
            let info = &self.paths[path];
            let Some(address) = &info.ca else { return true };
            let of_archive = address.strip_prefix("fixed:r:");
            of_archive.and_then(|hash| hash.parse().ok()) == Some(info.nar_hash)
        })
    }

    /// `None` for what is not in the closure.
    fn is_elsewhere(&self, path: &StorePath) -> Option<bool> {
        let is_known = self.paths.contains_key(path);
        is_known.then(|| self.held_by.contains_key(path))
    }

    /// The archive of a path that a cache holds, if it is what was told of it.
    async fn archive(&mut self, nix: &Nix, path: &StorePath) -> Option<&[u8]> {
        if !self.archives.contains_key(path) {
            let (info, url) = (self.paths.get(path)?, self.held_by.get(path)?);
            let archive = fetched(nix, url, info).await?;
            self.archives.insert(path.clone(), archive);
        }
        self.archives.get(path).map(Vec::as_slice)
    }
}

async fn fetched(nix: &Nix, url: &str, info: &PathInfo) -> Option<Vec<u8>> {
    if info.nar_size > LARGEST {
        return None;
    }
    let mut arguments = ["store", "dump-path"].map(str::to_owned).to_vec();
    arguments.extend(elsewhere(url));
    arguments.push(info.path.to_string());
    let mut ignored = |_| {};
    // One byte more, or a longer archive would look like the right one.
    let called = run_for_bytes(nix, &arguments, info.nar_size + 1, &mut ignored);
    let ended = tokio::time::timeout(PATIENCE, called).await.ok()?.ok()?;
    if !ended.success {
        return None;
    }
    let is_right = is_archive_of(info, &ended.stdout);
    if !is_right {
        tracing::debug!(%url, path = %info.path, "the cache holds something else");
    }
    is_right.then_some(ended.stdout)
}

fn is_archive_of(info: &PathInfo, archive: &[u8]) -> bool {
    let hash = NarHash::from_bytes(Sha256::digest(archive).into());
    archive.len() as u64 == info.nar_size && hash == info.nar_hash
}

fn object_of<'a>(path: &StorePath, archive: &'a [u8]) -> Option<Object<'a>> {
    let object = Object::of_archive(archive);
    object
        .inspect_err(|error| tracing::debug!(%path, %error, "cannot be read"))
        .ok()
}

fn text_here(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut bounded = std::fs::File::open(file)?.take(LARGEST + 1);
    bounded.read_to_string(&mut text)?;
    match text.len() as u64 > LARGEST {
        true => Err(io::ErrorKind::FileTooLarge.into()),
        false => Ok(text),
    }
}

fn names_here(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            return match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(Vec::new()),
                _ => Err(error),
            };
        }
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
