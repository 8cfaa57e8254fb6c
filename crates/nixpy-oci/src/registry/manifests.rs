//! Reading and writing manifests, and asking for blobs.

use bytes::Bytes;
use oci_client::errors::OciErrorCode;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;

use super::error::{Failure, RemoteErrorKind};
use super::line::{Ask, Body};
use super::wire::Wire;
use crate::destination::Stored;
use crate::digest::Digest;
use crate::manifest::{Descriptor, media_type};

/// No registry has to take a larger one.
const LARGEST: usize = 4 << 20;
const ACCEPTED: [&str; 4] = [
    media_type::INDEX,
    media_type::MANIFEST,
    media_type::DOCKER_MANIFEST_LIST,
    media_type::DOCKER_MANIFEST,
];
/// What the registry computed; the bytes must have it.
const CONTENT_DIGEST: &str = "docker-content-digest";

/// The one thing that is read of a document here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    media_type: Option<String>,
}

impl Wire {
    /// What a tag or digest stands for; with `expected`, exactly that.
    pub(super) async fn manifest(
        &self,
        reference: &str,
        expected: Option<Digest>,
    ) -> Result<Option<Stored>, Failure> {
        let url = self.url(&format!("manifests/{reference}"))?;
        let accepted = HeaderValue::try_from(ACCEPTED.join(", "));
        let accepted =
            accepted.map_err(|error| Failure::protocol("no such types").caused_by(error))?;
        let headers = HeaderMap::from_iter([(ACCEPT, accepted)]);
        let ask = Ask {
            method: Method::GET,
            url,
            headers,
            body: Body::Nothing,
        };
        self.retrying(|_| async {
            let response = self.ask(&ask).await?;
            if !response.status().is_success() {
                return self.absent(response).await.map(|()| None);
            }
            let content_type = header(&response, CONTENT_TYPE.as_str());
            let announced =
                header(&response, CONTENT_DIGEST).and_then(|digest| digest.parse().ok());
            let bytes = self.line.read(response, LARGEST).await?;
            let bytes =
                bytes.ok_or_else(|| Failure::protocol("its manifest is larger than 4 MiB"))?;
            let digest = Digest::of(&bytes);
            if let Some(other) = expected
                .or(announced)
                .filter(|expected| *expected != digest)
            {
                return Err(Failure::protocol(format!(
                    "it gave {digest} in the place of {other}"
                )));
            }
            let descriptor = Descriptor::of(&media_type_of(content_type, &bytes)?, &bytes);
            Ok(Some(Stored {
                descriptor,
                bytes: bytes.into(),
            }))
        })
        .await
    }

    /// Asks once whether a manifest is there, and is as large as it should be.
    pub(super) async fn has_manifest(&self, manifest: &Descriptor) -> Result<bool, Failure> {
        let url = self.url(&format!("manifests/{}", manifest.digest))?;
        let accepted = HeaderValue::try_from(&manifest.media_type);
        let accepted =
            accepted.map_err(|error| Failure::protocol("no such type").caused_by(error))?;
        let ask = Ask {
            headers: HeaderMap::from_iter([(ACCEPT, accepted)]),
            ..Ask::bare(Method::HEAD, url)
        };
        let response = self.ask(&ask).await?;
        if !response.status().is_success() {
            return self.absent(response).await.map(|()| false);
        }
        // Both must be told by the specification; what is left out contradicts nothing.
        let size = header(&response, CONTENT_LENGTH.as_str());
        let size = size.and_then(|size| size.parse::<u64>().ok());
        let digest = header(&response, CONTENT_DIGEST);
        let digest = digest.and_then(|digest| digest.parse::<Digest>().ok());
        Ok(size.is_none_or(|size| size == manifest.size)
            && digest.is_none_or(|digest| digest == manifest.digest))
    }

    /// Asks once whether a blob is there.
    pub(super) async fn has(&self, digest: Digest) -> Result<bool, Failure> {
        let url = self.url(&format!("blobs/{digest}"))?;
        let ask = Ask::bare(Method::HEAD, url);
        let response = self.ask(&ask).await?;
        // A registry that sends us on to its storage has it there.
        if response.status().is_success() || response.status().is_redirection() {
            return Ok(true);
        }
        self.absent(response).await.map(|()| false)
    }

    /// Writes a manifest under a tag or its digest.
    pub(super) async fn put_manifest(
        &self,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(), Failure> {
        let url = self.url(&format!("manifests/{reference}"))?;
        let media_type = HeaderValue::try_from(media_type);
        let media_type =
            media_type.map_err(|error| Failure::protocol("no such type").caused_by(error))?;
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, media_type)]);
        let body = Body::Bytes(Bytes::copy_from_slice(bytes));
        let ask = Ask {
            method: Method::PUT,
            url,
            headers,
            body,
        };
        self.retrying(|_| async {
            let response = self.ask(&ask).await?;
            if response.status().is_success() {
                return Ok(());
            }
            let refusal = self.refusal(response).await;
            let codes = [
                OciErrorCode::ManifestBlobUnknown,
                OciErrorCode::BlobUnknown,
                OciErrorCode::ManifestUnknown,
            ];
            let missing = refusal.says(&codes)
                || refusal.status == StatusCode::NOT_FOUND
                    && !refusal.says(&[OciErrorCode::NameUnknown]);
            if missing && !refusal.status.is_server_error() {
                return Err(Failure::new(RemoteErrorKind::MissingBlob(refusal.message)));
            }
            Err(refusal.into_failure())
        })
        .await
    }

    /// `Ok` if the refusal means that what was asked for is not there.
    pub(super) async fn absent(&self, response: Response) -> Result<(), Failure> {
        let absent = match response.status() {
            StatusCode::NOT_FOUND => true,
            StatusCode::FORBIDDEN => !self.login.is_anonymous(),
            StatusCode::UNAUTHORIZED => self.login.pass().await?.vouched,
            _ => false,
        };
        if absent {
            Ok(())
        } else {
            Err(self.refusal(response).await.into_failure())
        }
    }
}

/// The header's word, or where a registry gives every document the same type, the
/// document's own.
fn media_type_of(header: Option<String>, bytes: &[u8]) -> Result<String, Failure> {
    let header = header.map(|header| {
        header
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned()
    });
    match header {
        Some(header) if ACCEPTED.contains(&header.as_str()) => Ok(header),
        header => serde_json::from_slice::<Named>(bytes)
            .ok()
            .and_then(|document| document.media_type)
            .or(header)
            .ok_or_else(|| Failure::protocol("it does not say what kind of manifest it gave")),
    }
}

fn header(response: &Response, name: &str) -> Option<String> {
    response
        .headers()
        .get(name)?
        .to_str()
        .ok()
        .map(str::to_owned)
}
