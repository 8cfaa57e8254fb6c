//! What this machine remembers to have published: for people at home, whose next
//! push may go to another tag, or to another repository of the same registry.
//!
//! One small JSON file. It is a help and never a need: one that is damaged, of
//! another version, or that other users of the machine could have written, counts
//! as empty. Only what this machine has made itself belongs in it: a claim that was
//! read under some tag is believed for that tag, and must not be carried to others.
//! It says where a layer was put, not that it is still there; the
//! registry is asked when the manifest is put. An empty CI machine has none, and
//! reads the published image instead ([`crate::prior`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::manifest::{Descriptor, annotation};
use crate::name::Repository;

/// Of the form of the file.
const VERSION: u32 = 1;
/// A larger file is not ours.
const LARGEST: u64 = 32 << 20;
/// Layers of one repository that are remembered: those of some ten images. A full ledger
/// has some 20 MB.
const LAYERS: usize = 1_000;
/// Repositories that are remembered.
const REPOSITORIES: usize = 64;

/// What was published from here.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    version: u32,
    repositories: BTreeMap<Repository, Published>,
}

/// What one repository was given.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Published {
    /// Seconds since the epoch.
    at: u64,
    /// The latest first.
    layers: Vec<Descriptor>,
}

impl Ledger {
    /// Reads the ledger in a directory; an empty one if there is none that counts.
    pub fn read(directory: &Path) -> Self {
        read(&file_in(directory)).unwrap_or_default()
    }

    /// The layers that a repository was given.
    pub fn of(&self, repository: &Repository) -> impl Iterator<Item = &Descriptor> {
        self.repositories
            .get(repository)
            .into_iter()
            .flat_map(|published| &published.layers)
    }

    /// The layers that other repositories of the same registry were given.
    pub fn beside<'a>(
        &'a self,
        repository: &'a Repository,
    ) -> impl Iterator<Item = (&'a Repository, &'a Descriptor)> {
        let others = self.repositories.iter().filter(move |(other, _)| {
            *other != repository && other.registry() == repository.registry()
        });
        others
            .flat_map(|(other, published)| published.layers.iter().map(move |layer| (other, layer)))
    }

    /// Adds what a repository was given now. Runs may do so at once.
    ///
    /// # Errors
    /// The directory cannot be written; nothing is lost by it but time.
    pub fn note(
        directory: &Path,
        repository: &Repository,
        layers: &[Descriptor],
        now: SystemTime,
    ) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let lock = File::create(directory.join("published.lock"))?;
        wait_for(&lock)?;
        let mut ledger = Self::read(directory);
        ledger.version = VERSION;
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH);
        let known = ledger.repositories.entry(repository.clone()).or_default();
        known.at = since_epoch.map_or(0, |time| time.as_secs());
        known.add(layers);
        let bytes = ledger.shortened();
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(&bytes)?;
        file.persist(file_in(directory)).map_err(|e| e.error)?;
        Ok(())
    }

    /// As it is written, without the repositories that were given something longest ago
    /// and are too many, or too much.
    fn shortened(&mut self) -> Vec<u8> {
        loop {
            let bytes = crate::manifest::to_bytes(self);
            if self.repositories.len() <= REPOSITORIES && bytes.len() as u64 <= LARGEST {
                return bytes;
            }
            let oldest = self.repositories.iter().min_by_key(|(_, known)| known.at);
            let Some(oldest) = oldest.map(|(repository, _)| repository.clone()) else {
                return bytes;
            };
            self.repositories.remove(&oldest);
        }
    }
}

impl Published {
    /// Each once, and none that no run could look for.
    fn add(&mut self, layers: &[Descriptor]) {
        let before = std::mem::take(&mut self.layers);
        let mut seen = BTreeSet::new();
        let all = layers.iter().map(in_short).chain(before);
        let known = all.filter(|layer| {
            let identity = identity(layer);
            identity.is_some_and(|identity| seen.insert(identity.to_owned()))
        });
        self.layers = known.take(LAYERS).collect();
    }
}

/// Without what only readers of the manifest want to know.
fn in_short(layer: &Descriptor) -> Descriptor {
    let mut short = layer.clone();
    let needed = [annotation::IDENTITY, annotation::DIFF_ID];
    short
        .annotations
        .retain(|key, _| needed.contains(&key.as_str()));
    short
}

/// By which a layer is known.
pub fn identity(layer: &Descriptor) -> Option<&str> {
    layer
        .annotations
        .get(annotation::IDENTITY)
        .map(String::as_str)
}

/// Another run writes for some milliseconds. Who holds the lock for longer is not waited for.
fn wait_for(lock: &File) -> io::Result<()> {
    for _ in 0..50 {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
            Err(TryLockError::Error(e)) => return Err(e),
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

fn file_in(directory: &Path) -> PathBuf {
    directory.join("published.json")
}

fn read(path: &Path) -> Option<Ledger> {
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    let directory = path.parent()?.metadata().ok()?;
    if !is_ours_alone(&metadata) || !is_ours_alone(&directory) || metadata.len() > LARGEST {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes).ok()?;
    let ledger: Ledger = serde_json::from_slice(&bytes).ok()?;
    (ledger.version == VERSION).then_some(ledger)
}

/// Who else may write it may say what he likes.
fn is_ours_alone(found: &Metadata) -> bool {
    let us = fs::metadata("/proc/self").map(|us| us.uid());
    us.is_ok_and(|us| us == found.uid()) && found.permissions().mode() & 0o022 == 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::manifest::{Annotations, media_type};

    fn layer(name: &str) -> Descriptor {
        Descriptor {
            annotations: Annotations::from([(annotation::IDENTITY.to_owned(), name.to_owned())]),
            ..Descriptor::of(media_type::LAYER_GZIP, name.as_bytes())
        }
    }

    fn repository(name: &str) -> Repository {
        name.parse().unwrap()
    }

    fn names<'a>(layers: impl Iterator<Item = &'a Descriptor>) -> Vec<&'a str> {
        layers.filter_map(identity).collect()
    }

    #[test]
    fn layers_are_found_in_their_repository_and_beside_others_of_the_registry() {
        let dir = tempfile::tempdir().unwrap();
        let (api, web) = (
            repository("ghcr.io/acme/api"),
            repository("ghcr.io/acme/web"),
        );
        let now = SystemTime::now();
        Ledger::note(dir.path(), &api, &[layer("python")], now).unwrap();
        Ledger::note(dir.path(), &api, &[layer("app"), layer("python")], now).unwrap();
        Ledger::note(
            dir.path(),
            &repository("quay.io/a/b"),
            &[layer("other")],
            now,
        )
        .unwrap();

        let ledger = Ledger::read(dir.path());
        assert_eq!(names(ledger.of(&api)), ["app", "python"]);
        assert_eq!(names(ledger.of(&web)), [""; 0]);
        assert_eq!(
            names(ledger.beside(&web).map(|(_, layer)| layer)),
            ["app", "python"]
        );
    }

    #[test]
    fn a_file_that_others_could_have_written_or_that_is_damaged_counts_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let api = repository("ghcr.io/acme/api");
        Ledger::note(dir.path(), &api, &[layer("app")], SystemTime::now()).unwrap();
        let file = file_in(dir.path());
        let sound = fs::read_to_string(&file).unwrap();
        assert_eq!(Ledger::read(dir.path()).of(&api).count(), 1);

        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(Ledger::read(dir.path()).of(&api).count(), 0);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        for damaged in [
            &sound[1..],
            "",
            "[]",
            &sound.replace("\"version\":1", "\"version\":2"),
        ] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(Ledger::read(dir.path()).of(&api).count(), 0, "{damaged}");
        }
    }

    #[test]
    fn a_file_in_a_directory_that_others_may_write_counts_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let api = repository("ghcr.io/acme/api");
        Ledger::note(dir.path(), &api, &[layer("app")], SystemTime::now()).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(Ledger::read(dir.path()).of(&api).count(), 0);
    }

    #[test]
    fn a_file_of_another_user_counts_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let api = repository("ghcr.io/acme/api");
        Ledger::note(dir.path(), &api, &[layer("app")], SystemTime::now()).unwrap();
        // Only root can give files away; for others there is nothing to be seen here.
        if std::os::unix::fs::chown(file_in(dir.path()), Some(1000), None).is_ok() {
            assert_eq!(Ledger::read(dir.path()).of(&api).count(), 0);
        }
    }

    #[test]
    fn what_was_put_longest_ago_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..REPOSITORIES as u64 + 3 {
            let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(n);
            let repository = repository(&format!("ghcr.io/acme/api{n}"));
            Ledger::note(dir.path(), &repository, &[layer("app")], at).unwrap();
        }
        let ledger = Ledger::read(dir.path());
        assert_eq!(ledger.repositories.len(), REPOSITORIES);
        assert_eq!(ledger.of(&repository("ghcr.io/acme/api2")).count(), 0);
        assert_eq!(ledger.of(&repository("ghcr.io/acme/api3")).count(), 1);
    }
}
