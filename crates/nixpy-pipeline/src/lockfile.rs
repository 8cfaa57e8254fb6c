//! What the lock file of a Python project tells about its packages: which of them
//! are the project's own code, and how old the locked versions are.
//!
//! Read are [`uv.lock`], [`poetry.lock`], `pdm.lock` and [`pylock.toml`]: four TOML
//! files that are alike where it matters here. Only `uv.lock` and `pylock.toml` say
//! when a file was uploaded. A lock that is broken is a note and no error: layers are
//! chosen without it. Nothing here resolves, or judges whether the lock is up to date.
//!
//! [`uv.lock`]: https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile
//! [`poetry.lock`]: https://python-poetry.org/docs/basic-usage/#installing-with-poetrylock
//! [`pylock.toml`]: https://packaging.python.org/en/latest/specifications/pylock-toml/

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use jiff::Timestamp;
use nixpy_nix::FlakeRef;
use rustix::fs::OFlags;
use serde::Deserialize;
use toml::Value;

/// Larger texts are no lock files: the largest in public projects have some MiB.
pub const MAX_SIZE: usize = 16 << 20;

/// A lock file's packages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockFile {
    packages: BTreeMap<ProjectName, Locked>,
    newest: Option<Timestamp>,
}

/// A project's name as indexes compare it: `Jaraco.Text` is `jaraco-text`
/// ([PEP 503](https://peps.python.org/pep-0503/#normalized-names)).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectName(String);

/// One package; in several versions where a lock has forks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Locked {
    versions: Vec<String>,
    is_own: bool,
    released: Option<Timestamp>,
}

/// A text from which nothing can be learned.
#[derive(Debug, thiserror::Error)]
pub enum LockFileError {
    /// It is not read at all.
    #[error(
        "the lock file has {0} bytes, more than the {MAX_SIZE} that are read; give another, or none"
    )]
    TooLarge(usize),
    /// It is not TOML, or of another shape.
    #[error(
        "the lock file is not one of uv, Poetry or PDM, nor a pylock.toml; lock the project again, or give none"
    )]
    Broken(#[source] Box<toml::de::Error>),
    /// It is TOML of some other kind, or the lock of an empty project.
    #[error(
        "the lock file has no packages; give that of uv, Poetry or PDM, or a pylock.toml, or none"
    )]
    Empty,
}

/// In the order in which they are looked for.
const NAMES: [&str; 4] = ["uv.lock", "poetry.lock", "pdm.lock", "pylock.toml"];

impl LockFile {
    /// The lock file beside a flake that is on this machine, if there is one; and what is
    /// wrong with the one that is there.
    pub fn of_project(flake: &FlakeRef) -> (Option<Self>, Option<String>) {
        let Some(directory) = flake.local_dir() else {
            return (None, None);
        };
        for name in NAMES {
            let parsed = match read(&directory.join(name)) {
                Ok(text) => Self::parse(&text).map_err(|e| e.to_string()),
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => Err(e.to_string()),
            };
            return match parsed {
                Ok(lock) => (Some(lock), None),
                Err(why) => (
                    None,
                    Some(format!("{name} says nothing about layers: {why}")),
                ),
            };
        }
        (None, None)
    }

    /// Reads a lock file's text.
    ///
    /// # Errors
    /// [`LockFileError`] says why nothing can be learned from it.
    pub fn parse(text: &str) -> Result<Self, LockFileError> {
        if text.len() > MAX_SIZE {
            return Err(LockFileError::TooLarge(text.len()));
        }
        let document: Document =
            toml::from_str(text).map_err(|e| LockFileError::Broken(Box::new(e)))?;
        if document.packages.is_empty() {
            return Err(LockFileError::Empty);
        }
        let mut lock = Self::default();
        for package in &document.packages {
            lock.newest = lock.newest.max(package.uploads().max());
            let locked = lock
                .packages
                .entry(ProjectName::of(&package.name))
                .or_default();
            locked.is_own |= package.is_own();
            // The first file's upload is the release; wheels may follow much later.
            locked.released = locked.released.max(package.uploads().min());
            locked.versions.extend(package.version.clone());
        }
        Ok(lock)
    }

    /// Whether the package is code of the project itself, not of an index.
    pub fn is_own(&self, name: &ProjectName) -> bool {
        self.packages.get(name).is_some_and(|locked| locked.is_own)
    }

    /// Whether the package is locked, in whatever version.
    pub fn contains(&self, name: &ProjectName) -> bool {
        self.packages.contains_key(name)
    }

    /// Whether this very version is locked.
    pub fn has(&self, name: &ProjectName, version: &str) -> bool {
        self.packages
            .get(name)
            .is_some_and(|locked| locked.versions.iter().any(|known| known == version))
    }

    /// How old the locked version was when the newest in the lock came out, which is
    /// the best a lock file has for the day it was written. `None` if it does not say.
    pub fn age_in_days(&self, name: &ProjectName) -> Option<u32> {
        let released = self.packages.get(name)?.released?;
        let hours = (self.newest?.as_second() - released.as_second()) / 3600;
        u32::try_from(hours / 24).ok()
    }
}

/// A file's text, or the first of one that is too large to be a lock file. What is no file
/// is not waited for: a pipe may have nobody who writes.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    let at_once = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let mut options = File::options();
    let file = options.read(true).custom_flags(at_once).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    file.take(MAX_SIZE as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

impl ProjectName {
    /// Normalises a name.
    pub fn of(name: &str) -> Self {
        let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
        let parts: Vec<String> = parts.map(str::to_ascii_lowercase).collect();
        Self(parts.join("-"))
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What is common to all; the rest is passed over.
#[derive(Deserialize)]
struct Document {
    #[serde(default, rename = "package", alias = "packages")]
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: Option<String>,
    /// uv: `{ editable = "." }`; Poetry: `{ type = "directory", … }`.
    source: Option<Value>,
    /// PDM.
    path: Option<Value>,
    /// `pylock.toml`.
    directory: Option<Value>,
    sdist: Option<Upload>,
    #[serde(default)]
    wheels: Vec<Upload>,
}

#[derive(Deserialize)]
struct Upload {
    #[serde(rename = "upload-time")]
    upload_time: Option<Value>,
}

impl Package {
    fn is_own(&self) -> bool {
        let source = self.source.as_ref();
        let has = |key: &str| source.is_some_and(|source| source.get(key).is_some());
        let kind = source.and_then(|source| source.get("type")?.as_str());
        self.path.is_some()
            || self.directory.is_some()
            || kind == Some("directory")
            || ["editable", "virtual", "directory", "path"]
                .into_iter()
                .any(has)
    }

    fn uploads(&self) -> impl Iterator<Item = Timestamp> {
        let files = self.sdist.iter().chain(&self.wheels);
        files.filter_map(|file| match file.upload_time.as_ref()? {
            Value::String(text) => text.parse().ok(),
            Value::Datetime(time) => time.to_string().parse().ok(),
            _ => None,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn age(lock: &LockFile, name: &str) -> Option<u32> {
        lock.age_in_days(&ProjectName::of(name))
    }

    #[test]
    fn names_are_compared_as_indexes_do_it() {
        for spelt in ["Jaraco.Text", "jaraco_text", "JARACO-._TEXT"] {
            assert_eq!(ProjectName::of(spelt).to_string(), "jaraco-text");
        }
    }

    #[test]
    fn uv_tells_what_is_own_and_how_old_a_version_is() {
        let lock = LockFile::parse(
            r#"
            version = 1
            revision = 3
            requires-python = ">=3.11"

            [manifest]
            members = ["base-api", "shared"]

            [[package]]
            name = "base-api"
            version = "0.1.0"
            source = { editable = "." }
            dependencies = [{ name = "numpy", marker = "python_version < '3.13'" }]

            [[package]]
            name = "shared"
            source = { virtual = "libs/shared" }

            [[package]]
            name = "numpy"
            version = "1.26.4"
            source = { registry = "https://index.example/simple" }
            sdist = { url = "https://files.example/n.tar.gz", hash = "sha256:00", size = 1, upload-time = "2024-02-05T23:00:00.5Z" }
            wheels = [{ url = "https://files.example/n.whl", upload-time = "2024-04-01T00:00:00Z" }]

            [[package]]
            name = "fastapi"
            version = "0.111.0"
            source = { registry = "https://index.example/simple" }
            wheels = [{ url = "https://files.example/f.whl", upload-time = "2024-05-05T23:00:01Z" }]
            "#,
        )
        .unwrap();
        assert!(lock.is_own(&ProjectName::of("base_api")));
        assert!(lock.is_own(&ProjectName::of("shared")));
        assert!(!lock.is_own(&ProjectName::of("numpy")));
        assert!(lock.has(&ProjectName::of("NumPy"), "1.26.4"));
        assert!(!lock.has(&ProjectName::of("numpy"), "2.0"));
        assert_eq!(age(&lock, "numpy"), Some(90));
        assert_eq!(age(&lock, "fastapi"), Some(0));
        assert_eq!(age(&lock, "base-api"), None);
    }

    #[test]
    fn poetry_and_pdm_tell_no_times() {
        let lock = LockFile::parse(
            r#"
            [[package]]
            name = "numpy"
            version = "1.26.4"
            files = [{ file = "numpy-1.26.4.tar.gz", hash = "sha256:00" }]

            [[package]]
            name = "ours"
            version = "1.0"
            [package.source]
            type = "directory"
            url = "../ours"

            [[package]]
            name = "also-ours"
            version = "1.0"
            editable = true
            path = "./also"

            [metadata]
            lock-version = "2.0"
            content-hash = "00"
            "#,
        )
        .unwrap();
        assert_eq!(age(&lock, "numpy"), None);
        assert!(lock.is_own(&ProjectName::of("ours")));
        assert!(lock.is_own(&ProjectName::of("also-ours")));
        assert!(!lock.is_own(&ProjectName::of("numpy")));
    }

    #[test]
    fn pylock_writes_times_without_quotes() {
        let lock = LockFile::parse(
            "lock-version = '1.0'\n\
             [[packages]]\nname = 'a'\nversion = '1'\nwheels = [{ upload-time = 2025-01-01T00:00:00Z }]\n\
             [[packages]]\nname = 'b'\nversion = '1'\nsdist = { upload-time = 2025-01-31T00:00:00Z }\n\
             [[packages]]\nname = 'c'\ndirectory = { path = '.' }\n",
        )
        .unwrap();
        assert_eq!((age(&lock, "a"), age(&lock, "b")), (Some(30), Some(0)));
        assert!(lock.is_own(&ProjectName::of("c")));
    }

    #[test]
    fn what_is_no_lock_file_is_told_with_a_cure() {
        let deep = format!("a = {}", "[".repeat(100_000));
        let huge = "#".repeat(MAX_SIZE + 1);
        for (text, reason) in [
            ("[[package]", "lock the project again"),
            ("package = 3", "lock the project again"),
            (deep.as_str(), "lock the project again"),
            ("[project]\nname = 'a'", "has no packages"),
            ("", "has no packages"),
            (huge.as_str(), "more than the 16777216"),
        ] {
            let error = LockFile::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn times_that_are_none_are_passed_over() {
        let lock = LockFile::parse(
            "[[package]]\nname = 'a'\nsdist = { upload-time = 'yesterday' }\n\
             [[package]]\nname = 'b'\nsdist = { upload-time = 7 }\n",
        )
        .unwrap();
        assert_eq!(age(&lock, "a"), None);
    }
}
