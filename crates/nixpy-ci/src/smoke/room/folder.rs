//! The folder of a room, which is gone with it. One of a run that was killed goes with the next
//! run: whoever uses a folder holds a lock (`flock`) on a file in it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PREFIX: &str = "nixpy-smoke-";

/// With a file in it that is read by whoever is in the room.
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Where the file is.
    pub fn orders(&self) -> PathBuf {
        orders_of(&self.path)
    }

    /// Makes one, and in it the empty folder `root`, and the file.
    pub fn make(within: &Path, orders: impl FnOnce(PathBuf) -> Vec<u8>) -> io::Result<Self> {
        sweep(within);
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(within)?;
        let root = dir.path().join("root");
        fs::create_dir(&root)?;
        // Under its own name it is not to be seen without its lock.
        let early = dir.path().join("early");
        let mut lock = File::create(&early)?;
        // On a file system without locks nothing is swept either.
        let _ = lock.try_lock();
        lock.write_all(&orders(root))?;
        fs::rename(early, orders_of(dir.path()))?;
        Ok(Self {
            path: dir.keep(),
            _lock: lock,
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // They who are in it may be writing to the last.
        for _ in 0..100 {
            match fs::remove_dir_all(&self.path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                _ => return,
            }
        }
    }
}

fn orders_of(folder: &Path) -> PathBuf {
    folder.join("orders")
}

/// Removes our folders that nobody uses any more.
fn sweep(within: &Path) {
    let us = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(within).into_iter().flatten().flatten() {
        let is_room = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let is_ours = entry
            .metadata()
            .is_ok_and(|found| found.is_dir() && found.uid() == us);
        if !is_room || !is_ours {
            continue;
        }
        let path = entry.path();
        let unused = File::open(orders_of(&path)).is_ok_and(|file| file.try_lock().is_ok());
        if unused {
            let _ = fs::remove_dir_all(path);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names(within: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(within).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn a_folder_that_is_used_is_left_alone_and_one_of_a_killed_run_is_swept() {
        let within = tempfile::tempdir().unwrap();
        let make = || Folder::make(within.path(), |_| b"do it".to_vec()).unwrap();
        let left = within.path().join("nixpy-smoke-left");
        fs::create_dir(&left).unwrap();
        fs::write(orders_of(&left), "").unwrap();
        let used = make();
        let another = make();
        assert_eq!(fs::read(used.orders()).unwrap(), b"do it");
        assert_eq!(names(within.path()).len(), 2);
        drop((used, another));
        assert_eq!(names(within.path()).len(), 0);
    }
}
