//! A repository that is only read. Whoever publishes there is told that all went well, and
//! nothing has gone anywhere: so what a push would do is found out by the code that pushes.
//!
//! It need not be reached either. One that has failed once, or lets nobody in, is not asked
//! again: nothing is known of it then.

use std::error::Error as _;
use std::sync::OnceLock;

use crate::destination::Stored;
use crate::digest::Digest;
use crate::manifest::Descriptor;
use crate::name::{Repository, Tag};
use crate::registry::{Registry, RemoteError};

/// A repository to which nothing goes.
#[derive(Debug)]
pub struct Rehearsal {
    registry: Registry,
    /// Why it is not asked any more.
    trouble: OnceLock<String>,
}

impl Rehearsal {
    /// Of this one.
    pub fn of(registry: Registry) -> Self {
        Self {
            registry,
            trouble: OnceLock::new(),
        }
    }

    /// Which.
    pub fn repository(&self) -> &Repository {
        self.registry.repository()
    }

    /// Why nothing is known of what it has, if that is so.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.get().map(String::as_str)
    }

    pub(crate) async fn resolve(&self, tag: &Tag) -> Option<Stored> {
        self.asked(self.registry.resolve(tag)).await
    }

    pub(crate) async fn manifest(&self, digest: Digest) -> Option<Stored> {
        self.asked(self.registry.manifest(digest)).await
    }

    pub(crate) async fn has_manifest(&self, manifest: &Descriptor) -> bool {
        self.asked(self.registry.has_manifest(manifest)).await
    }

    pub(crate) async fn has_blob(&self, digest: Digest) -> bool {
        self.asked(self.registry.has_blob(digest)).await
    }

    async fn asked<T: Default>(&self, answer: impl Future<Output = Result<T, RemoteError>>) -> T {
        if self.trouble.get().is_some() {
            return T::default();
        }
        answer.await.unwrap_or_else(|e| {
            let cause = e.source().map(|cause| format!(": {cause}"));
            let text = format!("{e}{}", cause.unwrap_or_default());
            self.trouble.get_or_init(|| text);
            T::default()
        })
    }
}
