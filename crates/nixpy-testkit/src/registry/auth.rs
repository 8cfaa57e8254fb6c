//! Who may do what: open, HTTP Basic, or Bearer tokens from a token endpoint.
//!
//! The Bearer flow is that of
//! <https://distribution.github.io/distribution/spec/auth/token/>: 401 with a
//! challenge, GET of the realm with `service` and `scope`, and the request again
//! with the token. The older POST form (OAuth2) is left out: clients need it only
//! for refresh tokens, which this registry does not hand out.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::refusal::Refusal;
use super::token::{Scope, Tokens};

/// How a registry tells its users apart.
#[derive(Clone, Debug, Default)]
pub struct Auth(pub(super) Mode);

/// Bearer tokens: who gets them, for what, and for how long.
#[derive(Clone, Debug)]
pub struct Bearer {
    pub(super) service: String,
    pub(super) user: (String, String),
    pub(super) may_push: bool,
    pub(super) anonymous_pull: bool,
    pub(super) uses: Option<u32>,
    pub(super) lifetime: Duration,
}

#[derive(Clone, Debug, Default)]
pub(super) enum Mode {
    #[default]
    Open,
    Basic(String, String),
    Bearer(Bearer),
}

/// What an admitted request may do.
pub(super) enum Admission {
    Everything,
    Scopes(Vec<Scope>),
}

impl Auth {
    /// Everybody may do everything.
    pub fn open() -> Self {
        Self::default()
    }

    /// One user, who may do everything, by HTTP Basic on each request.
    pub fn basic(user: &str, password: &str) -> Self {
        Self(Mode::Basic(user.to_owned(), password.to_owned()))
    }
}

impl From<Bearer> for Auth {
    fn from(bearer: Bearer) -> Self {
        Self(Mode::Bearer(bearer))
    }
}

impl Bearer {
    /// One user, who may pull and push everywhere; nobody else may do anything.
    pub fn new(user: &str, password: &str) -> Self {
        Self {
            service: "testkit".to_owned(),
            user: (user.to_owned(), password.to_owned()),
            may_push: true,
            anonymous_pull: false,
            uses: None,
            lifetime: Duration::from_secs(300),
        }
    }

    /// The `service` of the challenge; without it, "testkit".
    pub fn service(mut self, service: &str) -> Self {
        service.clone_into(&mut self.service);
        self
    }

    /// The user may pull, but not push: tokens are granted without it, and a push is DENIED.
    pub fn pull_only(mut self) -> Self {
        self.may_push = false;
        self
    }

    /// Who gives no name gets tokens for pulling.
    pub fn anonymous_pull(mut self) -> Self {
        self.anonymous_pull = true;
        self
    }

    /// A token is good for so many requests, whatever it says itself.
    pub fn token_uses(mut self, uses: u32) -> Self {
        self.uses = Some(uses);
        self
    }

    /// A token is good for this long; `expires_in` says so in whole seconds.
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }
}

impl Mode {
    /// Lets a request in, or says how to ask again.
    pub(super) fn admit(
        &self,
        tokens: &Tokens,
        realm: &str,
        headers: &HeaderMap,
        needs: Option<&Scope>,
    ) -> Result<Admission, Refusal> {
        match self {
            Self::Open => Ok(Admission::Everything),
            Self::Basic(user, password) => {
                if credentials(headers)
                    .is_some_and(|given| given == (user.clone(), password.clone()))
                {
                    return Ok(Admission::Everything);
                }
                Err(unauthorized("Basic realm=\"testkit\"".to_owned()))
            }
            Self::Bearer(bearer) => {
                let presented = headers
                    .get(AUTHORIZATION)
                    .and_then(|value| value.to_str().ok());
                let token = presented.and_then(|value| value.strip_prefix("Bearer "));
                let challenge = |error| bearer.challenge(realm, needs, error);
                let Some(token) = token else {
                    return Err(challenge(""));
                };
                let Some(scopes) = tokens.spend(token) else {
                    return Err(challenge("invalid_token"));
                };
                match needs {
                    Some(need) if !scopes.iter().any(|scope| scope.covers(need)) => {
                        // A user who may do it but did not ask is told to ask; one who may not, is told so.
                        if bearer.may_push && tokens.is_user(token) {
                            Err(challenge("insufficient_scope"))
                        } else {
                            Err(denied(need))
                        }
                    }
                    _ => Ok(Admission::Scopes(scopes)),
                }
            }
        }
    }
}

impl Admission {
    /// Whether the request may also read from another repository.
    pub(super) fn may_pull(&self, repository: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Scopes(scopes) => scopes
                .iter()
                .any(|scope| scope.covers(&Scope::new(repository, &["pull"]))),
        }
    }
}

impl Bearer {
    fn challenge(&self, realm: &str, needs: Option<&Scope>, error: &str) -> Refusal {
        let mut challenge = format!("Bearer realm=\"{realm}\",service=\"{}\"", self.service);
        if let Some(scope) = needs {
            challenge += &format!(",scope=\"{scope}\"");
        }
        if !error.is_empty() {
            challenge += &format!(",error=\"{error}\"");
        }
        unauthorized(challenge)
    }
}

/// User and password of an HTTP Basic header.
pub(super) fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let encoded = headers
        .get(AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

pub(super) fn unauthorized(challenge: String) -> Refusal {
    Refusal::new(401, "UNAUTHORIZED", "authentication required")
        .header("www-authenticate", challenge)
}

fn denied(need: &Scope) -> Refusal {
    Refusal::new(
        403,
        "DENIED",
        format!("requested access to {need} is denied"),
    )
}
