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
use crate::image::{self, How, Image, Pushed};
use crate::layer::Identity;
use crate::manifest::{Annotations, Descriptor, annotation};
use reader::Reader;
use stop::{Stop, StopWhenDropped};

/// What became of one layer of the archive.
struct Passed {
    diff_id: Digest,
    descriptor: Descriptor,
}

impl Publisher<'_> {
    pub(super) async fn publish_archive(
        &self,
        image: &Image,
        identity: Identity,
        source: &image::Archive,
    ) -> Result<Pushed, PublishError> {
        // What waits here has been made and holds memory or disk: one is enough
        // to keep those busy that send.
        let (finished, to_send) = mpsc::channel(1);
        let stop = Arc::new(Stop::default());
        let _end = StopWhenDropped(stop.clone());
        let reader = Reader {
            options: self.options.clone(),
            known: self.known_layers().await?,
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
        self.finish_archive(image, identity, source.name(), &archive, &how)
            .await
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
                let how = self.send(&blob).await?;
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

    /// Layers of the image before, by diff ID, that are still there: an archive
    /// is read once, so what is missing cannot be made afterwards. Only those
    /// that would be made with the same bytes now.
    async fn known_layers(&self) -> Result<HashMap<Digest, Descriptor>, PublishError> {
        let compression = self.options.compression;
        let prior = self.prior.by_diff_id().into_iter();
        let known = prior.filter(|(diff_id, layer)| {
            layer.media_type == compression.media_type()
                && layer.annotations.get(annotation::IDENTITY)
                    == Some(&annotated(*diff_id, compression))
        });
        let asked = stream::iter(known.map(|(diff_id, layer)| async move {
            let there = self.destination.has_blob(layer.digest).await?;
            let layer = described(diff_id, layer, compression);
            Ok::<_, PublishError>(there.then_some((diff_id, layer)))
        }));
        let there: Vec<_> = asked
            .buffer_unordered(self.options.uploads.max(1))
            .try_collect()
            .await?;
        Ok(there.into_iter().flatten().collect())
    }

    async fn finish_archive(
        &self,
        image: &Image,
        identity: Identity,
        file: &Path,
        archive: &Archive<Passed>,
        how: &HashMap<Digest, How>,
    ) -> Result<Pushed, PublishError> {
        if !archive.platform.matches(&image.platform) {
            return Err(PublishError::Platform {
                wanted: image.platform.clone(),
                found: archive.platform.clone(),
            });
        }
        let mut descriptors = Vec::new();
        let mut facts = Vec::new();
        for (name, stated) in archive.layers.iter().zip(&archive.diff_ids) {
            let layer = &archive.made[name];
            // A layer that was recognised by its file's name must be what the
            // name says as well as what the config says.
            let named = crate::prior::diff_id(&layer.descriptor).unwrap_or(*stated);
            if let Some(stated) = [*stated, named].into_iter().find(|d| *d != layer.diff_id) {
                return Err(PublishError::DiffId {
                    what: format!("the layer {name:?} of the image archive {}", file.display()),
                    stated,
                    found: layer.diff_id,
                });
            }
            let how = how
                .get(&layer.descriptor.digest)
                .copied()
                .unwrap_or(How::Described);
            facts.push(self.fact(&image.platform, &layer.descriptor, how, String::new()));
            descriptors.push(layer.descriptor.clone());
        }
        let manifest = self
            .put_image(image, identity, &archive.config, &descriptors)
            .await?;
        Ok(Pushed {
            platform: image.platform.clone(),
            manifest: self.entry(&image.platform, &manifest),
            image_id: Digest::of(&archive.config),
            layers: facts,
        })
    }
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
