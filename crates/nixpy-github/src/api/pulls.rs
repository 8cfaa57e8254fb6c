//! Pull requests.

use http::Method;
use serde::Deserialize;

use super::client::{Answer, Client};
use super::error::ApiError;

/// Who asks for one wants to write below it.
const PERMISSION: &str = "pull-requests: write";

/// A pull request.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct PullRequest {
    /// As in `#7`.
    pub number: u64,
    /// `open` or `closed`.
    pub state: String,
    /// The branch that it comes from, as it is now.
    pub head: Branch,
    /// The branch that it is to be merged into.
    pub base: Branch,
}

impl PullRequest {
    /// Whether it may still be merged.
    pub fn is_open(&self) -> bool {
        self.state == "open"
    }
}

/// A branch of a repository.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Branch {
    /// Its name.
    #[serde(rename = "ref")]
    pub name: String,
    /// The newest commit.
    pub sha: String,
    /// Where it is; `None` if that repository is gone.
    pub repo: Option<Repository>,
}

/// A repository that is named beside something else.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Repository {
    /// `owner/name`
    pub full_name: String,
}

/// Who wrote something.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct User {
    /// As in `@acme`; bots end in `[bot]`.
    pub login: String,
    /// Stays when the name changes.
    pub id: u64,
}

impl Client {
    /// One pull request.
    ///
    /// # Errors
    /// It is not there, or GitHub does not answer.
    pub async fn pull_request(&self, number: u64) -> Result<PullRequest, ApiError> {
        let act = format!("read pull request #{number}");
        let parts = ["pulls", &number.to_string()];
        self.get(&self.ask(Method::GET, &parts, act, PERMISSION))
            .await
    }

    /// Open pull requests that come from a branch, also of a fork; the newest first.
    ///
    /// # Errors
    /// GitHub does not answer.
    pub async fn pull_requests_of(
        &self,
        owner: &str,
        branch: &str,
    ) -> Result<Vec<PullRequest>, ApiError> {
        let act = "find the pull request".to_owned();
        let ask = self
            .ask(Method::GET, &["pulls"], act, PERMISSION)
            .query(&[("state", "open"), ("head", &format!("{owner}:{branch}"))]);
        self.pages(&ask, Answer::parse, |_| false).await
    }

    /// Whose the token is, as comments show it: `github-actions[bot]` of a job's own. `None` if
    /// GitHub does not say.
    ///
    /// # Errors
    /// GitHub does not answer.
    pub async fn viewer(&self) -> Result<Option<String>, ApiError> {
        #[derive(Deserialize)]
        struct Told {
            data: Option<Data>,
        }
        #[derive(Deserialize)]
        struct Data {
            viewer: Option<Viewer>,
        }
        #[derive(Deserialize)]
        struct Viewer {
            login: String,
        }
        let ask = self.ask_graphql("ask whose the token is", "{ viewer { login } }");
        let told: Told = self.get(&ask).await?;
        let viewer = told.data.and_then(|data| data.viewer);
        Ok(viewer.map(|viewer| viewer.login))
    }
}
