//! The one check run at a commit.

use super::marker::{Marker, Run};
use crate::api::{ApiError, CheckRun, Client, NewCheckRun};

/// What became of a check run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckPosted {
    /// It is there, at this address.
    Posted(Option<String>),
    /// A later run has left one since, or another job of this run one that is red.
    Superseded(Run),
}

/// Leaves a check run at the marker's commit, in place of the one that an earlier run for the same
/// event has left. Its name has to have the event in it: GitHub shows one of a name.
///
/// GitHub takes no annotation back. One that has some is therefore not changed: a new one of
/// the same name takes its place, which is the one that GitHub shows then.
///
/// # Errors
/// GitHub does not let us, or does not answer.
pub async fn post_check(
    client: &Client,
    marker: &Marker,
    mut new: NewCheckRun,
) -> Result<CheckPosted, ApiError> {
    new.head_sha.clone_from(&marker.head);
    new.external_id = marker.external_id();
    let there = client.check_runs(&marker.head, &new.name).await?;
    let ours = there.into_iter().filter_map(|run: CheckRun| {
        let found = Marker::read_external_id(run.external_id.as_deref()?, &marker.head)?;
        let is_ours = found.key == marker.key && found.is_of_event(&marker.event);
        is_ours.then(|| (found.rank(), run))
    });
    let posted = match ours.max_by_key(|(rank, run)| (*rank, run.id)) {
        Some((rank, _)) if rank > marker.rank() => return Ok(CheckPosted::Superseded(rank.0)),
        Some((_, before)) if before.output.annotations_count == 0 => {
            client.update_check_run(before.id, &new).await?
        }
        _ => client.create_check_run(&new).await?,
    };
    Ok(CheckPosted::Posted(posted.html_url))
}
