//! What a run leaves at a pull request: one comment for each workflow and job, and one check run
//! at a commit for each of them and each event, kept up to date by later runs and never by
//! earlier ones.
//!
//! What is said there is the caller's; here it is decided whether it may be said, and where.

mod check;
mod comment;
mod line;
mod marker;
mod turn;

pub use check::{CheckPosted, post_check};
pub use comment::{Posted, ToPull, Words, post_comment};
pub use line::Failed;
pub use marker::{Key, Marker, Run};
