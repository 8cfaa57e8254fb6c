//! Publishing one platform's image: making what is not known, sending what is
//! not there, and the manifest last.
//!
//! Nothing here sets a tag. An image that is published but in no index is
//! invisible to users, so a run that breaks off in the middle changes nothing
//! for them.

mod archive;
mod layers;
mod makers;
mod site;
mod stored;

use std::path::PathBuf;

use crate::archive::ArchiveError;
use crate::blob::{Blob, Content};
use crate::compress::Compression;
use crate::destination::DestinationError;
use crate::digest::Digest;
use crate::image::{Body, How, Image, Pushed, PushedLayer};
use crate::layer::{Identity, LayerError};
use crate::manifest::{Annotations, Descriptor, Manifest, annotation, media_type, to_bytes};
use crate::platform::Platform;
use crate::prior::PriorImage;
use crate::stored::StoredError;

pub use site::Site;

/// How, and how much at once.
#[derive(Clone, Debug)]
pub struct Options {
    /// Of layers.
    pub compression: Compression,
    /// Layers made at once: each keeps one processor busy. For all platforms together.
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
        source: Box<StoredError>,
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
        wanted: String,
        /// In the image's config.
        found: String,
    },
    /// A layer would have to be made, and [`Publisher::making`] forbids it.
    #[error("not everything is known from what was published before")]
    WouldMake,
    /// There is no site.
    #[error("there is nowhere to publish to: name a repository or a layout directory")]
    Nowhere,
    /// A thread of ours died.
    #[error("a worker stopped unexpectedly")]
    Worker(#[from] tokio::task::JoinError),
    /// A thread that makes layers could not be had, or died.
    #[error("a thread that makes layers stopped unexpectedly, or could not be started")]
    Stopped,
}

/// Publishes images, to one place or to several at once: a layer is made once for
/// all of them, and the same manifest is put everywhere.
pub struct Publisher<'a> {
    /// Where they go.
    pub sites: &'a [Site],
    /// How.
    pub options: &'a Options,
    /// Told of each layer.
    pub on_layer: &'a dyn Fn(LayerEvent),
    /// Whether layers may be made: the files behind an image may not be here, or only in
    /// part.
    pub making: bool,
}

impl Publisher<'_> {
    /// Brings an image to every site, without a tag.
    ///
    /// # Errors
    /// [`PublishError`]; nothing that could be seen has changed then.
    pub async fn publish(&self, image: &Image) -> Result<Pushed, PublishError> {
        // What an archive or a layout is for is only known when it has been read.
        if let Body::Layers { config, .. } = &image.body
            && !config.platform().matches(&image.platform)
        {
            return Err(PublishError::Platform {
                wanted: image.platform.to_string(),
                found: config.platform().to_string(),
            });
        }
        let identity = image.identity(self.options.compression);
        if let Some(before) = self.published_before(image, identity)
            && let Some(pushed) = self.publish_again(&image.platform, before).await?
        {
            return Ok(pushed);
        }
        match &image.body {
            Body::Layers {
                base,
                layers,
                config,
            } => {
                let base = base.as_ref();
                self.publish_layers(image, identity, base, layers, config)
                    .await
            }
            Body::Archive { .. } | Body::Stored { .. } if !self.making => {
                Err(PublishError::WouldMake)
            }
            Body::Archive { archive, .. } => self.publish_archive(image, identity, archive).await,
            Body::Stored { layout, .. } => self.publish_stored(image, identity, layout).await,
        }
    }

    /// Whether the image can be published from what is known of it, without a byte
    /// of its files: it was published before, or each of its layers was.
    pub fn is_known(&self, image: &Image) -> bool {
        let identity = image.identity(self.options.compression);
        if self.published_before(image, identity).is_some() {
            return true;
        }
        match &image.body {
            Body::Layers {
                base: None, layers, ..
            } => layers.iter().all(|layer| self.is_known_everywhere(layer)),
            _ => false,
        }
    }

    /// Which layers of a described image were published before, at every site.
    pub fn known_layers(&self, image: &Image) -> Vec<bool> {
        match &image.body {
            Body::Layers { layers, .. } if !self.sites.is_empty() => {
                let layers = layers.iter();
                layers
                    .map(|layer| self.is_known_everywhere(layer))
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether there is anything that further tags could tell about the image.
    pub fn asks_for_more(&self, image: &Image) -> bool {
        let identity = image.identity(self.options.compression);
        let known = |site: &Site| site.prior.made_from(&image.platform, identity).is_some();
        !self.sites.iter().all(known)
    }

    /// The manifest of this very image, if all sites know it, and the same one: what one
    /// of them claims is not believed of another.
    fn published_before(&self, image: &Image, identity: Identity) -> Option<&PriorImage> {
        let mut known = self
            .sites
            .iter()
            .map(|site| site.prior.made_from(&image.platform, identity));
        let first = known.next()??;
        known
            .all(|other| other.is_some_and(|other| other.bytes == first.bytes))
            .then_some(first)
    }

    /// The very image was published before. Its manifest is put once more,
    /// which makes a registry look for every blob in one request; `None`
    /// when a site lacks one.
    async fn publish_again(
        &self,
        platform: &Platform,
        before: &PriorImage,
    ) -> Result<Option<Pushed>, PublishError> {
        for site in self.sites {
            let put = site
                .destination
                .put_manifest(media_type::MANIFEST, &before.bytes);
            match put.await {
                Ok(()) => {}
                Err(error) if error.is_missing_blob() => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        let layers = before
            .manifest
            .layers
            .iter()
            .map(|layer| self.fact(platform, layer, How::Described, String::new()))
            .collect();
        Ok(Some(Pushed {
            platform: platform.clone(),
            manifest: entry(platform, &before.bytes),
            image_id: before.manifest.config.digest,
            layers,
            descriptors: before.manifest.layers.clone(),
        }))
    }

    /// Puts config and manifest at every site, of layers that are there.
    async fn put_everywhere(
        &self,
        image: &Image,
        identity: Identity,
        config: &[u8],
        layers: &[Descriptor],
    ) -> Result<Put, PublishError> {
        let mut done = None;
        for site in self.sites {
            let put = self.put_image(site, image, identity, config, layers);
            done = Some(put.await?);
        }
        done.ok_or(PublishError::Nowhere)
    }

    /// Puts config and manifest of layers that are there.
    async fn put_image(
        &self,
        site: &Site,
        image: &Image,
        identity: Identity,
        config: &[u8],
        layers: &[Descriptor],
    ) -> Result<Put, PublishError> {
        let descriptor = Descriptor::of(media_type::CONFIG, config);
        let content = Content::Memory(config.to_vec().into());
        site.send(&descriptor, &content, self.sites).await?;
        let mut annotations = image.annotations.clone();
        annotations.insert(annotation::IDENTITY.to_owned(), identity.to_string());
        let manifest = to_bytes(&Manifest::new(descriptor, layers.to_vec(), annotations));
        site.destination
            .put_manifest(media_type::MANIFEST, &manifest)
            .await?;
        Ok(Put {
            manifest: entry(&image.platform, &manifest),
            image_id: Digest::of(config),
            layers: layers.to_vec(),
        })
    }

    /// Sends a blob to the sites with these numbers that lack it.
    async fn send(
        &self,
        blob: &Blob,
        to: impl Iterator<Item = usize>,
    ) -> Result<How, DestinationError> {
        let mut how = How::Present;
        for n in to {
            let sent = self.sites[n].send(&blob.descriptor, &blob.content, self.sites);
            how = how.max(sent.await?);
        }
        Ok(how)
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
}

/// An image that was put.
struct Put {
    /// Its entry in the index.
    manifest: Descriptor,
    /// Digest of the config.
    image_id: Digest,
    /// From the bottom up.
    layers: Vec<Descriptor>,
}

impl Put {
    fn told(self, layers: Vec<PushedLayer>, platform: &Platform) -> Pushed {
        Pushed {
            platform: platform.clone(),
            manifest: self.manifest,
            image_id: self.image_id,
            layers,
            descriptors: self.layers,
        }
    }
}

/// A manifest's entry in the index.
fn entry(platform: &Platform, manifest: &[u8]) -> Descriptor {
    Descriptor {
        platform: Some(platform.clone()),
        annotations: Annotations::new(),
        ..Descriptor::of(media_type::MANIFEST, manifest)
    }
}
