//! Sending a blob.
//!
//! It goes whole, in one PUT behind the POST that asks for a place: every registry
//! takes that, and it costs two requests. A registry, or a proxy before it, that
//! takes no body of that size gets chunks, as does one to which the connection
//! broke twice. A chunk has at most 4 MiB, which is what ghcr.io takes with a
//! `Content-Range` (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-a-blob-in-chunks>).
//!
//! An upload that fails begins anew, by itself: registries differ too much in what
//! they keep of half an upload.
//!
//! A blob that another repository of the registry has need not be sent: it is mounted
//! (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md#mounting-a-blob-from-another-repository>).
//! A registry that does not do so opens an upload instead, which is given up.

use std::sync::Arc;

use oci_client::errors::OciErrorCode;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};

use super::error::{Failure, RemoteErrorKind};
use super::line::{Ask, Body};
use super::sending;
use super::wire::Wire;
use crate::blob::Content;
use crate::digest::Digest;

const CHUNK: u64 = 4 << 20;
/// After so many breaks, chunks.
const BREAKS_BEFORE_CHUNKS: u32 = 2;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Whole,
    Chunks,
}

/// Where the next part of an upload goes.
struct Session {
    location: Url,
    chunk: u64,
}

impl Wire {
    /// Stores a blob that is not there.
    pub(super) async fn push(&self, digest: Digest, content: &Content) -> Result<(), Failure> {
        let unreadable = |error| Failure::new(RemoteErrorKind::Unreadable).caused_by(error);
        let content = sending::share(content).map_err(unreadable)?;
        let sent = self.push_by(digest, &content, Way::Whole).await;
        match sent {
            Err(failure) if wants_chunks(&failure) => {
                tracing::debug!(kind = ?failure.kind, %digest, "sending it in chunks instead");
                self.push_by(digest, &content, Way::Chunks).await
            }
            sent => sent,
        }
    }

    /// Takes over what another repository has, if the registry does that. Asked once:
    /// whatever keeps it from doing so, the blob can be sent.
    pub(super) async fn mount(&self, digest: Digest, from: &str) -> Result<bool, Failure> {
        let mut url = self.url("blobs/uploads/")?;
        url.query_pairs_mut()
            .append_pair("mount", &digest.to_string())
            .append_pair("from", from);
        let ask = Ask::bare(Method::POST, url);
        let response = self.ask(&ask).await?;
        if response.status() == StatusCode::ACCEPTED
            && let Ok(opened) = location(&response)
        {
            self.give_up(opened).await;
        }
        Ok(response.status() == StatusCode::CREATED)
    }

    /// Tells the registry that nothing will come. If it does not hear, it finds out.
    async fn give_up(&self, opened: Url) {
        let ask = Ask::bare(Method::DELETE, opened);
        let _ = self.ask(&ask).await;
    }

    /// Asks for a place, once, and gives it up: a registry says at this point whether the
    /// user may push.
    pub(super) async fn begin_and_cancel(&self) -> Result<(), Failure> {
        let session = self.begin().await?;
        self.give_up(session.location).await;
        Ok(())
    }

    async fn push_by(
        &self,
        digest: Digest,
        content: &Arc<Content>,
        way: Way,
    ) -> Result<(), Failure> {
        self.retrying(|tried| async move {
            // What broke may have been no more than the answer. To be told nothing here is no
            // reason not to send it.
            if tried > 0 {
                match self.has(digest).await {
                    Ok(true) => return Ok(()),
                    Err(failure) if failure.kind == RemoteErrorKind::Timeout => {
                        return Err(failure);
                    }
                    Err(failure) if !failure.is_transient() => return Err(failure),
                    Err(failure) if failure.retry_after.is_some() => return Err(failure),
                    Ok(false) | Err(_) => {}
                }
            }
            let session = self.begin().await?;
            match way {
                Way::Whole if tried < BREAKS_BEFORE_CHUNKS => {
                    self.send_whole(session, digest, content).await
                }
                _ => self.send_chunks(session, digest, content).await,
            }
        })
        .await
    }

    async fn begin(&self) -> Result<Session, Failure> {
        let url = self.url("blobs/uploads/")?;
        let ask = Ask::bare(Method::POST, url);
        let response = self.ask(&ask).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(self.refusal(response).await.into_failure());
        }
        let minimum = response.headers().get("oci-chunk-min-length");
        let minimum = minimum
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
            .unwrap_or(0);
        Ok(Session {
            location: location(&response)?,
            chunk: CHUNK.max(minimum),
        })
    }

    async fn send_whole(
        &self,
        session: Session,
        digest: Digest,
        content: &Arc<Content>,
    ) -> Result<(), Failure> {
        let body = Body::Blob(Arc::clone(content));
        self.close(session.location, digest, octets(), body).await
    }

    async fn send_chunks(
        &self,
        session: Session,
        digest: Digest,
        content: &Arc<Content>,
    ) -> Result<(), Failure> {
        let Session {
            mut location,
            chunk,
        } = session;
        let length = usize::try_from(chunk).unwrap_or(usize::MAX);
        let mut offset = 0;
        while offset < content.len() {
            let bytes = sending::read(Arc::clone(content), offset, length).await;
            let bytes = bytes
                .map_err(|error| Failure::new(RemoteErrorKind::Unreadable).caused_by(error))?;
            let end = offset + bytes.len() as u64;
            let mut headers = octets();
            let range = HeaderValue::try_from(format!("{offset}-{}", end - 1));
            headers.insert(
                CONTENT_RANGE,
                range.map_err(|error| Failure::protocol("no range").caused_by(error))?,
            );
            let ask = Ask {
                method: Method::PATCH,
                url: location,
                headers,
                body: Body::Bytes(bytes),
            };
            let response = self.ask(&ask).await?;
            if !response.status().is_success() {
                return Err(self.interrupted(response).await);
            }
            location = self::location(&response)?;
            offset = end;
        }
        self.close(location, digest, HeaderMap::new(), Body::Nothing)
            .await
    }

    /// The PUT that ends an upload, in either way.
    async fn close(
        &self,
        mut location: Url,
        digest: Digest,
        headers: HeaderMap,
        body: Body,
    ) -> Result<(), Failure> {
        location
            .query_pairs_mut()
            .append_pair("digest", &digest.to_string());
        let response = self
            .ask(&Ask {
                method: Method::PUT,
                url: location,
                headers,
                body,
            })
            .await?;
        match response.status() {
            // "Go on" is no answer to "this was all".
            StatusCode::ACCEPTED => Err(Failure::protocol(
                "it does not end an upload that is complete",
            )),
            status if status.is_success() => Ok(()),
            _ => Err(self.interrupted(response).await),
        }
    }

    async fn interrupted(&self, response: Response) -> Failure {
        let refusal = self.refusal(response).await;
        let lost = matches!(
            refusal.status,
            StatusCode::NOT_FOUND | StatusCode::RANGE_NOT_SATISFIABLE
        ) || refusal.says(&[
            OciErrorCode::BlobUploadUnknown,
            OciErrorCode::BlobUploadInvalid,
        ]);
        if lost {
            Failure::new(RemoteErrorKind::UploadLost)
        } else {
            refusal.into_failure()
        }
    }
}

/// Whether the registry refused the size or the manner rather than the blob.
fn wants_chunks(failure: &Failure) -> bool {
    match &failure.kind {
        RemoteErrorKind::Refused { status, .. } => matches!(status, 405 | 411 | 413 | 501),
        RemoteErrorKind::Protocol(_) => true,
        _ => false,
    }
}

fn location(response: &Response) -> Result<Url, Failure> {
    let header = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok());
    let location = header.and_then(|location| response.url().join(location).ok());
    location.ok_or_else(|| Failure::protocol("it does not say where an upload goes"))
}

fn octets() -> HeaderMap {
    HeaderMap::from_iter([(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    )])
}
