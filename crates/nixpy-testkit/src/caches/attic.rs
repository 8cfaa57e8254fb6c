//! An Attic server with one cache, by the API of `attic/src/api/v1` and what
//! `server/src/api/v1` makes of it, as of June 2026: a push needs a token, and the archive
//! has to have the hash and the size that were said.
//!
//! Left out: reading, which is that of any binary cache, and the making of caches.

use std::sync::Mutex;

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Response};
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::server::{Refusal, Server, Service};
use crate::registry::fault::Fault;
use crate::registry::journal::Recorded;
use crate::registry::respond;

/// A running server; dropping it stops it.
pub struct AtticServer(Server<Cache>);

struct Cache {
    name: String,
    token: String,
    /// What was said of each path, in the order in which they came.
    stored: Mutex<Vec<Value>>,
}

impl AtticServer {
    /// With this cache, and a token that may push to it.
    pub fn start(cache: &str, token: &str) -> Self {
        Self(Server::start(|_| Cache {
            name: cache.to_owned(),
            token: token.to_owned(),
            stored: Mutex::default(),
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
        self.0.service.stored.lock().unwrap().clone()
    }
}

impl Service for Cache {
    fn answer(&self, request: &Parts, body: Bytes) -> Response<Body> {
        let answer = match (&request.method, request.uri.path()) {
            (&Method::POST, "/_api/v1/get-missing-paths") => self.missing(&request.headers, &body),
            (&Method::PUT, "/_api/v1/upload-path") => self.upload(&request.headers, &body),
            _ => Err(refusal(
                404,
                "NotFound",
                "The URL you requested was not found.",
            )),
        };
        answer.map_or_else(Refusal::into_response, |json| respond::json(&json))
    }
}

type Answer = Result<Value, Refusal>;

impl Cache {
    fn missing(&self, headers: &HeaderMap, body: &Bytes) -> Answer {
        if headers
            .get(CONTENT_TYPE)
            .is_none_or(|it| it != "application/json")
        {
            return Err(refusal(415, "UnsupportedMediaType", "Expected JSON"));
        }
        let question = parsed(body)?;
        self.admit(headers, &question)?;
        let stored = self.stored.lock().unwrap();
        let is_there = |hash: &&Value| stored.iter().any(|it| it["store_path_hash"] == **hash);
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
        let mut stored = self.stored.lock().unwrap();
        stored.retain(|other| other["store_path_hash"] != info["store_path_hash"]);
        stored.push(info);
        Ok(json!({ "kind": "Uploaded", "file_size": nar.len(), "frac_deduplicated": null }))
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
