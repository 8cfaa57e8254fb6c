//! Images that are finished, and stored in a layout: their blobs are taken as they are.
//!
//! What every destination has is not read. Of the others every byte is hashed before the
//! first is sent, so that a layout with a damaged blob publishes nothing at all.

use std::collections::{BTreeMap, HashMap};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::task::spawn_blocking;

use super::{PublishError, Publisher};
use crate::digest::Digest;
use crate::image::{How, Image, Pushed};
use crate::layer::Identity;
use crate::manifest::Descriptor;
use crate::stored::{self, Source, StoredError, StoredLayer};

impl Publisher<'_> {
    pub(super) async fn publish_stored(
        &self,
        image: &Image,
        identity: Identity,
        source: &Source,
    ) -> Result<Pushed, PublishError> {
        let (from, platform) = (source.clone(), image.platform.clone());
        let spool_dir = self.options.spool_dir.clone();
        let found = spawn_blocking(move || stored::read(&from, &platform, &spool_dir))
            .await?
            .map_err(blame(source))?;
        if !found.platform.matches(&image.platform) {
            return Err(PublishError::Platform {
                wanted: image.platform.to_string(),
                found: found.platform.to_string(),
            });
        }
        // Two equal layers are one blob.
        let distinct: BTreeMap<Digest, &StoredLayer> = found
            .layers
            .iter()
            .map(|layer| (layer.descriptor.digest, layer))
            .collect();
        let missing = self.missing(distinct.into_values()).await?;
        self.check(&missing, source).await?;
        let how = self.send_stored(&missing, source).await?;

        let descriptors: Vec<Descriptor> = found
            .layers
            .iter()
            .map(|layer| layer.descriptor.clone())
            .collect();
        let mut annotated = image.clone();
        for (key, value) in found.annotations {
            annotated.annotations.entry(key).or_insert(value);
        }
        let put = self.put_everywhere(&annotated, identity, &found.config, &descriptors);
        let put = put.await?;
        let facts = descriptors.iter().map(|layer| {
            let how = how.get(&layer.digest).copied().unwrap_or(How::Present);
            self.fact(&image.platform, layer, how, String::new())
        });
        Ok(put.told(facts.collect(), &image.platform))
    }

    /// Layers that a site does not have.
    async fn missing(
        &self,
        layers: impl Iterator<Item = &StoredLayer>,
    ) -> Result<Vec<StoredLayer>, PublishError> {
        let asked = stream::iter(layers.map(|layer| async move {
            let mut there = true;
            for site in self.sites {
                there = there && site.destination.has_blob(layer.descriptor.digest).await?;
            }
            Ok::<_, PublishError>((!there).then(|| layer.clone()))
        }));
        let missing: Vec<_> = asked
            .buffered(self.options.uploads.max(1))
            .try_collect()
            .await?;
        Ok(missing.into_iter().flatten().collect())
    }

    /// Hashes layers, as many at once as there are processors.
    async fn check(&self, layers: &[StoredLayer], source: &Source) -> Result<(), PublishError> {
        stream::iter(layers.iter().cloned().map(|layer| async move {
            let checked = spawn_blocking(move || layer.check()).await?;
            checked.map_err(blame(source))
        }))
        .buffered(self.options.makers.max(1))
        .try_collect()
        .await
    }

    async fn send_stored(
        &self,
        layers: &[StoredLayer],
        source: &Source,
    ) -> Result<HashMap<Digest, How>, PublishError> {
        stream::iter(layers.iter().map(|layer| async move {
            let blob = layer.blob().map_err(blame(source))?;
            let how = self.send(&blob, 0..self.sites.len()).await?;
            Ok((layer.descriptor.digest, how))
        }))
        .buffer_unordered(self.options.uploads.max(1))
        .try_collect()
        .await
    }
}

fn blame(layout: &Source) -> impl FnOnce(StoredError) -> PublishError {
    let path = layout.path.clone();
    |source| PublishError::Stored {
        path,
        source: Box::new(source),
    }
}
