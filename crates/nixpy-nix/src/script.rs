//! Running a built script for what it writes to its standard output, which is
//! how dockerTools' streamed images come out when their description is not
//! understood.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Starts a script. The reader fails at its end unless the script succeeded, so
/// that half an output never passes for a whole one; what the script says on
/// standard error is a part of that failure.
///
/// # Errors
/// It cannot be started: it is for a processor whose programs do not run here.
pub fn output_of(script: &Path) -> io::Result<Box<dyn Read + Send>> {
    let log = tempfile::tempfile()?;
    let mut child = Command::new(script)
        // It needs nothing of our environment, and our secrets are none of its affair.
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.try_clone()?)
        .spawn()?;
    let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    Ok(Box::new(Output {
        script: script.to_owned(),
        child,
        stdout,
        log,
        ended: false,
    }))
}

struct Output {
    script: PathBuf,
    child: Child,
    stdout: ChildStdout,
    log: std::fs::File,
    ended: bool,
}

impl Read for Output {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.stdout.read(buf)?;
        if n == 0 && !buf.is_empty() && !self.ended {
            self.ended = true;
            let status = self.child.wait()?;
            if !status.success() {
                let said = self.last_line();
                let script = self.script.display();
                return Err(io::Error::other(format!(
                    "{script} failed with {status}: {said}"
                )));
            }
        }
        Ok(n)
    }
}

impl Output {
    fn last_line(&mut self) -> String {
        use std::io::Seek as _;
        let mut text = Vec::new();
        let _ = self.log.rewind();
        let _ = (&mut self.log).take(1 << 20).read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        last.unwrap_or("it said nothing").to_owned()
    }
}

/// A reader that is given up takes its script with it.
impl Drop for Output {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    fn script(text: &str) -> tempfile::TempPath {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.as_file()
            .set_permissions(std::fs::Permissions::from_mode(0o755))
            .unwrap();
        file.into_temp_path()
    }

    #[test]
    fn a_script_that_fails_after_some_output_is_an_error_with_its_last_words() {
        let path = script("#!/bin/sh\necho half\necho no such layer >&2\nexit 3\n");
        let mut text = String::new();
        let error = output_of(&path)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap_err();
        assert_eq!(text, "half\n");
        assert!(error.to_string().contains("no such layer"), "{error}");
    }

    #[test]
    fn a_script_that_succeeds_is_read_to_its_end() {
        let path = script("#!/bin/sh\necho whole\n");
        let mut text = String::new();
        output_of(&path).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "whole\n");
    }
}
