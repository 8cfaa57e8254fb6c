//! What a run leaves at a pull request: one comment, and one check run at a commit, for each
//! workflow and job, kept up to date by later runs and never by earlier ones.
//!
//! What is said there is the caller's; here it is decided whether it may be said, and where.

mod check;
mod comment;
mod marker;

pub use check::{CheckPosted, post_check};
pub use comment::{Posted, ToPull, post_comment};
pub use marker::{Key, Marker, Run};
