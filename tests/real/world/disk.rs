//! A disk that is soon full.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::program::output_of;

/// A small file system, mounted until this is dropped.
pub struct Disk {
    dir: TempDir,
}

impl Disk {
    pub fn of(size: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().to_str().unwrap();
        output_of(
            "mount",
            ["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", place],
        );
        Self { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// All files on it, relative to it, sorted.
    pub fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        collect(self.dir.path(), self.dir.path(), &mut files);
        files.sort();
        files
    }
}

fn collect(top: &Path, folder: &Path, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(top, &path, files);
        } else {
            files.push(path.strip_prefix(top).unwrap().display().to_string());
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        output_of("umount", ["--lazy", self.dir.path().to_str().unwrap()]);
    }
}
