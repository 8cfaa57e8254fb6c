//! One request and its answer: URL, login, patience, and what a refusal says.
//!
//! Requests are sent with `reqwest` rather than through `oci-client`'s methods,
//! which do not show the headers of a refusal: without `Retry-After`, a registry
//! that asks for time is asked again too early. They also read answers of any size
//! into memory, and do not tell a manifest's media type.
//!
//! Credentials go to the registry's own host and port, and nowhere else: an
//! upload's location may point to a storage that must not see them
//! (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md>,
//! "MUST NOT forward Authorization headers across host boundaries").

use std::error::Error as StdError;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use oci_client::errors::{OciEnvelope, OciErrorCode};
use reqwest::header::{CONTENT_LENGTH, HeaderMap, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::time::{Instant, sleep_until, timeout};

use super::error::{Failure, RemoteErrorKind};
use super::login::{Login, Pass};
use super::retry::{parse_retry_after, retrying};
use super::sending;
use crate::blob::Content;

/// More of a refusal is not read.
const LONGEST_REFUSAL: usize = 64 << 10;
/// Slower than this, in bytes a second, a small body counts as standing still.
const SLOWEST_NETWORK: u64 = 64 << 10;

/// The way to one repository.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) http: reqwest::Client,
    pub(super) login: Login,
    /// `https://HOST/v2/NAME/`
    pub(super) base: Url,
    pub(super) stall: Duration,
    pub(super) retries: u32,
    pub(super) first_wait: Duration,
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

/// An answer that is not a success.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) codes: Vec<OciErrorCode>,
    pub(super) message: String,
    anonymous: bool,
    retry_after: Option<Duration>,
}

impl Wire {
    /// A URL of the repository.
    pub(super) fn url(&self, rest: &str) -> Result<Url, Failure> {
        self.base.join(rest).map_err(|error| Failure::protocol("it has no valid URL").caused_by(error))
    }

    /// As often as the options allow.
    pub(super) async fn retrying<T, F>(&self, attempt: impl FnMut(u32) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        retrying(self.retries, self.first_wait, attempt).await
    }

    /// Sends a request, with a new token if the registry turns the old one away.
    pub(super) async fn ask(&self, ask: &Ask) -> Result<Response, Failure> {
        if !self.is_registry(&ask.url) {
            return self.send(ask, None).await;
        }
        let pass = self.login.pass().await?;
        let response = self.send(ask, Some(&pass)).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        match self.login.renew(&pass).await? {
            Some(pass) => self.send(ask, Some(&pass)).await,
            None => Ok(response),
        }
    }

    /// What the registry says in an answer that is not a success.
    pub(super) async fn refusal(&self, response: Response) -> Refusal {
        let status = response.status();
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = header.and_then(|value| parse_retry_after(value, SystemTime::now()));
        if let Some(wait) = retry_after {
            *self.hold.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now().checked_add(wait);
        }
        // A refusal that cannot be read to its end is still a refusal.
        let body = self.read(response, LONGEST_REFUSAL).await.ok().flatten().unwrap_or_default();
        let (codes, message) = match serde_json::from_slice::<OciEnvelope>(&body) {
            Ok(envelope) => {
                let messages = envelope.errors.iter().map(|error| error.message.as_str());
                let message = one_line(&messages.collect::<Vec<_>>().join(", "));
                (envelope.errors.into_iter().map(|error| error.code).collect(), message)
            }
            // A page of a proxy says less than the status that stands before it.
            Err(_) if body.trim_ascii_start().starts_with(b"<") => (Vec::new(), String::new()),
            Err(_) => (Vec::new(), one_line(&String::from_utf8_lossy(&body))),
        };
        Refusal { status, codes, message, anonymous: self.login.is_anonymous(), retry_after }
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

    async fn send(&self, ask: &Ask, pass: Option<&Pass>) -> Result<Response, Failure> {
        let hold = *self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = hold {
            sleep_until(until).await;
        }
        let mut request = self.http.request(ask.method.clone(), ask.url.clone()).headers(ask.headers.clone());
        if let Some(pass) = pass {
            request = request.headers(pass.headers.clone());
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
                let (body, mut progress) = sending::body(Arc::clone(content));
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
        answer.map_err(|_| Failure::new(RemoteErrorKind::Timeout))?.map_err(explain_transport)
    }

    fn is_registry(&self, url: &Url) -> bool {
        url.scheme() == self.base.scheme()
            && url.host_str() == self.base.host_str()
            && url.port_or_known_default() == self.base.port_or_known_default()
    }
}

impl Refusal {
    /// The failure that this is unless the caller knows better.
    pub(super) fn into_failure(self) -> Failure {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED => RemoteErrorKind::Unauthenticated { anonymous: self.anonymous },
            StatusCode::FORBIDDEN => RemoteErrorKind::Denied(self.message),
            StatusCode::NOT_FOUND => RemoteErrorKind::NotFound(self.message),
            status => RemoteErrorKind::Refused {
                status: status.as_u16(),
                code: self.codes.first().and_then(name_of),
                message: self.message,
            },
        };
        Failure { retry_after: self.retry_after, kind, source: None }
    }

    /// Whether one of these is among the error codes.
    pub(super) fn says(&self, codes: &[OciErrorCode]) -> bool {
        self.codes.iter().any(|code| codes.contains(code))
    }
}

/// The code as the specification writes it.
fn name_of(code: &OciErrorCode) -> Option<String> {
    Some(one_line(serde_json::to_value(code).ok()?.as_str()?))
}

/// Somebody else's text, fit for the middle of a message.
pub(super) fn one_line(text: &str) -> String {
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let words = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

/// Why a request had no answer.
pub(super) fn explain_transport(error: reqwest::Error) -> Failure {
    // The URL may carry the credentials of an upload.
    let error = error.without_url();
    let kind = if let Some(tls) = causes(&error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        match tls {
            rustls::Error::InvalidMessage(_) => RemoteErrorKind::NotTls,
            _ => RemoteErrorKind::Untrusted,
        }
    } else if error.is_connect() {
        // `hyper-util` has no better mark for it.
        if causes(&error).any(|cause| cause.to_string() == "dns error") {
            RemoteErrorKind::UnknownHost
        } else {
            RemoteErrorKind::Unreachable
        }
    } else if error.is_timeout() {
        RemoteErrorKind::Timeout
    } else if error.is_builder() || error.is_redirect() {
        RemoteErrorKind::Protocol("the request cannot be made".to_owned())
    } else {
        RemoteErrorKind::Broken
    };
    Failure::new(kind).caused_by(error)
}

/// An error and all below it. What an `io::Error` wraps is not among its sources.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    fn below<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    }
    std::iter::successors(Some(error), |error| below(*error))
}
