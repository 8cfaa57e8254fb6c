//! Stub.
use crate::{blob::Content, destination::Stored, digest::Digest, manifest::Descriptor, name::{Repository, Tag}};
/// A repository of a registry.
#[derive(Debug)]
pub struct Registry { repository: Repository }
/// Error.
#[derive(Debug, thiserror::Error)]
#[error("stub")]
pub struct RemoteError;
impl RemoteError {
    /// Whether a blob is missing.
    pub fn is_missing_blob(&self) -> bool { false }
}
#[allow(clippy::unused_async, missing_docs, unused_variables)]
impl Registry {
    pub fn repository(&self) -> &Repository { &self.repository }
    pub async fn resolve(&self, tag: &Tag) -> Result<Option<Stored>, RemoteError> { Err(RemoteError) }
    pub async fn manifest(&self, digest: Digest) -> Result<Option<Stored>, RemoteError> { Err(RemoteError) }
    pub async fn has_blob(&self, digest: Digest) -> Result<bool, RemoteError> { Err(RemoteError) }
    pub async fn put_blob(&self, descriptor: &Descriptor, content: &Content) -> Result<(), RemoteError> { Err(RemoteError) }
    pub async fn put_manifest(&self, media_type: &str, bytes: &[u8], tag: Option<&Tag>) -> Result<(), RemoteError> { Err(RemoteError) }
}
