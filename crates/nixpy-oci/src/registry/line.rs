//! One request, and one answer: patience, sizes, and a registry that asks for time.
//!
//! Requests are sent with `reqwest` rather than through `oci-client`'s methods,
//! which do not show the headers of a refusal: without `Retry-After`, a registry
//! that asks for time is asked again too early. They also read answers of any size
//! into memory, and do not tell a manifest's media type. The error codes and the
//! rules for names are `oci-client`'s.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_LENGTH, HeaderMap, RETRY_AFTER};
use reqwest::{Method, Response, Url};
use tokio::time::{Instant, sleep_until, timeout};

use super::error::{Failure, RemoteErrorKind};
use super::refusal::Refusal;
use super::retry::{LONGEST_OBEYED, parse_retry_after};
use super::sending;
use super::transport::explain_transport;
use crate::blob::Content;

/// More of a refusal is not read.
const LONGEST_REFUSAL: usize = 64 << 10;
/// Slower than this, in bytes a second, a small body counts as standing still.
const SLOWEST_NETWORK: u64 = 64 << 10;

/// Sends requests to one registry and its token service.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) http: reqwest::Client,
    pub(super) stall: Duration,
    /// Until when the registry asked everybody to wait.
    pub(super) hold: Mutex<Option<Instant>>,
}

/// A request that can be sent again.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

/// What a request brings.
#[derive(Clone)]
pub(super) enum Body {
    Nothing,
    Bytes(Bytes),
    Blob(Arc<Content>),
}

impl Ask {
    pub(super) fn get(url: Url) -> Self {
        Self::bare(Method::GET, url)
    }

    /// With neither headers nor a body.
    pub(super) fn bare(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Body::Nothing,
        }
    }
}

impl Line {
    /// Sends a request, with these headers on top, once nobody is asked to wait.
    pub(super) async fn send(
        &self,
        ask: &Ask,
        pass: Option<&HeaderMap>,
    ) -> Result<Response, Failure> {
        let hold = *self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = hold {
            sleep_until(until).await;
        }
        let mut request = self
            .http
            .request(ask.method.clone(), ask.url.clone())
            .headers(ask.headers.clone());
        if let Some(pass) = pass {
            request = request.headers(pass.clone());
        }
        let mut stall = self.stall;
        match &ask.body {
            Body::Nothing => {
                // Some registries want to be told, even that there is nothing.
                if !matches!(ask.method, Method::GET | Method::HEAD) {
                    request = request.header(CONTENT_LENGTH, 0);
                }
            }
            Body::Bytes(bytes) => {
                stall += Duration::from_secs(bytes.len() as u64 / SLOWEST_NETWORK);
                request = request.body(bytes.clone());
            }
            Body::Blob(content) => {
                let (body, mut progress) = sending::body(Bytes::new(), Arc::clone(content));
                let request = request.header(CONTENT_LENGTH, content.len()).body(body);
                return tokio::select! {
                    answer = request.send() => answer.map_err(|error| {
                        if progress.unreadable() {
                            return Failure::new(RemoteErrorKind::Unreadable).caused_by(error.without_url());
                        }
                        explain_transport(error)
                    }),
                    () = progress.stalled(stall) => Err(Failure::new(RemoteErrorKind::Timeout)),
                };
            }
        }
        let answer = timeout(stall, request.send()).await;
        answer
            .map_err(|_| Failure::new(RemoteErrorKind::Timeout))?
            .map_err(explain_transport)
    }

    /// What the registry says in an answer that is not a success.
    pub(super) async fn refusal(&self, response: Response, anonymous: bool) -> Refusal {
        let status = response.status();
        let header = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let retry_after = header.and_then(|value| parse_retry_after(value, SystemTime::now()));
        if let Some(wait) = retry_after.filter(|wait| *wait <= LONGEST_OBEYED) {
            *self.hold.lock().unwrap_or_else(PoisonError::into_inner) =
                Instant::now().checked_add(wait);
        }
        // A refusal that cannot be read to its end is still a refusal.
        let body = self
            .read(response, LONGEST_REFUSAL)
            .await
            .ok()
            .flatten()
            .unwrap_or_default();
        Refusal::read(status, &body, anonymous, retry_after)
    }

    /// The answer's body; `None` if it is longer than `limit`.
    pub(super) async fn read(
        &self,
        mut response: Response,
        limit: usize,
    ) -> Result<Option<Bytes>, Failure> {
        let mut body = BytesMut::new();
        loop {
            let piece = timeout(self.stall, response.chunk()).await;
            let piece = piece.map_err(|_| Failure::new(RemoteErrorKind::Timeout))?;
            let Some(piece) = piece.map_err(explain_transport)? else {
                return Ok(Some(body.freeze()));
            };
            if body.len() + piece.len() > limit {
                return Ok(None);
            }
            body.extend_from_slice(&piece);
        }
    }
}
