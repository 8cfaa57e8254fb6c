//! Proof that a processor's programs run here: one of them is run, which writes `ok`
//! and ends. Whatever the registration says, only running tells.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::{Arch, Invocation, Runner, Runs, elf};

/// The name under which the program is written and run.
pub(super) fn name(arch: Arch) -> String {
    format!("proof-{}", arch.name())
}

/// Writes the program to a temporary folder, and runs it.
pub(super) async fn run(arch: Arch, runner: &impl Runner) -> Runs {
    match attempt(arch, runner).await {
        Ok(runs) => runs,
        Err(error) => Runs::No(error.to_string()),
    }
}

async fn attempt(arch: Arch, runner: &impl Runner) -> std::io::Result<Runs> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(name(arch));
    let mut file = std::fs::File::create(&path)?;
    file.write_all(&elf::says_ok(arch))?;
    file.set_permissions(std::fs::Permissions::from_mode(0o755))?;
    drop(file);
    let invocation = Invocation::new(&path.to_string_lossy(), [""; 0]);
    for _ in 0..20 {
        match runner.run(&invocation).await {
            // Another thread forked while the file was open for writing, and its
            // child holds it until it execs.
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // The folder is mounted with `noexec`.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Ok(Runs::Untried);
            }
            Err(error) => return Ok(Runs::No(error.to_string())),
            Ok(done) if done.success() && done.stdout == "ok\n" => return Ok(Runs::Yes),
            Ok(done) => {
                let said = done.tail();
                let ended = done
                    .code
                    .map_or("a signal".to_owned(), |code| format!("exit code {code}"));
                return Ok(Runs::No(if said.is_empty() {
                    ended
                } else {
                    format!("{ended}: {said}")
                }));
            }
        }
    }
    Ok(Runs::No("its file stayed busy".to_owned()))
}
