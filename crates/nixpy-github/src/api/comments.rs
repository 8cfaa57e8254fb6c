//! Comments below an issue or a pull request, which are the same for GitHub.

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;

use super::client::{Answer, Client};
use super::error::ApiError;
use super::pulls::User;

const PERMISSION: &str = "pull-requests: write";
/// What was written longer before a comment, its author has seen in the look before it: a look
/// and what follows from it take no longer.
const AT_ONCE: SignedDuration = SignedDuration::from_mins(1);

/// A comment.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Comment {
    /// Grows with time.
    pub id: u64,
    /// Markdown.
    #[serde(default)]
    pub body: Option<String>,
    /// Who wrote it; nobody who is still there.
    pub user: Option<User>,
    /// The program that wrote it, if one did.
    #[serde(default)]
    pub performed_via_github_app: Option<App>,
    /// For people.
    pub html_url: String,
    /// When it was made, by GitHub's clock.
    #[serde(default)]
    pub created_at: Option<String>,
}

/// A program that GitHub knows.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct App {
    /// Its name in addresses, as in `github-actions`.
    #[serde(default)]
    pub slug: Option<String>,
}

impl Client {
    /// All comments, the oldest first.
    ///
    /// # Errors
    /// There is no such pull request, or GitHub does not answer.
    pub async fn comments(&self, number: u64) -> Result<Vec<Comment>, ApiError> {
        self.comments_until(number, None, |_| false).await
    }

    /// Those that may have come at the same time as this one, and itself.
    ///
    /// # Errors
    /// As [`Self::comments`].
    pub async fn comments_beside(
        &self,
        number: u64,
        comment: &Comment,
    ) -> Result<Vec<Comment>, ApiError> {
        let made = comment.created_at.as_deref();
        let made: Option<Timestamp> = made.and_then(|text| text.parse().ok());
        let since = made.and_then(|at| at.checked_sub(AT_ONCE).ok());
        self.comments_until(number, since, |_| false).await
    }

    async fn comments_until(
        &self,
        number: u64,
        since: Option<Timestamp>,
        enough: impl Fn(&[Comment]) -> bool,
    ) -> Result<Vec<Comment>, ApiError> {
        let act = format!("read the comments on pull request #{number}");
        let parts = ["issues", &number.to_string(), "comments"];
        let mut ask = self.ask(Method::GET, &parts, act, PERMISSION);
        if let Some(since) = since {
            ask = ask.query(&[("since", &since.to_string())]);
        }
        self.pages(&ask, Answer::parse, enough).await
    }

    /// A new comment. Its text should be one that no other has: by it, it is found if the answer
    /// is lost.
    ///
    /// # Errors
    /// The token may not, the conversation is locked, or GitHub does not answer.
    pub async fn create_comment(&self, number: u64, body: &str) -> Result<Comment, ApiError> {
        let act = format!("comment on pull request #{number}");
        let parts = ["issues", &number.to_string(), "comments"];
        let ask = self
            .ask(Method::POST, &parts, act, PERMISSION)
            .sending(&json!({ "body": body }));
        let is_it = |comment: &Comment| comment.body.as_deref() == Some(body);
        self.make(&ask, async || {
            let comments = self
                .comments_until(number, None, |some| some.iter().any(is_it))
                .await?;
            Ok(comments.into_iter().find(is_it))
        })
        .await
    }

    /// Another text for a comment.
    ///
    /// # Errors
    /// The token may not, the comment is gone, or GitHub does not answer.
    pub async fn update_comment(&self, id: u64, body: &str) -> Result<Comment, ApiError> {
        let act = "update the comment on the pull request".to_owned();
        let parts = ["issues", "comments", &id.to_string()];
        let ask = self.ask(Method::PATCH, &parts, act, PERMISSION);
        self.get(&ask.sending(&json!({ "body": body }))).await
    }

    /// Takes a comment away. One that is gone already is as well.
    ///
    /// # Errors
    /// The token may not, or GitHub does not answer.
    pub async fn delete_comment(&self, id: u64) -> Result<(), ApiError> {
        let act = "take a comment away".to_owned();
        let parts = ["issues", "comments", &id.to_string()];
        match self
            .send(&self.ask(Method::DELETE, &parts, act, PERMISSION))
            .await
        {
            Err(e) if !e.is_not_found() => Err(e),
            _ => Ok(()),
        }
    }
}
