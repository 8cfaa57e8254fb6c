//! What other jobs have left: the files and folders that the input `files` names.

use std::path::Path;

use crate::github::folder::json_in;

/// The files, one a line; of a folder those in it that end in `.json`, sorted.
pub fn named(lines: &str) -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    for name in lines.lines().map(str::trim).filter(|name| !name.is_empty()) {
        let path = Path::new(name);
        if !path.is_dir() {
            files.push(name.to_owned());
            continue;
        }
        let found = json_in(path).map_err(|e| format!("input files: {name}: {e}"))?;
        if found.is_empty() {
            return Err(format!(
                "input files: no file in {name} ends in .json: are the artifacts of the other jobs downloaded there?"
            ));
        }
        files.extend(found.iter().map(|file| file.display().to_string()));
    }
    Ok(files)
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
