//! The one comment on a pull request.

use super::line::{Failed, Line};
use super::marker::{Marker, Run};
use super::turn::{Turn, turn};
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
    /// Whether there is to be a comment. If not, one that is there goes.
    pub wanted: bool,
}

/// What is said.
#[derive(Clone, Copy)]
pub struct Words<'a> {
    /// Markdown.
    pub text: &'a str,
    /// Above it, where a run for another event has failed at the same commit: a paragraph.
    pub also: &'a (dyn Fn(&Failed) -> String + Sync),
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
    /// A later run has said something since, or another job of this run that something failed, or
    /// a run for another event: that stays.
    Superseded(Run),
    /// It was there, and none is wanted any more.
    Removed,
    /// The pull request has another commit on top by now.
    Moved,
    /// There was none, and none was to be made.
    Nothing,
}

/// Says something in the one comment that this key has on a pull request. Nothing is said
/// about a commit that is not its newest, nor over a later run, nor over what has failed for
/// another event ([`super::turn`]); a pull request that is closed gets no new comment.
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
    words: Words<'_>,
) -> Result<Posted, ApiError> {
    let pull = match &to.pull {
        Some(pull) => pull.clone(),
        None => client.pull_request(to.number).await?,
    };
    if pull.head.sha != marker.head {
        return Ok(Posted::Moved);
    }
    let there = client.comments(to.number).await?;
    let there = ours(client, there, marker, None).await?;
    if there.is_empty() {
        if !to.wanted || !pull.is_open() {
            return Ok(Posted::Nothing);
        }
        let body = words.after(marker, Vec::new());
        let made = client.create_comment(to.number, &body).await?;
        return alone(client, to.number, marker, words, made).await;
    }
    let mut others: Vec<Failed> = Vec::new();
    for one in &there {
        match turn(&one.line, marker) {
            Turn::Ours(more) => {
                let is_new = |new: &Failed| others.iter().all(|known| known.event != new.event);
                let new: Vec<Failed> = more.into_iter().filter(is_new).collect();
                others.extend(new);
            }
            Turn::Theirs(run) => return Ok(Posted::Superseded(run)),
            Turn::TheirsAlone(line) => return corrected(client, one, line, words).await,
        }
    }
    let mut there = there.into_iter().map(|one| one.comment);
    let Some(oldest) = there.next() else {
        return Ok(Posted::Nothing);
    };
    // Who else has failed is told there, and nowhere else.
    if !to.wanted && others.is_empty() {
        match client.delete_comment(oldest.id).await {
            Ok(()) => {
                for doubled in there {
                    client.delete_comment(doubled.id).await?;
                }
                return Ok(Posted::Removed);
            }
            // Then it says at least what is true.
            Err(e) if e.is_not_permitted() => {}
            Err(e) => return Err(e),
        }
    }
    let body = words.after(marker, others);
    let posted = match oldest.body.as_deref().map(same_lines).as_deref() {
        Some(said) if said == body => Posted::Unchanged(oldest.html_url),
        _ => Posted::Updated(client.update_comment(oldest.id, &body).await?.html_url),
    };
    // What a run has left that was killed in between.
    for doubled in there {
        client.delete_comment(doubled.id).await?;
    }
    Ok(posted)
}

/// Looks again after a comment was made: somebody else may have made one meanwhile.
async fn alone(
    client: &Client,
    number: u64,
    marker: &Marker,
    words: Words<'_>,
    made: Comment,
) -> Result<Posted, ApiError> {
    let author = made.user.as_ref().map(|user| user.login.as_str());
    let there = client.comments_beside(number, &made).await?;
    let there = ours(client, there, marker, author).await?;
    let Some(oldest) = there.first() else {
        return Ok(Posted::Created(made.html_url));
    };
    let posted = match turn(&oldest.line, marker) {
        _ if oldest.comment.id == made.id => Posted::Created(made.html_url),
        Turn::Theirs(run) => Posted::Superseded(run),
        Turn::TheirsAlone(line) => corrected(client, oldest, line, words).await?,
        Turn::Ours(others) => {
            let body = words.after(marker, others);
            let updated = client.update_comment(oldest.comment.id, &body).await?;
            Posted::Updated(updated.html_url)
        }
    };
    // Later runs take theirs away themselves.
    for doubled in &there[1..] {
        if doubled.line.marker.rank() <= marker.rank() {
            client.delete_comment(doubled.comment.id).await?;
        }
    }
    Ok(posted)
}

/// The same words, after another line.
async fn corrected(
    client: &Client,
    there: &Ours,
    line: Line,
    words: Words<'_>,
) -> Result<Posted, ApiError> {
    let told = words.of_others(&there.line.also);
    let text = there.text.strip_prefix(&told).unwrap_or(&there.text);
    let text = words.of_others(&line.also) + text;
    let body = line.on(&text, LONGEST);
    client.update_comment(there.comment.id, &body).await?;
    Ok(Posted::Superseded(line.marker.run))
}

impl Words<'_> {
    fn after(&self, marker: &Marker, others: Vec<Failed>) -> String {
        let text = self.of_others(&others) + self.text;
        let line = Line {
            marker: marker.clone(),
            also: others,
        };
        line.on(&text, LONGEST)
    }

    fn of_others(&self, others: &[Failed]) -> String {
        others.iter().map(self.also).collect()
    }
}

/// A comment that is ours.
struct Ours {
    line: Line,
    /// What people see.
    text: String,
    comment: Comment,
}

/// Of these comments those with this key, and by this token, the oldest first.
async fn ours(
    client: &Client,
    comments: Vec<Comment>,
    marker: &Marker,
    author: Option<&str>,
) -> Result<Vec<Ours>, ApiError> {
    let marked = comments.into_iter().filter_map(|comment| {
        let body = same_lines(comment.body.as_deref()?);
        let (line, text) = Line::read(&body)?;
        (line.marker.key == marker.key).then(|| Ours {
            text: text.to_owned(),
            line,
            comment,
        })
    });
    let mut marked: Vec<Ours> = marked.collect();
    let is_by = |one: &Ours, login: &str| {
        let user = one.comment.user.as_ref();
        user.is_some_and(|user| user.login == login)
    };
    let whose = match author {
        Some(author) => Some(author.to_owned()),
        // Nobody else is called that.
        None if marked.iter().all(|one| is_by(one, OWN)) => Some(OWN.to_owned()),
        None => client.viewer().await?,
    };
    marked.retain(|one| whose.as_deref().is_some_and(|login| is_by(one, login)));
    marked.sort_by_key(|one| one.comment.id);
    Ok(marked)
}

fn same_lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}
