//! One request from arrival to answer: recorded, let in or turned away, struck by
//! a rule, and then done.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{EXPECT, HOST, HeaderValue};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Response};
use tokio::net::TcpListener;

use super::auth::{Admission, Mode};
use super::connection::{Switch, Wires};
use super::fault::{Act, Faults};
use super::incoming::Incoming;
use super::journal::Journal;
use super::query::Query;
use super::refusal::{BROKEN_OFF, Refusal};
use super::route::Route;
use super::storage::Storage;
use super::token::{Scope, Tokens, token};
use super::uploads::{self, UploadRules};
use super::{blobs, listing, manifests, respond};

/// What the registry's thread and the test both see.
pub(super) struct Shared {
    pub(super) address: SocketAddr,
    pub(super) auth: Mode,
    pub(super) uploads: UploadRules,
    pub(super) storage: Mutex<Storage>,
    pub(super) journal: Arc<Journal>,
    pub(super) faults: Faults,
    pub(super) tokens: Tokens,
}

impl Shared {
    pub(super) fn storage(&self) -> MutexGuard<'_, Storage> {
        self.storage.lock().unwrap()
    }
}

/// Serves until dropped.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let service = Router::new().fallback(answer).with_state(shared);
    axum::serve(
        Wires(listener),
        service.into_make_service_with_connect_info::<Switch>(),
    )
    .await
    .unwrap();
}

/// The host that the client believes it speaks to: that of a proxy, if one is in between.
pub(super) fn host(headers: &HeaderMap, address: SocketAddr) -> String {
    headers
        .get(HOST)
        .and_then(|value| value.to_str().ok())
        .map_or_else(|| address.to_string(), str::to_owned)
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(switch): ConnectInfo<Switch>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let receipt = shared.journal.arrived(&parts);
    let mut incoming = Incoming::new(body, receipt.clone());
    let struck = enter(&shared, &parts);
    if let Ok(Entry { act: Some(act), .. }) = &struck {
        match act {
            Act::Cut { after } if parts.method != Method::GET => {
                incoming.cut_after(*after, switch.clone())
            }
            Act::Hang(time) => tokio::time::sleep(*time).await,
            _ => {}
        }
    }
    let (act, outcome) = match struck {
        Err(refusal) => (None, Err(refusal)),
        Ok(Entry {
            act:
                Some(Act::Refuse {
                    status,
                    code,
                    retry_after,
                }),
            ..
        }) => {
            let refusal = Refusal::new(status.as_u16(), &code, "refused on cue");
            (
                None,
                Err(retry_after.into_iter().fold(refusal, |refusal, value| {
                    refusal.header("retry-after", value)
                })),
            )
        }
        Ok(Entry {
            act: act @ Some(Act::Cut { after: 0 }),
            ..
        }) => (act, Err(Refusal::broken_off())),
        Ok(entry) => (
            entry.act,
            act_on(
                &shared,
                &parts,
                entry.route,
                &entry.admission,
                &mut incoming,
            )
            .await,
        ),
    };
    // A client that asked whether to send its body is told no by the answer alone.
    if !parts.headers.contains_key(EXPECT) {
        incoming.drain().await;
    }
    let mut response = outcome.unwrap_or_else(Refusal::into_response);
    let version = HeaderValue::from_static("registry/2.0");
    response
        .headers_mut()
        .insert("docker-distribution-api-version", version);
    if let Some(Act::Cut { after }) = act {
        return respond::break_off(
            response,
            if parts.method == Method::GET {
                after
            } else {
                0
            },
            switch,
        )
        .await;
    }
    if response.status().as_u16() != BROKEN_OFF {
        receipt.answered(response.status().as_u16());
    }
    match act {
        Some(Act::Slow(over)) => respond::trickle(response, over).await,
        Some(Act::Stall { after }) => respond::stall(response, after).await,
        _ => response,
    }
}

/// A request that was let in.
struct Entry {
    route: Route,
    admission: Admission,
    act: Option<Act>,
}

fn enter(shared: &Shared, parts: &Parts) -> Result<Entry, Refusal> {
    let route = Route::parse(parts.uri.path())?;
    let admission = match route {
        Route::Token => Admission::Everything,
        _ => {
            let actions: &[&str] = match parts.method {
                Method::GET | Method::HEAD => &["pull"],
                Method::DELETE if !matches!(route, Route::Upload { .. }) => &["delete"],
                _ => &["pull", "push"],
            };
            let needs = route.repository().map(|name| Scope::new(name, actions));
            let realm = format!("http://{}/token", shared.address);
            shared
                .auth
                .admit(&shared.tokens, &realm, &parts.headers, needs.as_ref())?
        }
    };
    let act = shared.faults.strike(&parts.method, parts.uri.path());
    Ok(Entry {
        route,
        admission,
        act,
    })
}

async fn act_on(
    shared: &Shared,
    parts: &Parts,
    route: Route,
    admission: &Admission,
    incoming: &mut Incoming,
) -> Result<Response<Body>, Refusal> {
    let (method, headers) = (&parts.method, &parts.headers);
    let query = Query::parse(parts.uri.query());
    let read = matches!(*method, Method::GET | Method::HEAD);
    match route {
        Route::Ping if read => Ok(respond::json(&serde_json::json!({}))),
        Route::Token if read => token(&shared.auth, &shared.tokens, headers, &query),
        Route::Blob { name, digest } => {
            blobs::blob(&mut shared.storage(), method, headers, &name, &digest)
        }
        Route::Uploads { name } if *method == Method::POST => {
            uploads::begin(shared, headers, &query, &name, admission, incoming).await
        }
        Route::Upload { name, session } => {
            uploads::go_on(shared, method, headers, &query, (&name, &session), incoming).await
        }
        Route::Manifest { name, reference } if *method == Method::PUT => {
            let bytes = incoming.all(manifests::LARGEST).await?;
            manifests::put(&mut shared.storage(), headers, &name, &reference, bytes)
        }
        Route::Manifest { name, reference } => {
            manifests::manifest(&mut shared.storage(), method, headers, &name, &reference)
        }
        Route::Tags { name } if read => listing::tags(&shared.storage(), &query, &name),
        Route::Referrers { name, digest } if read => Ok(listing::referrers(
            &shared.storage(),
            &query,
            &name,
            &digest,
        )),
        _ => Err(Refusal::no_such_method()),
    }
}
