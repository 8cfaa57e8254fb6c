//! GitHub's side of a release: what is there ([`facts`]), what is to become of it ([`plan`],
//! pure), what people read ([`notes`]), and doing it.

mod facts;
pub mod notes;
mod plan;
#[cfg(test)]
mod tests;

use std::time::Duration;

use nixpy_github::api::{ApiError, Client, PATIENCE, Release, Token, WORKFLOWS_TOO};
use nixpy_oci::registry::{RemoteErrorKind, http_client};
use nixpy_pipeline::release::Seen;

use super::commit::Home;
use super::images::Images;
use crate::redact::Clean;
use crate::render::{Renderer, line};
use crate::settings::ToRelease;
pub use plan::{FileStep, GithubPlan, GithubProblem, RefStep, ReleaseStep};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// There is no release on GitHub.
#[derive(Debug, thiserror::Error)]
pub enum GithubError {
    /// It does not do what was asked.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// This machine cannot ask it.
    #[error("GitHub cannot be asked: {0:?}")]
    Client(RemoteErrorKind),
    /// What is there is in the way.
    #[error("{}", self.lines().join("\n"))]
    Problems(Vec<GithubProblem>),
}

impl GithubError {
    /// Each problem by itself.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Problems(problems) => problems.iter().map(ToString::to_string).collect(),
            other => vec![other.to_string()],
        }
    }
}

/// Who is asked, and as whom.
pub fn client(home: &Home, token: &Token) -> Result<Client, GithubError> {
    let http = http_client(CONNECT).map_err(GithubError::Client)?;
    Ok(Client::new(
        http,
        &home.api_url,
        &home.repository,
        token,
        PATIENCE,
    )?)
}

/// What is going to be done, and by whom.
pub struct Planned {
    client: Client,
    /// What.
    pub plan: GithubPlan,
    /// The release, as soon as there is one.
    pub release: Option<Release>,
}

/// Looks and decides; nothing is changed.
pub async fn plan(
    client: Client,
    wanted: &ToRelease,
    images: &Clean<Images>,
    seen: &[Seen],
) -> Result<Planned, GithubError> {
    let facts = facts::look(&client, wanted, images, seen).await?;
    let plan = plan::decide(&wanted.tag, images, &facts).map_err(GithubError::Problems)?;
    Ok(Planned {
        client,
        plan,
        release: facts.release,
    })
}

impl Planned {
    /// A draft, and its files: what nobody sees but who may write. A release that is public
    /// already gets the files that it lacks.
    pub async fn prepare(&mut self) -> Result<(), GithubError> {
        if self.plan.step == ReleaseStep::Create {
            let mut draft = self.plan.release.clone();
            draft.draft = true;
            // A draft cannot be the latest.
            draft.make_latest = None;
            self.release = Some(self.client.create_release(&draft).await?);
        }
        let Some(release) = &self.release else {
            return Ok(());
        };
        for file in &self.plan.files {
            match file.step {
                FileStep::Already | FileStep::Left => continue,
                FileStep::Attach => {}
                FileStep::Replace { id } => self.client.delete_asset(id).await?,
            }
            let bytes = file.content.as_bytes().to_vec();
            self.client
                .upload_asset(release, file.name, file.media_type, bytes)
                .await?;
        }
        Ok(())
    }

    /// What everybody sees: the release, and then the tags that move along. The release is out when
    /// they are moved, so that one which GitHub refuses is told, and no failure.
    pub async fn publish(&mut self, renderer: &dyn Renderer) -> Result<(), GithubError> {
        if let Some(release) = &self.release
            && self.plan.step.is_change()
        {
            let published = self
                .client
                .update_release(release.id, &self.plan.release)
                .await?;
            line(&format!("released: {}", published.html_url));
            self.release = Some(published);
        }
        for floating in &mut self.plan.floating {
            let name = format!("tags/{}", floating.name);
            let commit = &floating.commit;
            let moved = match &floating.step {
                RefStep::Create => self.client.create_git_ref(&name, commit).await,
                // A branch for old releases need not follow from the main one.
                RefStep::Move { .. } => self.client.update_git_ref(&name, commit, true).await,
                RefStep::Already | RefStep::Held { .. } | RefStep::Refused { .. } => continue,
            };
            match moved {
                Ok(_) => line(&format!("{} is {commit}", floating.name)),
                Err(error) if error.is_refusal() => {
                    let why = error.said();
                    renderer.warning(&refused(&floating.name, commit, &why));
                    floating.step = RefStep::Refused { why };
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Who has made the release may write contents; what else it may be is GitHub's to say.
fn refused(name: &str, commit: &str, why: &str) -> String {
    format!(
        "the release is out, and the git tag {name} is not moved: GitHub refuses it ({why}). It needs `contents: write`, \
         and {WORKFLOWS_TOO}. Give a token of an app or a person by `github-token`, or move it by hand: \
         git push --force origin {commit}:refs/tags/{name}"
    )
}
