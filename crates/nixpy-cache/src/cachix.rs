//! A cache of Cachix, written to by its own API: which paths are missing, an archive in parts
//! to addresses that are handed out for each, and one request that ends the upload and
//! makes the path visible.
//!
//! The requests are those of Cachix's client as of June 2026
//! (<https://github.com/cachix/cachix>, `cachix-api/src/Cachix/API.hs`), with archives
//! compressed by zstd. Cachix signs by the cache's key, unless that is the user's own: then
//! a signature that was made by it goes along.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use md5::{Digest as _, Md5};
use nixpy_nix::StorePath;
use nixpy_nix::narinfo::NarInfo;
use nixpy_nix::path_info::PathInfo;
use nixpy_nix::signing::PublicKey;
use nixpy_oci::blob::Content;
use nixpy_oci::registry::Secret;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::error::{CacheError, CacheErrorKind};
use crate::ordered::put_in_order;
use crate::packed::Packer;
use crate::sections::sections;
use crate::settings::CacheSettings;
use crate::spec::Place;
use crate::store::{Put, Store};
use crate::web::{Ask, Body, Web, secret_header};

const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// All parts but the last; S3, where they go, takes 10,000 of at least 5 MiB.
const PART: u64 = 32 << 20;
const PARTS_AT_ONCE: usize = 3;
/// Paths asked for in one request.
const ASKED: usize = 5_000;
const LONGEST_ANSWER: usize = 1 << 20;
const CURE: &str = "make a token with write access to this cache (at app.cachix.org) and give it \
                    in NIXPY_CACHE_TOKEN; or say `read` behind the cache";

/// A cache of Cachix.
#[derive(Debug)]
pub struct Cachix {
    name: String,
    web: Web,
    base: Url,
    headers: HeaderMap,
    uploads: usize,
    packer: Packer,
    /// By which the cache's paths are signed.
    keys: OnceCell<Vec<PublicKey>>,
}

/// An archive that waits to be made visible.
struct Sent {
    narinfo: NarInfo,
    upload: Upload,
    parts: Vec<Value>,
}

/// What names an upload.
struct Upload {
    nar: String,
    id: String,
}

impl Cachix {
    /// The cache of this name on this server, `https://cachix.org` for most. Nothing is asked
    /// of it yet.
    ///
    /// # Errors
    /// The address is none, or the token cannot be sent.
    pub fn new(
        server: &str,
        cache: &str,
        token: Option<Secret>,
        settings: &CacheSettings,
    ) -> Result<Self, CacheError> {
        let place = Place::Cachix {
            server: server.to_owned(),
            cache: cache.to_owned(),
        };
        let name = place.to_string();
        let blame = |kind| CacheError::new(name.clone(), "be used", kind);
        let server = server.trim_end_matches('/');
        let base = Url::parse(&format!("{server}/api/v1/cache/{cache}/"));
        let base = base.map_err(|error| {
            blame(CacheErrorKind::Broken(format!(
                "{server:?} is no address: {error}"
            )))
        })?;
        let pass = token.map(|token| secret_header(&format!("Bearer {}", token.expose())));
        let pass = pass.transpose().map_err(blame)?;
        Ok(Self {
            web: Web::new().map_err(blame)?,
            base,
            headers: pass.map(|pass| (AUTHORIZATION, pass)).into_iter().collect(),
            uploads: settings.uploads,
            packer: Packer::new(&settings.place),
            keys: OnceCell::new(),
            name,
        })
    }

    async fn lacks(&self, paths: &[PathInfo]) -> Result<BTreeSet<StorePath>, CacheErrorKind> {
        let mut missing = BTreeSet::new();
        for paths in paths.chunks(ASKED) {
            let hashes: Vec<&str> = paths.iter().map(|info| info.path.hash_part()).collect();
            let lacking = self.post("narinfo", Some(json!(hashes))).await?;
            let lacking = lacking.as_array().ok_or_else(|| {
                CacheErrorKind::Broken("it does not say which paths are missing".to_owned())
            })?;
            let lacking: BTreeSet<&str> = lacking.iter().filter_map(Value::as_str).collect();
            let lacks = |info: &&PathInfo| lacking.contains(info.path.hash_part());
            missing.extend(paths.iter().filter(lacks).map(|info| info.path.clone()));
        }
        Ok(missing)
    }

    async fn send(&self, info: &PathInfo) -> Result<(Sent, u64), CacheErrorKind> {
        let packed = self.packer.pack(info).await?;
        let begun = self.post("multipart-nar?compression=zst", None).await?;
        let field = |name: &str| {
            let text = begun.get(name).and_then(Value::as_str).map(str::to_owned);
            text.ok_or_else(|| CacheErrorKind::Broken(format!("an upload has no {name}")))
        };
        let upload = Upload {
            nar: field("narId")?,
            id: field("uploadId")?,
        };
        let size = packed.content.len();
        match self.send_parts(&upload, &packed.content).await {
            Ok(parts) => {
                let narinfo = packed.narinfo;
                let sent = Sent {
                    narinfo,
                    upload,
                    parts,
                };
                Ok((sent, size))
            }
            Err(kind) => {
                if let Err(error) = self.post(&upload.address("abort", &[]), None).await {
                    tracing::debug!(%error, "the parts of an upload are left behind");
                }
                Err(kind)
            }
        }
    }

    async fn send_parts(
        &self,
        upload: &Upload,
        content: &Content,
    ) -> Result<Vec<Value>, CacheErrorKind> {
        let parts = sections(content, PART).map_err(unreadable)?;
        let sending: Vec<_> = (1..)
            .zip(parts)
            .map(|(number, part)| self.send_part(upload, number, part))
            .collect();
        let sent = stream::iter(sending).buffered(PARTS_AT_ONCE);
        sent.try_collect().await
    }

    async fn send_part(
        &self,
        upload: &Upload,
        number: usize,
        part: Content,
    ) -> Result<Value, CacheErrorKind> {
        let part = Arc::new(part);
        let md5 = md5_of(Arc::clone(&part)).await?;
        let address = upload.address("", &[("partNumber", &number.to_string())]);
        let answer = self
            .post(&address, Some(json!({ "contentMD5": md5 })))
            .await?;
        let url = answer.get("uploadUrl").and_then(Value::as_str);
        let url = url.and_then(|url| Url::parse(url).ok()).ok_or_else(|| {
            CacheErrorKind::Broken("it does not say where a part goes".to_owned())
        })?;
        // Signed for this part alone: nobody there is told who we are.
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, OCTETS)]);
        if let Ok(md5) = HeaderValue::from_str(&md5) {
            headers.insert(CONTENT_MD5, md5);
        }
        let ask = Ask::bare(Method::PUT, url).with(headers);
        let answer = self
            .web
            .ask(&ask.bringing(Body::Content(part)), CURE)
            .await?;
        let tag = answer.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
        let tag =
            tag.ok_or_else(|| CacheErrorKind::Broken("it gives no tag for a part".to_owned()))?;
        Ok(json!({ "partNumber": number, "eTag": tag }))
    }

    async fn publish(&self, sent: Sent) -> Result<u64, CacheErrorKind> {
        let keys = self.keys.get_or_try_init(|| self.ask_keys()).await?;
        let narinfo = described(&sent.narinfo, keys)?;
        let completed = json!({ "parts": sent.parts, "narInfoCreate": narinfo });
        let address = sent.upload.address("complete", &[]);
        let ended = self.post(&address, Some(completed)).await;
        // An upload that has ended is not known any more to whoever ends it again, because
        // the answer was lost.
        if let Err(kind) = ended
            && !self.has(&sent.narinfo.info).await
        {
            return Err(kind);
        }
        Ok(0)
    }

    async fn has(&self, info: &PathInfo) -> bool {
        let lacking = self.lacks(std::slice::from_ref(info)).await;
        lacking.is_ok_and(|lacking| lacking.is_empty())
    }

    /// The keys that the cache says are its own.
    async fn ask_keys(&self) -> Result<Vec<PublicKey>, CacheErrorKind> {
        let ask = Ask::bare(Method::GET, self.base_without_slash());
        let answer = self.answer_to(ask).await?;
        let keys = answer.get("publicSigningKeys").and_then(Value::as_array);
        let keys = keys.into_iter().flatten().filter_map(Value::as_str);
        Ok(keys.filter_map(|key| key.parse().ok()).collect())
    }

    fn base_without_slash(&self) -> Url {
        let mut url = self.base.clone();
        url.set_path(self.base.path().trim_end_matches('/'));
        url
    }

    /// Asks, with JSON if there is any; an answer that says nothing is null.
    async fn post(&self, address: &str, body: Option<Value>) -> Result<Value, CacheErrorKind> {
        let url = self.base.join(address);
        let url = url.map_err(|error| CacheErrorKind::Broken(format!("{address}: {error}")))?;
        let mut ask = Ask::bare(Method::POST, url);
        if let Some(body) = body {
            ask = ask.bringing(Body::Bytes(Bytes::from(body.to_string())));
            ask.headers.insert(CONTENT_TYPE, JSON);
        }
        self.answer_to(ask).await
    }

    async fn answer_to(&self, mut ask: Ask) -> Result<Value, CacheErrorKind> {
        ask.headers.extend(self.headers.clone());
        let answer = self.web.ask(&ask, CURE).await?;
        let answer = self.web.body(answer, LONGEST_ANSWER).await?;
        Ok(serde_json::from_slice(&answer).unwrap_or_default())
    }
}

impl Upload {
    fn address(&self, act: &str, further: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("uploadId", &self.id)
            .extend_pairs(further);
        let act = if act.is_empty() {
            String::new()
        } else {
            format!("/{act}")
        };
        format!("multipart-nar/{}{act}?{}", self.nar, query.finish())
    }
}

/// What is said of a path, with the signature of a key of the cache if there is one.
fn described(narinfo: &NarInfo, keys: &[PublicKey]) -> Result<Value, CacheErrorKind> {
    let info = &narinfo.info;
    let (Some(file_hash), Some(file_size)) = (narinfo.file_hash, narinfo.file_size) else {
        return Err(CacheErrorKind::Here(
            "its archive was not hashed".to_owned(),
        ));
    };
    let references: Vec<&str> = info.references.iter().map(StorePath::base_name).collect();
    let deriver = info
        .deriver
        .as_ref()
        .map_or("unknown-deriver", StorePath::base_name);
    Ok(json!({
        "cStoreHash": info.path.hash_part(),
        "cStoreSuffix": info.path.name(),
        "cNarHash": info.nar_hash.to_nix_base32(),
        "cNarSize": info.nar_size,
        "cFileHash": file_hash.to_hex(),
        "cFileSize": file_size,
        "cReferences": references,
        "cDeriver": deriver,
        "cSig": signature(info, keys),
    }))
}

/// The signature by one of these keys, without the key's name.
fn signature<'a>(info: &'a PathInfo, keys: &[PublicKey]) -> Option<&'a str> {
    info.signatures.iter().find_map(|signature| {
        let alone = PathInfo {
            signatures: vec![signature.clone()],
            ..info.clone()
        };
        let (_, text) = signature.split_once(':')?;
        keys.iter()
            .any(|key| key.has_signed(&alone))
            .then_some(text)
    })
}

async fn md5_of(part: Arc<Content>) -> Result<String, CacheErrorKind> {
    let hashing = tokio::task::spawn_blocking(move || {
        let (mut md5, mut offset) = (Md5::new(), 0);
        while offset < part.len() {
            let bytes = part.read(offset, 1 << 18)?;
            md5.update(&bytes);
            offset += bytes.len() as u64;
        }
        Ok(STANDARD.encode(md5.finalize()))
    });
    let hashed = hashing
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)));
    hashed.map_err(unreadable)
}

fn unreadable(error: io::Error) -> CacheErrorKind {
    CacheErrorKind::Here(format!("its archive cannot be read: {error}"))
}

impl Store for Cachix {
    fn name(&self) -> &str {
        &self.name
    }

    fn missing<'a>(
        &'a self,
        paths: &'a [PathInfo],
    ) -> BoxFuture<'a, Result<BTreeSet<StorePath>, CacheError>> {
        Box::pin(async move {
            let missing = self.lacks(paths).await;
            missing.map_err(|kind| CacheError::new(&self.name, "say what it has", kind))
        })
    }

    fn put<'a>(&'a self, paths: &'a [PathInfo]) -> BoxFuture<'a, Put> {
        Box::pin(async move {
            let send = |info| self.send(info);
            let publish = |_: &'a PathInfo, sent| self.publish(sent);
            put_in_order(&self.name, paths, self.uploads, send, publish).await
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
