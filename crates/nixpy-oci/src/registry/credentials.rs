//! Whom to log in as, when the user has not said so: what `docker login` and
//! `podman login` have left.
//!
//! The files, in the order of containers-auth.json(5) with docker's own at the end
//! (<https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md>):
//!
//! 1. `$REGISTRY_AUTH_FILE`
//! 2. `$XDG_RUNTIME_DIR/containers/auth.json`
//! 3. `~/.config/containers/auth.json`
//! 4. `$DOCKER_CONFIG/config.json`, or without that variable `~/.docker/config.json`
//!
//! The first that knows the registry is taken; one that does not exist is passed
//! over. This module never reads the environment: what it says is handed in.

use std::error::Error as StdError;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::auth_file::AuthFile;
use super::secret::Secret;
use crate::name::Repository;

/// Whom to log in as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Nobody.
    Anonymous,
    /// A user with a password, or with a token in its place.
    Basic {
        /// The user's name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// Whoever holds this token; it goes to the registry as it is.
    Bearer(Secret),
}

/// What the environment says about where credentials are.
#[derive(Clone, Debug, Default)]
pub struct CredentialEnvironment {
    /// `$HOME`
    pub home: Option<PathBuf>,
    /// `$XDG_RUNTIME_DIR`
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `$DOCKER_CONFIG`, a directory.
    pub docker_config: Option<PathBuf>,
    /// `$REGISTRY_AUTH_FILE`
    pub registry_auth_file: Option<PathBuf>,
    /// Where helpers are looked for, in the form of `$PATH`; without it, where
    /// this process looks for programs.
    pub helper_path: Option<OsString>,
}

/// Credentials are there, but cannot be read.
#[derive(Debug)]
pub struct CredentialsError {
    /// The file that holds them, or names who does.
    pub file: PathBuf,
    /// Host and port.
    pub registry: String,
    /// What is wrong.
    pub kind: CredentialsErrorKind,
}

/// What is wrong with an auth file, or with a helper that it names.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsErrorKind {
    /// It is there, and cannot be opened.
    #[error("the file cannot be opened; check its owner and mode")]
    Unreadable(#[source] io::Error),
    /// It is not JSON of the right form. The text of the error would quote the
    /// file, and so a password: only the place is told.
    #[error(
        "line {line}, column {column} is not as `docker login` writes it; log in again, or repair it"
    )]
    Malformed {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// An entry's `auth` is not what it should be.
    #[error(
        "the entry {key:?} has an \"auth\" that is not the base64 of user:password; log in again"
    )]
    BadAuth {
        /// The entry's name.
        key: String,
    },
    /// The helper's program is not there.
    #[error("docker-credential-{name} cannot be run; install it, or take it out of the file")]
    NoHelper {
        /// As in the file.
        name: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The helper did not give credentials.
    #[error("docker-credential-{name} failed{said}; log in again")]
    HelperFailed {
        /// As in the file.
        name: String,
        /// What it said, cut to a line.
        said: String,
    },
    /// The helper did not end.
    #[error("docker-credential-{name} said nothing for {} s; unlock what it reads from", after.as_secs())]
    HelperHangs {
        /// As in the file.
        name: String,
        /// How long it was given.
        after: Duration,
    },
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            registry,
            kind,
        } = self;
        write!(
            f,
            "cannot read the credentials for {registry} from {}: {kind}",
            file.display()
        )
    }
}

impl StdError for CredentialsError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.kind.source()
    }
}

impl Credentials {
    /// What the files have for this repository; [`Credentials::Anonymous`] if nothing.
    ///
    /// # Errors
    /// A file, or the helper that it names for this registry, is broken. It is
    /// not passed over: the user counts on it.
    pub async fn discover(
        repository: &Repository,
        environment: &CredentialEnvironment,
    ) -> Result<Self, CredentialsError> {
        for path in environment.files() {
            let failed = |kind| CredentialsError {
                file: path.clone(),
                registry: repository.registry().to_owned(),
                kind,
            };
            let Some(file) = AuthFile::read(&path).await.map_err(failed)? else {
                continue;
            };
            let found = file
                .find(repository, environment.helper_path.as_deref())
                .await;
            if let Some(credentials) = found.map_err(failed)? {
                tracing::debug!(file = %path.display(), "found credentials");
                return Ok(credentials);
            }
        }
        Ok(Self::Anonymous)
    }

    /// A user and a password or token. By convention of the credential helpers the
    /// user `<token>` has a refresh token; as a password for this user, the token
    /// services that hand them out take it.
    pub(super) fn basic(user: &str, password: &str) -> Self {
        const REFRESH_TOKEN: &str = "00000000-0000-0000-0000-000000000000";
        let user = if user == "<token>" {
            REFRESH_TOKEN
        } else {
            user
        };
        Self::Basic {
            user: user.to_owned(),
            password: Secret::new(password),
        }
    }
}

impl CredentialEnvironment {
    fn files(&self) -> Vec<PathBuf> {
        let below = |directory: &Option<PathBuf>, name: &str| {
            directory.as_ref().map(|path| path.join(name))
        };
        [
            self.registry_auth_file.clone(),
            below(&self.xdg_runtime_dir, "containers/auth.json"),
            below(&self.home, ".config/containers/auth.json"),
            below(&self.docker_config, "config.json")
                .or_else(|| below(&self.home, ".docker/config.json")),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
