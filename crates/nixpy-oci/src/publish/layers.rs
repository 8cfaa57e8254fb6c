//! Images whose layers are described one by one.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::{PublishError, Publisher};
use crate::blob::{self, Blob};
use crate::compress::Compression;
use crate::digest::Digest;
use crate::image::{Config, How, Image, Pushed};
use crate::layer::{Identity, Layer, Source};
use crate::manifest::{Descriptor, annotation};
use crate::prior::diff_id;

/// A layer whose bytes are at the destination, or believed to be.
struct Placed {
    descriptor: Descriptor,
    diff_id: Digest,
    how: How,
}

impl Publisher<'_> {
    pub(super) async fn publish_layers(
        &self,
        image: &Image,
        identity: Identity,
        layers: &[Layer],
        config: &Config,
    ) -> Result<Pushed, PublishError> {
        let known = self.prior.by_identity();
        let mut placed: HashMap<usize, Placed> = layers
            .iter()
            .enumerate()
            .filter_map(|(n, layer)| Some((n, self.recognise(layer, &known)?)))
            .collect();
        let unknown = (0..layers.len()).filter(|n| !placed.contains_key(n));
        placed.extend(self.make_and_send(layers, unknown.collect()).await?);

        let manifest = match self.put(image, identity, layers, config, &placed).await {
            Err(PublishError::Destination(error)) if error.is_missing_blob() => {
                let lost = self.lost(&placed).await?;
                placed.extend(self.make_and_send(layers, lost).await?);
                self.put(image, identity, layers, config, &placed).await?
            }
            result => result?,
        };
        let (manifest, image_id) = manifest;
        let facts = layers
            .iter()
            .enumerate()
            .map(|(n, layer)| {
                let Placed {
                    descriptor, how, ..
                } = &placed[&n];
                self.fact(&image.platform, descriptor, *how, layer.comment.clone())
            })
            .collect();
        Ok(Pushed {
            platform: image.platform.clone(),
            manifest: self.entry(&image.platform, &manifest),
            image_id,
            layers: facts,
        })
    }

    async fn put(
        &self,
        image: &Image,
        identity: Identity,
        layers: &[Layer],
        config: &Config,
        placed: &HashMap<usize, Placed>,
    ) -> Result<(Vec<u8>, Digest), PublishError> {
        let steps = layers.iter().enumerate();
        let config =
            config.finish(steps.map(|(n, layer)| (placed[&n].diff_id, layer.comment.as_str())));
        let descriptors: Vec<Descriptor> = (0..layers.len())
            .map(|n| placed[&n].descriptor.clone())
            .collect();
        let manifest = self
            .put_image(image, identity, &config, &descriptors)
            .await?;
        Ok((manifest, Digest::of(&config)))
    }

    /// A layer that the image published before has.
    fn recognise(&self, layer: &Layer, known: &HashMap<String, Descriptor>) -> Option<Placed> {
        let descriptor = known.get(&self.annotated(layer))?;
        let usable = descriptor.media_type == layer.source.media_type(self.options.compression);
        let diff_id = diff_id(descriptor)?;
        let as_stated = layer.stated_diff_id.is_none_or(|stated| stated == diff_id);
        (usable && as_stated).then(|| Placed {
            descriptor: descriptor.clone(),
            diff_id,
            how: How::Described,
        })
    }

    /// Which of the layers that were only described the destination has lost.
    async fn lost(&self, placed: &HashMap<usize, Placed>) -> Result<Vec<usize>, PublishError> {
        let described = placed.iter().filter(|(_, p)| p.how == How::Described);
        let asked = stream::iter(described.map(|(n, p)| async move {
            let there = self.destination.has_blob(p.descriptor.digest).await?;
            Ok::<_, PublishError>((!there).then_some(*n))
        }));
        let lost: Vec<Option<usize>> = asked
            .buffer_unordered(self.options.uploads)
            .try_collect()
            .await?;
        Ok(lost.into_iter().flatten().collect())
    }

    async fn make_and_send(
        &self,
        layers: &[Layer],
        mut numbers: Vec<usize>,
    ) -> Result<HashMap<usize, Placed>, PublishError> {
        // The largest first, so that the last to finish is a small one.
        numbers.sort_by_key(|n| std::cmp::Reverse(layers[*n].size_hint));
        let processors = Arc::new(Semaphore::new(self.options.makers));
        stream::iter(numbers.into_iter().map(|n| {
            let processors = processors.clone();
            async move {
                let blob = self.make(&layers[n], processors).await?;
                let how = self.send(&blob).await?;
                let placed = Placed {
                    descriptor: blob.descriptor,
                    diff_id: blob.diff_id,
                    how,
                };
                Ok::<_, PublishError>((n, placed))
            }
        }))
        .buffer_unordered(self.options.makers + self.options.uploads)
        .try_collect()
        .await
    }

    async fn make(&self, layer: &Layer, processors: Arc<Semaphore>) -> Result<Blob, PublishError> {
        let turn = processors.acquire_owned().await;
        let source = layer.source.clone();
        let compression = self.options.compression;
        let spool_dir = self.options.spool_dir.clone();
        let mut blob = spawn_blocking(move || {
            let blob = blob::of(&source, compression, &spool_dir);
            drop(turn);
            blob
        })
        .await??;
        if let Some(stated) = layer.stated_diff_id
            && stated != blob.diff_id
        {
            return Err(PublishError::DiffId {
                what: format!("the layer of {}", layer.comment),
                stated,
                found: blob.diff_id,
            });
        }
        blob.descriptor
            .annotations
            .insert(annotation::IDENTITY.to_owned(), self.annotated(layer));
        Ok(blob)
    }

    fn annotated(&self, layer: &Layer) -> String {
        let made_from = layer.identity.to_string();
        match layer.source {
            Source::Blob(_) => Identity::of("layer/1", &(made_from, "as it is")).to_string(),
            _ => compressed(&made_from, self.options.compression),
        }
    }
}

/// The identity of a compressed layer, by what its tar is made from.
pub(super) fn compressed(made_from: &str, compression: Compression) -> String {
    Identity::of("layer/1", &(made_from, compression.id())).to_string()
}
