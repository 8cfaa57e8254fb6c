//! The hand that changes things: as root, through sudo, or as the user.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{Finished, Invocation, Privilege, Root, Runner, SetupErrorKind};

pub(super) struct Hand<'a, R> {
    pub(super) root: &'a Root,
    pub(super) runner: &'a R,
    pub(super) privilege: Privilege,
}

impl<R: Runner> Hand<'_, R> {
    /// Runs a program as the user, and wants it to succeed.
    pub(super) async fn run(&self, invocation: Invocation) -> Result<Finished, SetupErrorKind> {
        let line = invocation.line();
        match self.runner.run(&invocation).await {
            Err(source) => Err(SetupErrorKind::Start { line, source }),
            Ok(finished) if finished.success() => Ok(finished),
            Ok(finished) => Err(SetupErrorKind::Command { line, finished }),
        }
    }

    /// The same as root.
    pub(super) async fn run_as_root(
        &self,
        invocation: Invocation,
    ) -> Result<Finished, SetupErrorKind> {
        let sudo = self.privilege == Privilege::Sudo;
        self.run(if sudo {
            invocation.by_sudo()
        } else {
            invocation
        })
        .await
    }

    /// Puts `text` in place of a file at once, or not at all: the new file is
    /// written beside it, with its mode, and renamed.
    pub(super) async fn replace(
        &self,
        path: &Path,
        text: &str,
        own: bool,
    ) -> Result<(), SetupErrorKind> {
        let target = self.root.path(path);
        let failed = |source| SetupErrorKind::File {
            path: path.to_owned(),
            source,
        };
        // A link to elsewhere stays a link: its target is replaced.
        let target = std::fs::canonicalize(&target).unwrap_or(target);
        let folder = target.parent().unwrap_or(Path::new("/")).to_owned();
        let mode =
            std::fs::metadata(&target).map_or(0o644, |meta| meta.permissions().mode() & 0o7777);
        if self.privilege != Privilege::Sudo || own {
            std::fs::create_dir_all(&folder).map_err(failed)?;
            let mut file = tempfile::NamedTempFile::new_in(&folder).map_err(failed)?;
            file.write_all(text.as_bytes()).map_err(failed)?;
            file.as_file()
                .set_permissions(std::fs::Permissions::from_mode(mode))
                .map_err(failed)?;
            file.as_file().sync_all().map_err(failed)?;
            file.persist(&target).map_err(|error| failed(error.error))?;
            return Ok(());
        }
        let mut file = tempfile::NamedTempFile::new().map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        let text_at = |path: &Path| path.to_string_lossy().into_owned();
        let beside = target.with_extension(format!("{}.new", std::process::id()));
        let (mode, from) = (format!("{mode:o}"), text_at(file.path()));
        let install = ["-D", "-m", &mode, "--", &from, &text_at(&beside)];
        self.run_as_root(Invocation::new("install", install))
            .await?;
        let (beside, target) = (text_at(&beside), text_at(&target));
        self.run_as_root(Invocation::new("mv", ["-T", "--", &beside, &target]))
            .await?;
        Ok(())
    }

    /// Writes to a file of the kernel, which can be neither replaced nor renamed.
    pub(super) async fn tell_kernel(&self, path: &str, text: &str) -> Result<(), SetupErrorKind> {
        let target = self.root.path(path);
        if self.privilege == Privilege::Sudo {
            let tee = Invocation::new("tee", [target.to_string_lossy()]).reading(text);
            return self.run_as_root(tee).await.map(drop);
        }
        let file = std::fs::OpenOptions::new().write(true).open(target);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|source| SetupErrorKind::File {
                path: path.into(),
                source,
            })
    }
}
