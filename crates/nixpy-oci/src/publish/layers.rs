//! Images whose layers are described one by one.

use std::collections::{BTreeMap, HashMap};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::{PublishError, Publisher, makers};
use crate::blob::{self, Blob};
use crate::compress::Compression;
use crate::contents;
use crate::digest::Digest;
use crate::image::{Base, Config, How, Image, Pushed};
use crate::layer::{Identity, Layer, Source};
use crate::manifest::{Annotations, Descriptor, annotation};
use crate::prior::diff_id;

/// A layer whose bytes are at every site, or believed to be.
struct Placed {
    descriptor: Descriptor,
    diff_id: Digest,
    how: How,
}

/// What is known of a layer that was not made yet.
struct Known {
    placed: Placed,
    /// The sites that do not have it, as far as is known.
    lacking: Vec<usize>,
}

/// Layers by their number in the image.
type Layers = HashMap<usize, Placed>;

impl Publisher<'_> {
    pub(super) async fn publish_layers(
        &self,
        image: &Image,
        identity: Identity,
        base: Option<&Base>,
        layers: &[Layer],
        config: &Config,
    ) -> Result<Pushed, PublishError> {
        let below = match base {
            Some(_) if !self.making => return Err(PublishError::WouldMake),
            Some(base) => Some(self.bring_archive(&base.archive).await?),
            None => None,
        };
        let mut placed = self.place(layers).await?;
        let describe = |placed: &Layers| {
            let (mut descriptors, mut history) = (Vec::new(), Vec::new());
            let mut config = config.clone();
            if let (Some(base), Some(below)) = (base, &below) {
                let names = below.archive.names.iter().map(|name| (base.comment)(name));
                history.extend(below.archive.diff_ids.iter().copied().zip(names));
                descriptors.extend(below.descriptors());
                config = config.over(&below.archive.config);
            }
            for (n, layer) in layers.iter().enumerate() {
                history.push((placed[&n].diff_id, layer.comment.clone()));
                descriptors.push(placed[&n].descriptor.clone());
            }
            (config.finish(&history), descriptors)
        };
        // A site may have lost a layer; one that is made again may have come out otherwise
        // than was recorded, and then no site has been given the image that all are to have.
        let mut rounds = 0;
        let put = loop {
            let (config, descriptors) = describe(&placed);
            let put = self.put_everywhere(image, identity, &config, &descriptors);
            match put.await {
                Err(PublishError::Destination(error))
                    if error.is_missing_blob() && rounds < self.sites.len() + 1 =>
                {
                    rounds += 1;
                    self.replace_lost(layers, &mut placed).await?;
                }
                put => break put?,
            }
        };

        let mut facts = below.map_or_else(Vec::new, |below| self.facts(&image.platform, &below));
        facts.extend(layers.iter().enumerate().map(|(n, layer)| {
            let Placed {
                descriptor, how, ..
            } = &placed[&n];
            self.fact(&image.platform, descriptor, *how, layer.comment.clone())
        }));
        Ok(put.told(facts, &image.platform))
    }

    /// Whether a layer need not be made for any site.
    pub(super) fn is_known_everywhere(&self, layer: &Layer) -> bool {
        self.recognise(layer)
            .is_some_and(|known| known.lacking.is_empty())
    }

    /// Recognises layers, has registries take over what they have in another place,
    /// and makes the rest.
    async fn place(&self, layers: &[Layer]) -> Result<Layers, PublishError> {
        let recognised = layers.iter().enumerate().map(|(n, layer)| async move {
            let Some(known) = self.recognise(layer) else {
                return Ok((n, None, (0..self.sites.len()).collect()));
            };
            let (how, lacking) = self.mount(layer, &known).await;
            let placed = Placed {
                how,
                ..known.placed
            };
            Ok::<_, PublishError>((n, Some(placed), lacking))
        });
        let recognised: Vec<(usize, Option<Placed>, Vec<usize>)> = stream::iter(recognised)
            .buffer_unordered(self.options.uploads.max(1))
            .try_collect()
            .await?;
        let mut placed = Layers::new();
        let mut unknown = Vec::new();
        for (n, known, lacking) in recognised {
            placed.extend(known.map(|known| (n, known)));
            if !lacking.is_empty() {
                unknown.push((n, lacking));
            }
        }
        self.make_into(layers, unknown, &mut placed).await?;
        Ok(placed)
    }

    /// Makes layers for the sites that lack them. One that comes out otherwise than was
    /// recorded is sent to all: they get the same image.
    async fn make_into(
        &self,
        layers: &[Layer],
        wanted: Vec<(usize, Vec<usize>)>,
        placed: &mut Layers,
    ) -> Result<(), PublishError> {
        let mut everywhere = Vec::new();
        for (n, made) in self.make_and_send(layers, wanted).await? {
            let differs = placed
                .get(&n)
                .is_some_and(|known| known.descriptor != made.descriptor);
            if differs {
                everywhere.push((n, (0..self.sites.len()).collect()));
            }
            placed.insert(n, made);
        }
        placed.extend(self.make_and_send(layers, everywhere).await?);
        Ok(())
    }

    /// Asks every site for every layer, and makes those that it has lost.
    async fn replace_lost(
        &self,
        layers: &[Layer],
        placed: &mut Layers,
    ) -> Result<(), PublishError> {
        let asked = placed.iter().flat_map(|(n, placed)| {
            let digest = placed.descriptor.digest;
            let sites = self.sites.iter().enumerate();
            sites.map(move |(number, site)| async move {
                let lost = site.has_lost(digest).await?;
                Ok::<_, PublishError>(lost.then_some((*n, number)))
            })
        });
        let lost: Vec<Option<(usize, usize)>> = stream::iter(asked)
            .buffer_unordered(self.options.uploads.max(1))
            .try_collect()
            .await?;
        let mut wanted: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (n, site) in lost.into_iter().flatten() {
            wanted.entry(n).or_default().push(site);
        }
        self.make_into(layers, wanted.into_iter().collect(), placed)
            .await
    }

    /// A layer that was published before, at one site or another.
    fn recognise(&self, layer: &Layer) -> Option<Known> {
        let identity = self.annotated(layer);
        let here = self.sites.iter().map(|site| site.prior.layer(&identity));
        let here: Vec<Option<&Descriptor>> = here.collect();
        let beside = || {
            let mut sites = self.sites.iter();
            sites.find_map(|site| site.prior.elsewhere.get(&identity).map(|(_, layer)| layer))
        };
        let descriptor = here.iter().flatten().copied().next().or_else(beside)?;
        let usable = descriptor.media_type == layer.source.media_type(self.options.compression);
        let diff_id = diff_id(descriptor)?;
        let as_stated = layer.stated_diff_id.is_none_or(|stated| stated == diff_id);
        if !usable || !as_stated {
            return None;
        }
        // All that is taken over of a claim has to be the same, or it is another claim.
        let claim = |layer: &Descriptor| {
            let diff_id = self::diff_id(layer);
            (layer.media_type.clone(), layer.digest, layer.size, diff_id)
        };
        let lacks = |n: &usize| here[*n].is_none_or(|there| claim(there) != claim(descriptor));
        Some(Known {
            lacking: (0..here.len()).filter(lacks).collect(),
            placed: Placed {
                descriptor: self.describe(layer, descriptor, diff_id),
                diff_id,
                how: How::Described,
            },
        })
    }

    /// Mounts a layer where it is lacking; those are left where it cannot be.
    async fn mount(&self, layer: &Layer, known: &Known) -> (How, Vec<usize>) {
        let identity = self.annotated(layer);
        let digest = known.placed.descriptor.digest;
        let (mut how, mut left) = (How::Described, Vec::new());
        for n in &known.lacking {
            let site = &self.sites[*n];
            let beside = site.prior.elsewhere.get(&identity);
            let beside = beside.filter(|(_, layer)| layer.digest == digest);
            match beside {
                Some((from, _)) if site.mount(digest, from).await => how = How::Mounted,
                _ => left.push(*n),
            }
        }
        (how, left)
    }

    /// Makes layers, each for the sites that are named with it.
    async fn make_and_send(
        &self,
        layers: &[Layer],
        mut wanted: Vec<(usize, Vec<usize>)>,
    ) -> Result<Layers, PublishError> {
        if !wanted.is_empty() && !self.making {
            return Err(PublishError::WouldMake);
        }
        // The largest first, so that the last to finish is a small one.
        wanted.sort_by_key(|(n, _)| std::cmp::Reverse(layers[*n].size_hint));
        stream::iter(wanted.into_iter().map(|(n, sites)| async move {
            let blob = self.make(&layers[n]).await?;
            let how = self.send(&blob, sites.into_iter()).await?;
            let placed = Placed {
                descriptor: blob.descriptor,
                diff_id: blob.diff_id,
                how,
            };
            Ok::<_, PublishError>((n, placed))
        }))
        .buffer_unordered(self.options.makers + self.options.uploads)
        .try_collect()
        .await
    }

    async fn make(&self, layer: &Layer) -> Result<Blob, PublishError> {
        let source = layer.source.clone();
        let compression = self.options.compression;
        let spool_dir = self.options.spool_dir.clone();
        let made = makers::make(self.options.makers, move || {
            blob::of(&source, compression, &spool_dir)
        });
        let mut blob = made.await??;
        if let Some(stated) = layer.stated_diff_id
            && stated != blob.diff_id
        {
            return Err(PublishError::DiffId {
                what: format!("the layer of {}", layer.comment),
                stated,
                found: blob.diff_id,
            });
        }
        blob.descriptor = self.describe(layer, &blob.descriptor, blob.diff_id);
        Ok(blob)
    }

    /// A layer as the manifest is to have it, whatever a manifest before said.
    fn describe(&self, layer: &Layer, blob: &Descriptor, diff_id: Digest) -> Descriptor {
        let mut annotations = Annotations::from([
            (annotation::DIFF_ID.to_owned(), diff_id.to_string()),
            (annotation::IDENTITY.to_owned(), self.annotated(layer)),
        ]);
        if !layer.contents.is_empty() {
            let contents = contents::written(&layer.contents);
            annotations.insert(annotation::CONTENTS.to_owned(), contents);
        }
        Descriptor {
            media_type: blob.media_type.clone(),
            digest: blob.digest,
            size: blob.size,
            platform: None,
            annotations,
        }
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
