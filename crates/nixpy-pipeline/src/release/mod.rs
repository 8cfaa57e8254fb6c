//! A release: the image that is published already gets the names of a version.
//!
//! Nothing is built and nothing sent but tags. [`look`] finds the image of the commit in
//! every repository and reads what the release's tags point to there; [`decide`], pure,
//! says of each tag whether it is set, moved, or held back because a newer release has it;
//! [`point`] does that. What was done half is seen by the next look, and done to the end.

mod look;
mod plan;
mod problem;
mod tagging;
#[cfg(test)]
mod tests;

mod version;

pub use look::{
    Named, Pointed, ReleasedImage, ReleasedPlatform, Seen, Wanted, images_of, look, open,
};
pub use plan::{PlacePlan, ReleasePlan, Step, TagStep, decide, previous, released};
pub use problem::{Lack, ReleaseProblem};
pub use tagging::point;
pub use version::{InvalidVersion, Line, Version};
