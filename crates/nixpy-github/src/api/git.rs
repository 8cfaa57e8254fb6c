//! What names point to, and what is between two of them.

use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::client::{Ask, Client};
use super::error::ApiError;

/// A branch or a tag.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct GitRef {
    /// In full, as in `refs/tags/v1`.
    #[serde(rename = "ref")]
    pub name: String,
    /// What it points to.
    pub object: Target,
}

/// What a name points to.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Target {
    /// Of the object.
    pub sha: String,
    /// `commit`, or `tag` where somebody has signed or described it.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A commit.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Commit {
    /// Its hash.
    pub sha: String,
    /// What git knows of it.
    pub commit: Told,
    /// For people.
    pub html_url: String,
}

/// What git knows of a commit.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Told {
    /// Title and body.
    pub message: String,
}

/// Two commits, held against each other.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Comparison {
    /// `ahead`, `behind`, `diverged` or `identical`: of the head against the base.
    pub status: String,
    /// Commits that only the head has.
    pub ahead_by: u64,
    /// Commits that only the base has.
    pub behind_by: u64,
    /// How many there are between them; not all may be listed.
    pub total_commits: u64,
    /// Those that only the head has, the oldest first.
    pub commits: Vec<Commit>,
    /// For people.
    pub html_url: String,
}

impl Client {
    /// A branch or a tag, as in `tags/v1`; `None` if there is none.
    ///
    /// # Errors
    /// GitHub does not answer.
    pub async fn git_ref(&self, name: &str) -> Result<Option<GitRef>, ApiError> {
        self.find(&self.on_ref(Method::GET, "ref", name, "read"))
            .await
    }

    /// What an annotated tag points to, by the hash of the tag's object.
    ///
    /// # Errors
    /// There is none, or GitHub does not answer.
    pub async fn tag_target(&self, sha: &str) -> Result<Target, ApiError> {
        #[derive(Deserialize)]
        struct Tag {
            object: Target,
        }
        let act = format!("read the tag {sha}");
        let ask = self.ask(Method::GET, &["git", "tags", sha], act, "contents: read");
        Ok(self.get::<Tag>(&ask).await?.object)
    }

    /// A new branch or tag, as in `tags/v1`, at this commit.
    ///
    /// # Errors
    /// The token may not, there is one already (422), or GitHub does not answer.
    pub async fn create_git_ref(&self, name: &str, sha: &str) -> Result<GitRef, ApiError> {
        let act = format!("make {name}");
        let ask = self
            .ask(Method::POST, &["git", "refs"], act, "contents: write")
            .sending(&json!({ "ref": format!("refs/{name}"), "sha": sha }));
        self.make(&ask, async || {
            let there = self.git_ref(name).await?;
            Ok(there.filter(|there| there.object.sha == sha))
        })
        .await
    }

    /// A branch or a tag points to another commit now; with `force` also to one that does not
    /// follow from where it is.
    ///
    /// # Errors
    /// The token may not, it is not there, or GitHub does not answer.
    pub async fn update_git_ref(
        &self,
        name: &str,
        sha: &str,
        force: bool,
    ) -> Result<GitRef, ApiError> {
        let ask = self.on_ref(Method::PATCH, "refs", name, "move");
        self.get(&ask.sending(&json!({ "sha": sha, "force": force })))
            .await
    }

    /// A commit, by hash, branch or tag; `None` if there is none.
    ///
    /// # Errors
    /// GitHub does not answer.
    pub async fn commit(&self, name: &str) -> Result<Option<Commit>, ApiError> {
        let act = format!("read commit {name}");
        let ask = self.ask(Method::GET, &["commits", name], act, "contents: read");
        match self.find(&ask).await {
            // A hash that is no commit's.
            Err(e) if e.is_invalid() => Ok(None),
            other => other,
        }
    }

    /// What the head has that the base has not.
    ///
    /// # Errors
    /// One of them is not there, or GitHub does not answer.
    pub async fn compare(&self, base: &str, head: &str) -> Result<Comparison, ApiError> {
        let act = format!("compare {base} with {head}");
        let parts = ["compare", &format!("{base}...{head}")];
        self.get(&self.ask(Method::GET, &parts, act, "contents: read"))
            .await
    }

    fn on_ref(&self, method: Method, kind: &str, name: &str, verb: &str) -> Ask {
        let parts: Vec<&str> = ["git", kind].into_iter().chain(name.split('/')).collect();
        let permission = match method {
            Method::GET => "contents: read",
            _ => "contents: write",
        };
        self.ask(method, &parts, format!("{verb} {name}"), permission)
    }
}
