//! One request to a cache behind HTTP, and what its answer means.
//!
//! A request that broke off, or met a server in trouble, is sent again twice, at once;
//! more patience is the queue's, which knows what else is waiting. A server that asks for
//! time is not asked again from here. Addresses are never part of a message: those that are
//! signed carry a secret.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use nixpy_oci::blob::Content;
use nixpy_oci::registry::retry::parse_retry_after;
use nixpy_oci::registry::sending;
use nixpy_oci::registry::{RemoteErrorKind, http_client, no_answer, one_line};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode, Url};
use tokio::time::timeout;

use crate::error::{CacheError, CacheErrorKind};
use crate::source::Nar;

const CONNECT: Duration = Duration::from_secs(10);
/// Nothing moves for so long, and the request is given up.
const STALL: Duration = Duration::from_secs(60);
/// Slower than this, in bytes a second, a small body counts as standing still.
const SLOWEST_NETWORK: u64 = 64 << 10;
/// The waits between one request and the same again.
const WAITS: [Duration; 2] = [Duration::from_millis(150), Duration::from_millis(600)];
/// More of a refusal is not read.
const LONGEST_REFUSAL: usize = 64 << 10;

/// Sends requests to one cache.
#[derive(Debug)]
pub(crate) struct Web {
    client: Client,
    stall: Duration,
}

/// A request that can be sent again.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// What a request brings.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Nothing,
    Bytes(Bytes),
    Content(Arc<Content>),
    /// Bytes first, then all of a content.
    Both(Bytes, Arc<Content>),
}

impl Ask {
    /// With neither headers nor a body.
    pub(crate) fn bare(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Body::Nothing,
        }
    }

    pub(crate) fn with(self, headers: HeaderMap) -> Self {
        Self { headers, ..self }
    }

    pub(crate) fn bringing(self, body: Body) -> Self {
        Self { body, ..self }
    }
}

impl Web {
    /// Prepares everything; nothing is asked yet.
    pub(crate) fn new() -> Result<Self, CacheErrorKind> {
        let client = http_client(CONNECT);
        Ok(Self {
            client: client.map_err(|kind| silence(&kind))?,
            stall: STALL,
        })
    }

    /// As patient as that where nothing moves.
    #[cfg(test)]
    pub(crate) fn with_patience(self, stall: Duration) -> Self {
        Self { stall, ..self }
    }

    /// Sends a request, again if it breaks off, and gives whatever the answer is.
    pub(crate) async fn send(&self, ask: &Ask) -> Result<Response, CacheErrorKind> {
        let mut waits = WAITS.into_iter();
        loop {
            let answer = self.send_once(ask).await;
            let again = match &answer {
                Ok(answer) => in_trouble(answer.status()),
                Err(Silence { passing, .. }) => *passing,
            };
            match waits.next().filter(|_| again) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return answer.map_err(|silence| silence.kind),
            }
        }
    }

    /// Sends a request that must succeed.
    pub(crate) async fn ask(&self, ask: &Ask, cure: &str) -> Result<Response, CacheErrorKind> {
        let answer = self.send(ask).await?;
        match answer.status().is_success() {
            true => Ok(answer),
            false => Err(self.refusal(answer, cure).await),
        }
    }

    /// Sends a request for what may not be there. Nix takes 403 for absence as well: some
    /// stores say so of what is not there to whom may not list.
    pub(crate) async fn ask_for(
        &self,
        ask: &Ask,
        cure: &str,
    ) -> Result<Option<Response>, CacheErrorKind> {
        let answer = self.send(ask).await?;
        match answer.status() {
            status if status.is_success() => Ok(Some(answer)),
            status if matches!(status.as_u16(), 403 | 404 | 410) => Ok(None),
            _ => Err(self.refusal(answer, cure).await),
        }
    }

    async fn send_once(&self, ask: &Ask) -> Result<Response, Silence> {
        let request = self.client.request(ask.method.clone(), ask.url.clone());
        let mut request = request.headers(ask.headers.clone());
        let mut stall = self.stall;
        let content = match &ask.body {
            Body::Nothing => {
                if !matches!(ask.method, Method::GET | Method::HEAD) {
                    request = request.header(CONTENT_LENGTH, 0);
                }
                None
            }
            Body::Bytes(bytes) => {
                stall += Duration::from_secs(bytes.len() as u64 / SLOWEST_NETWORK);
                request = request.body(bytes.clone());
                None
            }
            Body::Content(content) => Some((Bytes::new(), content)),
            Body::Both(first, content) => Some((first.clone(), content)),
        };
        let Some((first, content)) = content else {
            return match timeout(stall, request.send()).await {
                Ok(answer) => answer.map_err(Silence::of),
                Err(_) => Err(Silence::stalled(stall)),
            };
        };
        let size = first.len() as u64 + content.len();
        let (body, mut progress) = sending::body(first, Arc::clone(content));
        let request = request.header(CONTENT_LENGTH, size).body(body);
        tokio::select! {
            answer = request.send() => answer.map_err(|error| match progress.unreadable() {
                true => Silence {
                    passing: false,
                    kind: CacheErrorKind::Here(format!("its archive cannot be read: {}", error.without_url())),
                },
                false => Silence::of(error),
            }),
            () = progress.stalled(stall) => Err(Silence::stalled(stall)),
        }
    }

    /// What an answer means that is no success; with what to do about a refusal.
    pub(crate) async fn refusal(&self, answer: Response, cure: &str) -> CacheErrorKind {
        let (status, headers) = (answer.status(), answer.headers().clone());
        // One that cannot be read to its end is still a refusal.
        let body = self.body(answer, LONGEST_REFUSAL).await.unwrap_or_default();
        let said = match said(&body) {
            text if text.is_empty() => format!("it answers {status}"),
            text => format!("it answers {status}: {text}"),
        };
        meaning(status, &headers, said, cure)
    }

    /// The body of an answer, if it is not longer than that.
    pub(crate) async fn body(
        &self,
        mut answer: Response,
        limit: usize,
    ) -> Result<Bytes, CacheErrorKind> {
        let mut body = BytesMut::new();
        loop {
            let piece = timeout(self.stall, answer.chunk()).await;
            let piece = piece.map_err(|_| Silence::stalled(self.stall).kind)?;
            let Some(piece) = piece.map_err(|error| Silence::of(error).kind)? else {
                return Ok(body.freeze());
            };
            if body.len() + piece.len() > limit {
                let problem = format!("its answer is longer than {limit} bytes");
                return Err(CacheErrorKind::Broken(problem));
            }
            body.extend_from_slice(&piece);
        }
    }

    /// An answer that is an archive, or the part of it that was asked for; whichever of
    /// the two the server gave.
    pub(crate) fn nar(
        &self,
        answer: Response,
        range: Option<Range<u64>>,
        cache: &str,
        act: &str,
    ) -> Result<Nar, CacheErrorKind> {
        let length = answer.content_length();
        let partial = answer.status() == StatusCode::PARTIAL_CONTENT;
        let size = match partial {
            true => whole_size(answer.headers()),
            false => length,
        };
        let size = size.ok_or_else(|| {
            CacheErrorKind::Broken("it does not say how long an archive is".to_owned())
        })?;
        let wanted = range.unwrap_or(0..size);
        let end = wanted.end.min(size);
        let skip = if partial { 0 } else { wanted.start.min(end) };
        let take = end.saturating_sub(wanted.start);
        let (cache, act) = (cache.to_owned(), act.to_owned());
        let blame = move |kind| CacheError::new(cache.clone(), act.clone(), kind);
        Ok(Nar {
            size,
            bytes: cut(answer, skip, take, self.stall)
                .map(move |piece| piece.map_err(&blame))
                .boxed(),
        })
    }
}

/// A header whose value is never shown.
pub(crate) fn secret_header(text: &str) -> Result<HeaderValue, CacheErrorKind> {
    let value = HeaderValue::from_str(text);
    let mut value = value.map_err(|_| {
        CacheErrorKind::Broken("its token has characters that no header can carry".to_owned())
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// What is left of an answer's body when so much is skipped and so much is taken. A body
/// that ends before is an error: nobody shall take it for the whole.
fn cut(
    answer: Response,
    skip: u64,
    take: u64,
    stall: Duration,
) -> BoxStream<'static, Result<Bytes, CacheErrorKind>> {
    let pieces = stream::unfold(Some((answer, skip, take)), move |state| async move {
        let (mut answer, mut skip, take) = state.filter(|(_, _, take)| *take > 0)?;
        loop {
            let piece = match timeout(stall, answer.chunk()).await {
                Err(_) => return Some((Err(Silence::stalled(stall).kind), None)),
                Ok(Err(error)) => return Some((Err(Silence::of(error).kind), None)),
                Ok(Ok(None)) => {
                    let problem = format!("the archive ends {take} bytes before its end");
                    return Some((Err(CacheErrorKind::Broken(problem)), None));
                }
                Ok(Ok(Some(piece))) => piece,
            };
            let length = piece.len() as u64;
            if skip >= length {
                skip -= length;
                continue;
            }
            let end = (skip + take).min(length);
            let (start, end) = (usize::try_from(skip).ok()?, usize::try_from(end).ok()?);
            let piece = piece.slice(start..end);
            let left = take - piece.len() as u64;
            return Some((Ok(piece), Some((answer, 0, left))));
        }
    });
    pieces.boxed()
}

/// `bytes 3-7/100`.
fn whole_size(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    range.rsplit_once('/')?.1.parse().ok()
}

/// A server that is there, and has trouble that may pass at once.
fn in_trouble(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 500 | 502 | 504)
}

fn meaning(status: StatusCode, headers: &HeaderMap, said: String, cure: &str) -> CacheErrorKind {
    let refused = |cure: &str| CacheErrorKind::Refused {
        message: said.clone(),
        cure: cure.to_owned(),
    };
    match status.as_u16() {
        401 | 403 => refused(cure),
        405 | 501 => refused(
            "let its server take PUT (WebDAV, for instance), or say `read` behind the cache",
        ),
        413 => CacheErrorKind::Broken(format!(
            "{said}; its server takes no file as large as this (client_max_body_size, with nginx)"
        )),
        429 | 503 => CacheErrorKind::Throttled {
            retry_after: headers
                .get(RETRY_AFTER)
                .and_then(|value| parse_retry_after(value.to_str().ok()?, SystemTime::now())),
        },
        507 => CacheErrorKind::Full(said),
        408 | 425 | 500..=599 => CacheErrorKind::Unreachable(said),
        _ => CacheErrorKind::Broken(said),
    }
}

/// What a refusal says: a line of text, the message of a JSON object or of S3's XML; of a
/// page, nothing.
fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start();
    if let Ok(serde_json::Value::Object(object)) = serde_json::from_str(text) {
        let found = ["message", "error"]
            .iter()
            .find_map(|name| object.get(*name));
        return found
            .and_then(|it| it.as_str())
            .map(one_line)
            .unwrap_or_default();
    }
    if text.starts_with('<') {
        let inner = |name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            Some(one_line(rest.split_once(&format!("</{name}>"))?.0))
        };
        let parts = [inner("Code"), inner("Message")].into_iter().flatten();
        return parts.collect::<Vec<_>>().join(", ");
    }
    one_line(text)
}

/// No answer at all.
struct Silence {
    /// Whether the same may go well a moment later.
    passing: bool,
    kind: CacheErrorKind,
}

impl Silence {
    fn of(error: reqwest::Error) -> Self {
        let kind = no_answer(error);
        Self {
            passing: matches!(kind, RemoteErrorKind::Broken | RemoteErrorKind::Unreachable),
            kind: silence(&kind),
        }
    }

    fn stalled(stall: Duration) -> Self {
        let message = format!("it has been silent for {} s", stall.as_secs_f32());
        Self {
            passing: false,
            kind: CacheErrorKind::Unreachable(message),
        }
    }
}

fn silence(kind: &RemoteErrorKind) -> CacheErrorKind {
    use RemoteErrorKind::{Broken, NotTls, Timeout, UnknownHost, Unreachable, Untrusted};
    let message = match kind {
        UnknownHost => "its host's name has no address; check how it is written",
        Unreachable => "nobody answers at its address",
        Timeout => "it does not answer in time",
        Broken => "it breaks off",
        Untrusted => {
            return CacheErrorKind::Broken(
                "its certificate is not one that this machine trusts; SSL_CERT_FILE names more"
                    .to_owned(),
            );
        }
        NotTls => {
            let problem = "it does not speak TLS: write http:// if that is meant";
            return CacheErrorKind::Broken(problem.to_owned());
        }
        other => return CacheErrorKind::Broken(format!("a request cannot be made: {other:?}")),
    };
    CacheErrorKind::Unreachable(message.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_a_refusal_says_is_found_in_whatever_form_it_has() {
        for (body, text) in [
            ("no\n\trights", "no rights"),
            (
                r#"{"code": 401, "error": "Unauthorized", "message": "bad token"}"#,
                "bad token",
            ),
            ("<html><title>403</title></html>", ""),
            (
                "<?xml?><Error><Code>AccessDenied</Code><Message>No.</Message></Error>",
                "AccessDenied, No.",
            ),
            ("", ""),
        ] {
            assert_eq!(said(body.as_bytes()), text);
        }
    }

    #[test]
    fn every_status_has_a_meaning() {
        let kind = |status: u16, wait: Option<&str>| {
            let wait = wait.map(|wait| (RETRY_AFTER, wait.parse().unwrap()));
            let headers = wait.into_iter().collect();
            let status = StatusCode::from_u16(status).unwrap();
            meaning(status, &headers, "it answers".to_owned(), "the cure")
        };
        use CacheErrorKind::{Broken, Full, Refused, Throttled, Unreachable};
        assert!(matches!(kind(401, None), Refused { cure, .. } if cure == "the cure"));
        assert!(matches!(kind(405, None), Refused { cure, .. } if cure.contains("PUT")));
        for (status, wait) in [(429, Some("7")), (503, None)] {
            let wanted = wait.map(|_| Duration::from_secs(7));
            assert!(
                matches!(kind(status, wait), Throttled { retry_after } if retry_after == wanted)
            );
        }
        assert!(matches!(kind(507, None), Full(_)));
        assert!(matches!(kind(500, None), Unreachable(_)));
        assert!(matches!(kind(404, None), Broken(_)));
        assert!(matches!(kind(413, None), Broken(text) if text.contains("client_max_body_size")));
    }
}
