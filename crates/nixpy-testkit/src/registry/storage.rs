//! What the registry holds: blobs once, and for each repository which of them it
//! may hand out, its manifests and its tags. Everything is in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use crate::digest::digest;

/// All content.
#[derive(Debug, Default)]
pub(super) struct Storage {
    blobs: HashMap<String, Bytes>,
    repositories: BTreeMap<String, Repository>,
    sessions: BTreeMap<String, Session>,
    sessions_begun: u64,
}

/// What one name gives access to.
#[derive(Debug, Default)]
pub(super) struct Repository {
    blobs: BTreeSet<String>,
    pub(super) manifests: BTreeMap<String, StoredManifest>,
    pub(super) tags: BTreeMap<String, String>,
}

/// A manifest, byte for byte as it came.
#[derive(Clone, Debug)]
pub(super) struct StoredManifest {
    pub(super) media_type: String,
    pub(super) bytes: Bytes,
}

/// An upload that has begun.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) repository: String,
    pub(super) received: Vec<u8>,
    /// Goes round with the location; a client that builds its own URL lacks it.
    pub(super) state: String,
}

impl Storage {
    pub(super) fn repository(&self, name: &str) -> Option<&Repository> {
        self.repositories.get(name)
    }

    pub(super) fn repository_mut(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }

    /// A blob, if this repository has it.
    pub(super) fn blob(&self, name: &str, digest: &str) -> Option<Bytes> {
        self.repository(name)?
            .blobs
            .get(digest)
            .and_then(|digest| self.blobs.get(digest))
            .cloned()
    }

    /// A blob, whoever has it.
    pub(super) fn any_blob(&self, digest: &str) -> Option<Bytes> {
        self.blobs.get(digest).cloned()
    }

    pub(super) fn put_blob(&mut self, name: &str, digest: &str, bytes: Bytes) {
        self.blobs.insert(digest.to_owned(), bytes);
        self.repository_mut(name).blobs.insert(digest.to_owned());
    }

    /// Makes another repository's blob this one's too; false if the other has none.
    pub(super) fn mount(&mut self, digest: &str, from: &str, to: &str) -> bool {
        let found = self.blob(from, digest).is_some();
        if found {
            self.repository_mut(to).blobs.insert(digest.to_owned());
        }
        found
    }

    pub(super) fn remove_blob(&mut self, name: &str, digest: &str) -> bool {
        self.repositories
            .get_mut(name)
            .is_some_and(|repository| repository.blobs.remove(digest))
    }

    pub(super) fn forget_blob(&mut self, digest: &str) {
        self.blobs.remove(digest);
        for repository in self.repositories.values_mut() {
            repository.blobs.remove(digest);
        }
    }

    /// Begins an upload; the answer is the session's name.
    pub(super) fn begin(&mut self, repository: &str) -> String {
        self.sessions_begun += 1;
        let noise = digest(format!("session {}", self.sessions_begun).as_bytes());
        let hex = noise.trim_start_matches("sha256:");
        let id = format!(
            "{}-{}-4{}-8{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..15],
            &hex[15..18],
            &hex[18..30]
        );
        let session = Session {
            repository: repository.to_owned(),
            received: Vec::new(),
            state: format!("{}=", &hex[30..54]),
        };
        self.sessions.insert(id.clone(), session);
        id
    }

    pub(super) fn session(&mut self, repository: &str, id: &str) -> Option<&mut Session> {
        self.sessions
            .get_mut(id)
            .filter(|session| session.repository == repository)
    }

    pub(super) fn end(&mut self, id: &str) -> Option<Session> {
        self.sessions.remove(id)
    }

    pub(super) fn sessions_open(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn forget_sessions(&mut self) {
        self.sessions.clear();
    }
}

impl Repository {
    /// The digest and the manifest that a tag or a digest leads to.
    pub(super) fn manifest(&self, reference: &str) -> Option<(&str, &StoredManifest)> {
        let digest = self.tags.get(reference).map_or(reference, String::as_str);
        self.manifests
            .get_key_value(digest)
            .map(|(digest, manifest)| (digest.as_str(), manifest))
    }
}
