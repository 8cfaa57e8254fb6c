//! What a run tells while it goes on. A closed set: renderers listen, the
//! engine never prints.

use nixpy_cache::queue::{Filled, Problem, Stored};
use nixpy_nix::log::LogEvent;
use nixpy_oci::publish::LayerEvent;

use crate::build::{BuildFailure, BuilderFell};
use crate::plan::Plan;
use crate::report::PlatformReport;

/// The stages that a user waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Asking the flake what it offers.
    Evaluate,
    /// One `nix build` over all systems.
    Build,
    /// Making and sending images.
    Publish,
    /// Starting the images, to see whether they work.
    Smoke,
    /// Pushing to caches what is left when nothing else is.
    Cache,
}

/// One thing that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A stage has begun.
    Started(Stage),
    /// A stage has ended well.
    Finished(Stage),
    /// What will be done.
    Planned(&'a Plan),
    /// Nix said something while evaluating or building.
    Nix(&'a LogEvent),
    /// A builder is not used, or not any more.
    BuilderFell(&'a BuilderFell),
    /// A derivation failed.
    BuildFailed(&'a BuildFailure),
    /// A layer is in place.
    Layer(&'a LayerEvent),
    /// One platform's image is in place, without a tag.
    Published(&'a PlatformReport),
    /// One platform's image was tried out, or could not be.
    Tested(&'a PlatformReport),
    /// Everything is in place: this reference points to it.
    Tagged(&'a str),
    /// Paths are in a cache now.
    CacheFilling(Stored<'a>),
    /// One cache has what it is going to have.
    CacheFilled(&'a Filled),
    /// Something is wrong with a cache, and not with what is pushed.
    CacheTrouble(&'a Problem),
}

/// Listens. Called from whichever task has something to tell.
pub type OnEvent<'a> = dyn Fn(Event<'_>) + Sync + 'a;
