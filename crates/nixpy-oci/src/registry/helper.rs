//! Credential helpers: programs that are asked for the credentials of one server
//! (<https://github.com/docker/docker-credential-helpers#development>).
//!
//! `docker-credential-NAME get` reads the server from standard input and writes
//! `{"ServerURL", "Username", "Secret"}`, or fails with a sentence on standard
//! output. Its standard output is a secret: no error quotes it unless it failed.

use std::ffi::OsStr;
use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::credentials::{Credentials, CredentialsErrorKind};
use super::refusal::one_line;

/// Some open a connection or ask a keyring; none should wait for a person.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// What the helper has for this server; `None` if it says that it has nothing.
pub(super) async fn get(
    name: &str,
    server: &str,
    path: Option<&OsStr>,
) -> Result<Option<Credentials>, CredentialsErrorKind> {
    let output = match timeout(PATIENCE, run(name, server, path)).await {
        Ok(Ok(output)) => output,
        Ok(Err(source)) => {
            return Err(CredentialsErrorKind::NoHelper {
                name: name.to_owned(),
                source,
            });
        }
        Err(_) => {
            return Err(CredentialsErrorKind::HelperHangs {
                name: name.to_owned(),
                after: PATIENCE,
            });
        }
    };
    let failed = |said: &str| {
        let said = one_line(said);
        let said = if said.is_empty() {
            said
        } else {
            format!(": {said}")
        };
        CredentialsErrorKind::HelperFailed {
            name: name.to_owned(),
            said,
        }
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        // The sentence is a part of the protocol.
        if said.contains("credentials not found") {
            return Ok(None);
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(failed(if said.trim().is_empty() {
            &complaint
        } else {
            &said
        }));
    }
    match serde_json::from_slice::<Answer>(&output.stdout) {
        Ok(answer) if answer.username.is_empty() && answer.secret.is_empty() => Ok(None),
        Ok(answer) => Ok(Some(Credentials::basic(&answer.username, &answer.secret))),
        Err(_) => Err(failed("its answer is not the JSON of a credential helper")),
    }
}

async fn run(name: &str, server: &str, path: Option<&OsStr>) -> io::Result<Output> {
    // A name from a file is not to become a path.
    if name.contains('/') {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a helper's name has no slash",
        ));
    }
    let mut command = Command::new(format!("docker-credential-{name}"));
    command
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read its input has said all it has to say.
        let _ = stdin.write_all(server.as_bytes()).await;
    }
    child.wait_with_output().await
}
