//! `FlakeRef`: which flake, as a user writes it: `.`, a directory, `github:owner/repo?ref=x`.
//!
//! A directory is made absolute and looked at (is there a flake?), so that the
//! error can say what to do; anything else is left to Nix, which knows its own
//! schemes. Nix is given a bare directory as it stands: it then finds out by itself
//! whether git tracks it, and takes only what git tracks.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use crate::error::{NixError, NixErrorKind};

/// A flake, by its directory or by an address that Nix resolves.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct FlakeRef {
    text: String,
    #[serde(skip)]
    local: Option<PathBuf>,
}

impl FlakeRef {
    /// Reads what a user wrote; a relative directory is taken from `cwd`. An empty text is `.`.
    ///
    /// # Errors
    /// [`NixErrorKind::NotAFlake`] for a directory without `flake.nix` in it or in
    /// one above it of the same git repository; [`NixErrorKind::BadReference`] for
    /// what neither is a directory nor looks like a reference.
    pub fn parse(text: &str, cwd: &Path) -> Result<Self, NixError> {
        let (body, query) = match text.split_once('?') {
            Some((body, query)) => (body, Some(query)),
            None => (text, None),
        };
        let (scheme, path) = match body.split_once(':') {
            None => (None, body),
            Some(("path", path)) => (Some("path:"), path),
            Some(("git+file", path)) => {
                (Some("git+file://"), path.strip_prefix("//").unwrap_or(path))
            }
            Some(_) => {
                return Ok(Self {
                    text: text.to_owned(),
                    local: None,
                });
            }
        };
        let dir = absolute(cwd, path);
        let written_as_path = scheme.is_some() || path.is_empty() || path.starts_with(['.', '/']);
        if !written_as_path && !dir.is_dir() {
            return Self::in_registry(text, body);
        }
        let subdir =
            query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("dir=")));
        let root = match (scheme, subdir) {
            // Nix itself looks upwards only for bare paths.
            (None, None) => with_flake_above(&dir),
            (_, subdir) => dir
                .join(subdir.unwrap_or(""))
                .join("flake.nix")
                .is_file()
                .then_some(dir.clone()),
        };
        let root = root.ok_or_else(|| NixError::new("use", text, NixErrorKind::NotAFlake(dir)))?;
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let text = format!("{}{}{query}", scheme.unwrap_or_default(), root.display());
        Ok(Self {
            text,
            local: Some(root),
        })
    }

    /// What Nix is given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The directory, when the flake is on this machine's disk.
    pub fn local_dir(&self) -> Option<&Path> {
        self.local.as_deref()
    }

    /// The git repository from which Nix takes the flake, if it is one on this machine's
    /// disk: then what git does not track is not seen.
    pub fn repository(&self) -> Option<&Path> {
        let dir = self
            .local_dir()
            .filter(|_| !self.text.starts_with("path:"))?;
        dir.ancestors().find(|root| root.join(".git").exists())
    }

    /// The file that this error of Nix misses although it lies in the flake's
    /// directory: one that git does not track. `None` if the error is about something else.
    pub fn untracked_file(&self, message: &str) -> Option<PathBuf> {
        let dir = self.local_dir()?;
        let candidates = message
            .split(['\'', '"', '«', '»', ' ', '\n'])
            .filter_map(|word| {
                let (_, rest) = crate::store_path::StorePath::split(word)?;
                Some(rest.to_owned())
            });
        // Since 2.26 or so: Path 'x.nix' in the repository "/srv/demo" is not tracked by Git.
        let told = message
            .contains("is not tracked by Git")
            .then(|| message.split('\'').nth(1))
            .flatten();
        let missing = [
            "No such file or directory",
            "does not exist",
            "is not tracked by Git",
            "does not contain a",
        ]
        .iter()
        .any(|known| message.contains(known));
        let named = candidates
            .chain(told.map(str::to_owned))
            .filter(|rest| missing && !rest.is_empty());
        // Paths are relative to the repository, of which the flake may be a part.
        let mut roots = dir.ancestors();
        let repository = roots.find(|root| root.join(".git").exists())?.to_owned();
        named
            .map(PathBuf::from)
            .find(|file| repository.join(file).exists())
    }

    fn in_registry(text: &str, body: &str) -> Result<Self, NixError> {
        let word = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        if body.starts_with(|first: char| first.is_ascii_alphabetic()) && body.split('/').all(word)
        {
            return Ok(Self {
                text: text.to_owned(),
                local: None,
            });
        }
        let reason = "it is neither a directory nor the reference of a flake (for example . or github:owner/repo)";
        Err(NixError::new(
            "use",
            format!("'{text}'"),
            NixErrorKind::BadReference(reason.to_owned()),
        ))
    }
}

impl fmt::Display for FlakeRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// The path without `.` and `..`, from `cwd` if it is relative. Links are not resolved.
fn absolute(cwd: &Path, path: &str) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in cwd.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}

/// The nearest directory from here upwards that has a flake, as far as the git repository reaches.
fn with_flake_above(dir: &Path) -> Option<PathBuf> {
    for candidate in dir.ancestors() {
        if candidate.join("flake.nix").is_file() {
            return Some(candidate.to_owned());
        }
        if candidate.join(".git").exists() {
            return None;
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn flake_at(dir: &Path) {
        std::fs::create_dir_all(dir).unwrap();
        std::fs::write(dir.join("flake.nix"), "{ }").unwrap();
    }

    #[test]
    fn a_directory_becomes_absolute() {
        let home = tempfile::tempdir().unwrap();
        flake_at(&home.path().join("service"));
        let expected = home.path().join("service").display().to_string();
        for written in ["service", "./service", "./x/../service/."] {
            assert_eq!(
                FlakeRef::parse(written, home.path()).unwrap().as_str(),
                expected
            );
        }
        let as_path = FlakeRef::parse("path:./service", home.path()).unwrap();
        assert_eq!(as_path.as_str(), format!("path:{expected}"));
        let here = FlakeRef::parse("", &home.path().join("service")).unwrap();
        assert_eq!(here.local_dir().unwrap().display().to_string(), expected);
    }

    #[test]
    fn a_flake_above_counts_within_the_same_repository_only() {
        let home = tempfile::tempdir().unwrap();
        flake_at(home.path());
        let inner = home.path().join("src/deep");
        std::fs::create_dir_all(&inner).unwrap();
        assert_eq!(
            FlakeRef::parse(".", &inner).unwrap().local_dir().unwrap(),
            home.path()
        );
        std::fs::create_dir_all(inner.join(".git")).unwrap();
        assert!(FlakeRef::parse(".", &inner).is_err());
    }

    #[test]
    fn a_directory_without_a_flake_is_told_so() {
        let home = tempfile::tempdir().unwrap();
        let error = FlakeRef::parse(".", home.path()).unwrap_err().to_string();
        assert!(
            error.contains("no flake.nix in /") && error.contains("name it"),
            "{error}"
        );
    }

    #[test]
    fn a_subdirectory_in_the_query_is_looked_at() {
        let home = tempfile::tempdir().unwrap();
        flake_at(&home.path().join("api"));
        let flake = FlakeRef::parse(".?dir=api", home.path()).unwrap();
        assert_eq!(flake.as_str(), format!("{}?dir=api", home.path().display()));
        assert!(FlakeRef::parse(".?dir=web", home.path()).is_err());
    }

    #[test]
    fn what_git_tracks_matters_unless_the_flake_is_named_as_a_path() {
        let home = tempfile::tempdir().unwrap();
        let service = home.path().join("services/api");
        flake_at(&service);
        let flake = |text: &str| FlakeRef::parse(text, &service).unwrap();
        assert_eq!(flake(".").repository(), None);
        std::fs::create_dir(home.path().join(".git")).unwrap();
        assert_eq!(flake(".").repository(), Some(home.path()));
        assert_eq!(flake("path:.").repository(), None);
        assert_eq!(flake("github:acme/api").repository(), None);
    }

    #[test]
    fn addresses_and_registry_names_are_left_to_nix() {
        for text in [
            "github:owner/repo?ref=x",
            "git+ssh://git@host/r.git",
            "nixpkgs",
            "nixpkgs/nixos-25.05",
        ] {
            let flake = FlakeRef::parse(text, Path::new("/nonexistent")).unwrap();
            assert_eq!((flake.as_str(), flake.local_dir()), (text, None));
        }
        assert!(FlakeRef::parse("no such thing", Path::new("/nonexistent")).is_err());
    }

    #[test]
    fn a_file_that_git_does_not_track_is_recognised_in_the_words_of_each_version() {
        let home = tempfile::tempdir().unwrap();
        flake_at(home.path());
        std::fs::create_dir(home.path().join(".git")).unwrap();
        std::fs::write(home.path().join("x.nix"), "42").unwrap();
        let flake = FlakeRef::parse(".", home.path()).unwrap();
        let store = "/nix/store/nvnzcjmy11ywil0w44x7wais0kvzwk32-source";
        for message in [
            format!("getting status of '{store}/x.nix': No such file or directory"),
            format!("path '{store}/x.nix' does not exist"),
            "Path 'x.nix' in the repository \"/srv/demo\" is not tracked by Git.".to_owned(),
        ] {
            assert_eq!(
                flake.untracked_file(&message),
                Some(PathBuf::from("x.nix")),
                "{message}"
            );
        }
        for message in [
            format!("getting status of '{store}/really-missing.nix': No such file or directory"),
            format!("undefined variable 'x' at {store}/x.nix"),
        ] {
            assert_eq!(flake.untracked_file(&message), None, "{message}");
        }
    }
}
