//! A server that files are PUT to, as nginx with WebDAV: folders are made, a file appears
//! when it is whole.

use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, RANGE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Response};
use bytes::Bytes;

use super::server::{Server, Service};
use crate::registry::fault::Fault;
use crate::registry::journal::Recorded;
use crate::registry::respond;

/// A running server; dropping it stops it.
pub struct HttpCache(Server<Files>);

struct Files {
    files: Mutex<BTreeMap<String, Bytes>>,
    /// What `Authorization` has to be for writing.
    pass: Option<String>,
    room: u64,
}

impl HttpCache {
    /// That everybody may write to.
    pub fn start() -> Self {
        Self::with(None, u64::MAX)
    }

    /// That wants this as `Authorization` of whoever writes.
    pub fn that_wants(authorization: &str) -> Self {
        Self::with(Some(authorization.to_owned()), u64::MAX)
    }

    /// That has room for so many bytes, and answers 507 from there on.
    pub fn with_room_for(bytes: u64) -> Self {
        Self::with(None, bytes)
    }

    fn with(pass: Option<String>, room: u64) -> Self {
        Self(Server::start(|_| Files {
            files: Mutex::default(),
            pass,
            room,
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

    /// Ends all rules.
    pub fn heal(&self) {
        self.0.heal();
    }

    /// Dies, with every connection.
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Every request that arrived, in order.
    pub fn requests(&self) -> Vec<Recorded> {
        self.0.requests()
    }

    /// How many requests of this method had this text in their path.
    pub fn count(&self, method: Method, path: &str) -> usize {
        self.0.count(&method, path)
    }

    /// A file, by its path without the first slash.
    pub fn file(&self, name: &str) -> Option<Bytes> {
        self.0.service.files.lock().unwrap().get(name).cloned()
    }

    /// Puts a file there without a request.
    pub fn put(&self, name: &str, bytes: impl Into<Bytes>) {
        let mut files = self.0.service.files.lock().unwrap();
        files.insert(name.to_owned(), bytes.into());
    }

    /// The names of all files, sorted.
    pub fn names(&self) -> Vec<String> {
        self.0
            .service
            .files
            .lock()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    }
}

impl Service for Files {
    fn answer(&self, request: &Parts, body: Bytes) -> Response<Body> {
        let name = request.uri.path().trim_start_matches('/').to_owned();
        let mut files = self.files.lock().unwrap();
        match request.method {
            Method::HEAD => match files.get(&name) {
                Some(bytes) => respond::head(&[], bytes.len()),
                None => respond::empty(404, &[]),
            },
            Method::GET => match files.get(&name) {
                Some(bytes) => part(bytes, &request.headers),
                None => respond::empty(404, &[]),
            },
            Method::PUT => {
                let given = request.headers.get(AUTHORIZATION);
                let given = given.and_then(|value| value.to_str().ok());
                if self.pass.is_some() && self.pass.as_deref() != given {
                    return respond::empty(if given.is_some() { 403 } else { 401 }, &[]);
                }
                let taken: usize = files.values().map(Bytes::len).sum();
                if (taken + body.len()) as u64 > self.room {
                    return respond::body(507, &[], "no space left".into());
                }
                let is_new = files.insert(name, body).is_none();
                respond::empty(if is_new { 201 } else { 204 }, &[])
            }
            _ => respond::empty(405, &[]),
        }
    }
}

/// All of a file, or `Range: bytes=FIRST-LAST` of it.
fn part(bytes: &Bytes, headers: &HeaderMap) -> Response<Body> {
    let range = headers.get(RANGE).map(|range| range.to_str().unwrap());
    let Some(range) = range else {
        return respond::body(200, &[], bytes.clone());
    };
    let (first, last) = range
        .strip_prefix("bytes=")
        .unwrap()
        .split_once('-')
        .unwrap();
    let first: usize = first.parse().unwrap();
    let end = last.parse().map_or(bytes.len(), |last: usize| {
        bytes.len().min(last.saturating_add(1))
    });
    if first >= bytes.len() || first >= end {
        let whole = format!("bytes */{}", bytes.len());
        return respond::empty(416, &[("content-range", &whole)]);
    }
    let range = format!("bytes {first}-{}/{}", end - 1, bytes.len());
    respond::body(206, &[("content-range", &range)], bytes.slice(first..end))
}
