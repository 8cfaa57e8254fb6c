//! The files of a cache in a bucket of S3, or of another store that speaks as it does.
//!
//! The address and its parameters are Nix's own: `s3://BUCKET?region=…&endpoint=…&scheme=…&profile=…`;
//! with an endpoint the bucket is a part of the path, without one of the host's name. See
//! Nix's manual, "S3 Binary Cache Store". Requests are signed by `rusty-s3`, in their
//! addresses (AWS Signature Version 4), which therefore are never shown.
//!
//! What is there is asked path by path where there are few, and else read from a listing,
//! a thousand names a request, as long as that is cheaper.

mod credentials;
mod multipart;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nixpy_nix::path_info::PathInfo;
use nixpy_oci::blob::Content;
use nixpy_oci::registry::Secret;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Response, Url};
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};

use super::http::range_header;
use crate::error::CacheErrorKind;
use crate::source::Nar;
use crate::web::{Ask, Body, Web};

pub(super) use credentials::are_known;

/// How long a signature holds: until the server has read the request's head.
const SIGNED_FOR: Duration = Duration::from_secs(3600);
/// So many paths are asked for one by one in the time that a page of a listing takes.
const WORTH_A_PAGE: usize = 64;
/// A page of a listing is 400 KiB or so.
const LONGEST_PAGE: usize = 8 << 20;

/// The files in a bucket.
#[derive(Debug)]
pub(super) struct S3 {
    web: Web,
    bucket: Bucket,
    credentials: Option<Credentials>,
}

impl S3 {
    /// From what stands behind `s3://`.
    pub(super) fn at(rest: &str, token: Option<&Secret>) -> Result<Self, CacheErrorKind> {
        let address = Address::parse(rest)?;
        let environment = |name: &str| std::env::var(name).ok();
        let credentials = credentials::find(token, address.profile.as_deref(), &environment);
        Ok(Self {
            web: Web::new()?,
            bucket: address.bucket()?,
            credentials,
        })
    }

    pub(super) async fn has(&self, name: &str) -> Result<bool, CacheErrorKind> {
        let url = self.sign(self.bucket.head_object(self.credentials.as_ref(), name));
        let answer = self
            .web
            .ask_for(&Ask::bare(Method::HEAD, url), self.cure())
            .await?;
        Ok(answer.is_some())
    }

    /// What a listing tells of so many paths, where that takes fewer requests than to ask for
    /// each; nothing at all where it does not.
    pub(super) async fn listed_for(&self, paths: &[PathInfo]) -> Result<Listed, CacheErrorKind> {
        match paths.len() / WORTH_A_PAGE {
            0 => Ok(Listed::default()),
            pages => self.listed(pages).await,
        }
    }

    pub(super) async fn put(
        &self,
        name: &str,
        content: Arc<Content>,
        kind: &str,
    ) -> Result<(), CacheErrorKind> {
        if content.len() > multipart::FROM {
            return self.put_in_parts(name, content, kind).await;
        }
        let url = self.sign(self.bucket.put_object(self.credentials.as_ref(), name));
        let body = match &*content {
            Content::Memory(bytes) => Body::Bytes(bytes.clone()),
            _ => Body::Content(content),
        };
        let ask = typed(Ask::bare(Method::PUT, url).bringing(body), kind);
        self.web.ask(&ask, self.cure()).await.map(|_| ())
    }

    pub(super) async fn text(
        &self,
        name: &str,
        limit: u64,
    ) -> Result<Option<Bytes>, CacheErrorKind> {
        let Some(answer) = self.get(name, None).await? else {
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
        let Some(answer) = self.get(name, range.as_ref()).await? else {
            return Ok(None);
        };
        let act = format!("give {name}");
        self.web.nar(answer, range, cache, &act).map(Some)
    }

    async fn get(
        &self,
        name: &str,
        range: Option<&Range<u64>>,
    ) -> Result<Option<Response>, CacheErrorKind> {
        let url = self.sign(self.bucket.get_object(self.credentials.as_ref(), name));
        let ask = Ask::bare(Method::GET, url).with(range_header(range));
        self.web.ask_for(&ask, self.cure()).await
    }

    /// At most so many pages of names, from the first on. Whoever may not list is told by
    /// nothing at all.
    async fn listed(&self, pages: usize) -> Result<Listed, CacheErrorKind> {
        let mut listed = Listed::default();
        let mut token = None;
        for _ in 0..pages {
            let mut action = ListObjectsV2::new(&self.bucket, self.credentials.as_ref());
            // Archives lie below `nar/`, which is one name here.
            action.with_delimiter("/");
            if let Some(token) = token {
                action.with_continuation_token(token);
            }
            let ask = Ask::bare(Method::GET, self.sign(action));
            let answer = self.web.send(&ask).await?;
            if !answer.status().is_success() {
                tracing::debug!(status = %answer.status(), "the bucket is not listed");
                return Ok(Listed::default());
            }
            let page = self.web.body(answer, LONGEST_PAGE).await?;
            let page = String::from_utf8_lossy(&page);
            let page = ListObjectsV2::parse_response(&page);
            let page = page.map_err(|error| {
                CacheErrorKind::Broken(format!("its listing cannot be read: {error}"))
            })?;
            let names = page.contents.into_iter().map(|object| object.key);
            listed
                .names
                .extend(names.filter(|name| name.ends_with(".narinfo")));
            token = page.next_continuation_token;
            if token.is_none() {
                listed.is_whole = true;
                return Ok(listed);
            }
        }
        Ok(listed)
    }

    fn sign<'a>(&self, action: impl S3Action<'a>) -> Url {
        action.sign(SIGNED_FOR)
    }

    fn cure(&self) -> &'static str {
        match self.credentials {
            None => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or have a profile in \
                 ~/.aws/credentials and name it by `profile=`; or say `read` behind the cache"
            }
            Some(_) => {
                "check that the access key may put objects into the bucket (s3:PutObject, \
                 s3:GetObject), and that `region=` is the bucket's; or say `read` behind the cache"
            }
        }
    }
}

/// Names of a bucket, in order, from the first on.
#[derive(Debug, Default)]
pub(super) struct Listed {
    names: BTreeSet<String>,
    is_whole: bool,
}

impl Listed {
    /// Whether a name is there, if the listing got so far.
    pub(super) fn tells(&self, name: &str) -> Option<bool> {
        let is_there = self.names.contains(name);
        let got_so_far = || self.names.last().is_some_and(|last| name < last.as_str());
        (is_there || self.is_whole || got_so_far()).then_some(is_there)
    }
}

/// `BUCKET?NAME=VALUE&…`, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
struct Address {
    bucket: String,
    region: Option<String>,
    endpoint: Option<String>,
    scheme: Option<String>,
    profile: Option<String>,
}

impl Address {
    fn parse(rest: &str) -> Result<Self, CacheErrorKind> {
        let (bucket, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if bucket.is_empty() || !bucket.bytes().all(good) {
            let problem = format!("{bucket:?} is no bucket: write s3://BUCKET?region=REGION");
            return Err(CacheErrorKind::Broken(problem));
        }
        let mut address = Self {
            bucket: bucket.to_owned(),
            ..Self::default()
        };
        for (name, value) in form_urlencoded::parse(parameters.as_bytes()) {
            let field = match &*name {
                "region" => &mut address.region,
                "endpoint" => &mut address.endpoint,
                "scheme" => &mut address.scheme,
                "profile" => &mut address.profile,
                // What else Nix knows changes how it compresses and signs.
                _ => continue,
            };
            *field = Some(value.into_owned()).filter(|value| !value.is_empty());
        }
        Ok(address)
    }

    fn bucket(&self) -> Result<Bucket, CacheErrorKind> {
        let region = self.region.as_deref().unwrap_or("us-east-1");
        let scheme = self.scheme.as_deref().unwrap_or("https");
        let (endpoint, style) = match &self.endpoint {
            Some(endpoint) if endpoint.contains("://") => (endpoint.clone(), UrlStyle::Path),
            Some(endpoint) => (format!("{scheme}://{endpoint}"), UrlStyle::Path),
            None => {
                // A certificate for *.s3… does not fit a name with dots.
                let style = match self.bucket.contains('.') {
                    true => UrlStyle::Path,
                    false => UrlStyle::VirtualHost,
                };
                (format!("{scheme}://s3.{region}.amazonaws.com"), style)
            }
        };
        let wrong = |error: String| CacheErrorKind::Broken(format!("{endpoint:?}: {error}"));
        let url: Url = endpoint
            .parse()
            .map_err(|error| wrong(format!("{error}")))?;
        let bucket = Bucket::new(url, style, self.bucket.clone(), region.to_owned());
        bucket.map_err(|error| wrong(error.to_string()))
    }
}

fn typed(mut ask: Ask, kind: &str) -> Ask {
    if let Ok(kind) = HeaderValue::from_str(kind) {
        ask.headers.insert(CONTENT_TYPE, kind);
    }
    ask
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_what_nix_takes_it_to_say() {
        let base = |rest: &str| {
            let bucket = Address::parse(rest).unwrap().bucket().unwrap();
            format!("{} {}", bucket.base_url(), bucket.region())
        };
        assert_eq!(
            base("acme"),
            "https://acme.s3.us-east-1.amazonaws.com/ us-east-1"
        );
        assert_eq!(
            base("acme.example?region=eu-west-1"),
            "https://s3.eu-west-1.amazonaws.com/acme.example/ eu-west-1"
        );
        for endpoint in [
            "127.0.0.1:9000&scheme=http",
            "http://127.0.0.1:9000",
            "http%3A%2F%2F127.0.0.1:9000",
        ] {
            let rest = format!("acme?compression=zstd&endpoint={endpoint}");
            assert_eq!(base(&rest), "http://127.0.0.1:9000/acme/ us-east-1");
        }
        for wrong in ["", "?region=x", "a/b", "a b"] {
            assert!(Address::parse(wrong).is_err(), "{wrong:?}");
        }
        let no_endpoint = Address::parse("acme?endpoint=a%20b").unwrap();
        assert!(no_endpoint.bucket().is_err());
    }

    #[test]
    fn a_listing_tells_of_what_it_got_to() {
        let names = |is_whole| Listed {
            names: ["b".to_owned(), "d".to_owned()].into(),
            is_whole,
        };
        let told = |listed: Listed| ["a", "b", "c", "d", "e"].map(|name| listed.tells(name));
        let (there, not) = (Some(true), Some(false));
        assert_eq!(told(names(true)), [not, there, not, there, not]);
        assert_eq!(told(names(false)), [not, there, not, there, None]);
        assert_eq!(told(Listed::default()), [None; 5]);
    }
}
