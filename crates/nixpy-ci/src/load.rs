//! Handing an image to docker or podman.

use std::ffi::OsStr;
use std::io::{self, PipeWriter};
use std::process::Stdio;

use nixpy_oci::layout::Layout;
use nixpy_oci::load::write_docker_archive;
use nixpy_pipeline::inputs::{Inputs, Loader, Target};
use nixpy_pipeline::publish::Loadable;
use nixpy_pipeline::report::Report;
use tokio::process::Command;

use crate::settings::Environment;
use crate::settings::table::withheld_variables;

/// The program did not take the image.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is not there.
    #[error("there is no {program} in the PATH to load the image; install it, or leave --load out")]
    Missing {
        /// docker or podman.
        program: &'static str,
    },
    /// It does not start.
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
    match is_here(program, environment) {
        true => Ok(()),
        false => Err(LoadError::Missing { program }),
    }
}

/// Whether a program is in `PATH`.
pub fn is_here(program: &str, environment: &Environment) -> bool {
    let path = environment.get(OsStr::new("PATH"));
    let mut places = path.into_iter().flat_map(std::env::split_paths);
    places.any(|place| place.join(program).is_file())
}

/// docker or podman, without the variables that are secrets; ended when it is dropped.
pub fn command(loader: Loader) -> Command {
    let mut command = Command::new(loader.program());
    withheld_variables().for_each(|name| {
        command.env_remove(name);
    });
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Loads an image under a name.
pub async fn load(loader: Loader, image: &Loadable, name: &str) -> Result<(), LoadError> {
    let (layout, pushed) = (image.layout.path().to_owned(), image.image.clone());
    let name = name.to_owned();
    load_archive(loader, move |out| {
        let layout = Layout::look(&layout).map_err(io::Error::other)?;
        write_docker_archive(&layout, &pushed, &name, out)
    })
    .await
}

/// Loads what is written.
pub async fn load_archive<W>(loader: Loader, write: W) -> Result<(), LoadError>
where
    W: FnOnce(PipeWriter) -> io::Result<()> + Send + 'static,
{
    let program = loader.program();
    let start = |source| LoadError::Start { program, source };
    let refused = |said: String| LoadError::Refused { program, said };
    let (stdin, writer) = io::pipe().map_err(start)?;
    let child = command(loader)
        .arg("load")
        .stdin(stdin)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    let writing = tokio::task::spawn_blocking(move || write(writer));
    // When the program gives up early, its own words tell more than our broken pipe.
    let (output, written) = tokio::join!(child.wait_with_output(), writing);
    let output = output.map_err(start)?;
    if !output.status.success() {
        return Err(refused(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ));
    }
    let written = written.map_err(io::Error::from).flatten();
    written.map_err(|e| refused(e.to_string()))
}

/// The published name where there is one; else the layout directory's.
pub fn name(inputs: &Inputs, report: &Report) -> String {
    let tag = inputs.tags.first().map_or("latest", |tag| tag.as_ref());
    match inputs.targets.first() {
        Some(Target::Registry { repository, .. }) => format!("{repository}:{tag}"),
        _ => {
            let name = report.platforms.first().map(|image| image.name.as_str());
            format!("localhost/{}:{tag}", image_name(name.unwrap_or_default()))
        }
    }
}

/// A package's name as far as an image can be called that.
fn image_name(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let name = name.to_ascii_lowercase().replace(|c| !allowed(c), "-");
    match name.trim_matches('-') {
        "" => "image".to_owned(),
        name => name.to_owned(),
    }
}
