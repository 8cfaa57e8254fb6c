//! The way to one repository: its URLs, and requests with a login.
//!
//! Credentials go to the registry's own host and port, and nowhere else: an
//! upload's location may point to a storage that must not see them
//! (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md>,
//! "MUST NOT forward Authorization headers across host boundaries").

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Response, StatusCode, Url};

use super::error::Failure;
use super::line::{Ask, Line};
use super::login::Login;
use super::refusal::Refusal;
use super::retry::retrying;

/// The way to one repository.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) line: Arc<Line>,
    pub(super) login: Login,
    /// `https://HOST/v2/NAME/`
    pub(super) base: Url,
    pub(super) retries: u32,
    pub(super) stalls: u32,
    pub(super) first_wait: Duration,
}

impl Wire {
    /// A URL of the repository.
    pub(super) fn url(&self, rest: &str) -> Result<Url, Failure> {
        self.base
            .join(rest)
            .map_err(|error| Failure::protocol("it has no valid URL").caused_by(error))
    }

    /// As often as the options allow.
    pub(super) async fn retrying<T, F>(&self, attempt: impl FnMut(u32) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        retrying(self.retries, self.stalls, self.first_wait, attempt).await
    }

    /// Sends a request, with a new token if the registry turns the old one away.
    pub(super) async fn ask(&self, ask: &Ask) -> Result<Response, Failure> {
        if !self.is_registry(&ask.url) {
            return self.line.send(ask, None).await;
        }
        let pass = self.login.pass().await?;
        let response = self.line.send(ask, Some(&pass.headers)).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        match self.login.renew(&pass).await? {
            Some(pass) => self.line.send(ask, Some(&pass.headers)).await,
            None => Ok(response),
        }
    }

    /// What the registry says in an answer that is not a success.
    pub(super) async fn refusal(&self, response: Response) -> Refusal {
        self.line.refusal(response, self.login.is_anonymous()).await
    }

    fn is_registry(&self, url: &Url) -> bool {
        url.scheme() == self.base.scheme()
            && url.host_str() == self.base.host_str()
            && url.port_or_known_default() == self.base.port_or_known_default()
    }
}
