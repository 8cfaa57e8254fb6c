//! A Cachix server with one cache, by the API of `cachix-api/src/Cachix/API.hs` as of June
//! 2026: a push needs a token, a part has to have the hash that its address was signed
//! for, and the whole the hash and size that are said at the end. Parts go to a store of
//! S3's manners, which wants no token, and parts but the last of no less than 5 MiB.
//!
//! What was pushed is read by whoever asks, as from any binary cache.
//!
//! Left out: keys, pins and deployments.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use sha2::Sha256;

use super::read;
use super::server::{Refusal, Server, Service};
use crate::registry::fault::Fault;
use crate::registry::journal::Recorded;
use crate::registry::respond;

const SMALLEST_PART: usize = 5 << 20;

/// A running server; dropping it stops it.
pub struct CachixServer(Server<Cache>);

struct Cache {
    address: SocketAddr,
    name: String,
    token: String,
    key: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    begun: usize,
    /// Parts of uploads that are under way, by number.
    uploads: BTreeMap<String, BTreeMap<u64, Bytes>>,
    /// What was said of each path, in the order in which they came.
    stored: Vec<Value>,
    nars: BTreeMap<String, Bytes>,
}

impl CachixServer {
    /// With this cache, a token that may push to it, and its public key.
    pub fn start(cache: &str, token: &str, key: &str) -> Self {
        Self(Server::start(|address| Cache {
            address,
            name: cache.to_owned(),
            token: token.to_owned(),
            key: key.to_owned(),
            state: Mutex::default(),
        }))
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// Adds a rule; its count of matches begins now.
    pub fn fail(&self, fault: Fault) {
        self.0.fail(fault);
    }

    /// Every request that arrived, in order.
    pub fn requests(&self) -> Vec<Recorded> {
        self.0.requests()
    }

    /// How many requests of this method had this text in their path.
    pub fn count(&self, method: Method, path: &str) -> usize {
        self.0.count(&method, path)
    }

    /// What was said of each path that it took, in their order.
    pub fn stored(&self) -> Vec<Value> {
        self.0.service.state.lock().unwrap().stored.clone()
    }

    /// The archive of a path, as it is compressed.
    pub fn nar(&self, hash_part: &str) -> Option<Bytes> {
        self.0
            .service
            .state
            .lock()
            .unwrap()
            .nars
            .get(hash_part)
            .cloned()
    }

    /// Uploads that were begun and neither ended nor taken back.
    pub fn open_uploads(&self) -> usize {
        self.0.service.state.lock().unwrap().uploads.len()
    }
}

type Answer = Result<Response<Body>, Refusal>;

impl Service for Cache {
    fn answer(&self, request: &Parts, body: Bytes) -> Response<Body> {
        let path: Vec<&str> = request.uri.path().split('/').skip(1).collect();
        let query = form_urlencoded::parse(request.uri.query().unwrap_or_default().as_bytes());
        let query: BTreeMap<String, String> = query.into_owned().collect();
        let answer = match path[..] {
            ["storage", upload, number] if request.method == Method::PUT => {
                self.take_part(&request.headers, &query, upload, number, body)
            }
            ["api", "v1", "cache", name, ref rest @ ..] => self
                .admit(&request.headers, name)
                .and_then(|()| self.api(request, rest, &query, &body)),
            [name] if request.method == Method::GET => self.narinfo(name),
            ["nar", name] if request.method == Method::GET => self.read(name),
            _ => Err(refusal(404, "no such place")),
        };
        answer.unwrap_or_else(Refusal::into_response)
    }
}

impl Cache {
    fn api(
        &self,
        request: &Parts,
        path: &[&str],
        query: &BTreeMap<String, String>,
        body: &Bytes,
    ) -> Answer {
        let mut state = self.state.lock().unwrap();
        match (&request.method, path) {
            (&Method::GET, []) => Ok(respond::json(&json!({
                "name": self.name,
                "uri": format!("http://{}", self.address),
                "isPublic": true,
                "publicSigningKeys": [self.key],
                "githubUsername": "",
                "permission": "Write",
                "preferredCompressionMethod": "ZSTD",
            }))),
            (&Method::POST, ["narinfo"]) => {
                let hashes = parsed(&request.headers, body)?;
                let hashes = hashes.as_array().ok_or_else(|| refusal(400, "no list"))?;
                let is_there =
                    |hash: &&Value| state.stored.iter().any(|it| it["cStoreHash"] == **hash);
                let missing: Vec<&Value> = hashes.iter().filter(|hash| !is_there(hash)).collect();
                Ok(respond::json(&json!(missing)))
            }
            (&Method::POST, ["multipart-nar"]) => {
                if query
                    .get("compression")
                    .is_none_or(|it| it != "zst" && it != "xz")
                {
                    return Err(refusal(400, "Wrong compression method"));
                }
                state.begun += 1;
                let nar = format!("00000000-0000-4000-8000-{:012}", state.begun);
                state.uploads.insert(nar.clone(), BTreeMap::new());
                // Which has characters that an address has to spell otherwise.
                let id = format!("{nar}+/=");
                Ok(respond::json(&json!({ "narId": nar, "uploadId": id })))
            }
            (&Method::POST, ["multipart-nar", nar, rest @ ..]) => {
                let known = state.uploads.contains_key(*nar);
                if !known || query.get("uploadId") != Some(&format!("{nar}+/=")) {
                    return Err(refusal(404, "no such upload"));
                }
                match rest {
                    [] => self.sign_part(request, nar, query, body),
                    ["abort"] => {
                        state.uploads.remove(*nar);
                        Ok(respond::json(&json!([])))
                    }
                    ["complete"] => {
                        complete(&mut state, nar, &parsed(&request.headers, body)?)?;
                        Ok(respond::json(&json!([])))
                    }
                    _ => Err(refusal(404, "no such place")),
                }
            }
            _ => Err(refusal(404, "no such place")),
        }
    }

    /// What is said of the cache, or of a path in it.
    fn narinfo(&self, name: &str) -> Answer {
        if name == "nix-cache-info" {
            return Ok(read::info());
        }
        let state = self.state.lock().unwrap();
        let mut stored = state.stored.iter();
        let said = stored.find(|it| it["cStoreHash"].as_str() == name.strip_suffix(".narinfo"));
        let said = said.ok_or_else(|| refusal(404, "no such path"))?;
        let (key, _) = self.key.split_once(':').unwrap();
        let text = |name: &str| said[name].as_str().unwrap_or_default();
        let sig = said["cSig"]
            .as_str()
            .map(|sig| format!("Sig: {key}:{sig}\n"));
        let narinfo = format!(
            "StorePath: /nix/store/{hash}-{}\nURL: nar/{hash}\nCompression: zstd\n\
             FileHash: sha256:{}\nFileSize: {}\nNarHash: {}\nNarSize: {}\nReferences: {}\n{}",
            text("cStoreSuffix"),
            text("cFileHash"),
            said["cFileSize"],
            text("cNarHash"),
            said["cNarSize"],
            read::words(&said["cReferences"]),
            sig.unwrap_or_default(),
            hash = text("cStoreHash"),
        );
        Ok(respond::body(200, &[], narinfo.into()))
    }

    fn read(&self, name: &str) -> Answer {
        let state = self.state.lock().unwrap();
        let nar = state.nars.get(name).cloned();
        let nar = nar.ok_or_else(|| refusal(404, "no such archive"))?;
        Ok(respond::body(200, &[], nar))
    }

    fn sign_part(
        &self,
        request: &Parts,
        nar: &str,
        query: &BTreeMap<String, String>,
        body: &Bytes,
    ) -> Answer {
        let data = parsed(&request.headers, body)?;
        let md5 = data["contentMD5"]
            .as_str()
            .ok_or_else(|| refusal(400, "no contentMD5"))?;
        let number = query
            .get("partNumber")
            .and_then(|it| it.parse::<u64>().ok());
        let number = number.filter(|it| (1..=10_000).contains(it));
        let number = number.ok_or_else(|| refusal(400, "no partNumber"))?;
        let md5: String = form_urlencoded::byte_serialize(md5.as_bytes()).collect();
        let url = format!("http://{}/storage/{nar}/{number}?md5={md5}", self.address);
        Ok(respond::json(&json!({ "uploadUrl": url })))
    }

    fn take_part(
        &self,
        headers: &HeaderMap,
        query: &BTreeMap<String, String>,
        nar: &str,
        number: &str,
        body: Bytes,
    ) -> Answer {
        if headers.contains_key(AUTHORIZATION) {
            return Err(refusal(400, "Only one auth mechanism allowed"));
        }
        let hash = Md5::digest(&body);
        let said = headers.get("content-md5").and_then(|it| it.to_str().ok());
        if said != query.get("md5").map(String::as_str) {
            return Err(refusal(403, "SignatureDoesNotMatch"));
        }
        if said != Some(&STANDARD.encode(hash)) {
            return Err(refusal(400, "BadDigest"));
        }
        let mut state = self.state.lock().unwrap();
        let upload = state
            .uploads
            .get_mut(nar)
            .ok_or_else(|| refusal(404, "NoSuchUpload"))?;
        upload.insert(number.parse().unwrap(), body);
        let tag = format!("\"{}\"", hex::encode(hash));
        Ok(respond::empty(200, &[("etag", &tag)]))
    }

    fn admit(&self, headers: &HeaderMap, name: &str) -> Result<(), Refusal> {
        let given = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        if given != Some(&format!("Bearer {}", self.token)) {
            return Err(refusal(401, "Unauthorized"));
        }
        match name == self.name {
            true => Ok(()),
            false => Err(refusal(404, "no such cache")),
        }
    }
}

fn complete(state: &mut State, nar: &str, said: &Value) -> Result<(), Refusal> {
    let upload = state.uploads.get(nar).cloned().unwrap_or_default();
    let tags: Vec<Value> = upload
        .iter()
        .map(|(number, bytes)| {
            let tag = format!("\"{}\"", hex::encode(Md5::digest(bytes)));
            json!({ "partNumber": number, "eTag": tag })
        })
        .collect();
    if said["parts"] != json!(tags) || tags.is_empty() {
        return Err(refusal(400, "InvalidPart"));
    }
    let parts: Vec<&Bytes> = upload.values().collect();
    if parts
        .iter()
        .rev()
        .skip(1)
        .any(|part| part.len() < SMALLEST_PART)
    {
        return Err(refusal(400, "EntityTooSmall"));
    }
    let whole = upload.values().flatten().copied().collect::<Vec<u8>>();
    let narinfo = &said["narInfoCreate"];
    let hash = hex::encode(Sha256::digest(&whole));
    if narinfo["cFileHash"] != hash || narinfo["cFileSize"] != whole.len() {
        return Err(refusal(
            400,
            "the file is another than its hash and size say",
        ));
    }
    let text = |name: &str| narinfo[name].as_str().unwrap_or_default();
    let is_whole = text("cStoreHash").len() == 32
        && !text("cStoreSuffix").is_empty()
        && text("cNarHash").starts_with("sha256:")
        && text("cNarHash").len() == 59
        && narinfo["cNarSize"].as_u64().unwrap_or_default() > 0
        && narinfo["cReferences"].is_array()
        && !text("cDeriver").is_empty();
    if !is_whole {
        return Err(refusal(400, "the narinfo is none"));
    }
    state.uploads.remove(nar);
    state
        .nars
        .insert(text("cStoreHash").to_owned(), whole.into());
    state.stored.push(narinfo.clone());
    Ok(())
}

fn parsed(headers: &HeaderMap, body: &Bytes) -> Result<Value, Refusal> {
    if headers
        .get(CONTENT_TYPE)
        .is_none_or(|it| !it.as_bytes().starts_with(b"application/json"))
    {
        return Err(refusal(415, "Unsupported Media Type"));
    }
    serde_json::from_slice(body).map_err(|error| refusal(400, &error.to_string()))
}

fn refusal(status: u16, message: &str) -> Refusal {
    let body = json!({ "error": message });
    Refusal { status, body }
}
