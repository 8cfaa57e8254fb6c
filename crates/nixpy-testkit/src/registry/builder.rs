//! What kind of registry it is to be, said before it runs.

use std::sync::{Arc, Mutex};

use super::Registry;
use super::auth::Auth;
use super::fault::{Fault, Faults};
use super::serve::Shared;
use super::token::Tokens;
use super::uploads::UploadRules;
use crate::background::listen;

/// A registry that is not yet running.
#[derive(Clone, Debug)]
pub struct RegistryBuilder {
    auth: Auth,
    uploads: UploadRules,
    faults: Vec<Fault>,
}

impl RegistryBuilder {
    pub(super) fn new() -> Self {
        let uploads = UploadRules {
            mounts: true,
            single_post: true,
            relative_locations: false,
            ranged_chunk_limit: None,
            chunk_minimum: None,
        };
        Self {
            auth: Auth::open(),
            uploads,
            faults: Vec::new(),
        }
    }

    /// Who may do what.
    pub fn auth(mut self, auth: impl Into<Auth>) -> Self {
        self.auth = auth.into();
        self
    }

    /// A rule that holds from the start.
    pub fn fail(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Answers every mount with 202, as registries without mounts do.
    pub fn without_mounts(mut self) -> Self {
        self.uploads.mounts = false;
        self
    }

    /// Answers a POST that brings the whole blob with 202, and takes nothing of it.
    pub fn without_single_post(mut self) -> Self {
        self.uploads.single_post = false;
        self
    }

    /// Gives locations without scheme and host.
    pub fn relative_locations(mut self) -> Self {
        self.uploads.relative_locations = true;
        self
    }

    /// Refuses chunks with a Content-Range that are larger than this, with 413.
    pub fn ranged_chunk_limit(mut self, bytes: u64) -> Self {
        self.uploads.ranged_chunk_limit = Some(bytes);
        self
    }

    /// Announces `OCI-Chunk-Min-Length`. It is not enforced.
    pub fn chunk_minimum(mut self, bytes: u64) -> Self {
        self.uploads.chunk_minimum = Some(bytes);
        self
    }

    /// Runs it, on a free port.
    pub fn start(self) -> Registry {
        let listener = listen();
        let shared = Arc::new(Shared {
            address: listener.local_addr().unwrap(),
            auth: self.auth.0,
            uploads: self.uploads,
            storage: Mutex::default(),
            journal: Arc::default(),
            faults: Faults::default(),
            tokens: Tokens::default(),
        });
        for fault in self.faults {
            shared.faults.add(fault);
        }
        Registry::run(listener, shared)
    }
}
