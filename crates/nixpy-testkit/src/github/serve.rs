//! One request from arrival to answer: recorded, held against the description, struck by a
//! rule or done, and the answer held against the description as well.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State as Extracted};
use axum::http::request::Parts;
use axum::http::{Method, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::TOKEN;
use super::answer::{Answer, Asked, answer, refusal};
use super::description::{Description, Operation};
use super::state::State;
use crate::registry::connection::{Switch, Wires};
use crate::registry::fault::{Act, Faults};
use crate::registry::journal::Journal;
use crate::registry::respond;

/// What the server's thread and the test both see.
pub(super) struct Shared {
    address: SocketAddr,
    pub(super) state: Mutex<State>,
    pub(super) journal: Arc<Journal>,
    pub(super) faults: Faults,
    pub(super) complaints: Mutex<Vec<String>>,
    pub(super) author: Mutex<String>,
    pub(super) page: AtomicUsize,
    pub(super) accepted: Mutex<Option<String>>,
}

impl Shared {
    pub(super) fn at(address: SocketAddr) -> Self {
        // Now, and not while somebody waits for the first answer.
        Description::get();
        Self {
            address,
            state: Mutex::default(),
            journal: Arc::default(),
            faults: Faults::default(),
            complaints: Mutex::default(),
            author: Mutex::new("github-actions[bot]".to_owned()),
            page: AtomicUsize::new(usize::MAX),
            accepted: Mutex::default(),
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn complain(&self, about: &str, wrong: Vec<String>) {
        let mut complaints = self.complaints.lock().unwrap();
        complaints.extend(wrong.iter().map(|what| format!("{about}: {what}")));
    }
}

/// Serves until dropped.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let router = Router::new().fallback(exchange).with_state(shared);
    let service = router.into_make_service_with_connect_info::<Switch>();
    axum::serve(Wires(listener), service).await.unwrap();
}

async fn exchange(
    Extracted(shared): Extracted<Arc<Shared>>,
    ConnectInfo(switch): ConnectInfo<Switch>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let receipt = shared.journal.arrived(&parts);
    let struck = shared.faults.strike(&parts.method, parts.uri.path());
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return respond::empty(400, &[]);
    };
    receipt.received(body.len() as u64);
    match &struck {
        Some(Act::Hang(time)) => tokio::time::sleep(*time).await,
        Some(Act::Cut { after: 0 }) => {
            switch.cut();
            return respond::empty(400, &[]);
        }
        _ => {}
    }
    let response = respond_to(&shared, &parts, &body, struck.as_ref());
    receipt.answered(response.status().as_u16());
    match struck {
        Some(Act::Slow(over)) => respond::trickle(response, over).await,
        Some(Act::Stall { after }) => respond::stall(response, after).await,
        Some(Act::Cut { after }) => {
            let after = if parts.method == Method::GET {
                after
            } else {
                0
            };
            respond::break_off(response, after, switch).await
        }
        _ => response,
    }
}

fn respond_to(shared: &Shared, parts: &Parts, body: &[u8], struck: Option<&Act>) -> Response<Body> {
    let about = format!("{} {}", parts.method, parts.uri);
    if parts.uri.path() == "/graphql" {
        return who(shared, body);
    }
    let description = Description::get();
    let Some(operation) = description.operation(parts.method.as_str(), parts.uri.path()) else {
        shared.complain(&about, vec!["there is no such operation".to_owned()]);
        return told(404, &refusal("Not Found"), &[]);
    };
    shared.complain(&about, description.check_request(&operation, parts, body));
    if let Some(Act::Refuse {
        status,
        code,
        retry_after,
    }) = struck
    {
        let wait = retry_after.iter();
        let mut headers: Vec<_> = wait.map(|wait| ("retry-after", wait.clone())).collect();
        let accepted = shared.accepted.lock().unwrap().clone();
        headers.extend(accepted.map(|these| ("x-accepted-github-permissions", these)));
        return told(status.as_u16(), &refusal(code), &headers);
    }
    let (status, value) = done(shared, parts, body, &operation);
    let (value, link) = page(shared, parts, value);
    let answered = match &value {
        Value::Null => Vec::new(),
        value => value.to_string().into_bytes(),
    };
    shared.complain(
        &format!("{about} answered {status}"),
        description.check_response(&operation, status, &answered),
    );
    told(status, &value, &link)
}

fn done(shared: &Shared, parts: &Parts, body: &[u8], operation: &Operation) -> Answer {
    let authorization = parts.headers.get("authorization");
    if authorization.is_none_or(|given| given != format!("Bearer {TOKEN}").as_str()) {
        return (401, refusal("Bad credentials"));
    }
    let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let author = shared.author.lock().unwrap().clone();
    let asked = Asked {
        operation,
        query: query.into_owned().collect(),
        body: serde_json::from_slice(body).unwrap_or_default(),
        bytes: body,
        url: &shared.url(),
        author: &author,
    };
    answer(&mut shared.state.lock().unwrap(), &asked)
}

/// `{ viewer { login } }`, which is in no description.
fn who(shared: &Shared, body: &[u8]) -> Response<Body> {
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let is_known = asked["query"]
        .as_str()
        .is_some_and(|query| query.contains("viewer"));
    if !is_known {
        shared.complain("graphql", vec![format!("the double does not know {asked}")]);
    }
    let login = shared.author.lock().unwrap().clone();
    told(
        200,
        &json!({ "data": { "viewer": { "login": login } } }),
        &[],
    )
}

/// One page of a list, and where the next is.
fn page(shared: &Shared, parts: &Parts, mut value: Value) -> (Value, Vec<(&'static str, String)>) {
    let query = parts.uri.query().unwrap_or_default();
    let query: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let number = |name: &str| {
        let found = query.iter().find(|(key, _)| key == name);
        found.and_then(|(_, value)| value.parse::<usize>().ok())
    };
    let size = number("per_page")
        .unwrap_or(30)
        .min(shared.page.load(Ordering::SeqCst));
    let at = number("page").unwrap_or(1).max(1);
    let items = match &mut value {
        Value::Array(items) => items,
        Value::Object(fields) => match fields.get_mut("check_runs") {
            Some(Value::Array(items)) => items,
            _ => return (value, Vec::new()),
        },
        _ => return (value, Vec::new()),
    };
    let all = items.len();
    *items = items.drain(..).skip((at - 1) * size).take(size).collect();
    if at * size >= all {
        return (value, Vec::new());
    }
    let mut next = form_urlencoded::Serializer::new(String::new());
    next.extend_pairs(query.iter().filter(|(key, _)| key != "page"));
    next.append_pair("page", &(at + 1).to_string());
    let next = format!(
        "<{}{}?{}>; rel=\"next\"",
        shared.url(),
        parts.uri.path(),
        next.finish()
    );
    (value, vec![("link", next)])
}

fn told(status: u16, value: &Value, headers: &[(&'static str, String)]) -> Response<Body> {
    let bytes = match value {
        Value::Null => String::new(),
        value => value.to_string(),
    };
    let mut all = vec![("content-type", "application/json; charset=utf-8")];
    all.extend(headers.iter().map(|(name, value)| (*name, value.as_str())));
    respond::body(status, &all, bytes.into())
}
