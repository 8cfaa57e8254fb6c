//! The files of a cache behind HTTP, written with PUT: nginx with WebDAV, and whatever else
//! `nix copy --to https://…` writes to.
//!
//! Who may write is told by a token, `USER:PASSWORD` or a bearer token, or by the netrc file
//! that Nix reads as well.

use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use nixpy_oci::blob::Content;
use nixpy_oci::registry::Secret;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, Response, Url};

use crate::error::CacheErrorKind;
use crate::netrc;
use crate::source::Nar;
use crate::web::{Ask, Body, Web, secret_header};

/// The files below an address.
#[derive(Debug)]
pub(super) struct Http {
    web: Web,
    base: Url,
    pass: Option<HeaderValue>,
}

impl Http {
    pub(super) fn at(url: &str, token: Option<&Secret>) -> Result<Self, CacheErrorKind> {
        // What follows are parameters of Nix.
        let url = url.split('?').next().unwrap_or_default();
        let invalid = |error| CacheErrorKind::Broken(format!("{url:?} is no address: {error}"));
        let mut base = Url::parse(&format!("{}/", url.trim_end_matches('/'))).map_err(invalid)?;
        let user = Some(base.username().to_owned()).filter(|user| !user.is_empty());
        let host = base.host_str().unwrap_or_default().to_owned();
        // It has none that this could fail for.
        let _ = base.set_username("");
        let login = || netrc::login(&host, user.as_deref());
        let pass = match token {
            Some(token) if token.expose().contains(':') => Some(basic(token.expose())),
            Some(token) => Some(format!("Bearer {}", token.expose())),
            None => login().map(|it| basic(&format!("{}:{}", it.user, it.password.expose()))),
        };
        Ok(Self {
            web: Web::new()?,
            base,
            pass: pass.map(|pass| secret_header(&pass)).transpose()?,
        })
    }

    #[cfg(test)]
    pub(super) fn with_patience(self, stall: std::time::Duration) -> Self {
        Self {
            web: self.web.with_patience(stall),
            ..self
        }
    }

    /// Whether a file is there, of this size if the server says one: some keep what a push that
    /// was broken off has left.
    pub(super) async fn has(&self, name: &str, size: Option<u64>) -> Result<bool, CacheErrorKind> {
        let Some(answer) = self.get(self.asking(Method::HEAD, name)?).await? else {
            return Ok(false);
        };
        let told = answer.headers().get(CONTENT_LENGTH);
        let told = told.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        Ok(told.zip(size).is_none_or(|(told, size)| told == size))
    }

    pub(super) async fn put(
        &self,
        name: &str,
        content: Arc<Content>,
        kind: &str,
    ) -> Result<(), CacheErrorKind> {
        let mut ask = self.asking(Method::PUT, name)?.bringing(match &*content {
            Content::Memory(bytes) => Body::Bytes(bytes.clone()),
            _ => Body::Content(content),
        });
        if let Ok(kind) = HeaderValue::from_str(kind) {
            ask.headers.insert(CONTENT_TYPE, kind);
        }
        self.web.ask(&ask, self.cure()).await.map(|_| ())
    }

    pub(super) async fn text(
        &self,
        name: &str,
        limit: u64,
    ) -> Result<Option<Bytes>, CacheErrorKind> {
        let Some(answer) = self.get(self.asking(Method::GET, name)?).await? else {
            return Ok(None);
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.web.body(answer, limit).await.map(Some)
    }

    pub(super) async fn nar(
        &self,
        cache: &str,
        name: &str,
        range: Option<Range<u64>>,
    ) -> Result<Option<Nar>, CacheErrorKind> {
        let mut ask = self.asking(Method::GET, name)?;
        ask.headers.extend(range_header(range.as_ref()));
        let Some(answer) = self.get(ask).await? else {
            return Ok(None);
        };
        let act = format!("give {name}");
        self.web.nar(answer, range, cache, &act).map(Some)
    }

    async fn get(&self, ask: Ask) -> Result<Option<Response>, CacheErrorKind> {
        self.web.ask_for(&ask, self.cure()).await
    }

    fn asking(&self, method: Method, name: &str) -> Result<Ask, CacheErrorKind> {
        let url = self.base.join(name);
        let url = url.map_err(|error| CacheErrorKind::Broken(format!("{name}: {error}")))?;
        let pass = self.pass.iter().map(|pass| (AUTHORIZATION, pass.clone()));
        Ok(Ask::bare(method, url).with(pass.collect()))
    }

    fn cure(&self) -> &'static str {
        match self.pass {
            None => {
                "give USER:PASSWORD or a bearer token in NIXPY_CACHE_TOKEN, or a line for its host \
                 in /etc/nix/netrc; or say `read` behind the cache"
            }
            Some(_) => {
                "check that what is in NIXPY_CACHE_TOKEN, or in the netrc file, may write there; \
                 or say `read` behind the cache"
            }
        }
    }
}

pub(super) fn range_header(range: Option<&Range<u64>>) -> HeaderMap {
    let range = range.filter(|range| range.end > range.start);
    let value = range.and_then(|range| {
        let last = range.end - 1;
        HeaderValue::try_from(format!("bytes={}-{last}", range.start)).ok()
    });
    value.into_iter().map(|value| (RANGE, value)).collect()
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}
