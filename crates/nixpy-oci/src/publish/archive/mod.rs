//! Images that come as a docker-archive.
//!
//! One thread reads the archive from its beginning to its end and hands each
//! layer, in pieces, to a thread that hashes and compresses it; finished layers
//! are sent meanwhile. Every queue between them is bounded, so memory does not
//! depend on the archive's size. When one of them fails, none goes on.

mod reader;
mod stop;

use std::collections::HashMap;
use std::future::ready;
use std::path::Path;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::layers::compressed;
use super::{PublishError, Publisher};
use crate::archive::Archive;
use crate::blob::Blob;
use crate::compress::Compression;
use crate::digest::Digest;
use crate::image::{self, How, Image, Pushed, PushedLayer};
use crate::layer::Identity;
use crate::manifest::{Annotations, Descriptor, annotation};
use crate::platform::Platform;
use reader::Reader;
use stop::{Stop, StopWhenDropped};

/// What became of one layer of the archive.
pub(super) struct Passed {
    diff_id: Digest,
    descriptor: Descriptor,
}

/// An archive whose layers are at every site.
pub(super) struct Brought {
    pub(super) archive: Archive<Passed>,
    how: HashMap<Digest, How>,
}

impl Brought {
    /// From the bottom up.
    pub(super) fn descriptors(&self) -> Vec<Descriptor> {
        let layers = self.archive.layers.iter();
        layers
            .map(|name| self.archive.made[name].descriptor.clone())
            .collect()
    }
}

impl Publisher<'_> {
    pub(super) async fn publish_archive(
        &self,
        image: &Image,
        identity: Identity,
        source: &image::Archive,
    ) -> Result<Pushed, PublishError> {
        let brought = self.bring_archive(source).await?;
        let archive = &brought.archive;
        if !archive.platform.matches(&image.platform) {
            return Err(PublishError::Platform {
                wanted: image.platform.to_string(),
                found: archive.platform.to_string(),
            });
        }
        let descriptors = brought.descriptors();
        let put = self.put_everywhere(image, identity, &archive.config, &descriptors);
        let put = put.await?;
        Ok(put.told(self.facts(&image.platform, &brought), &image.platform))
    }

    /// Reads an archive, and brings its layers to every site that lacks them.
    pub(super) async fn bring_archive(
        &self,
        source: &image::Archive,
    ) -> Result<Brought, PublishError> {
        // What waits here has been made and holds memory or disk: one is enough
        // to keep those busy that send.
        let (finished, to_send) = mpsc::channel(1);
        let stop = Arc::new(Stop::default());
        let _end = StopWhenDropped(stop.clone());
        let reader = Reader {
            options: self.options.clone(),
            known: self.known_by_diff_id().await?,
            finished,
            stop: stop.clone(),
        };
        let opener = source.clone();
        let reading = spawn_blocking(move || reader.read(&opener));
        let (archive, how) = tokio::join!(reading, self.send_finished(to_send, stop));
        // When sending fails the others are stopped; the reason is the sender's.
        let how = how?;
        let archive = archive?.map_err(|error| PublishError::Archive {
            path: source.name().to_owned(),
            source: error,
        })?;
        check(&archive, source.name())?;
        Ok(Brought { archive, how })
    }

    pub(super) fn facts(&self, platform: &Platform, brought: &Brought) -> Vec<PushedLayer> {
        let layers = brought.archive.layers.iter();
        layers
            .map(|name| {
                let descriptor = &brought.archive.made[name].descriptor;
                let how = brought.how.get(&descriptor.digest).copied();
                self.fact(
                    platform,
                    descriptor,
                    how.unwrap_or(How::Described),
                    String::new(),
                )
            })
            .collect()
    }

    /// Sends what is made, several at once. The queue is closed when this ends,
    /// however it does: makers wait for a place in it.
    async fn send_finished(
        &self,
        mut to_send: mpsc::Receiver<Blob>,
        stop: Arc<Stop>,
    ) -> Result<HashMap<Digest, How>, PublishError> {
        let sent = stream::poll_fn(move |context| to_send.poll_recv(context))
            .take_while(|_| ready(!stop.is_set()))
            .map(|blob| async move {
                let how = self.send(&blob, 0..self.sites.len()).await?;
                Ok::<_, PublishError>((blob.descriptor.digest, how))
            })
            .buffer_unordered(self.options.uploads.max(1))
            .try_fold(HashMap::new(), |mut all, (digest, how)| {
                // Two equal layers are found there by the second.
                let known = all.entry(digest).or_insert(how);
                *known = how.max(*known);
                ready(Ok(all))
            })
            .await;
        sent.inspect_err(|_| stop.set())
    }

    /// Layers of the images before, by diff ID, that every site claims to have, and has:
    /// an archive is read once, so what is missing cannot be made afterwards. Only those
    /// that would be made with the same bytes now.
    async fn known_by_diff_id(&self) -> Result<HashMap<Digest, Descriptor>, PublishError> {
        let compression = self.options.compression;
        let mut sites = self.sites.iter().map(|site| site.prior.by_diff_id());
        let mut known = sites.next().unwrap_or_default();
        known.retain(|diff_id, layer| {
            layer.media_type == compression.media_type()
                && layer.annotations.get(annotation::IDENTITY)
                    == Some(&annotated(*diff_id, compression))
        });
        for others in sites {
            known.retain(|diff_id, layer| {
                let other = others.get(diff_id);
                other.is_some_and(|other| other.digest == layer.digest && other.size == layer.size)
            });
        }
        let asked = stream::iter(known.into_iter().map(|(diff_id, layer)| async move {
            for site in self.sites {
                if !site.destination.has_blob(layer.digest).await? {
                    return Ok(None);
                }
            }
            let layer = described(diff_id, layer, compression);
            Ok::<_, PublishError>(Some((diff_id, layer)))
        }));
        let there: Vec<_> = asked
            .buffer_unordered(self.options.uploads.max(1))
            .try_collect()
            .await?;
        Ok(there.into_iter().flatten().collect())
    }
}

/// A layer that was recognised by its file's name must be what the name says as
/// well as what the config says.
fn check(archive: &Archive<Passed>, file: &Path) -> Result<(), PublishError> {
    for (name, stated) in archive.layers.iter().zip(&archive.diff_ids) {
        let layer = &archive.made[name];
        let named = crate::prior::diff_id(&layer.descriptor).unwrap_or(*stated);
        if let Some(stated) = [*stated, named].into_iter().find(|d| *d != layer.diff_id) {
            return Err(PublishError::DiffId {
                what: format!("the layer {name:?} of the image archive {}", file.display()),
                stated,
                found: layer.diff_id,
            });
        }
    }
    Ok(())
}

/// The identity of an archive's layer: all that is known of it is its tar.
fn annotated(diff_id: Digest, compression: Compression) -> String {
    compressed(&format!("diff-id {diff_id}"), compression)
}

/// A layer as the manifest is to have it, whatever a manifest before said.
fn described(diff_id: Digest, layer: Descriptor, compression: Compression) -> Descriptor {
    Descriptor {
        platform: None,
        annotations: Annotations::from([
            (annotation::DIFF_ID.to_owned(), diff_id.to_string()),
            (
                annotation::IDENTITY.to_owned(),
                annotated(diff_id, compression),
            ),
        ]),
        ..layer
    }
}
