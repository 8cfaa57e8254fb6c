//! Files that lie in a flake's folder and that git does not track. Nix takes from a git
//! repository only what git knows, so a new module that nobody has added is missing from
//! what is built, and the error, if there is one, comes from Python.

use std::path::PathBuf;

use crate::flake_ref::FlakeRef;
use crate::program::Nix;

/// Why git did not tell.
#[derive(Debug, thiserror::Error)]
pub enum UntrackedError {
    /// There is no git, or it does not start.
    #[error("git could not be started: {0}")]
    NoGit(std::io::Error),
    /// In its own words.
    #[error("git says: {0}")]
    Refused(String),
}

/// The files below the flake's folder that git neither tracks nor is told to ignore, in
/// git's order, relative to that folder. None where the flake is not taken from git.
///
/// # Errors
/// git is not there, or refuses.
pub async fn untracked_files(nix: &Nix, flake: &FlakeRef) -> Result<Vec<PathBuf>, UntrackedError> {
    let (Some(_), Some(folder)) = (flake.repository(), flake.local_dir()) else {
        return Ok(Vec::new());
    };
    let listed = nix
        .other_program("git")
        .arg("-C")
        .arg(folder)
        .args(["ls-files", "--others", "--exclude-standard", "-z"])
        .kill_on_drop(true)
        .output()
        .await
        .map_err(UntrackedError::NoGit)?;
    if !listed.status.success() {
        let said = String::from_utf8_lossy(&listed.stderr);
        let said: Vec<&str> = said
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty())
            .collect();
        return Err(UntrackedError::Refused(said.join(" ")));
    }
    let text = String::from_utf8_lossy(&listed.stdout);
    Ok(text.split_terminator('\0').map(PathBuf::from).collect())
}
