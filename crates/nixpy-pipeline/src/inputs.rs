//! What the user wants, parsed: past this point nothing is a bare string.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use nixpy_cache::CacheSettings;
use nixpy_nix::builders::BuilderSettings;
use nixpy_nix::{AttrPath, FlakeRef, System};
use nixpy_oci::compress::Compression;
use nixpy_oci::name::{Repository, Tag};
use nixpy_oci::registry::{Credentials, RegistryOptions};

use crate::budget::Budget;
use crate::plan::Strategy;
use crate::smoke::Smoke;

/// Everything that decides about a run.
#[derive(Debug)]
pub struct Inputs {
    /// Where the flake is.
    pub flake: FlakeRef,
    /// The attribute under `packages.<system>`; found by its name if `None`.
    pub attribute: Option<AttrPath>,
    /// What to build for; all that the flake offers if empty.
    pub systems: Vec<System>,
    /// How systems are to be built, where it is not for the plan to decide.
    pub strategies: BTreeMap<System, Strategy>,
    /// What is cross-compiled for a system: an attribute of this machine's system.
    pub cross: BTreeMap<System, AttrPath>,
    /// Where the image goes; at least one.
    pub targets: Vec<Target>,
    /// Set when everything is in place; at least one.
    pub tags: Vec<Tag>,
    /// What people should know of how this was read.
    pub notes: Vec<String>,
    /// What images and their index say of themselves.
    pub annotations: Annotations,
    /// Publish without a tag, and leave a [`crate::result::RunResult`]: the first of
    /// [`Inputs::tags`] is only read.
    pub by_digest: bool,
    /// Nothing goes to a registry and no tag moves: what would be sent is made, measured
    /// and forgotten.
    pub rehearse: bool,
    /// Of the same repositories: what they point to is taken over where the first of
    /// [`Inputs::tags`] does not have it.
    pub reuse: Vec<Tag>,
    /// What the image is held against: the first of these, in the repository that it goes
    /// to, that has one for the platform. They point where they did before the run.
    pub baselines: Vec<Tag>,
    /// What every image has to keep before a tag moves.
    pub budgets: Vec<Budget>,
    /// Take nothing over from what was published before.
    pub remake: bool,
    /// Where this machine remembers what it has published, if it does.
    pub state_dir: Option<PathBuf>,
    /// Of layers.
    pub compression: Compression,
    /// What every image has to do before a tag moves.
    pub smoke: Option<Smoke>,
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
    /// Other machines that build, beside those that Nix is configured to use.
    pub builders: BuilderSettings,
    /// What was built once, kept for other machines.
    pub caches: CacheSettings,
    /// Where large layers wait to be sent to a registry.
    pub temp_dir: PathBuf,
}

/// Annotations by where they stand. What is another with every commit belongs on the index:
/// manifests stay as they are where nothing in the image has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// On every platform's manifest.
    pub manifest: BTreeMap<String, String>,
    /// On the index over them.
    pub index: BTreeMap<String, String>,
}

/// Where the image goes.
#[derive(Clone, Debug)]
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
    /// Labels that nobody has set: what the repository says of itself, below those that are.
    pub told_labels: BTreeMap<String, String>,
    /// Absolute paths at which docker and podman put a volume of their own.
    pub volumes: Vec<String>,
    /// `SIGTERM`, or a number.
    pub stop_signal: Option<String>,
    /// How docker tells whether the service is well.
    pub health: Option<HealthCheck>,
    /// Paths within the package that are to be seen at the image's root: `bin`,
    /// `etc/ssl`; `.` for all of it.
    pub contents: Vec<String>,
}

/// A program that docker and podman start again and again inside the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// The program and its arguments; no shell.
    pub command: Vec<String>,
    /// From one start to the next; docker's 30 seconds if `None`.
    pub interval: Option<Duration>,
    /// After which it counts as failed; docker's 30 seconds if `None`.
    pub timeout: Option<Duration>,
    /// During which failures do not count.
    pub start_period: Option<Duration>,
    /// So many failures in a row are illness; docker's 3 if `None`.
    pub retries: Option<u32>,
}

impl Target {
    /// How a person would name it.
    pub fn name(&self) -> String {
        match self {
            Self::Layout(path) => format!("oci:{}", path.display()),
            Self::Registry { repository, .. } => repository.to_string(),
        }
    }
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
