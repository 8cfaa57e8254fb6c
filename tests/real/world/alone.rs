//! What is kept in cargo's folder for tests is the same for all runs on it: whoever changes it
//! does that alone.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A folder of that name there, made if it is missing.
pub fn kept(name: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&place).unwrap();
    place
}

/// Waits until nobody else holds this name, in this process or another one; it is held as long
/// as the file is.
pub fn hold(name: &str) -> File {
    let place = kept("").join(format!("{name}.lock"));
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&place)
        .unwrap();
    if file.try_lock().is_err() {
        loudly(&format!("waiting for who holds {}", place.display()));
        file.lock().unwrap();
    }
    file
}

/// Tells whoever runs the tests, though none fails.
pub fn loudly(text: &str) {
    // What is printed by the macros is shown of tests that fail.
    let _ = writeln!(std::io::stderr(), "\nwarning: {text}");
}
