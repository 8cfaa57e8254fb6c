//! What came of a run, as facts: the JSON that machines read, and what every
//! other telling is made from.

use nixpy_cache::queue::Filled;
use nixpy_nix::{StorePath, System};
use nixpy_oci::contents::Content;
use nixpy_oci::digest::Digest;
use nixpy_oci::image::PushedLayer;
use nixpy_oci::manifest::Descriptor;
use nixpy_oci::platform::Platform;
use serde::{Deserialize, Serialize};

use crate::budget::{Budget, OverBudget};
use crate::build::{BuildFailure, BuilderFell};
use crate::changes::Changes;
use crate::findings::Finding;
use crate::plan::{Form, Plan, Strategy};
use crate::smoke::Tested;
use crate::timeline::{Counts, Span};

/// A run from its plan on. The JSON form is version 1: fields may be added.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Of this form of JSON.
    pub version: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// As it was given to Nix.
    pub flake: String,
    /// The first place where the image went.
    pub destination: String,
    /// All of them.
    #[serde(default)]
    pub destinations: Vec<String>,
    /// What points to the index now, each a name that clients take; after a run by digest
    /// the images themselves.
    pub references: Vec<String>,
    /// The multi-platform index; `null` unless everything succeeded, and after a run by
    /// digest.
    pub index: Option<Descriptor>,
    /// Nothing was sent, and no tag moved: sizes of layers that were sent are of what would
    /// have been.
    #[serde(default)]
    pub rehearsed: bool,
    /// What people should know of what is told here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Whether some platform's image is another than under the first tag before; where
    /// nothing has that tag yet, than the one that it was held against; or was not there.
    #[serde(default)]
    pub changed: bool,
    /// Published images, sorted by system.
    pub platforms: Vec<PlatformReport>,
    /// Whether the image was published from what binary caches tell: nothing was built,
    /// and no path fetched.
    #[serde(default)]
    pub from_metadata: bool,
    /// Builders that were not used, or not to the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<BuilderFell>,
    /// Derivations that failed.
    pub failures: Vec<BuildFailure>,
    /// The caches that were to be filled, if anything was to be pushed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caches: Vec<Filled>,
    /// What is wrong, at its place in the project; the worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// What is different from the images before, for each platform that had one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Changes>,
    /// What every image was held against.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// Images that are larger than they may be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub over_budget: Vec<OverBudget>,
    /// When what was done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<Span>,
    /// How much of it Nix had to build, and to fetch.
    #[serde(default)]
    pub counts: Counts,
    /// Why the run ended early, if it was not for a build: the error and its causes.
    #[serde(default)]
    pub error: Option<String>,
    /// What the image was loaded into, and its name there.
    pub loaded: Option<String>,
    /// In seconds.
    pub timings: Timings,
}

impl Report {
    /// Of a run that has only been planned.
    pub fn of(plan: &Plan) -> Self {
        Self::to(&plan.flake, &plan.destinations)
    }

    /// Of a run that came to nothing, for this reason.
    pub fn failed(flake: &str, destinations: &[String], why: &str) -> Self {
        let mut report = Self::to(flake, destinations);
        report.fails(why);
        report
    }

    /// Whether some platform's image is another than the one that it was held against, or
    /// there was none.
    pub(crate) fn is_new(&self) -> bool {
        let is_same = |image: &PlatformReport| {
            let mut changes = self.changes.iter();
            let changes = changes.find(|changes| changes.platform == image.platform);
            changes.is_some_and(|changes| changes.are_none(image.digest))
        };
        !self.platforms.iter().all(is_same)
    }

    /// Something that was wanted did not come about, whatever else did.
    pub fn fails(&mut self, why: &str) {
        self.outcome = Outcome::Failure;
        self.error = Some(match self.error.take() {
            Some(other) => format!("{other}\n{why}"),
            None => why.to_owned(),
        });
    }

    /// Of what a flake has become and where it goes, before anything has come of it.
    pub(crate) fn to(flake: &str, destinations: &[String]) -> Self {
        Self {
            version: 1,
            outcome: Outcome::Success,
            flake: flake.to_owned(),
            destination: destinations.first().cloned().unwrap_or_default(),
            destinations: destinations.to_vec(),
            references: Vec::new(),
            index: None,
            rehearsed: false,
            notes: Vec::new(),
            changed: false,
            platforms: Vec::new(),
            from_metadata: false,
            troubles: Vec::new(),
            failures: Vec::new(),
            caches: Vec::new(),
            findings: Vec::new(),
            changes: Vec::new(),
            budgets: Vec::new(),
            over_budget: Vec::new(),
            timeline: Vec::new(),
            counts: Counts::default(),
            error: None,
            loaded: None,
            timings: Timings::default(),
        }
    }
}

/// An error and its causes in one line; a cause that the text repeats is left out.
pub fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Everything is published and tagged.
    Success,
    /// A build failed, the image could not be published or did not work, or a cache that is
    /// required lacks something; no platform is missing from what a tag points to.
    Failure,
}

/// One platform's image.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PlatformReport {
    /// What it runs on.
    pub platform: Platform,
    /// What Nix calls that.
    pub system: System,
    /// The image's own name, or the package's.
    pub name: String,
    /// Under `packages.<system>`.
    pub attribute: String,
    /// What the attribute turned out to be.
    pub form: Form,
    /// How it was built.
    pub strategy: Strategy,
    /// The remote machine that this run built it on, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// What was built.
    pub derivation: StorePath,
    /// The built path.
    pub output: StorePath,
    /// Digest of the manifest.
    pub digest: Digest,
    /// What docker and podman call the image's ID.
    pub image_id: Digest,
    /// What a client downloads that has none of it, in bytes.
    pub compressed_size: u64,
    /// Bytes of layers that this run sent.
    pub sent_size: u64,
    /// From the bottom up.
    pub layers: Vec<PushedLayer>,
    /// The largest paths in each of the layers, in their order; nothing if it is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contents: Vec<Vec<Content>>,
    /// The TCP ports that its configuration says it listens on; nothing where only the finished
    /// image says that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<u16>,
    /// It is nowhere, and what is said to be sent only would be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rehearsed: bool,
    /// Why nobody knows what image was there before, if the repository could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_unknown: Option<String>,
    /// What its smoke test has shown, if one was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smoke: Option<Tested>,
}

/// More paths of an image are not told: the small ones add up to nothing.
const MOST_PATHS: usize = 1000;

/// What a report tells of what is in an image.
pub(crate) fn largest(mut contents: Vec<Vec<Content>>) -> Vec<Vec<Content>> {
    let mut sizes: Vec<u64> = contents.iter().flatten().map(|one| one.size).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let Some(largest) = sizes.first() else {
        return Vec::new();
    };
    let least = sizes
        .get(MOST_PATHS)
        .map_or(0, |size| size + 1)
        .min(*largest);
    for layer in &mut contents {
        layer.retain(|content| content.size >= least);
        layer.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.name.cmp(&b.name)));
    }
    contents
}

/// Where the time went, in seconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct Timings {
    /// Asking the flake what it offers.
    pub evaluate: f64,
    /// The one `nix build`.
    pub build: f64,
    /// Making images and sending them.
    pub publish: f64,
    /// Trying them out.
    #[serde(default)]
    pub smoke: f64,
    /// Filling caches, when nothing else was to be done any more.
    #[serde(default)]
    pub cache: f64,
    /// All of it.
    pub total: f64,
}
