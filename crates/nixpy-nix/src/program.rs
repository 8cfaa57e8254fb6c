//! The `nix` program: where it is, which options every call gets, which version it is.
//!
//! Finding it starts no process: one start costs 15 to 50 ms, and an evaluation
//! tells the version on its way. Its environment is ours, but for secrets. Anything said to it goes
//! through the private `run` module.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, OnceLock};

use tokio::process::Command;

use crate::error::{NixError, NixErrorKind};
use crate::version::NixVersion;

const FURTHER_CACHES: &str = "extra-substituters";

/// A `nix` that can be called. Clones share what was learnt about it.
#[derive(Debug, Clone)]
pub struct Nix {
    program: PathBuf,
    options: Vec<(String, String)>,
    hidden: Vec<String>,
    variables: Vec<(&'static str, String)>,
    version: Arc<OnceLock<NixVersion>>,
}

impl Nix {
    /// The program at `explicit`, or else the first `nix` in `PATH`.
    ///
    /// # Errors
    /// [`NixErrorKind::Missing`] when there is none.
    pub fn find(explicit: Option<&Path>) -> Result<Self, NixError> {
        Self::find_in(explicit, &std::env::var_os("PATH").unwrap_or_default())
    }

    /// As [`Nix::find`], with the search path given.
    ///
    /// # Errors
    /// [`NixErrorKind::Missing`] when there is none.
    pub fn find_in(explicit: Option<&Path>, search_path: &OsStr) -> Result<Self, NixError> {
        let found = match explicit {
            Some(program) => Some(program.to_owned()).filter(|program| program.is_file()),
            None => std::env::split_paths(search_path)
                .filter(|dir| dir.is_absolute())
                .map(|dir| dir.join("nix"))
                .find(|candidate| candidate.is_file()),
        };
        let program = found.ok_or_else(|| {
            let subject = explicit.map_or_else(
                || "nix in PATH".to_owned(),
                |path| path.display().to_string(),
            );
            NixError::new("find", subject, NixErrorKind::Missing)
        })?;
        Ok(Self {
            program,
            options: Vec::new(),
            hidden: Vec::new(),
            variables: Vec::new(),
            version: Arc::default(),
        })
    }

    /// The same program, called with `--option NAME VALUE` for each of these.
    #[must_use]
    pub fn with_options(mut self, options: Vec<(String, String)>) -> Self {
        self.options.extend(options);
        self
    }

    /// Whether it is told of caches beside those of its configuration.
    pub(crate) fn has_further_caches(&self) -> bool {
        self.options.iter().any(|(name, _)| name == FURTHER_CACHES)
    }

    /// The same program, which is not told of them.
    pub(crate) fn without_further_caches(mut self) -> Self {
        self.options.retain(|(name, _)| name != FURTHER_CACHES);
        self
    }

    /// What every call is told by `--option`.
    pub fn options(&self) -> &[(String, String)] {
        &self.options
    }

    /// The same program, called without these variables of our environment.
    #[must_use]
    pub fn without_variables(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.hidden.extend(names);
        self
    }

    /// The same program, called with this variable set.
    #[must_use]
    pub fn with_variable(mut self, name: &'static str, value: String) -> Self {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value));
        self
    }

    /// The program, to be given arguments.
    pub(crate) fn command(&self) -> Command {
        let mut command = self.other_program(&self.program);
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        command
    }

    /// A program that Nix needs too, which is to know as little of our environment.
    pub(crate) fn other_program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for name in &self.hidden {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Where the program is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The version, if an evaluation or [`Nix::version`] has already told it.
    pub fn known_version(&self) -> Option<&NixVersion> {
        self.version.get()
    }

    /// The version; asks `nix --version` if nothing else has told it yet.
    ///
    /// # Errors
    /// When the program does not start, or answers with no version.
    pub async fn version(&self) -> Result<&NixVersion, NixError> {
        if let Some(version) = self.version.get() {
            return Ok(version);
        }
        let spawned = self
            .command()
            .arg("--version")
            .kill_on_drop(true)
            .output()
            .await;
        let output = spawned.map_err(|cause| self.did_not_start(cause))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = NixVersion::parse(&text).ok_or_else(|| {
            NixError::unparseable(
                "ask the version of",
                self.program.display(),
                "the program".to_owned(),
                &text,
            )
        })?;
        Ok(self.version.get_or_init(|| version))
    }

    /// Takes note of a version that was told elsewhere, so that it need not be asked for.
    pub fn learn_version(&self, version: &NixVersion) {
        let _ = self.version.set(version.clone());
    }

    /// What the program is called in an error.
    pub(crate) fn described(&self) -> String {
        self.known_version()
            .map_or_else(|| "Nix".to_owned(), ToString::to_string)
    }

    /// What every call begins with. The features are asked for each time, so that
    /// it works where nobody has enabled flakes.
    pub(crate) fn common_arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            "--extra-experimental-features".to_owned(),
            "nix-command flakes".to_owned(),
        ];
        for (name, value) in &self.options {
            arguments.extend(["--option".to_owned(), name.clone(), value.clone()]);
        }
        arguments
    }

    pub(crate) fn did_not_start(&self, cause: std::io::Error) -> NixError {
        let kind = match cause.kind() {
            std::io::ErrorKind::NotFound => NixErrorKind::Missing,
            _ => NixErrorKind::Spawn,
        };
        NixError::new("run", self.program.display(), kind).caused_by(cause)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn without_nix_the_error_names_the_cure() {
        let error = Nix::find_in(None, "/nonexistent".as_ref()).unwrap_err();
        assert!(error.to_string().contains("nixpy-ci setup"), "{error}");
        let error = Nix::find_in(Some(Path::new("/nonexistent/nix")), "".as_ref()).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/nix"), "{error}");
    }

    #[test]
    fn a_relative_directory_in_the_search_path_is_never_searched() {
        assert!(Nix::find_in(None, ".:bin:".as_ref()).is_err());
    }
}
