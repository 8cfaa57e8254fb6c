//! What the doubles of caches have in common: requests that are recorded, struck by the same
//! rules as a registry's, and answered whole.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, Response};
use bytes::Bytes;
use serde_json::Value;

use crate::background::{Background, listen};
use crate::registry::connection::{Switch, Wires};
use crate::registry::fault::{Act, Fault, Faults};
use crate::registry::journal::{Journal, Recorded};
use crate::registry::respond;

/// What a double does with a request.
pub(super) trait Service: Send + Sync + 'static {
    /// The answer to a request, whose body is whole.
    fn answer(&self, request: &Parts, body: Bytes) -> Response<Body>;
}

/// An answer that says no, as JSON.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Refusal {
    pub(super) fn into_response(self) -> Response<Body> {
        let headers = [("content-type", "application/json")];
        respond::body(self.status, &headers, self.body.to_string().into())
    }
}

/// A double that listens; dropping it stops it.
pub(super) struct Server<S> {
    pub(super) service: Arc<S>,
    shared: Arc<Shared<S>>,
    address: SocketAddr,
    running: Mutex<Option<Background>>,
}

struct Shared<S> {
    service: Arc<S>,
    journal: Arc<Journal>,
    faults: Faults,
}

impl<S: Service> Server<S> {
    /// Listens on a free port; the service is told which.
    pub(super) fn start(service: impl FnOnce(SocketAddr) -> S) -> Self {
        let listener = listen();
        let address = listener.local_addr().unwrap();
        let service = Arc::new(service(address));
        let shared = Arc::new(Shared {
            service: Arc::clone(&service),
            journal: Arc::default(),
            faults: Faults::default(),
        });
        let serving = Arc::clone(&shared);
        let running = Background::serve(listener, move |listener| async move {
            let router = Router::new().fallback(answer::<S>).with_state(serving);
            let service = router.into_make_service_with_connect_info::<Switch>();
            axum::serve(Wires(listener), service).await.unwrap();
        });
        Self {
            service,
            shared,
            address,
            running: Mutex::new(Some(running)),
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn fail(&self, fault: Fault) {
        self.shared.faults.add(fault);
    }

    pub(super) fn heal(&self) {
        self.shared.faults.clear();
    }

    pub(super) fn requests(&self) -> Vec<Recorded> {
        self.shared.journal.all()
    }

    pub(super) fn count(&self, method: &Method, path: &str) -> usize {
        let fits = |it: &&Recorded| it.method == *method && it.path.contains(path);
        self.requests().iter().filter(fits).count()
    }

    pub(super) fn stop(&self) {
        drop(self.running.lock().unwrap().take());
    }
}

async fn answer<S: Service>(
    State(shared): State<Arc<Shared<S>>>,
    ConnectInfo(switch): ConnectInfo<Switch>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let receipt = shared.journal.arrived(&parts);
    let struck = shared.faults.strike(&parts.method, parts.uri.path());
    if let Some(Act::Hang(time)) = &struck {
        tokio::time::sleep(*time).await;
    }
    // A client that went away will not read the answer.
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return respond::empty(400, &[]);
    };
    receipt.received(body.len() as u64);
    let is_read = matches!(parts.method, Method::GET | Method::HEAD);
    let cut = match struck {
        Some(Act::Refuse {
            status,
            code,
            retry_after,
        }) => {
            receipt.answered(status.as_u16());
            let wait = retry_after
                .iter()
                .map(|wait| ("retry-after", wait.as_str()));
            let headers: Vec<_> = wait.collect();
            return respond::body(status.as_u16(), &headers, code.into());
        }
        // A request that is cut before its end was never understood.
        Some(Act::Cut { after })
            if !is_read && after < body.len() as u64
                || matches!(struck, Some(Act::Cut { after: 0 })) =>
        {
            switch.cut();
            return respond::empty(400, &[]);
        }
        Some(Act::Cut { after }) => Some(if is_read { after } else { 0 }),
        Some(Act::Slow(over)) => {
            return respond::trickle(shared.service.answer(&parts, body), over).await;
        }
        Some(Act::Stall { after }) => {
            return respond::stall(shared.service.answer(&parts, body), after).await;
        }
        Some(Act::Hang(_)) | None => None,
    };
    let answer = shared.service.answer(&parts, body);
    match cut {
        Some(after) => respond::break_off(answer, after, switch).await,
        None => {
            receipt.answered(answer.status().as_u16());
            answer
        }
    }
}
