//! What a request says about who sends it.
//!
//! `oci-client` knows how: it reads the challenge of `/v2/`, and exchanges the
//! credentials at the token service that is named there. When to do so is decided
//! here, for it would ask again for each kind of request, and before every request
//! of a registry that needs no login: a run asks once, for `pull,push` together,
//! and again only when the registry turns the token away (tokens live for minutes,
//! pushes longer). Whoever comes meanwhile waits for that one answer.
//!
//! What the token service says when it refuses reaches us as text alone, without
//! status: its error codes have to do. Refresh tokens (`identitytoken`) are sent as
//! the password of the user that Azure, who hands them out, has made up for that.

use std::sync::Arc;

use oci_client::client::Client;
use oci_client::errors::{OciDistributionError, OciEnvelope, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Reference, RegistryOperation};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use tokio::sync::Mutex;

use super::credentials::Credentials;
use super::error::{Failure, RemoteErrorKind};
use super::wire::{explain_transport, one_line};

/// Logs in to one repository, when needed.
pub(super) struct Login {
    client: Client,
    reference: Reference,
    auth: RegistryAuth,
    pass: Mutex<Option<Arc<Pass>>>,
}

/// What goes into a request, until the registry turns it away.
pub(super) struct Pass {
    pub(super) headers: HeaderMap,
    /// Whether a token service vouched for the credentials.
    pub(super) vouched: bool,
    renewable: bool,
}

impl Login {
    pub(super) fn new(client: Client, reference: Reference, credentials: &Credentials) -> Self {
        let auth = match credentials {
            Credentials::Anonymous => RegistryAuth::Anonymous,
            Credentials::Basic { user, password } => {
                RegistryAuth::Basic(user.clone(), password.expose().to_owned())
            }
            Credentials::Bearer(token) => RegistryAuth::Bearer(token.expose().to_owned()),
        };
        Self { client, reference, auth, pass: Mutex::new(None) }
    }

    pub(super) fn is_anonymous(&self) -> bool {
        self.auth == RegistryAuth::Anonymous
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

    /// Another pass than the one that was refused; `None` if there cannot be one.
    pub(super) async fn renew(&self, refused: &Arc<Pass>) -> Result<Option<Arc<Pass>>, Failure> {
        let mut current = self.pass.lock().await;
        if let Some(pass) = current.as_ref().filter(|pass| !Arc::ptr_eq(pass, refused)) {
            return Ok(Some(Arc::clone(pass)));
        }
        if !refused.renewable {
            return Ok(None);
        }
        let pass = Arc::new(self.fetch().await?);
        *current = Some(Arc::clone(&pass));
        Ok(Some(pass))
    }

    async fn fetch(&self) -> Result<Pass, Failure> {
        if let RegistryAuth::Bearer(token) = &self.auth {
            return Ok(Pass { headers: bearer(token)?, vouched: false, renewable: false });
        }
        let token = match self.token(RegistryOperation::Push).await {
            // One who has not said who he is may still be allowed to look.
            Err(failure) if self.is_anonymous() && !failure.is_transient() => {
                self.token(RegistryOperation::Pull).await?
            }
            result => result?,
        };
        let vouched = token.is_some() && !self.is_anonymous();
        let headers = match (token, &self.auth) {
            (Some(token), _) => bearer(&token)?,
            // The registry takes passwords itself, or lets everybody in and ignores them.
            (None, RegistryAuth::Basic(user, password)) => basic(user, password)?,
            (None, _) => HeaderMap::new(),
        };
        Ok(Pass { headers, vouched, renewable: true })
    }

    async fn token(&self, operation: RegistryOperation) -> Result<Option<String>, Failure> {
        match self.client.auth(&self.reference, &self.auth, operation).await {
            Ok(token) => Ok(token),
            Err(OciDistributionError::RequestError(error)) => Err(explain_transport(error)),
            Err(OciDistributionError::AuthenticationFailure(said)) => Err(self.refused(&said)),
            Err(OciDistributionError::RegistryTokenDecodeError(_)) => {
                // The text would quote the answer, which may hold a token.
                Err(Failure::protocol("its token service answers without a token"))
            }
            Err(error) => Err(Failure::protocol("it cannot be logged in to").caused_by(error)),
        }
    }

    fn refused(&self, said: &str) -> Failure {
        let unauthenticated = RemoteErrorKind::Unauthenticated { anonymous: self.is_anonymous() };
        let kind = match serde_json::from_str::<OciEnvelope>(said) {
            Ok(envelope) => {
                let refusal = |code: &OciErrorCode| matches!(code, OciErrorCode::Unauthorized | OciErrorCode::Denied);
                if envelope.errors.iter().any(|error| refusal(&error.code)) {
                    unauthenticated
                } else {
                    let messages = envelope.errors.iter().map(|error| error.message.as_str());
                    RemoteErrorKind::TokenService(one_line(messages.collect::<Vec<_>>().join(", ").as_str()))
                }
            }
            // Docker Hub and others use a JSON of their own; a page is from a proxy, or a failing server.
            Err(_) if serde_json::from_str::<serde_json::Value>(said).is_ok_and(|json| json.is_object()) => {
                unauthenticated
            }
            Err(_) => RemoteErrorKind::TokenService(one_line(said)),
        };
        Failure::new(kind)
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The client underneath holds secrets, and says who knows what of itself.
        f.debug_struct("Login").field("anonymous", &self.is_anonymous()).finish_non_exhaustive()
    }
}

fn bearer(token: &str) -> Result<HeaderMap, Failure> {
    header(format!("Bearer {token}"))
}

fn basic(user: &str, password: &str) -> Result<HeaderMap, Failure> {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    header(format!("Basic {encoded}"))
}

fn header(value: String) -> Result<HeaderMap, Failure> {
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| Failure::protocol("the token has characters that no header may have"))?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}
