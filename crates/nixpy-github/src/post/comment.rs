//! The one comment on a pull request.

use super::marker::{Marker, Run};
use crate::api::{ApiError, Client, Comment, PullRequest};

/// GitHub takes no longer comments, in characters.
const LONGEST: usize = 65_536;
/// Whose the comments of a job's own token are.
const OWN: &str = "github-actions[bot]";

/// Which pull request it is about, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct ToPull {
    /// As in `#7`.
    pub number: u64,
    /// What it is now, if somebody has just asked for it.
    pub pull: Option<PullRequest>,
    /// Whether there is to be a comment if there is none.
    pub create: bool,
}

/// What became of a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Posted {
    /// It is new.
    Created(String),
    /// It says this now.
    Updated(String),
    /// It has said this already.
    Unchanged(String),
    /// A later run has said something since, or another job of this run that something failed:
    /// that stays.
    Superseded(Run),
    /// The pull request has another commit on top by now.
    Moved,
    /// There was none, and none was to be made.
    Nothing,
}

/// Says something in the one comment that this key has on a pull request. Nothing is said
/// about a commit that is not its newest, nor over a later run; a pull request that is closed
/// gets no new comment.
///
/// When two do this at once, one comment is left afterwards: whoever has made one looks again,
/// and the oldest stays.
///
/// # Errors
/// GitHub does not let us, or does not answer.
pub async fn post_comment(
    client: &Client,
    to: &ToPull,
    marker: &Marker,
    body: &str,
) -> Result<Posted, ApiError> {
    let pull = match &to.pull {
        Some(pull) => pull.clone(),
        None => client.pull_request(to.number).await?,
    };
    if pull.head.sha != marker.head {
        return Ok(Posted::Moved);
    }
    let body = marker.on(body, LONGEST);
    let there = ours(client, to.number, marker, None).await?;
    let latest = there.iter().map(|(found, _)| found.rank()).max();
    if let Some((run, _)) = latest.filter(|latest| *latest > marker.rank()) {
        return Ok(Posted::Superseded(run));
    }
    let mut there = there.into_iter();
    if let Some((_, oldest)) = there.next() {
        let posted = match oldest.body.as_deref().map(same_lines).as_deref() {
            Some(said) if said == body => Posted::Unchanged(oldest.html_url),
            _ => Posted::Updated(client.update_comment(oldest.id, &body).await?.html_url),
        };
        // What a run has left that was killed in between.
        for (_, doubled) in there {
            client.delete_comment(doubled.id).await?;
        }
        return Ok(posted);
    }
    if !to.create || !pull.is_open() {
        return Ok(Posted::Nothing);
    }
    let made = client.create_comment(to.number, &body).await?;
    alone(client, to.number, marker, &body, made).await
}

/// Looks again after a comment was made: somebody else may have made one meanwhile.
async fn alone(
    client: &Client,
    number: u64,
    marker: &Marker,
    body: &str,
    made: Comment,
) -> Result<Posted, ApiError> {
    let author = made.user.as_ref().map(|user| user.login.as_str());
    let there = ours(client, number, marker, author).await?;
    let Some((found, oldest)) = there.first() else {
        return Ok(Posted::Created(made.html_url));
    };
    let posted = if oldest.id == made.id {
        Posted::Created(made.html_url)
    } else if found.rank() > marker.rank() {
        Posted::Superseded(found.run)
    } else {
        Posted::Updated(client.update_comment(oldest.id, body).await?.html_url)
    };
    // Later runs take theirs away themselves.
    for (found, doubled) in &there[1..] {
        if found.rank() <= marker.rank() {
            client.delete_comment(doubled.id).await?;
        }
    }
    Ok(posted)
}

/// The comments with this key, and by this token, the oldest first.
async fn ours(
    client: &Client,
    number: u64,
    marker: &Marker,
    author: Option<&str>,
) -> Result<Vec<(Marker, Comment)>, ApiError> {
    let comments = client.comments(number).await?;
    let marked = comments.into_iter().filter_map(|comment| {
        let found = Marker::read(comment.body.as_deref()?)?;
        (found.key == marker.key).then_some((found, comment))
    });
    let mut marked: Vec<(Marker, Comment)> = marked.collect();
    let is_by = |comment: &Comment, login: &str| {
        comment
            .user
            .as_ref()
            .is_some_and(|user| user.login == login)
    };
    let whose = match author {
        Some(author) => Some(author.to_owned()),
        // Nobody else is called that.
        None if marked.iter().all(|(_, comment)| is_by(comment, OWN)) => Some(OWN.to_owned()),
        None => client.viewer().await?,
    };
    marked.retain(|(_, comment)| whose.as_deref().is_some_and(|login| is_by(comment, login)));
    marked.sort_by_key(|(_, comment)| comment.id);
    Ok(marked)
}

fn same_lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}
