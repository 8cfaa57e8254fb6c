//! Where images go. Publishing asks both kinds of place the same few
//! questions, so that a layout on disk is filled by the same rules, and with
//! the same care for what is already there, as a registry.

use std::fmt;

use crate::blob::Content;
use crate::digest::Digest;
use crate::layout::Layout;
use crate::manifest::Descriptor;
use crate::name::{Repository, Tag};
use crate::registry::{Registry, RemoteError};
use crate::rehearsal::Rehearsal;

/// A place that holds blobs, manifests and tags.
#[derive(Debug)]
pub enum Destination {
    /// An OCI image layout directory.
    Layout(Layout),
    /// A repository of a registry.
    Registry(Registry),
    /// One that is only read, and seems to take all: what would be sent is measured and
    /// forgotten. Where it cannot be read, nothing is known of it.
    Rehearsal(Rehearsal),
}

/// A manifest or an index as it is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Media type, digest and size.
    pub descriptor: Descriptor,
    /// The document.
    pub bytes: Vec<u8>,
}

/// A place did not do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// A directory on this machine.
    #[error(transparent)]
    Layout(#[from] crate::layout::LayoutError),
    /// A registry.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

impl DestinationError {
    /// Whether the place refused a manifest because a blob it names is not there.
    pub fn is_missing_blob(&self) -> bool {
        match self {
            Self::Layout(error) => error.is_missing_blob(),
            Self::Remote(error) => error.is_missing_blob(),
        }
    }
}

type Result<T> = std::result::Result<T, DestinationError>;

impl Destination {
    /// The same, to which nothing goes. A layout on this machine stays what it is.
    #[must_use]
    pub fn rehearsed(self) -> Self {
        match self {
            Self::Registry(registry) => Self::Rehearsal(Rehearsal::of(registry)),
            other => other,
        }
    }

    /// Why nothing is known of what it has, if it could not be read and that is no error.
    pub fn trouble(&self) -> Option<&str> {
        match self {
            Self::Layout(_) | Self::Registry(_) => None,
            Self::Rehearsal(rehearsal) => rehearsal.trouble(),
        }
    }

    /// The manifest or index that a tag points to, if there is one.
    ///
    /// # Errors
    /// The place cannot be read; that a tag is not there is not an error.
    pub async fn resolve(&self, tag: &Tag) -> Result<Option<Stored>> {
        Ok(match self {
            Self::Layout(layout) => layout.resolve(tag)?,
            Self::Registry(registry) => registry.resolve(tag).await?,
            Self::Rehearsal(rehearsal) => rehearsal.resolve(tag).await,
        })
    }

    /// The manifest or index with this digest, if it is there.
    ///
    /// # Errors
    /// The place cannot be read, or holds other bytes under that digest.
    pub async fn manifest(&self, digest: Digest) -> Result<Option<Stored>> {
        Ok(match self {
            Self::Layout(layout) => layout.manifest(digest)?,
            Self::Registry(registry) => registry.manifest(digest).await?,
            Self::Rehearsal(rehearsal) => rehearsal.manifest(digest).await,
        })
    }

    /// Whether the manifest of this digest and size is there, asked without reading it.
    ///
    /// # Errors
    /// The place cannot be asked.
    pub async fn has_manifest(&self, manifest: &Descriptor) -> Result<bool> {
        Ok(match self {
            Self::Layout(layout) => layout
                .manifest(manifest.digest)?
                .is_some_and(|stored| stored.descriptor.size == manifest.size),
            Self::Registry(registry) => registry.has_manifest(manifest).await?,
            Self::Rehearsal(rehearsal) => rehearsal.has_manifest(manifest).await,
        })
    }

    /// Whether this user may write here, found out without leaving anything behind.
    ///
    /// # Errors
    /// The place does not let him, or cannot be asked.
    pub async fn may_push(&self) -> Result<()> {
        match self {
            // To have opened it is to have made it.
            Self::Layout(_) => Ok(()),
            Self::Registry(registry) => Ok(registry.may_push().await?),
            Self::Rehearsal(_) => Ok(()),
        }
    }

    /// Whether a blob is there.
    ///
    /// # Errors
    /// The place cannot be asked.
    pub async fn has_blob(&self, digest: Digest) -> Result<bool> {
        Ok(match self {
            Self::Layout(layout) => layout.has_blob(digest),
            Self::Registry(registry) => registry.has_blob(digest).await?,
            Self::Rehearsal(rehearsal) => rehearsal.has_blob(digest).await,
        })
    }

    /// Stores a blob. Whoever calls has seen that it is not there.
    ///
    /// # Errors
    /// It could not be stored whole; then it is not there at all.
    pub async fn put_blob(&self, descriptor: &Descriptor, content: &Content) -> Result<()> {
        match self {
            Self::Layout(layout) => layout.put_blob(descriptor, content)?,
            Self::Registry(registry) => registry.put_blob(descriptor, content).await?,
            Self::Rehearsal(_) => {}
        }
        Ok(())
    }

    /// Has a registry take a blob over from another of its repositories. `false` if it
    /// does not, or this is no registry: then the blob has to be sent.
    pub async fn mount(&self, digest: Digest, from: &Repository) -> bool {
        match self {
            Self::Layout(_) | Self::Rehearsal(_) => false,
            Self::Registry(registry) => registry.mount(digest, from).await,
        }
    }

    /// The repository, if this is one.
    pub fn repository(&self) -> Option<&Repository> {
        match self {
            Self::Layout(_) => None,
            Self::Registry(registry) => Some(registry.repository()),
            Self::Rehearsal(rehearsal) => Some(rehearsal.repository()),
        }
    }

    /// Stores a manifest or index under its digest.
    ///
    /// # Errors
    /// [`DestinationError::is_missing_blob`] when it names what is not there.
    pub async fn put_manifest(&self, media_type: &str, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Layout(layout) => layout.put_manifest(media_type, bytes)?,
            Self::Registry(registry) => registry.put_manifest(media_type, bytes, None).await?,
            Self::Rehearsal(_) => {}
        }
        Ok(())
    }

    /// Stores a manifest or index, and points a tag at it.
    ///
    /// # Errors
    /// As [`Destination::put_manifest`]; then the tag points where it did.
    pub async fn tag(&self, tag: &Tag, media_type: &str, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Layout(layout) => layout.tag(tag, media_type, bytes)?,
            Self::Registry(registry) => {
                registry.put_manifest(media_type, bytes, Some(tag)).await?;
            }
            Self::Rehearsal(_) => {}
        }
        Ok(())
    }

    /// How a person would name what is under a tag here.
    pub fn reference(&self, tag: &Tag) -> String {
        match self {
            Self::Layout(layout) => format!("oci:{}:{tag}", layout.path().display()),
            Self::Registry(registry) => format!("{}:{tag}", registry.repository()),
            Self::Rehearsal(rehearsal) => format!("{}:{tag}", rehearsal.repository()),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout(layout) => write!(f, "oci:{}", layout.path().display()),
            Self::Registry(registry) => registry.repository().fmt(f),
            Self::Rehearsal(rehearsal) => rehearsal.repository().fmt(f),
        }
    }
}
