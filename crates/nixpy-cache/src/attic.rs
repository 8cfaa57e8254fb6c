//! A cache of an Attic server, written to by the server's own API: which paths are missing, and
//! one request for each of those. The server checks the archive's hash, compresses, and
//! signs by its key.
//!
//! The requests are those of Attic's client as of June 2026
//! (<https://github.com/zhaofengli/attic>, `attic/src/api/v1`): `POST
//! /_api/v1/get-missing-paths`, and `PUT /_api/v1/upload-path` with the archive as it is, and
//! what is said of it as JSON: in a header, or in front of the archive if it is long.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use nixpy_nix::StorePath;
use nixpy_nix::path_info::PathInfo;
use nixpy_oci::registry::Secret;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::{Value, json};

use crate::error::{CacheError, CacheErrorKind};
use crate::ordered::put_in_order;
use crate::packed::Packer;
use crate::settings::CacheSettings;
use crate::spec::Place;
use crate::store::{Put, Store};
use crate::web::{Ask, Body, Web, secret_header};

const NAR_INFO: HeaderName = HeaderName::from_static("x-attic-nar-info");
const PREAMBLE_SIZE: HeaderName = HeaderName::from_static("x-attic-nar-info-preamble-size");
/// What is said of a path goes in front of the archive from this size on.
const LONG: usize = 4 << 10;
/// Paths asked for in one request.
const ASKED: usize = 5_000;
const LONGEST_ANSWER: usize = 1 << 20;
const CURE: &str = "give a token of its server that may push to this cache (`atticadm make-token \
                    --push CACHE`) in NIXPY_CACHE_TOKEN; or say `read` behind the cache";

/// A cache of an Attic server.
#[derive(Debug)]
pub struct Attic {
    name: String,
    cache: String,
    web: Web,
    base: Url,
    headers: HeaderMap,
    uploads: usize,
    packer: Packer,
}

impl Attic {
    /// The cache of this name on this server, `https://attic.example.org`. Nothing is asked
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
        let place = Place::Attic {
            server: server.to_owned(),
            cache: cache.to_owned(),
        };
        let name = place.to_string();
        let blame = |kind| CacheError::new(name.clone(), "be used", kind);
        let base = Url::parse(&format!("{}/_api/v1/", server.trim_end_matches('/')));
        let base = base.map_err(|error| {
            blame(CacheErrorKind::Broken(format!(
                "{server:?} is no address: {error}"
            )))
        })?;
        let pass = token.map(|token| secret_header(&format!("Bearer {}", token.expose())));
        let pass = pass.transpose().map_err(blame)?;
        Ok(Self {
            cache: cache.to_owned(),
            web: Web::new().map_err(blame)?,
            base,
            headers: pass.map(|pass| (AUTHORIZATION, pass)).into_iter().collect(),
            uploads: settings.uploads,
            packer: Packer::of_plain_archives(&settings.place),
            name,
        })
    }

    async fn lacks(&self, paths: &[PathInfo]) -> Result<BTreeSet<StorePath>, CacheErrorKind> {
        let mut missing = BTreeSet::new();
        for paths in paths.chunks(ASKED) {
            let hashes: Vec<&str> = paths.iter().map(|info| info.path.hash_part()).collect();
            let question = json!({ "cache": self.cache, "store_path_hashes": hashes });
            let ask = self.asking(Method::POST, "get-missing-paths")?;
            let mut ask = ask.bringing(Body::Bytes(question.to_string().into()));
            let json = HeaderValue::from_static("application/json");
            ask.headers.insert(CONTENT_TYPE, json);
            let answer = self.web.ask(&ask, CURE).await?;
            let answer = self.web.body(answer, LONGEST_ANSWER).await?;
            let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
            let lacking = answer.get("missing_paths").and_then(Value::as_array);
            let lacking = lacking.ok_or_else(|| {
                CacheErrorKind::Broken("it does not say which paths are missing".to_owned())
            })?;
            let lacking: BTreeSet<&str> = lacking.iter().filter_map(Value::as_str).collect();
            let lacks = |info: &&PathInfo| lacking.contains(info.path.hash_part());
            missing.extend(paths.iter().filter(lacks).map(|info| info.path.clone()));
        }
        Ok(missing)
    }

    async fn upload(&self, info: &PathInfo) -> Result<u64, CacheErrorKind> {
        let packed = self.packer.pack(info).await?;
        let size = packed.content.len();
        let said = described(&self.cache, &packed.narinfo.info).to_string();
        let content = Arc::new(packed.content);
        let ask = self.asking(Method::PUT, "upload-path")?;
        let ask = match HeaderValue::from_str(&said) {
            Ok(header) if said.len() < LONG => {
                let mut ask = ask.bringing(Body::Content(content));
                ask.headers.insert(NAR_INFO, header);
                ask
            }
            _ => {
                let length = HeaderValue::from(said.len());
                let mut ask = ask.bringing(Body::Both(Bytes::from(said), content));
                ask.headers.insert(PREAMBLE_SIZE, length);
                ask
            }
        };
        self.web.ask(&ask, CURE).await?;
        Ok(size)
    }

    fn asking(&self, method: Method, what: &str) -> Result<Ask, CacheErrorKind> {
        let url = self.base.join(what);
        let url = url.map_err(|error| CacheErrorKind::Broken(format!("{what}: {error}")))?;
        Ok(Ask::bare(method, url).with(self.headers.clone()))
    }
}

/// What the server is told of a path: base names where a narinfo has them.
fn described(cache: &str, info: &PathInfo) -> Value {
    let references: Vec<&str> = info.references.iter().map(StorePath::base_name).collect();
    json!({
        "cache": cache,
        "store_path_hash": info.path.hash_part(),
        "store_path": info.path.as_str(),
        "references": references,
        "system": null,
        "deriver": info.deriver.as_ref().map(StorePath::base_name),
        "sigs": info.signatures,
        "ca": info.ca,
        "nar_hash": format!("sha256:{}", info.nar_hash.to_hex()),
        "nar_size": info.nar_size,
    })
}

impl Store for Attic {
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
            // One request makes a path visible, so all of it waits for the references: an
            // archive that waited would take room.
            let send = |_: &'a PathInfo| async { Ok(((), 0)) };
            let publish = |info, ()| self.upload(info);
            put_in_order(&self.name, paths, self.uploads, send, publish).await
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use nixpy_testkit::caches::{AtticServer, Fault, Method};
    use nixpy_testkit::store::{FakeStore, Item};

    use super::*;
    use crate::stored::info_of;

    fn cache(server: &AtticServer, cache: &str, token: Option<&str>) -> Attic {
        let settings = CacheSettings::default();
        Attic::new(&server.url(), cache, token.map(Secret::new), &settings).unwrap()
    }

    #[tokio::test]
    async fn the_server_gets_what_it_lacks_references_first() {
        let mut store = FakeStore::in_place();
        let libc = store.add(
            Item::named("libc")
                .file("so", vec![1; 2 << 20])
                .refers_to_itself(),
        );
        let many: Vec<_> = (0..100)
            .map(|n| store.add(Item::named(&format!("a-rather-long-name-of-a-path-{n}"))))
            .collect();
        let app = Item::named("app")
            .file("a", "a")
            .references([&libc])
            .references(&many);
        let app = store.add(app);
        let mut paths = vec![info_of(&app), info_of(&libc)];
        paths.extend(many.iter().map(info_of));
        paths[0].deriver = Some(format!("{}.drv", paths[0].path).parse().unwrap());

        let server = AtticServer::start("acme", "abc");
        let attic = cache(&server, "acme", Some("abc"));
        assert_eq!(attic.missing(&paths).await.unwrap().len(), 102);
        let put = attic.put(&paths).await;
        assert_eq!((put.stored.len(), put.failed.len()), (102, 0), "{put:?}");
        assert!(attic.missing(&paths).await.unwrap().is_empty());
        assert_eq!(server.count(Method::POST, "get-missing-paths"), 2);
        let last = server.stored().pop().unwrap();
        assert_eq!(
            last["store_path"],
            app.text(),
            "its references are there before it"
        );
        assert_eq!(last["references"].as_array().unwrap().len(), 101);
        let header = |it: &nixpy_testkit::caches::Recorded| it.headers.contains_key(&PREAMBLE_SIZE);
        assert_eq!(server.requests().iter().filter(|it| header(it)).count(), 1);
    }

    #[tokio::test]
    async fn whoever_may_not_push_is_told_which_token_to_make() {
        let mut store = FakeStore::in_place();
        let path = info_of(&store.add(Item::named("a").file("a", "a")));
        let server = AtticServer::start("acme", "abc");
        for (name, token) in [("acme", None), ("acme", Some("hidden"))] {
            let attic = cache(&server, name, token);
            let error = attic
                .missing(std::slice::from_ref(&path))
                .await
                .unwrap_err();
            assert!(error.cure().unwrap().contains("--push"), "{error}");
            assert!(!format!("{error:?} {attic:?}").contains("hidden"));
        }
        let attic = cache(&server, "other", Some("abc"));
        let error = attic
            .missing(std::slice::from_ref(&path))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("does not exist"), "{error}");
    }

    #[tokio::test]
    async fn trouble_of_the_server_is_overcome_or_told() {
        let mut store = FakeStore::in_place();
        let paths = [info_of(
            &store.add(Item::named("a").file("a", vec![5; 1 << 20])),
        )];
        let server = AtticServer::start("acme", "abc");
        let attic = cache(&server, "acme", Some("abc"));
        server.fail(
            Fault::status(429)
                .retry_after(3)
                .on(Method::PUT, "upload-path"),
        );
        let put = attic.put(&paths).await;
        let kind = &put.failed[0].1.kind;
        let wait = Some(std::time::Duration::from_secs(3));
        assert!(matches!(kind, CacheErrorKind::Throttled { retry_after } if *retry_after == wait));
        server.fail(Fault::status(500).on(Method::PUT, "upload-path"));
        server.fail(Fault::cut_after(1000).on(Method::PUT, "upload-path").nth(2));
        let put = attic.put(&paths).await;
        assert_eq!(put.stored.len(), 1, "{put:?}");
    }
}
