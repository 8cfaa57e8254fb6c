//! Reading a blob, or some of its bytes, as they come.
//!
//! A connection that breaks in the middle is taken up where it broke, by a range; a
//! registry that knows no ranges sends all again, and what was there before is passed over.
//! One that stores its blobs elsewhere sends us there, by an address that is signed: it gets
//! no credentials of ours (`wire`).

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderValue, LOCATION, RANGE};
use reqwest::{Method, Response, StatusCode};
use tokio::time::timeout;

use super::error::{Act, Failure, RemoteErrorKind};
use super::line::{Ask, Body};
use super::transport::explain_transport;
use super::wire::Wire;
use super::{RemoteError, Repository};
use crate::digest::{Digest, Running};

/// From one address to the next, at most.
const HOPS: usize = 5;

/// A blob that is read.
pub struct Reading {
    /// The size of all of it.
    pub size: u64,
    /// What was asked for, in order. Of a whole blob the digest is checked: the last item is
    /// an error if it is another one. Of a range there is nothing to check it with.
    pub bytes: BoxStream<'static, Result<Bytes, RemoteError>>,
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("size", &self.size).finish()
    }
}

/// The answer to one request: of so many bytes, from `offset` on.
struct Opened {
    response: Response,
    size: u64,
    offset: u64,
}

/// How far the reading is.
struct State {
    wire: Arc<Wire>,
    repository: Repository,
    digest: Digest,
    response: Option<Response>,
    /// Where the response is, which may be before what is wanted.
    offset: u64,
    wanted: Range<u64>,
    /// Of a whole blob.
    running: Option<Running>,
    breaks: u32,
}

/// Begins to read; `None` if it is not there.
pub(super) async fn read(
    wire: &Arc<Wire>,
    repository: &Repository,
    digest: Digest,
    range: Option<Range<u64>>,
) -> Result<Option<Reading>, Failure> {
    let asked = range.as_ref().filter(|range| !range.is_empty()).cloned();
    let opened = wire.retrying(|_| wire.open(digest, asked.clone())).await?;
    let Some(Opened {
        response,
        size,
        offset,
    }) = opened
    else {
        return Ok(None);
    };
    let is_whole = range.is_none();
    let wanted = range.unwrap_or(0..size);
    let wanted = wanted.start.min(size)..wanted.end.min(size);
    let state = State {
        wire: Arc::clone(wire),
        repository: repository.clone(),
        digest,
        response: Some(response),
        offset,
        wanted,
        running: is_whole.then(Running::default),
        breaks: 0,
    };
    let bytes = stream::unfold(Some(state), |state| async move {
        let mut state = state?;
        match state.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some(state))),
            Ok(None) => None,
            Err(failure) => {
                let error = failure.while_(Act::ReadBlob(state.digest), &state.repository);
                Some((Err(error), None))
            }
        }
    });
    Ok(Some(Reading {
        size,
        bytes: Box::pin(bytes),
    }))
}

impl State {
    /// How often what ends so is taken up again.
    fn patience(&self, failure: &Failure) -> u32 {
        match failure.kind {
            RemoteErrorKind::Timeout => self.wire.stalls.min(self.wire.retries),
            _ => self.wire.retries,
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            if self.wanted.is_empty() {
                return self.end().map(|()| None);
            }
            let piece = match self.piece().await {
                Ok(piece) => piece,
                Err(failure) if failure.is_transient() && self.breaks < self.patience(&failure) => {
                    self.take_up(&failure).await?;
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            let passed = self.wanted.start - self.offset.min(self.wanted.start);
            self.offset += piece.len() as u64;
            let passed = usize::try_from(passed).unwrap_or(usize::MAX);
            if passed >= piece.len() {
                continue;
            }
            let left = usize::try_from(self.wanted.end - self.wanted.start).unwrap_or(usize::MAX);
            let end = piece.len().min(passed.saturating_add(left));
            let piece = piece.slice(passed..end);
            self.wanted.start += piece.len() as u64;
            if let Some(running) = &mut self.running {
                running.update(&piece);
            }
            return Ok(Some(piece));
        }
    }

    /// The next bytes of the response; never none.
    async fn piece(&mut self) -> Result<Bytes, Failure> {
        let Some(response) = &mut self.response else {
            return Err(Failure::new(RemoteErrorKind::Broken));
        };
        let piece = timeout(self.wire.line.stall, response.chunk()).await;
        let piece = piece.map_err(|_| Failure::new(RemoteErrorKind::Timeout))?;
        let piece = piece.map_err(explain_transport)?;
        // An end before the end.
        piece.ok_or_else(|| Failure::new(RemoteErrorKind::Broken))
    }

    async fn take_up(&mut self, failure: &Failure) -> Result<(), Failure> {
        tracing::debug!(kind = ?failure.kind, digest = %self.digest, at = self.wanted.start, "taking up");
        self.response = None;
        self.breaks += 1;
        tokio::time::sleep(self.wire.first_wait.min(Duration::from_secs(1))).await;
        let (wire, digest, wanted) = (&self.wire, self.digest, self.wanted.clone());
        let opened = wire
            .retrying(|_| wire.open(digest, Some(wanted.clone())))
            .await?;
        let gone = || Failure::new(RemoteErrorKind::NotFound(String::new()));
        let opened = opened.ok_or_else(gone)?;
        self.response = Some(opened.response);
        self.offset = opened.offset;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Failure> {
        match self.running.take().map(Running::finish) {
            Some(found) if found != self.digest => Err(Failure::protocol(format!(
                "it gave {found} in the place of {}",
                self.digest
            ))),
            _ => Ok(()),
        }
    }
}

impl Wire {
    /// Asks once.
    async fn open(
        &self,
        digest: Digest,
        range: Option<Range<u64>>,
    ) -> Result<Option<Opened>, Failure> {
        let mut headers = HeaderMap::new();
        if let Some(range) = &range {
            let text = format!("bytes={}-{}", range.start, range.end - 1);
            let value = HeaderValue::try_from(text);
            let value = value.map_err(|error| Failure::protocol("no range").caused_by(error))?;
            headers.insert(RANGE, value);
        }
        let mut ask = Ask {
            method: Method::GET,
            url: self.url(&format!("blobs/{digest}"))?,
            headers,
            body: Body::Nothing,
        };
        for _ in 0..=HOPS {
            let response = self.ask(&ask).await?;
            if response.status().is_redirection() {
                let location = header(&response, LOCATION.as_str());
                let next = location.and_then(|location| response.url().join(&location).ok());
                // Never in the clear what the registry itself sends encrypted.
                let next = next.filter(|it| it.scheme() == "https" || self.base.scheme() == "http");
                ask.url =
                    next.ok_or_else(|| Failure::protocol("it does not say where a blob is"))?;
                continue;
            }
            if !response.status().is_success() {
                return self.absent(response).await.map(|()| None);
            }
            return opened(response, range.as_ref()).map(Some);
        }
        Err(Failure::protocol("it sends whoever asks for a blob round"))
    }
}

fn opened(response: Response, range: Option<&Range<u64>>) -> Result<Opened, Failure> {
    let length = header(&response, CONTENT_LENGTH.as_str()).and_then(|it| it.parse().ok());
    if response.status() != StatusCode::PARTIAL_CONTENT {
        let size =
            length.ok_or_else(|| Failure::protocol("it does not say how large a blob is"))?;
        return Ok(Opened {
            response,
            size,
            offset: 0,
        });
    }
    let place = header(&response, CONTENT_RANGE.as_str());
    let place = place.as_deref().and_then(content_range);
    match (place, range) {
        (Some((offset, size)), Some(range)) if offset == range.start => Ok(Opened {
            response,
            size,
            offset,
        }),
        _ => Err(Failure::protocol(
            "it gave another range than was asked for",
        )),
    }
}

/// `bytes 0-9/100`: where it begins, and the size of all.
fn content_range(text: &str) -> Option<(u64, u64)> {
    let (range, size) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, size.trim().parse().ok()?))
}

fn header(response: &Response, name: &str) -> Option<String> {
    let value = response.headers().get(name)?;
    value.to_str().ok().map(str::to_owned)
}
