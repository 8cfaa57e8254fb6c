//! What other jobs have left: the files and folders that the input `files` names.

use std::path::{Path, PathBuf};

/// More than these nobody has; a folder that holds more is not one of results.
const MOST: usize = 1000;
/// Artifacts are unpacked into a folder each, or into one.
const DEEPEST: usize = 3;

/// The files, one a line; of a folder those in it that end in `.json`, sorted.
pub fn named(lines: &str) -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    for name in lines.lines().map(str::trim).filter(|name| !name.is_empty()) {
        let path = Path::new(name);
        if !path.is_dir() {
            files.push(name.to_owned());
            continue;
        }
        let mut found = Vec::new();
        search(path, DEEPEST, &mut found).map_err(|e| format!("input files: {name}: {e}"))?;
        if found.is_empty() {
            return Err(format!(
                "input files: no file in {name} ends in .json: are the artifacts of the other jobs downloaded there?"
            ));
        }
        found.sort();
        files.extend(found.iter().map(|file| file.display().to_string()));
    }
    Ok(files)
}

/// Links are not followed: whoever made the artifact could lead elsewhere.
fn search(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (kind, path) = (entry.file_type()?, entry.path());
        if kind.is_dir() && depth > 0 {
            search(&path, depth - 1, found)?;
        } else if kind.is_file() && path.extension().is_some_and(|end| end == "json") {
            found.push(path);
        }
        if found.len() > MOST {
            return Err(std::io::Error::other("there are too many files"));
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
    fn a_folder_is_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        fs::create_dir_all(at("results/b")).unwrap();
        for file in [
            "results/b/arm64.json",
            "results/amd64.json",
            "results/log.txt",
        ] {
            fs::write(at(file), "{}").unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", at("results/forged.json")).unwrap();
        let found = named(&format!("{}\n\n  {}\n", at("results"), at("one.json")));
        let expected = [
            at("results/amd64.json"),
            at("results/b/arm64.json"),
            at("one.json"),
        ];
        assert_eq!(found.unwrap(), expected);
        fs::create_dir(at("empty")).unwrap();
        let problem = named(&at("empty")).unwrap_err();
        assert!(problem.contains("artifacts"), "{problem}");
    }
}
