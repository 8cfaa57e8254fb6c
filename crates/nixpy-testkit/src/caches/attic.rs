//! An Attic server with one cache, by the API of `attic/src/api/v1` and what
//! `server/src/api/v1` makes of it, as of June 2026: a push needs a token, and the archive
//! has to have the hash and the size that were said.
//!
//! What was pushed is read by whoever asks, as from any binary cache, signed by the server.
//!
//! Left out: the making of caches, and those that are private.

use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::read;
use super::server::{Refusal, Server, Service};
use crate::registry::fault::Fault;
use crate::registry::journal::Recorded;
use crate::registry::respond;

/// A running server; dropping it stops it.
pub struct AtticServer(Server<Cache>);

struct Cache {
    name: String,
    token: String,
    key: Ed25519KeyPair,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What was said of each path, in the order in which they came.
    stored: Vec<Value>,
    /// Their archives, by hash part.
    nars: BTreeMap<String, Bytes>,
}

impl AtticServer {
    /// With this cache, and a token that may push to it.
    pub fn start(cache: &str, token: &str) -> Self {
        Self(Server::start(|_| Cache {
            name: cache.to_owned(),
            token: token.to_owned(),
            key: Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap(),
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
}

impl Service for Cache {
    fn answer(&self, request: &Parts, body: Bytes) -> Response<Body> {
        let answer = match (&request.method, request.uri.path()) {
            (&Method::POST, "/_api/v1/get-missing-paths") => self.missing(&request.headers, &body),
            (&Method::PUT, "/_api/v1/upload-path") => self.upload(&request.headers, &body),
            (&Method::GET, path) => return self.read(path).unwrap_or_else(Refusal::into_response),
            _ => Err(not_found()),
        };
        answer.map_or_else(Refusal::into_response, |json| respond::json(&json))
    }
}

type Answer = Result<Value, Refusal>;

impl Cache {
    fn read(&self, path: &str) -> Result<Response<Body>, Refusal> {
        let state = self.state.lock().unwrap();
        let path: Vec<&str> = path.split('/').skip(1).collect();
        match path[..] {
            ["_api", "v1", "cache-config", name] if name == self.name => {
                // Without an address of its own: below the server's.
                let public = STANDARD.encode(self.key.public_key());
                Ok(respond::json(&json!({
                    "public_key": format!("{name}:{public}"),
                    "is_public": true,
                    "store_dir": "/nix/store",
                    "priority": 41,
                })))
            }
            [name, "nix-cache-info"] if name == self.name => Ok(read::info()),
            [name, "nar", file] if name == self.name => {
                let nar = state.nars.get(file).cloned().ok_or_else(not_found)?;
                Ok(respond::body(200, &[], nar))
            }
            [name, file] if name == self.name => {
                let mut stored = state.stored.iter();
                let hash = file.strip_suffix(".narinfo");
                let said = stored.find(|it| it["store_path_hash"].as_str() == hash);
                let narinfo = self.narinfo(said.ok_or_else(not_found)?);
                Ok(respond::body(200, &[], narinfo.into()))
            }
            _ => Err(not_found()),
        }
    }

    fn narinfo(&self, said: &Value) -> String {
        let text = |name: &str| said[name].as_str().unwrap_or_default();
        let (path, size) = (text("store_path"), &said["nar_size"]);
        let hex = text("nar_hash").trim_start_matches("sha256:");
        let hash = read::nix_base32(&hex::decode(hex).unwrap());
        let references = read::words(&said["references"]);
        let full = references.split_ascii_whitespace();
        let full: Vec<String> = full.map(|name| format!("/nix/store/{name}")).collect();
        let signed = format!("1;{path};sha256:{hash};{size};{}", full.join(","));
        let sig = STANDARD.encode(self.key.sign(signed.as_bytes()));
        format!(
            "StorePath: {path}\nURL: nar/{}\nCompression: none\nNarHash: sha256:{hash}\n\
             NarSize: {size}\nReferences: {references}\nSig: {}:{sig}\n",
            text("store_path_hash"),
            self.name,
        )
    }

    fn missing(&self, headers: &HeaderMap, body: &Bytes) -> Answer {
        if headers
            .get(CONTENT_TYPE)
            .is_none_or(|it| it != "application/json")
        {
            return Err(refusal(415, "UnsupportedMediaType", "Expected JSON"));
        }
        let question = parsed(body)?;
        self.admit(headers, &question)?;
        let state = self.state.lock().unwrap();
        let is_there = |hash: &&Value| {
            state
                .stored
                .iter()
                .any(|it| it["store_path_hash"] == **hash)
        };
        let hashes = question["store_path_hashes"].as_array();
        let hashes = hashes.ok_or_else(|| bad("no store_path_hashes"))?;
        if !hashes
            .iter()
            .all(|hash| is_hash(hash.as_str().unwrap_or_default()))
        {
            return Err(bad("Invalid store path hash"));
        }
        let missing: Vec<&Value> = hashes.iter().filter(|hash| !is_there(hash)).collect();
        Ok(json!({ "missing_paths": missing }))
    }

    fn upload(&self, headers: &HeaderMap, body: &Bytes) -> Answer {
        let text = |name: &str| {
            headers
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        let (info, nar) = match (
            text("x-attic-nar-info-preamble-size"),
            text("x-attic-nar-info"),
        ) {
            (Some(size), _) => {
                let size: usize = size.parse().map_err(|_| bad("no unsigned integer"))?;
                if size > body.len() {
                    return Err(bad("Upload info doesn't match specified size"));
                }
                (parsed(&body.slice(..size))?, body.slice(size..))
            }
            (None, Some(info)) => (parsed(&Bytes::from(info))?, body.clone()),
            (None, None) => return Err(bad("X-Attic-Nar-Info must be set")),
        };
        self.admit(headers, &info)?;
        let field = |name: &str| info[name].as_str().unwrap_or_default();
        let base = field("store_path").rsplit('/').next().unwrap_or_default();
        let lists = info["references"].is_array() && info["sigs"].is_array();
        if !lists
            || !is_hash(field("store_path_hash"))
            || !base.starts_with(field("store_path_hash"))
        {
            return Err(bad("the upload info is none"));
        }
        let hash = format!("sha256:{}", hex::encode(Sha256::digest(&nar)));
        if info["nar_hash"] != hash || info["nar_size"] != nar.len() {
            return Err(bad("Bad NAR Hash or Size"));
        }
        let answer =
            json!({ "kind": "Uploaded", "file_size": nar.len(), "frac_deduplicated": null });
        let mut state = self.state.lock().unwrap();
        let hash = field("store_path_hash").to_owned();
        state
            .stored
            .retain(|other| other["store_path_hash"] != hash);
        state.nars.insert(hash, nar);
        state.stored.push(info);
        Ok(answer)
    }

    fn admit(&self, headers: &HeaderMap, what: &Value) -> Result<(), Refusal> {
        let given = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let token = given.and_then(|given| {
            let (scheme, token) = given.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token)
        });
        if token != Some(&self.token) {
            return Err(refusal(401, "Unauthorized", "Unauthorized."));
        }
        match what["cache"] == *self.name {
            true => Ok(()),
            false => Err(refusal(
                404,
                "NoSuchCache",
                "The requested cache does not exist.",
            )),
        }
    }
}

fn not_found() -> Refusal {
    refusal(404, "NotFound", "The URL you requested was not found.")
}

fn parsed(body: &Bytes) -> Answer {
    serde_json::from_slice(body).map_err(|error| bad(&error.to_string()))
}

fn bad(message: &str) -> Refusal {
    refusal(
        400,
        "RequestError",
        &format!("General request error: {message}"),
    )
}

fn refusal(status: u16, error: &str, message: &str) -> Refusal {
    let body = json!({ "code": status, "error": error, "message": message });
    Refusal { status, body }
}

fn is_hash(text: &str) -> bool {
    let good = |byte: u8| b"0123456789abcdfghijklmnpqrsvwxyz".contains(&byte);
    text.len() == 32 && text.bytes().all(good)
}
