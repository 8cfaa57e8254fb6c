//! Handing an image to docker or podman.

use std::ffi::OsStr;
use std::io;
use std::process::{Command, Stdio};

use nixpy_oci::load::write_docker_archive;
use nixpy_pipeline::inputs::Loader;
use nixpy_pipeline::publish::Loadable;

use crate::settings::Environment;
use crate::settings::table::secret_variables;

/// The program did not take the image.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is not there.
    #[error("cannot start {program} to load the image; install it, or leave --load out")]
    Start {
        /// docker or podman.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It refused.
    #[error("{program} did not take the image: {said}")]
    Refused {
        /// docker or podman.
        program: &'static str,
        /// Its own words.
        said: String,
    },
}

/// Looks for the program, before the work whose result it is to take.
pub fn find(loader: Loader, environment: &Environment) -> Result<(), LoadError> {
    let program = loader.program();
    let path = environment.get(OsStr::new("PATH"));
    let mut places = path.into_iter().flat_map(std::env::split_paths);
    match places.any(|place| place.join(program).is_file()) {
        true => Ok(()),
        false => Err(LoadError::Start {
            program,
            source: io::ErrorKind::NotFound.into(),
        }),
    }
}

/// Loads an image under a name.
pub async fn load(loader: Loader, loadable: Loadable, name: String) -> Result<(), LoadError> {
    let program = loader.program();
    let waiting = tokio::task::spawn_blocking(move || wait(loader, &loadable, &name));
    waiting.await.unwrap_or_else(|e| {
        let said = e.to_string();
        Err(LoadError::Refused { program, said })
    })
}

fn wait(loader: Loader, loadable: &Loadable, name: &str) -> Result<(), LoadError> {
    let program = loader.program();
    let start = |source| LoadError::Start { program, source };
    let refused = |said: String| LoadError::Refused { program, said };
    let mut command = Command::new(program);
    secret_variables().for_each(|name| {
        command.env_remove(name);
    });
    let mut child = command
        .arg("load")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    let stdin = child.stdin.take();
    // When the program gives up early, its own words tell more than our broken pipe.
    let written = match stdin {
        Some(stdin) => write_docker_archive(&loadable.layout, &loadable.image, name, stdin),
        None => Ok(()),
    };
    let output = child.wait_with_output().map_err(start)?;
    if !output.status.success() {
        return Err(refused(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ));
    }
    written.map_err(|e| refused(e.to_string()))
}
