//! What will be built, for which platforms, and where it goes: decided from
//! what the flake offers, before anything is done, so that it can be printed,
//! explained and tested without Nix.

use nixpy_nix::evaluate::Offer;
use nixpy_nix::{StorePath, System};
use nixpy_oci::platform::Platform;
use serde::{Deserialize, Serialize};

use crate::inputs::{Inputs, Target};
use crate::offer::Offered;
use crate::platform::platform_of;

/// Names under which flakes offer an image, best first: what is only described
/// is quicker than what has been packed already, and an image says more than a
/// plain program.
pub const CANDIDATES: [&str; 9] = [
    "stream",
    "streamImage",
    "image",
    "container",
    "dockerImage",
    "docker",
    "ociImage",
    "default",
    "app",
];

/// Everything a run will do. Written as versioned JSON by `--dry-run --json`.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Of this form of JSON.
    pub version: u32,
    /// As it is given to Nix.
    pub flake: String,
    /// One a platform.
    pub jobs: Vec<Job>,
    /// The first place where the image goes.
    pub destination: String,
    /// All of them.
    #[serde(default)]
    pub destinations: Vec<String>,
    /// Set at the end.
    pub tags: Vec<String>,
    /// What the user should know but need not act on.
    pub notes: Vec<String>,
}

impl Plan {
    /// What the image will run on, in the order of the jobs.
    pub fn platforms(&self) -> Vec<Platform> {
        self.jobs.iter().map(|job| job.platform.clone()).collect()
    }
}

/// One platform's part.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Nix's name of what is built for.
    pub system: System,
    /// The registry's name of it.
    pub platform: Platform,
    /// Under `packages.<system>`.
    pub attribute: String,
    /// What the attribute seems to be; its output tells in the end.
    pub form: Form,
    /// How it comes to be built.
    pub strategy: Strategy,
    /// What is built.
    pub derivation: StorePath,
    /// Where its wanted output will be.
    pub output: StorePath,
    /// Which of its outputs that is.
    pub output_name: String,
    /// The archive that is not made because this says all about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<StorePath>,
    /// The package's name without version.
    pub name: String,
    /// The program to run, for a plain closure.
    pub main_program: Option<String>,
}

/// The forms in which a flake offers an image.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// A script of `streamLayeredImage`.
    Stream,
    /// A docker-archive.
    Archive,
    /// A description of `nix2container`.
    Nix2container,
    /// An OCI image layout, a directory or a tar.
    Layout,
    /// A package: the image is made from its closure.
    Closure,
}

/// How a system is built.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// This machine is one.
    Native,
    /// This machine runs its programs under an emulator.
    Emulated,
    /// Whoever Nix is configured to ask: a remote builder, or a cache.
    Configured,
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Native => "natively",
            Self::Emulated => "emulated by qemu",
            Self::Configured => "by what Nix is configured to use",
        })
    }
}

/// What this machine can do.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its own system.
    pub system: System,
    /// Systems whose programs it runs under an emulator.
    pub emulated: Vec<System>,
}

/// There is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// No attribute of that name, or of any known one.
    #[error("{flake} has no {wanted} for {system}; it offers: {}", list(.offered))]
    NoAttribute {
        /// The flake.
        flake: String,
        /// What was looked for.
        wanted: String,
        /// For which system.
        system: System,
        /// What exists there.
        offered: Vec<String>,
    },
    /// The flake says nothing about the system.
    #[error("{flake} offers nothing for {system}; its systems are: {}", list(.offered))]
    NoSystem {
        /// The flake.
        flake: String,
        /// Which.
        system: System,
        /// What it offers.
        offered: Vec<String>,
    },
    /// Nothing that an image can be made for.
    #[error("{flake} has packages for no Linux system; its systems are: {}", list(.offered))]
    NoLinux {
        /// The flake.
        flake: String,
        /// What it offers.
        offered: Vec<String>,
    },
    /// An image cannot be for this system.
    #[error("no image can be for {0}: name Linux systems, as in --system x86_64-linux")]
    NotAPlatform(System),
}

fn list(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => {
            let printable = |name: &String| match name.chars().any(char::is_control) {
                true => format!("{name:?}"),
                false => name.clone(),
            };
            names.iter().map(printable).collect::<Vec<_>>().join(", ")
        }
    }
}

/// Decides.
///
/// # Errors
/// [`PlanError`] says what the flake lacks and what it has.
pub fn plan(inputs: &Inputs, offered: &Offered, host: &Host) -> Result<Plan, Vec<PlanError>> {
    let offers = &offered.offers;
    let flake = inputs.flake.to_string();
    let all_systems = || offers.offered.clone();
    let systems: Vec<System> = if inputs.systems.is_empty() {
        offers.systems.keys().cloned().collect()
    } else {
        inputs.systems.clone()
    };
    if systems.is_empty() {
        let offered = all_systems();
        return Err(vec![PlanError::NoLinux { flake, offered }]);
    }

    let mut jobs = Vec::new();
    let mut problems = Vec::new();
    for system in systems {
        let Some(platform) = platform_of(&system) else {
            problems.push(PlanError::NotAPlatform(system));
            continue;
        };
        let Some(there) = offers.systems.get(&system) else {
            problems.push(PlanError::NoSystem {
                flake: flake.clone(),
                system,
                offered: all_systems(),
            });
            continue;
        };
        match &there.chosen {
            Some(offer) => jobs.push(job(system, platform, offer, offered, host)),
            None => problems.push(PlanError::NoAttribute {
                flake: flake.clone(),
                wanted: wanted(inputs),
                system,
                offered: there.attributes.clone(),
            }),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }

    let notes = notes(&jobs);
    let destinations: Vec<String> = inputs.targets.iter().map(Target::name).collect();
    Ok(Plan {
        version: 1,
        flake,
        jobs,
        destination: destinations.first().cloned().unwrap_or_default(),
        destinations,
        tags: inputs.tags.iter().map(ToString::to_string).collect(),
        notes,
    })
}

pub(crate) fn wanted(inputs: &Inputs) -> String {
    match &inputs.attribute {
        Some(attribute) => format!("`{attribute}`"),
        None => format!(
            "attribute that is an image or a program (any of {})",
            CANDIDATES.join(", ")
        ),
    }
}

fn job(system: System, platform: Platform, offer: &Offer, offered: &Offered, host: &Host) -> Job {
    let strategy = if system == host.system {
        Strategy::Native
    } else if host.emulated.contains(&system) {
        Strategy::Emulated
    } else {
        Strategy::Configured
    };
    Job {
        strategy,
        form: form_of(offer),
        platform,
        attribute: offer.attribute.to_string(),
        derivation: offer.drv_path.clone(),
        output: offer.out_path.clone(),
        output_name: offer.output.clone(),
        instead_of: offered.instead_of.get(&offer.drv_path).cloned(),
        name: image_name(offer),
        main_program: offer.main_program.clone(),
        system,
    }
}

/// dockerTools and nix2container give every image an `imageName`; scripts of the former
/// are called `stream-…`, descriptions of the latter `image-….json`. Nothing tells a
/// layout before it is built.
pub(crate) fn form_of(offer: &Offer) -> Form {
    if offer.image_name.is_none() {
        Form::Closure
    } else if offer.name.starts_with("stream-") {
        Form::Stream
    } else if offer.name.starts_with("image-") && offer.name.ends_with(".json") {
        Form::Nix2container
    } else {
        Form::Archive
    }
}

fn image_name(offer: &Offer) -> String {
    let named = offer.image_name.as_ref().or(offer.pname.as_ref());
    named.unwrap_or(&offer.name).clone()
}

fn notes(jobs: &[Job]) -> Vec<String> {
    let unsure = jobs
        .iter()
        .filter(|job| job.strategy == Strategy::Configured);
    unsure
        .map(|job| {
            format!(
                "this machine neither is {system} nor emulates it: unless a builder or a cache of \
                 Nix's configuration provides it, run `nixpy-ci setup`, or add --setup",
                system = job.system
            )
        })
        .collect()
}
