//! `nixpy-ci action-post`: finishes what a run has left undone that was cancelled or killed, and
//! takes away what it has left in the temporary folder that the launcher gave it, and the folder.
//! A run that ended by itself has left nothing: it has waited for its caches, and its keys and
//! logins have gone with it.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};

use crate::exit::Code;
use crate::render::line;
use crate::settings::Environment;

use super::{launched_in, unfinished};

/// Never a failure: the job has its result already. `was_ended`: whether the run did not come to
/// its own end.
pub async fn post(was_ended: bool, environment: &Environment) -> Code {
    let Some(folder) = launched_in(environment).map(Folder) else {
        return Code::Success;
    };
    let noted = unfinished::noted(&folder.0).filter(|_| was_ended);
    if let Some(noted) = noted {
        // There is not much time, and keys are the first to go.
        folder.is_emptied();
        unfinished::finish(&noted, environment).await;
    }
    Code::Success
}

/// Removed with all that is in it, also if nothing else is done any more.
struct Folder(PathBuf);

impl Folder {
    fn is_emptied(&self) {
        let emptied = empty(&self.0);
        let left = emptied.unwrap_or_else(|problem| {
            line(&format!("warning: {} stays: {problem}", self.0.display()));
            Vec::new()
        });
        if !left.is_empty() {
            line(&format!(
                "removed what the run has left: {}",
                left.join(", ")
            ));
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.is_emptied();
        // If something is left in it, that has been told.
        let _ = fs::remove_dir(&self.0);
    }
}

/// First what is mounted in it: to remove the folder would remove what is behind that. The names
/// of what was there; none of the note.
fn empty(folder: &Path) -> Result<Vec<String>, String> {
    let folder = folder.canonicalize().map_err(|e| e.to_string())?;
    let table = fs::read_to_string("/proc/self/mountinfo").map_err(|e| e.to_string())?;
    for place in mounts_below(&table, &folder) {
        unmount(&place, UnmountFlags::DETACH)
            .map_err(|e| format!("{} cannot be unmounted: {e}", place.display()))?;
    }
    let mut left = names_in(&folder);
    left.retain(|name| name != unfinished::NAME);
    make_removable(&folder);
    for entry in fs::read_dir(&folder).map_err(|e| e.to_string())?.flatten() {
        let path = entry.path();
        let removed = match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            true => fs::remove_dir_all(&path),
            false => fs::remove_file(&path),
        };
        removed.map_err(|e| e.to_string())?;
    }
    Ok(left)
}

/// The deepest first, as they have to be unmounted. Fields are those of proc(5).
fn mounts_below(table: &str, folder: &Path) -> Vec<PathBuf> {
    let places = table.lines().filter_map(|line| line.split(' ').nth(4));
    let places = places.map(|place| PathBuf::from(place.replace("\\040", " ")));
    let mut below: Vec<PathBuf> = places.filter(|place| place.starts_with(folder)).collect();
    below.sort_by_key(|place| std::cmp::Reverse(place.components().count()));
    below
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// An image's folders may be closed even to who owns them.
fn make_removable(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_removable(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[tokio::test]
    async fn what_was_left_goes_with_the_folder() {
        let within = tempfile::tempdir().unwrap();
        let folder = within.path().join("nixpy-ci-x");
        let closed = folder.join("nixpy-smoke-a/root/closed");
        fs::create_dir_all(&closed).unwrap();
        fs::write(closed.join("file"), "").unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
        let environment = [("TMPDIR".into(), folder.clone().into())].into();
        assert_eq!(post(true, &environment).await, Code::Success);
        assert!(!folder.exists());
        assert_eq!(post(true, &environment).await, Code::Success, "and again");
    }

    #[tokio::test]
    async fn nothing_else_is_removed() {
        let within = tempfile::tempdir().unwrap();
        let other = within.path().join("other");
        fs::create_dir(&other).unwrap();
        let link = within.path().join("nixpy-ci-link");
        std::os::unix::fs::symlink(&other, &link).unwrap();
        for folder in [&other, &link] {
            let environment = [("TMPDIR".into(), folder.into())].into();
            assert_eq!(post(true, &environment).await, Code::Success);
        }
        assert!(other.exists() && link.exists());
    }

    #[test]
    fn mounts_are_undone_from_the_inside() {
        let table = "1 0 0:1 / / rw - ext4 a rw\n\
                     2 1 0:2 / /t/nixpy-ci-x/a rw - tmpfs b rw\n\
                     3 2 0:3 / /t/nixpy-ci-x/a/b\\040c rw - tmpfs b rw\n\
                     4 1 0:4 / /t/nixpy-ci-xy rw - tmpfs b rw\n";
        let found = mounts_below(table, Path::new("/t/nixpy-ci-x"));
        let expected = ["/t/nixpy-ci-x/a/b c", "/t/nixpy-ci-x/a"].map(PathBuf::from);
        assert_eq!(found, expected);
    }
}
