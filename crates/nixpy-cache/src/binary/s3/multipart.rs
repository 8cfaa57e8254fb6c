//! A large archive in parts, so that a connection that breaks costs one of them. What is given
//! up is taken back: parts that are left are stored, and paid for, and seen by nobody.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use nixpy_oci::blob::Content;
use reqwest::header::ETAG;
use reqwest::{Method, Url};
use rusty_s3::S3Action as _;
use rusty_s3::actions::{
    AbortMultipartUpload, CompleteMultipartUpload, CompleteMultipartUploadResponse,
    CreateMultipartUpload,
};

use super::{S3, typed};
use crate::error::CacheErrorKind;
use crate::sections::sections;
use crate::web::{Ask, Body};

/// What is not larger goes in one request.
pub(super) const FROM: u64 = 64 << 20;
/// All parts but the last, unless there would be more than S3 takes.
const PART: u64 = 32 << 20;
const MOST_PARTS: u64 = 9_000;
const AT_ONCE: usize = 3;
const LONGEST_ANSWER: usize = 64 << 10;

impl S3 {
    pub(super) async fn put_in_parts(
        &self,
        name: &str,
        content: Arc<Content>,
        kind: &str,
    ) -> Result<(), CacheErrorKind> {
        let upload = self.begin(name, kind).await?;
        let put = self.send_parts(name, &upload, &content).await;
        if put.is_err() {
            let credentials = self.credentials.as_ref();
            let abort = AbortMultipartUpload::new(&self.bucket, credentials, name, &upload);
            let ask = Ask::bare(Method::DELETE, self.sign(abort));
            if let Err(error) = self.web.send(&ask).await {
                tracing::debug!(%error, "the parts of an upload are left behind");
            }
        }
        put
    }

    async fn begin(&self, name: &str, kind: &str) -> Result<String, CacheErrorKind> {
        let create = CreateMultipartUpload::new(&self.bucket, self.credentials.as_ref(), name);
        let ask = typed(Ask::bare(Method::POST, self.sign(create)), kind);
        let answer = self.answer_of(&ask).await?;
        let answer = CreateMultipartUpload::parse_response(&answer).map_err(unreadable)?;
        Ok(answer.upload_id().to_owned())
    }

    async fn send_parts(
        &self,
        name: &str,
        upload: &str,
        content: &Content,
    ) -> Result<(), CacheErrorKind> {
        let size = PART.max(content.len().div_ceil(MOST_PARTS));
        let parts = sections(content, size).map_err(|error| {
            CacheErrorKind::Here(format!("its archive cannot be read: {error}"))
        })?;
        let sending: Vec<_> = (1_u16..)
            .zip(parts)
            .map(|(number, part)| self.send_part(name, upload, number, part))
            .collect();
        let tags: Vec<String> = stream::iter(sending)
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let tags = tags.iter().map(String::as_str);
        let credentials = self.credentials.as_ref();
        let complete = CompleteMultipartUpload::new(&self.bucket, credentials, name, upload, tags);
        let ask = Ask::bare(Method::POST, complete.sign(super::SIGNED_FOR));
        let answer = self
            .answer_of(&ask.bringing(Body::Bytes(complete.body().into())))
            .await?;
        // It may be known only after the status was sent that this failed.
        match CompleteMultipartUploadResponse::parse(&answer) {
            Ok(_) => Ok(()),
            Err(error) => Err(unreadable(error)),
        }
    }

    async fn send_part(
        &self,
        name: &str,
        upload: &str,
        number: u16,
        part: Content,
    ) -> Result<String, CacheErrorKind> {
        let credentials = self.credentials.as_ref();
        let url: Url = self.sign(self.bucket.upload_part(credentials, name, number, upload));
        let ask = Ask::bare(Method::PUT, url).bringing(Body::Content(Arc::new(part)));
        let answer = self.web.ask(&ask, self.cure()).await?;
        let tag = answer.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
        let tag = tag.map(str::to_owned);
        tag.ok_or_else(|| CacheErrorKind::Broken("it gives no tag for a part".to_owned()))
    }

    async fn answer_of(&self, ask: &Ask) -> Result<String, CacheErrorKind> {
        let answer = self.web.ask(ask, self.cure()).await?;
        let answer = self.web.body(answer, LONGEST_ANSWER).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

fn unreadable(error: impl std::fmt::Display) -> CacheErrorKind {
    CacheErrorKind::Unreachable(format!("an upload in parts goes wrong: {error}"))
}
