//! A registry on a loopback port, in memory, that can fail on cue.
//!
//! It speaks version 1.1 of
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>, and is
//! strict where the specification leaves room, so that a client which passes here
//! meets nothing new at a laxer registry. Left out: TLS, redirects, signed
//! storage URLs, `Warning` headers, limits on upload time, and `_catalog`, which
//! is no part of the specification.

mod auth;
mod blobs;
mod builder;
pub(crate) mod connection;
pub(crate) mod fault;
mod incoming;
pub(crate) mod journal;
mod listing;
mod manifests;
mod query;
mod refusal;
pub(crate) mod respond;
mod route;
mod serve;
mod storage;
mod token;
mod uploads;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use axum::http::header::{CONTENT_TYPE, HeaderValue};
use bytes::Bytes;
use serde_json::Value;

pub use auth::{Auth, Bearer};
pub use axum::http::Method;
pub use builder::RegistryBuilder;
pub use fault::Fault;
pub use journal::Recorded;

use crate::background::{Background, listen_again};
use crate::digest::digest;
use serve::Shared;

/// A running registry; dropping it stops it.
pub struct Registry {
    shared: Arc<Shared>,
    server: Mutex<Option<Background>>,
}

impl Registry {
    /// An open registry that has every optional part of the protocol.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A registry to be described first.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::new()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Host and port, as the first part of an image reference.
    pub fn host(&self) -> String {
        self.shared.address.to_string()
    }

    /// A full reference: `127.0.0.1:<port>/<name>:<tag>`.
    pub fn reference(&self, name: &str, tag: &str) -> String {
        format!("{}/{name}:{tag}", self.host())
    }

    /// Adds a rule; its count of matches begins now.
    pub fn fail(&self, fault: Fault) {
        self.shared.faults.add(fault);
    }

    /// Ends all rules.
    pub fn heal(&self) {
        self.shared.faults.clear();
    }

    /// Makes every token that was handed out worthless.
    pub fn revoke_tokens(&self) {
        self.shared.tokens.revoke_all();
    }

    /// Loses a blob, in all repositories, as a registry's garbage collection might.
    pub fn forget_blob(&self, digest: &str) {
        self.shared.storage().forget_blob(digest);
    }

    /// Loses every upload that is under way.
    pub fn forget_uploads(&self) {
        self.shared.storage().forget_sessions();
    }

    /// Dies: the listener and every connection are closed, whatever they were doing.
    /// The content stays, for the test to look at.
    pub fn stop(&self) {
        drop(self.server.lock().unwrap().take());
    }

    /// Comes back on the same port, with the content it had.
    pub fn restart(&self) {
        self.stop();
        *self.server.lock().unwrap() =
            Some(serve_on(listen_again(self.shared.address), &self.shared));
    }

    /// Every request that arrived, in order.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.journal.all()
    }

    /// How many requests of this method had this text in their path.
    pub fn count(&self, method: Method, path: &str) -> usize {
        self.requests()
            .iter()
            .filter(|request| request.method == method && request.path.contains(path))
            .count()
    }

    /// Bytes of the bodies of blob uploads: what a push cost, refused and repeated uploads included.
    pub fn layer_bytes_received(&self) -> u64 {
        let uploads = self
            .requests()
            .into_iter()
            .filter(|request| request.path.contains("/blobs/uploads/"));
        uploads.map(|request| request.body_bytes).sum()
    }

    /// Forgets the requests so far.
    pub fn reset_counts(&self) {
        self.shared.journal.clear();
    }

    /// Uploads that were begun and neither closed nor cancelled.
    pub fn open_uploads(&self) -> usize {
        self.shared.storage().sessions_open()
    }

    /// The manifest under a tag or a digest.
    pub fn manifest(&self, name: &str, reference: &str) -> Option<Value> {
        serde_json::from_slice(&self.manifest_bytes(name, reference)?).ok()
    }

    /// The manifest's own bytes.
    pub fn manifest_bytes(&self, name: &str, reference: &str) -> Option<Bytes> {
        let storage = self.shared.storage();
        storage
            .repository(name)?
            .manifest(reference)
            .map(|(_, stored)| stored.bytes.clone())
    }

    /// The digest that a tag leads to.
    pub fn tag(&self, name: &str, tag: &str) -> Option<String> {
        self.shared
            .storage()
            .repository(name)?
            .tags
            .get(tag)
            .cloned()
    }

    /// All tags of a repository, sorted.
    pub fn tags(&self, name: &str) -> Vec<String> {
        let storage = self.shared.storage();
        storage
            .repository(name)
            .map(|repository| repository.tags.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// A blob, whichever repository has it.
    pub fn blob(&self, digest: &str) -> Option<Bytes> {
        self.shared.storage().any_blob(digest)
    }

    /// Whether this repository may hand out this blob.
    pub fn has_blob(&self, name: &str, digest: &str) -> bool {
        self.shared.storage().blob(name, digest).is_some()
    }

    /// Puts a blob there without a request; the answer is its digest.
    pub fn put_blob(&self, name: &str, bytes: impl Into<Bytes>) -> String {
        let bytes = bytes.into();
        let digest = digest(&bytes);
        self.shared.storage().put_blob(name, &digest, bytes);
        digest
    }

    /// Puts a manifest there without a request; the answer is its digest. It must
    /// have a `mediaType`, and what it names must be there already.
    pub fn put_manifest(&self, name: &str, tag: &str, manifest: &Value) -> String {
        let media_type = manifest["mediaType"]
            .as_str()
            .expect("the manifest has a mediaType");
        let headers = [(CONTENT_TYPE, HeaderValue::from_str(media_type).unwrap())]
            .into_iter()
            .collect();
        let bytes = manifest.to_string().into_bytes();
        let digest = digest(&bytes);
        let put = manifests::put(&mut self.shared.storage(), &headers, name, tag, bytes);
        put.expect("the manifest is one that the registry would take");
        digest
    }

    fn run(listener: TcpListener, shared: Arc<Shared>) -> Self {
        let server = Mutex::new(Some(serve_on(listener, &shared)));
        Self { shared, server }
    }
}

fn serve_on(listener: TcpListener, shared: &Arc<Shared>) -> Background {
    let shared = Arc::clone(shared);
    Background::serve(listener, move |listener| serve::serve(listener, shared))
}
