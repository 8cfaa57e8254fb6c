//! What other jobs have left in a folder: its files that end in `.json`, as the action looks for
//! results and `nixpy-ci report` for reports. Logs and pages beside them are no business of ours.

use std::io::{Error, Result};
use std::path::{Path, PathBuf};

/// More than these nobody has; a folder that holds more is not one of results.
const MOST: usize = 1000;
/// Artifacts are unpacked into a folder each, or into one.
const DEEPEST: usize = 3;

/// The files in it and in the folders below, sorted.
///
/// # Errors
/// It cannot be read, or there are too many.
pub fn json_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    search(folder, DEEPEST, &mut found)?;
    found.sort();
    Ok(found)
}

/// Links are not followed: whoever made the artifact could lead elsewhere.
fn search(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (kind, path) = (entry.file_type()?, entry.path());
        if kind.is_dir() && depth > 0 {
            search(&path, depth - 1, found)?;
        } else if kind.is_file() && path.extension().is_some_and(|end| end == "json") {
            found.push(path);
        }
        if found.len() > MOST {
            return Err(Error::other("there are too many files"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    #[test]
    fn what_is_no_result_is_not_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("b/c/d/e")).unwrap();
        for file in ["b/arm64.json", "amd64.json", "log.txt", "b/c/d/e/deep.json"] {
            fs::write(at(file), "{}").unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", at("forged.json")).unwrap();
        std::os::unix::fs::symlink("/etc", at("elsewhere")).unwrap();
        let found = json_in(dir.path()).unwrap();
        assert_eq!(found, [at("amd64.json"), at("b/arm64.json")]);
        assert!(json_in(&at("none")).is_err());
    }

    #[test]
    fn a_folder_of_anything_has_an_end() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..=MOST {
            fs::write(dir.path().join(format!("{n}.json")), "").unwrap();
        }
        let problem = json_in(dir.path()).unwrap_err().to_string();
        assert_eq!(problem, "there are too many files");
    }
}
