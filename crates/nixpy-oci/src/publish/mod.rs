//! Publishing one platform's image: making what is not known, sending what is
//! not there, and the manifest last.
//!
//! Nothing here sets a tag. An image that is published but in no index is
//! invisible to users, so a run that breaks off in the middle changes nothing
//! for them.

mod archive;
mod layers;
mod stored;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::archive::ArchiveError;
use crate::blob::{Blob, Content};
use crate::compress::Compression;
use crate::destination::{Destination, DestinationError};
use crate::digest::Digest;
use crate::image::{Body, How, Image, Pushed, PushedLayer};
use crate::layer::{Identity, LayerError};
use crate::manifest::{Annotations, Descriptor, Manifest, annotation, media_type, to_bytes};
use crate::platform::Platform;
use crate::prior::{Prior, PriorImage};
use crate::stored::StoredError;

/// How, and how much at once.
#[derive(Clone, Debug)]
pub struct Options {
    /// Of layers.
    pub compression: Compression,
    /// Layers made at once: each keeps one processor busy.
    pub makers: usize,
    /// Blobs sent at once.
    pub uploads: usize,
    /// Where large finished layers wait to be sent.
    pub spool_dir: PathBuf,
}

/// What happens to a layer, as it happens.
#[derive(Clone, Debug)]
pub struct LayerEvent {
    /// Of the image.
    pub platform: Platform,
    /// Of the compressed bytes.
    pub digest: Digest,
    /// Of the compressed bytes.
    pub size: u64,
    /// What it cost.
    pub how: How,
}

/// An image could not be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The place where it should go.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// A layer could not be made.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// A docker-archive.
    #[error("the image archive {path} cannot be used")]
    Archive {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ArchiveError,
    },
    /// An image layout.
    #[error("the image layout {path} cannot be used")]
    Stored {
        /// The directory or the tar.
        path: PathBuf,
        /// Why.
        source: StoredError,
    },
    /// A layer is not what somebody has said it is.
    #[error(
        "{what} has the diff ID {found}, but {stated} was stated: it is damaged or was changed"
    )]
    DiffId {
        /// The layer.
        what: String,
        /// Stated.
        stated: Digest,
        /// Made.
        found: Digest,
    },
    /// The image is for another machine than was planned.
    #[error(
        "the image is for {found}, but {wanted} was built: \
         give it the architecture of its system, or leave that system out"
    )]
    Platform {
        /// Of the system that was built.
        wanted: Platform,
        /// In the image's config.
        found: Platform,
    },
    /// A thread of ours died.
    #[error("a worker stopped unexpectedly")]
    Worker(#[from] tokio::task::JoinError),
}

/// Publishes images to one destination.
pub struct Publisher<'a> {
    /// Where they go.
    pub destination: &'a Destination,
    /// The image that was there before.
    pub prior: &'a Prior,
    /// How.
    pub options: &'a Options,
    /// Told of each layer.
    pub on_layer: &'a dyn Fn(LayerEvent),
    /// What is on its way: empty at the beginning.
    pub sending: Sending,
}

/// Blobs on their way. Platforms are published at once, and what two of them
/// have in common is sent by the first; the second waits, and finds it there.
#[derive(Debug, Default)]
pub struct Sending(Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>);

impl Sending {
    fn turn(&self, digest: Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(digest).or_default())
    }
}

impl Publisher<'_> {
    /// Brings an image to the destination, without a tag.
    ///
    /// # Errors
    /// [`PublishError`]; nothing that could be seen has changed then.
    pub async fn publish(&self, image: &Image) -> Result<Pushed, PublishError> {
        // What an archive or a layout is for is only known when it has been read.
        if let Body::Layers { config, .. } = &image.body
            && !config.platform.matches(&image.platform)
        {
            return Err(PublishError::Platform {
                wanted: image.platform.clone(),
                found: config.platform.clone(),
            });
        }
        let identity = image.identity(self.options.compression);
        if let Some(before) = self.prior.image(&image.platform)
            && before.is(identity)
            && let Some(pushed) = self.publish_again(&image.platform, before).await?
        {
            return Ok(pushed);
        }
        match &image.body {
            Body::Layers { layers, config } => {
                self.publish_layers(image, identity, layers, config).await
            }
            Body::Archive { archive, .. } => self.publish_archive(image, identity, archive).await,
            Body::Stored { layout, .. } => self.publish_stored(image, identity, layout).await,
        }
    }

    /// The very image was published before. Its manifest is put once more,
    /// which makes the registry look for every blob in one request; `None`
    /// when it has lost one.
    async fn publish_again(
        &self,
        platform: &Platform,
        before: &PriorImage,
    ) -> Result<Option<Pushed>, PublishError> {
        match self
            .destination
            .put_manifest(media_type::MANIFEST, &before.bytes)
            .await
        {
            Ok(()) => {}
            Err(error) if error.is_missing_blob() => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let layers = before
            .manifest
            .layers
            .iter()
            .map(|layer| self.fact(platform, layer, How::Described, String::new()))
            .collect();
        Ok(Some(Pushed {
            platform: platform.clone(),
            manifest: self.entry(platform, &before.bytes),
            image_id: before.manifest.config.digest,
            layers,
        }))
    }

    /// Puts config and manifest of layers that are there.
    async fn put_image(
        &self,
        image: &Image,
        identity: Identity,
        config: &[u8],
        layers: &[Descriptor],
    ) -> Result<Vec<u8>, PublishError> {
        let descriptor = Descriptor::of(media_type::CONFIG, config);
        if !self.destination.has_blob(descriptor.digest).await? {
            let content = Content::Memory(config.to_vec().into());
            self.destination.put_blob(&descriptor, &content).await?;
        }
        let mut annotations = image.annotations.clone();
        annotations.insert(annotation::IDENTITY.to_owned(), identity.to_string());
        let manifest = to_bytes(&Manifest::new(descriptor, layers.to_vec(), annotations));
        self.destination
            .put_manifest(media_type::MANIFEST, &manifest)
            .await?;
        Ok(manifest)
    }

    /// Sends a blob unless it is there.
    async fn send(&self, blob: &Blob) -> Result<How, DestinationError> {
        let turn = self.sending.turn(blob.descriptor.digest);
        let _turn = turn.lock().await;
        if self.destination.has_blob(blob.descriptor.digest).await? {
            return Ok(How::Present);
        }
        self.destination
            .put_blob(&blob.descriptor, &blob.content)
            .await?;
        Ok(How::Sent)
    }

    fn fact(
        &self,
        platform: &Platform,
        layer: &Descriptor,
        how: How,
        comment: String,
    ) -> PushedLayer {
        (self.on_layer)(LayerEvent {
            platform: platform.clone(),
            digest: layer.digest,
            size: layer.size,
            how,
        });
        PushedLayer {
            digest: layer.digest,
            size: layer.size,
            diff_id: crate::prior::diff_id(layer).unwrap_or(layer.digest),
            how,
            comment,
        }
    }

    /// The manifest's entry in the index.
    fn entry(&self, platform: &Platform, manifest: &[u8]) -> Descriptor {
        Descriptor {
            platform: Some(platform.clone()),
            annotations: Annotations::new(),
            ..Descriptor::of(media_type::MANIFEST, manifest)
        }
    }
}
