//! What GitHub has of us, beside the log: an action's inputs and outputs ([`action`]); a comment
//! at the pull request and a check run at the commit, after a run ([`telling`]), and in place of
//! a fork's run, which may not.
//!
//! A run is never red for it: what GitHub does not take is told in the log, with what would
//! let it, and the run goes on.

pub mod action;
mod folder;
mod hostile;
mod posting;
mod telling;

use std::time::Duration;

use nixpy_github::api::{ApiError, Client, Token};
use nixpy_github::context::Context;
use nixpy_github::post::{Posted, Run};

pub use posting::post;
pub use telling::tell;

const CONNECT: Duration = Duration::from_secs(10);

/// Asks about the repository of the job.
fn client(context: &Context, token: &Token, patience: Duration) -> Result<Client, String> {
    let http = nixpy_oci::registry::http_client(CONNECT).map_err(|_| {
        "GitHub cannot be asked: the root certificates of this machine cannot be used".to_owned()
    })?;
    let made = Client::new(http, &context.api_url, &context.repository, token, patience);
    made.map_err(|e: ApiError| e.to_string())
}

/// What became of a comment, in a line; nothing if nothing did.
fn comment_line(number: u64, posted: &Posted) -> Option<String> {
    let told = match posted {
        Posted::Created(url) => format!("commented on pull request #{number}: {url}"),
        Posted::Updated(url) => format!("updated the comment on pull request #{number}: {url}"),
        Posted::Unchanged(url) => {
            format!("the comment on pull request #{number} says this already: {url}")
        }
        Posted::Superseded(Run { id, attempt }) => format!(
            "the comment of run {id}, attempt {attempt}, on pull request #{number} stays: it is later, or red"
        ),
        Posted::Removed => format!(
            "took the comment on pull request #{number} away: the job that joins the images tells how it ended"
        ),
        Posted::Moved => format!(
            "pull request #{number} has another commit on top by now: it is not told of this one"
        ),
        Posted::Nothing => return None,
    };
    Some(told)
}
