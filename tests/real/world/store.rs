//! A Nix store that has nothing in it yet, in place of the machine's.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::program::script_with_own_mounts;

/// An empty `/nix`, seen only by the commands that are run on it.
pub struct Store {
    dir: TempDir,
}

impl Store {
    pub fn empty() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// Whether a path of `/nix/store` is in this store.
    pub fn has(&self, path: &Path) -> bool {
        let below = path.strip_prefix("/nix").unwrap();
        self.dir.path().join(below).symlink_metadata().is_ok()
    }

    /// A command that sees this store as `/nix`. The program itself must not come from `/nix`.
    pub fn command(&self, program_: impl AsRef<OsStr>) -> Command {
        let mut command = script_with_own_mounts(r#"mount --bind "$0" /nix && exec "$@""#);
        command.arg(self.dir.path()).arg(program_);
        command
    }
}
