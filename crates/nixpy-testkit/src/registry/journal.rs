//! What was asked of a registry: every request, in order of arrival.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};

/// One request that arrived.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The query, undecoded; empty if there was none.
    pub query: String,
    /// The headers as they were sent, credentials included.
    pub headers: HeaderMap,
    /// The status of the answer; `None` while there is none, and if it was cut off.
    pub status: Option<u16>,
    /// Bytes of the body that were read.
    pub body_bytes: u64,
}

/// The list of requests, which grows while it is read.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    by_number: BTreeMap<u64, Recorded>,
}

/// One request's place in the journal.
#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    journal: Arc<Journal>,
    number: u64,
}

impl Journal {
    pub(crate) fn arrived(self: &Arc<Self>, request: &Parts) -> Receipt {
        let mut entries = self.0.lock().unwrap();
        let number = entries.next;
        entries.next += 1;
        entries.by_number.insert(
            number,
            Recorded {
                method: request.method.clone(),
                path: request.uri.path().to_owned(),
                query: request.uri.query().unwrap_or_default().to_owned(),
                headers: request.headers.clone(),
                status: None,
                body_bytes: 0,
            },
        );
        Receipt {
            journal: Arc::clone(self),
            number,
        }
    }

    pub(crate) fn all(&self) -> Vec<Recorded> {
        self.0.lock().unwrap().by_number.values().cloned().collect()
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().by_number.clear();
    }
}

impl Receipt {
    pub(crate) fn received(&self, bytes: u64) {
        self.update(|entry| entry.body_bytes += bytes);
    }

    pub(crate) fn answered(&self, status: u16) {
        self.update(|entry| entry.status = Some(status));
    }

    /// A request that was under way when the journal was cleared is no longer in it.
    fn update(&self, change: impl FnOnce(&mut Recorded)) {
        if let Some(entry) = self
            .journal
            .0
            .lock()
            .unwrap()
            .by_number
            .get_mut(&self.number)
        {
            change(entry);
        }
    }
}
