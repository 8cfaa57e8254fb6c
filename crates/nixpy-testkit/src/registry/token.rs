//! Tokens: what they allow, how many requests they are good for, and the endpoint
//! that hands them out.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderMap, Response};
use serde_json::json;

use super::auth::{Bearer, Mode, credentials, unauthorized};
use super::query::Query;
use super::refusal::Refusal;
use super::respond;
use crate::digest::digest;

/// Actions on one repository: `repository:<name>:pull,push`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    repository: String,
    actions: Vec<String>,
}

/// The tokens that were handed out.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<Issued>);

#[derive(Debug, Default)]
struct Issued {
    count: u64,
    live: HashMap<String, Token>,
}

#[derive(Debug)]
struct Token {
    scopes: Vec<Scope>,
    uses_left: Option<u32>,
    expires: Instant,
    user: bool,
}

impl Scope {
    pub(super) fn new(repository: &str, actions: &[&str]) -> Self {
        Self {
            repository: repository.to_owned(),
            actions: actions.iter().map(|&action| action.to_owned()).collect(),
        }
    }

    pub(super) fn covers(&self, need: &Self) -> bool {
        self.repository == need.repository
            && need
                .actions
                .iter()
                .all(|action| self.actions.contains(action))
    }

    /// What was asked for; of other resources than repositories nothing is ever granted.
    fn parse(text: &str) -> Option<Self> {
        let (repository, actions) = text.strip_prefix("repository:")?.rsplit_once(':')?;
        Some(Self::new(
            repository,
            &actions.split(',').collect::<Vec<_>>(),
        ))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "repository:{}:{}",
            self.repository,
            self.actions.join(",")
        )
    }
}

impl Tokens {
    /// Uses the token once; `None` if there is no such token, or no longer.
    pub(super) fn spend(&self, token: &str) -> Option<Vec<Scope>> {
        let mut issued = self.0.lock().unwrap();
        let known = issued.live.get_mut(token)?;
        if Instant::now() >= known.expires {
            return None;
        }
        if let Some(left) = &mut known.uses_left {
            *left = left.checked_sub(1)?;
        }
        Some(known.scopes.clone())
    }

    /// Whether it was handed out against a name and a password.
    pub(super) fn is_user(&self, token: &str) -> bool {
        self.0
            .lock()
            .unwrap()
            .live
            .get(token)
            .is_some_and(|token| token.user)
    }

    pub(super) fn revoke_all(&self) {
        self.0.lock().unwrap().live.clear();
    }

    fn issue(&self, scopes: Vec<Scope>, user: bool, bearer: &Bearer) -> String {
        let mut issued = self.0.lock().unwrap();
        issued.count += 1;
        let name = digest(format!("token {}", issued.count).as_bytes()).replace("sha256:", "tok.");
        let expires = Instant::now() + bearer.lifetime;
        issued.live.insert(
            name.clone(),
            Token {
                scopes,
                uses_left: bearer.uses,
                expires,
                user,
            },
        );
        name
    }
}

/// `GET /token?service=…&scope=…`: as much of what was asked for as the user may have.
pub(super) fn token(
    mode: &Mode,
    tokens: &Tokens,
    headers: &HeaderMap,
    query: &Query,
) -> Result<Response<Body>, Refusal> {
    let Mode::Bearer(bearer) = mode else {
        return Err(Refusal::no_such_page());
    };
    let given = credentials(headers);
    let user = given.as_ref() == Some(&bearer.user);
    if !user && (given.is_some() || !bearer.anonymous_pull) {
        return Err(unauthorized("Basic realm=\"testkit\"".to_owned()));
    }
    if query.get("service") != Some(bearer.service.as_str()) {
        return Err(Refusal::new(
            400,
            "UNSUPPORTED",
            format!("the service here is {:?}", bearer.service),
        ));
    }
    let granted = |scope: Scope| {
        let may = |action: &String| action == "pull" || (user && bearer.may_push);
        Scope {
            actions: scope.actions.into_iter().filter(may).collect(),
            ..scope
        }
    };
    let asked = query
        .all("scope")
        .flat_map(|scopes| scopes.split(' '))
        .filter_map(Scope::parse);
    let token = tokens.issue(asked.map(granted).collect(), user, bearer);
    Ok(respond::json(
        &json!({ "token": token, "access_token": token, "expires_in": bearer.lifetime.as_secs() }),
    ))
}
