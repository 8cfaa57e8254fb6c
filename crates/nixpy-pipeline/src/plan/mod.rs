//! What will be built, for which platforms, how, and where it goes: decided from what
//! the flake offers and this machine can, before anything is done, so that it can be
//! printed, explained and tested without Nix.

mod error;
mod host;
mod sorted;
mod ways;

use nixpy_nix::evaluate::Offer;
use nixpy_nix::{StorePath, System};
use nixpy_oci::platform::Platform;
use serde::{Deserialize, Serialize};

use crate::inputs::{ImageSettings, Inputs, Target};
use crate::offer::Offered;
use crate::platform::platform_of;

pub use error::PlanError;
pub use host::{Emulation, Host, KnownBuilder};
use sorted::Sorted;
pub(crate) use sorted::wanted;
pub use ways::{Declined, Obstacle, Strategy};
use ways::{OneOffer, ways};

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
    /// Set at the end; none if the images are published by digest.
    pub tags: Vec<String>,
    /// What the user should know but need not act on.
    pub notes: Vec<String>,
}

impl Plan {
    /// The plan without the jobs that were left to others.
    ///
    /// # Errors
    /// Nobody said that another job builds a system for which no way is open from here, or
    /// one does and this run would tag an index without it.
    pub fn leave_to_others(&mut self, inputs: &Inputs) -> Result<(), Vec<PlanError>> {
        let is_left = |job: &Job| job.strategy == Strategy::Elsewhere;
        let left = self.jobs.iter().filter(|job| is_left(job));
        let problem = |job: &Job| match inputs.strategies.contains_key(&job.system) {
            true if inputs.by_digest => None,
            true => Some(PlanError::Incomplete(job.system.clone())),
            false => Some(PlanError::NoWay {
                system: job.system.clone(),
                declined: job.declined.clone(),
            }),
        };
        let problems: Vec<PlanError> = left.filter_map(problem).collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        self.jobs.retain(|job| !is_left(job));
        Ok(())
    }

    /// Whether something for another system is taken to be built because its place is.
    pub fn trusts_the_disk(&self) -> bool {
        let foreign = self
            .jobs
            .iter()
            .filter(|job| *job.builds_on() != System::host());
        let mut built = foreign.filter(|job| job.strategy == Strategy::Cached);
        built.any(|job| job.output.as_path().symlink_metadata().is_ok())
    }

    /// Whether every output is on this machine's disk.
    pub fn is_here(&self) -> bool {
        let mut outputs = self.jobs.iter().map(|job| job.output.as_path());
        outputs.all(|output| output.symlink_metadata().is_ok())
    }

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
    /// How else, if that fails for the lack of a machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Strategy>,
    /// Better ways, and why they were not taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub declined: Vec<Declined>,
    /// The system under which the attribute is offered, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered_for: Option<System>,
    /// The system that builds it, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built_on: Option<System>,
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

impl Job {
    /// Where the flake offers it: `packages.<system>.<attribute>`.
    pub fn offered_as(&self) -> String {
        let system = self.offered_for.as_ref().unwrap_or(&self.system);
        format!("packages.{system}.{}", self.attribute)
    }

    /// The system that builds it.
    pub fn builds_on(&self) -> &System {
        self.built_on.as_ref().unwrap_or(&self.system)
    }
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

/// Decides.
///
/// # Errors
/// [`PlanError`] says what the flake lacks and what it has, or which way is closed.
pub fn plan(inputs: &Inputs, offered: &Offered, host: &Host) -> Result<Plan, Vec<PlanError>> {
    let flake = inputs.flake.to_string();
    let there = Sorted::new(offered, host);
    let systems: Vec<System> = match inputs.systems.is_empty() {
        true => there.systems(inputs),
        false => inputs.systems.clone(),
    };
    if systems.is_empty() {
        let offered = offered.offers.offered.clone();
        return Err(vec![PlanError::NoLinux { flake, offered }]);
    }

    let mut jobs = Vec::new();
    let mut problems = Vec::new();
    for system in systems {
        let decided = there
            .of(&system, inputs)
            .and_then(|one| decide(&one, inputs, offered, host));
        match decided {
            Ok(job) => jobs.push(job),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }

    let named = inputs.strategies.keys();
    let unknown = named.filter(|system| there.of(system, inputs).is_err());
    let unknown = unknown.map(|system| {
        format!("a strategy is set for {system}, for which the flake offers nothing")
    });
    let notes = offered.note.iter().cloned().chain(unknown);
    let notes = notes.chain(unheeded(inputs, &jobs)).collect();
    let destinations: Vec<String> = inputs.targets.iter().map(Target::name).collect();
    Ok(Plan {
        version: 1,
        flake,
        jobs,
        destination: destinations.first().cloned().unwrap_or_default(),
        destinations,
        tags: match inputs.by_digest {
            true => Vec::new(),
            false => inputs.tags.iter().map(ToString::to_string).collect(),
        },
        notes,
    })
}

/// That images which say everything themselves take nothing from settings.
fn unheeded(inputs: &Inputs, jobs: &[Job]) -> Option<String> {
    let describes_itself = |job: &&Job| job.form != Form::Closure;
    let job = jobs.iter().find(describes_itself)?;
    let nothing = ImageSettings {
        told_labels: inputs.image.told_labels.clone(),
        ..ImageSettings::default()
    };
    (inputs.image != nothing).then(|| {
        format!(
            "what is set of the image (ports, environment, entrypoint …) is for plain packages, and \
             {} says it of itself; name the package, as in .#app",
            job.offered_as()
        )
    })
}

/// Whether a way is as good as the one that was asked for. What is built already was
/// built in whichever way; what is cross-compiled is something else.
fn may_be(way: Strategy, forced: Strategy) -> bool {
    use Strategy::{Cached, Emulated, Native, Remote};
    way == forced || (way == Cached && matches!(forced, Native | Remote | Emulated))
}

fn decide(
    one: &OneOffer<'_>,
    inputs: &Inputs,
    offered: &Offered,
    host: &Host,
) -> Result<Job, PlanError> {
    let forced = inputs.strategies.get(one.system).copied();
    let mut declined = Vec::new();
    let mut taken = None;
    let ways = ways(one, host);
    let can_emulate = ways
        .iter()
        .any(|way| way.strategy == Strategy::Emulated && way.obstacle.is_none());
    for way in ways {
        let wanted = forced.is_none_or(|forced| may_be(way.strategy, forced));
        match (way.obstacle, way.offer) {
            (None, Some(offer)) if wanted => {
                taken = Some((way.strategy, offer));
                break;
            }
            (Some(obstacle), _) if forced == Some(way.strategy) => {
                return Err(PlanError::Closed {
                    system: one.system.clone(),
                    strategy: way.strategy,
                    obstacle,
                });
            }
            (Some(Obstacle { why, cure }), _) if forced.is_none() => declined.push(Declined {
                strategy: way.strategy,
                why,
                cure,
            }),
            _ => {}
        }
    }
    let Some((strategy, offer)) = taken else {
        return Err(PlanError::NoWay {
            system: one.system.clone(),
            declined,
        });
    };
    // Where nothing can be known, Nix may know a way that is better than another machine.
    let strategy = match strategy {
        Strategy::Elsewhere if forced.is_none() && host.is_opaque => Strategy::Configured,
        strategy => strategy,
    };
    let may_fall_back = strategy == Strategy::Remote && forced.is_none() && can_emulate;
    let is_cross = one.own.is_none_or(|own| !std::ptr::eq(own, offer));
    let built_on = offer.built_on.clone();
    Ok(Job {
        strategy,
        fallback: may_fall_back.then_some(Strategy::Emulated),
        declined,
        offered_for: is_cross.then(|| host.system.clone()),
        built_on: built_on.filter(|system| system != one.system),
        form: form_of(offer),
        platform: platform_of(one.system).ok_or_else(|| PlanError::NotAPlatform {
            system: one.system.clone(),
        })?,
        attribute: offer.attribute.to_string(),
        derivation: offer.drv_path.clone(),
        output: offer.out_path.clone(),
        output_name: offer.output.clone(),
        instead_of: offered.instead_of.get(&offer.drv_path).cloned(),
        name: image_name(offer),
        main_program: offer.main_program.clone(),
        system: one.system.clone(),
    })
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
