//! What the user wants, parsed: past this point nothing is a bare string.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use nixpy_nix::{AttrPath, FlakeRef, System};
use nixpy_oci::compress::Compression;
use nixpy_oci::name::{Repository, Tag};
use nixpy_oci::registry::{Credentials, RegistryOptions};

/// Everything that decides about a run.
#[derive(Debug)]
pub struct Inputs {
    /// Where the flake is.
    pub flake: FlakeRef,
    /// The attribute under `packages.<system>`; found by its name if `None`.
    pub attribute: Option<AttrPath>,
    /// What to build for; all that the flake offers if empty.
    pub systems: Vec<System>,
    /// Where the image goes.
    pub target: Target,
    /// Set when everything is in place; at least one.
    pub tags: Vec<Tag>,
    /// Of layers.
    pub compression: Compression,
    /// Takes the image of this machine's platform afterwards.
    pub load: Option<Loader>,
    /// For images that are made from a plain closure.
    pub image: ImageSettings,
    /// At most so many layers for a plain closure.
    pub max_layers: usize,
    /// Build and read an image's archive even where its description says it all.
    pub build_archive: bool,
    /// Go on building what does not depend on a failure.
    pub keep_going: bool,
    /// Blobs sent at once.
    pub uploads: usize,
    /// When the run began, for images that are dated so.
    pub now: SystemTime,
    /// Where answers of flakes are kept between runs, if they are.
    pub memo_dir: Option<PathBuf>,
    /// Where large layers wait to be sent to a registry.
    pub temp_dir: PathBuf,
}

/// Where the image goes.
#[derive(Debug)]
pub enum Target {
    /// An OCI image layout directory.
    Layout(PathBuf),
    /// A repository of a registry.
    Registry {
        /// Which.
        repository: Repository,
        /// Who pushes.
        credentials: Credentials,
        /// How it is reached.
        options: RegistryOptions,
    },
}

/// A program that takes images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loader {
    /// `docker load`.
    Docker,
    /// `podman load`.
    Podman,
}

/// The config of an image that is made from a plain closure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageSettings {
    /// The program and its first arguments; the package's main program if empty.
    pub entrypoint: Vec<String>,
    /// Arguments that `docker run IMAGE …` replaces.
    pub cmd: Vec<String>,
    /// Beside `PATH`, which is the package's `bin` unless it is named here.
    pub env: BTreeMap<String, String>,
    /// `8000/tcp`.
    pub ports: Vec<String>,
    /// `1000:1000`.
    pub user: Option<String>,
    /// An absolute path.
    pub workdir: Option<String>,
    /// `org.opencontainers.image.title` and the like.
    pub labels: BTreeMap<String, String>,
}

impl Loader {
    /// The program's name.
    pub fn program(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }
}
