//! What a request says about who sends it.
//!
//! A run asks once: `/v2/` answers with a challenge, and the token service that
//! the challenge names exchanges the credentials for a token, for `pull,push`
//! together (<https://distribution.github.io/distribution/spec/auth/token/>).
//! It asks again only when the registry turns the token away: tokens live for
//! minutes, pushes longer. Whoever comes meanwhile waits for that one answer. To delete
//! something, which few do, a token of its own is asked for.
//!
//! `oci-client` could do this, but its client cannot be made on a machine without
//! root certificates (it panics there, whatever roots it is given), and it asks
//! again for each kind of request, and before every request where no login is
//! needed. Not done here: the OAuth2 form of the exchange (POST), which only
//! refresh tokens need; the services that hand them out take them as passwords.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_auth::parser::ChallengeParser;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::credentials::Credentials;
use super::error::{Failure, RemoteErrorKind};
use super::line::{Ask, Line};
use super::secret::Secret;

/// A token answer has a token and little else.
const LONGEST_ANSWER: usize = 256 << 10;

/// Logs in to one repository, when needed.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) line: Arc<Line>,
    /// `https://HOST/v2/`
    pub(super) ping: Url,
    /// The repository's path.
    pub(super) path: String,
    /// Paths of repositories that are only read.
    pub(super) mount_from: Vec<String>,
    pub(super) credentials: Credentials,
    pub(super) pass: Mutex<Option<Arc<Pass>>>,
    /// Whether something is to be deleted.
    pub(super) deletes: AtomicBool,
}

/// What goes into a request, until the registry turns it away.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) headers: HeaderMap,
    /// Whether a token service vouched for the credentials.
    pub(super) vouched: bool,
}

/// What a registry wants to see.
enum Challenge {
    Nothing,
    Password,
    Token { realm: Url, service: Option<String> },
}

#[derive(Deserialize)]
struct Granted {
    /// Some services give only the one, some only the other, most both.
    token: Option<String>,
    access_token: Option<String>,
}

impl Login {
    pub(super) fn is_anonymous(&self) -> bool {
        self.credentials == Credentials::Anonymous
    }

    /// The pass of this run; the first call fetches it.
    pub(super) async fn pass(&self) -> Result<Arc<Pass>, Failure> {
        let mut current = self.pass.lock().await;
        if let Some(pass) = &*current {
            return Ok(Arc::clone(pass));
        }
        let pass = Arc::new(self.fetch().await?);
        *current = Some(Arc::clone(&pass));
        Ok(pass)
    }

    /// From here on the pass has to allow that something is deleted.
    pub(super) async fn allow_deleting(&self) {
        if !self.deletes.swap(true, Ordering::Relaxed) {
            *self.pass.lock().await = None;
        }
    }

    /// Another pass than the one that was refused; `None` if there cannot be one.
    pub(super) async fn renew(&self, refused: &Arc<Pass>) -> Result<Option<Arc<Pass>>, Failure> {
        let mut current = self.pass.lock().await;
        if let Some(pass) = current.as_ref().filter(|pass| !Arc::ptr_eq(pass, refused)) {
            return Ok(Some(Arc::clone(pass)));
        }
        if matches!(self.credentials, Credentials::Bearer(_)) {
            return Ok(None);
        }
        let pass = Arc::new(self.fetch().await?);
        *current = Some(Arc::clone(&pass));
        Ok(Some(pass))
    }

    async fn fetch(&self) -> Result<Pass, Failure> {
        if let Credentials::Bearer(token) = &self.credentials {
            return Ok(Pass {
                headers: bearer(token)?,
                vouched: false,
            });
        }
        let headers = match self.challenge().await? {
            Challenge::Nothing => HeaderMap::new(),
            Challenge::Password => self.password()?,
            Challenge::Token { realm, service } => {
                let service = service.as_deref();
                let actions = match self.deletes.load(Ordering::Relaxed) {
                    true => "pull,push,delete",
                    false => "pull,push",
                };
                let mut token = self.token(&realm, service, actions, true).await;
                // One of the other repositories may be gone, or not ours any more.
                if !self.mount_from.is_empty() && token.as_ref().is_err_and(|e| !e.is_transient()) {
                    token = self.token(&realm, service, "pull,push", false).await;
                }
                let token = match token {
                    // One who has not said who he is may still be allowed to look.
                    Err(failure) if self.is_anonymous() && !failure.is_transient() => {
                        self.token(&realm, service, "pull", false).await?
                    }
                    result => result?,
                };
                return Ok(Pass {
                    headers: bearer(&token)?,
                    vouched: !self.is_anonymous(),
                });
            }
        };
        Ok(Pass {
            headers,
            vouched: false,
        })
    }

    async fn challenge(&self) -> Result<Challenge, Failure> {
        let response = self.line.send(&Ask::get(self.ping.clone()), None).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            let refusal = response.status().is_server_error()
                || response.status() == StatusCode::TOO_MANY_REQUESTS;
            // Any other answer means nothing here; the request itself will tell.
            return match refusal {
                true => Err(self
                    .line
                    .refusal(response, self.is_anonymous())
                    .await
                    .into_failure()),
                false => Ok(Challenge::Nothing),
            };
        }
        let mut wanted = Challenge::Nothing;
        for (scheme, parameters) in challenges(&response) {
            let parameter = |name: &str| {
                let found = parameters
                    .iter()
                    .find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.clone())
            };
            if scheme.eq_ignore_ascii_case("bearer") {
                let realm = parameter("realm").and_then(|realm| Url::parse(&realm).ok());
                let realm = realm.filter(|realm| {
                    // Never in the clear what the registry itself gets encrypted.
                    realm.scheme() == "https" || self.ping.scheme() == "http"
                });
                let realm = realm.ok_or_else(|| {
                    Failure::protocol("it names no token service that can be used")
                })?;
                return Ok(Challenge::Token {
                    realm,
                    service: parameter("service"),
                });
            }
            if scheme.eq_ignore_ascii_case("basic") {
                wanted = Challenge::Password;
            }
        }
        Ok(wanted)
    }

    async fn token(
        &self,
        realm: &Url,
        service: Option<&str>,
        actions: &str,
        to_mount: bool,
    ) -> Result<Secret, Failure> {
        let mut url = realm.clone();
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        url.query_pairs_mut()
            .append_pair("scope", &format!("repository:{}:{actions}", self.path));
        for path in self.mount_from.iter().filter(|_| to_mount) {
            url.query_pairs_mut()
                .append_pair("scope", &format!("repository:{path}:pull"));
        }
        let headers = self.password()?;
        let response = self
            .line
            .send(
                &Ask {
                    headers,
                    ..Ask::get(url)
                },
                None,
            )
            .await?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        let body = self
            .line
            .read(response, LONGEST_ANSWER)
            .await?
            .unwrap_or_default();
        // The error of reading it would quote the answer, which may hold a token.
        let granted = serde_json::from_slice::<Granted>(&body)
            .ok()
            .and_then(|granted| granted.token.or(granted.access_token));
        granted
            .map(Secret::new)
            .ok_or_else(|| Failure::protocol("its token service answers without a token"))
    }

    async fn refused(&self, response: Response) -> Failure {
        let anonymous = self.is_anonymous();
        let refusal = self.line.refusal(response, anonymous).await;
        // ghcr.io says 403 to a password that it does not know.
        if matches!(
            refusal.status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        ) {
            return Failure::new(RemoteErrorKind::Unauthenticated { anonymous });
        }
        let message = refusal.message.clone();
        let failure = refusal.into_failure();
        if !failure.is_transient() {
            return failure;
        }
        Failure {
            kind: RemoteErrorKind::TokenService(message),
            ..failure
        }
    }

    fn password(&self) -> Result<HeaderMap, Failure> {
        match &self.credentials {
            Credentials::Basic { user, password } => {
                let pair = STANDARD.encode(format!("{user}:{}", password.expose()));
                header(format!("Basic {pair}"))
            }
            _ => Ok(HeaderMap::new()),
        }
    }
}

/// Scheme and parameters of each challenge; one that cannot be read is passed over.
fn challenges(response: &Response) -> Vec<(String, Vec<(String, String)>)> {
    let values = response.headers().get_all(WWW_AUTHENTICATE).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| ChallengeParser::new(value).filter_map(Result::ok))
        .map(|challenge| {
            let parameters = challenge.params.iter();
            let parameters =
                parameters.map(|(key, value)| ((*key).to_owned(), value.to_unescaped()));
            (challenge.scheme.to_owned(), parameters.collect())
        })
        .collect()
}

fn bearer(token: &Secret) -> Result<HeaderMap, Failure> {
    header(format!("Bearer {}", token.expose()))
}

fn header(value: String) -> Result<HeaderMap, Failure> {
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| Failure::protocol("the token has characters that no header may have"))?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}
