//! Being in a layout at the same time as other runs.
//!
//! Two advisory locks, on what is there anyway so that nothing foreign comes to
//! lie in the directory. The directory itself is locked, briefly, to create the
//! layout, to set a tag and to clean up. `oci-layout` is locked, shared, as long
//! as a run is in it: only who is alone takes anything away, since another run
//! may have seen a blob there and rely on it.
//!
//! A file system without locks is used without them, and then nothing is ever
//! taken away.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Locks a directory until the file is dropped; `None` when it is not there (any more).
pub(super) fn lock_directory(path: &Path) -> io::Result<Option<File>> {
    let directory = match File::open(path) {
        Ok(directory) => directory,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    wait(|| directory.lock());
    // Whoever had the lock may have removed the directory, and another made it again.
    let id = |of: &fs::Metadata| (of.dev(), of.ino());
    match fs::metadata(path) {
        Ok(now) if id(&now) == id(&directory.metadata()?) => Ok(Some(directory)),
        Ok(_) => Ok(None),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Others that fail at once take back what they have made; each can get in the way
/// more than once, but nobody does so for ever.
const MOST_TRIES: usize = 1_000;

/// Makes a directory and locks it, however many others make and remove it meanwhile.
pub(super) fn make_and_lock_directory(path: &Path) -> io::Result<File> {
    for _ in 0..MOST_TRIES {
        match fs::create_dir_all(path) {
            // One above it has been taken away between two steps.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            made => made?,
        }
        if let Some(directory) = lock_directory(path)? {
            return Ok(directory);
        }
    }
    fs::create_dir_all(path)?;
    Err(io::ErrorKind::NotFound.into())
}

/// Enters a layout, whose directory is locked, until the file is dropped.
pub(super) fn enter(marker: &Path) -> io::Result<File> {
    let marker = File::open(marker)?;
    wait(|| marker.lock_shared());
    Ok(marker)
}

/// Whether nobody else is in the layout, whose directory is locked.
pub(super) fn is_alone(entered: Option<&File>, marker: &Path) -> bool {
    match entered {
        Some(entered) => entered.try_lock().is_ok(),
        None => match File::open(marker) {
            Ok(marker) => marker.try_lock().is_ok(),
            Err(e) => e.kind() == io::ErrorKind::NotFound,
        },
    }
}

/// The directories that have to be made for this one to be there, the innermost first.
pub(super) fn missing_directories(path: &Path) -> Vec<PathBuf> {
    path.ancestors()
        .take_while(|path| !path.as_os_str().is_empty() && fs::symlink_metadata(path).is_err())
        .map(Path::to_owned)
        .collect()
}

fn wait(lock: impl Fn() -> io::Result<()>) {
    while lock().is_err_and(|e| e.kind() == io::ErrorKind::Interrupted) {}
}
