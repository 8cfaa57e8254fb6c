//! From images to tags that point to all of them.
//!
//! Every platform is in place, without a tag, at every destination, before any tag
//! moves anywhere. How destinations are opened is [`opening`]'s affair, what images are held
//! against [`baseline`]'s, what happens last [`tagging`]'s, and an image for this machine
//! [`loading`]'s.

mod baseline;
mod loading;
mod opening;
mod tagging;

use std::collections::BTreeSet;
use std::path::Path;

use futures_util::future::{join_all, try_join_all};
use nixpy_nix::StorePath;
use nixpy_oci::destination::{Destination, DestinationError};
use nixpy_oci::digest::Digest;
use nixpy_oci::image::{How, Image, Pushed};
use nixpy_oci::layout::Layout;
use nixpy_oci::ledger::Ledger;
use nixpy_oci::manifest::{Descriptor, Index};
use nixpy_oci::name::{Repository, Tag};
use nixpy_oci::platform::Platform;
use nixpy_oci::prior::Prior;
use nixpy_oci::publish::{Options, PublishError, Publisher, Site};

use crate::event::{Event, OnEvent};
use crate::image::paths_of;
use crate::index::index;
use crate::inputs::{Inputs, Target};
use crate::plan::Job;

pub use baseline::Baseline;
use baseline::Baselines;
pub use loading::{Loadable, loadable};
use opening::OpenLayout;
pub use opening::{may_push, place};
pub use tagging::tag;

/// Where images go, and what is there before.
pub struct Places {
    sites: Vec<Site>,
    /// The manifests below the first tag at each of them, before anything was done.
    first: Vec<Option<Vec<Descriptor>>>,
    platforms: Vec<Platform>,
    /// Tags that may tell more than the first one did.
    unread: Vec<Tag>,
    /// Of the first site, as far as it was read to compare with.
    baselines: Baselines,
    options: Options,
}

impl Places {
    /// Opens every destination and reads what the first tag points to there.
    ///
    /// # Errors
    /// One cannot be used, cannot be reached, or does not let us in.
    pub async fn open(inputs: &Inputs, platforms: &[Platform]) -> Result<Self, DestinationError> {
        Self::of(&inputs.targets, inputs, platforms, Layout::open).await
    }

    /// Reads what is at the destinations, and writes nothing: a layout that is not there
    /// is left out.
    ///
    /// # Errors
    /// One cannot be read, cannot be reached, or does not let us in.
    pub async fn look(inputs: &Inputs, platforms: &[Platform]) -> Result<Self, DestinationError> {
        let is_there = |target: &&Target| match target {
            Target::Layout(path) => path.join("oci-layout").exists(),
            Target::Registry { .. } => true,
        };
        let targets: Vec<Target> = inputs.targets.iter().filter(is_there).cloned().collect();
        Self::of(&targets, inputs, platforms, Layout::look).await
    }

    /// No destination.
    pub fn nowhere(inputs: &Inputs) -> Self {
        Self {
            options: options(inputs, &[]),
            platforms: Vec::new(),
            sites: Vec::new(),
            first: Vec::new(),
            unread: Vec::new(),
            baselines: Baselines::default(),
        }
    }

    async fn of(
        targets: &[Target],
        inputs: &Inputs,
        platforms: &[Platform],
        layout: OpenLayout,
    ) -> Result<Self, DestinationError> {
        let ledger = match &inputs.state_dir {
            Some(directory) if !inputs.remake => Ledger::read(directory),
            _ => Ledger::default(),
        };
        let first = inputs.tags.first();
        let open = targets.iter().map(async |target| {
            let sources = opening::sources(target, inputs, &ledger);
            let destination = opening::open(target, &sources, layout)?;
            let destination = match inputs.rehearse {
                true => destination.rehearsed(),
                false => destination,
            };
            // Read in any case: whether we are let in is better known before the build.
            let mut prior = match first {
                Some(tag) => Prior::read(&destination, tag, platforms).await?,
                None => Prior::default(),
            };
            let tagged = prior.tagged.clone();
            match inputs.remake {
                true => prior = Prior::default(),
                false => opening::remember(&mut prior, &destination, &sources, &ledger),
            }
            Ok::<_, DestinationError>((Site::new(destination, prior), tagged))
        });
        let (sites, pointed_to): (Vec<Site>, Vec<_>) =
            try_join_all(open).await?.into_iter().unzip();
        let further = inputs.tags.iter().skip(1).chain(&inputs.reuse);
        let mut unread: Vec<Tag> = Vec::new();
        for tag in further {
            if Some(tag) != first && !unread.contains(tag) && !inputs.remake {
                unread.push(tag.clone());
            }
        }
        let read = first.filter(|_| !inputs.remake).cloned();
        Ok(Self {
            options: options(inputs, &sites),
            platforms: platforms.to_vec(),
            sites,
            first: pointed_to,
            unread,
            baselines: Baselines::knowing(read.into_iter().collect()),
        })
    }

    /// The store layers of the image that was published before for this job's platform,
    /// from the bottom up.
    ///
    /// # Errors
    /// A destination cannot be read.
    pub async fn partition(
        &mut self,
        job: &Job,
    ) -> Result<Option<Vec<Vec<StorePath>>>, DestinationError> {
        loop {
            let mut sites = self.sites.iter();
            if let Some(image) = sites.find_map(|site| site.prior.image(&job.platform)) {
                let contents = image.contents();
                let layers = contents
                    .iter()
                    .map(|layer| paths_of(layer, job.output.store_dir()));
                return Ok(Some(layers.filter(|layer| !layer.is_empty()).collect()));
            }
            if !self.read_further().await? {
                return Ok(None);
            }
        }
    }

    /// Which layers of an image were published before, everywhere.
    ///
    /// # Errors
    /// A destination cannot be read.
    pub async fn published(&mut self, image: &Image) -> Result<Vec<bool>, DestinationError> {
        loop {
            let known = self.publisher(&|_| {}).known_layers(image);
            if known.iter().all(|known| *known) || !self.read_further().await? {
                return Ok(known);
            }
        }
    }

    /// Whether these images can be published from what is known of them, without a
    /// byte of their files.
    ///
    /// # Errors
    /// A destination cannot be read.
    pub async fn know(&mut self, images: &[Image]) -> Result<bool, DestinationError> {
        loop {
            if images
                .iter()
                .all(|image| self.publisher(&|_| {}).is_known(image))
            {
                return Ok(true);
            }
            if !self.read_further().await? {
                return Ok(false);
            }
        }
    }

    /// Whether anything at all was published before that could be taken over.
    pub fn are_new(&self) -> bool {
        self.unread.is_empty() && self.sites.iter().all(|site| site.prior.is_empty())
    }

    /// Brings all images to every destination, without a tag; in the order given. Without
    /// `making` only what is known is put together: their files are not to be read.
    ///
    /// # Errors
    /// The first that fails ends all.
    pub async fn publish(
        &mut self,
        images: &[Image],
        making: bool,
        on_event: &OnEvent<'_>,
    ) -> Result<Vec<Pushed>, PublishError> {
        let on_layer = |event| on_event(Event::Layer(&event));
        while images
            .iter()
            .any(|image| self.publisher(&on_layer).asks_for_more(image))
            && self.read_further().await?
        {}
        let publisher = Publisher {
            making,
            ..self.publisher(&on_layer)
        };
        try_join_all(images.iter().map(|image| publisher.publish(image))).await
    }

    /// Whether the first tag points to nothing anywhere: then it tells of no image before.
    pub fn is_first_of_its_name(&self) -> bool {
        self.first.iter().all(Option::is_none)
    }

    /// Whether the first tag pointed to other images anywhere, or to none. What an index
    /// says beside them does not count: it is of another commit.
    pub fn differ(&self, images: &[Pushed]) -> bool {
        let ours = digests(&manifests(images));
        let before = |first: &Vec<Descriptor>| digests(first) == ours;
        !self
            .first
            .iter()
            .all(|first| first.as_ref().is_some_and(before))
    }

    /// The same of some of an image's platforms, where other jobs make the others.
    pub fn lack(&self, images: &[Pushed]) -> bool {
        let ours = digests(&manifests(images));
        let before = |first: &Vec<Descriptor>| digests(first).is_superset(&ours);
        !self
            .first
            .iter()
            .all(|first| first.as_ref().is_some_and(before))
    }

    /// Whether the first tag, and every other that is there, points to these very images
    /// everywhere already: a commit that has changed nothing has a new tag of its own. Costs
    /// no request where there is one tag, or the first tells that it is not so.
    ///
    /// # Errors
    /// A destination cannot be read.
    pub async fn are_tagged(
        &self,
        images: &[Pushed],
        tags: &[Tag],
    ) -> Result<bool, DestinationError> {
        if self.differ(images) {
            return Ok(false);
        }
        let ours = digests(&manifests(images));
        for site in &self.sites {
            for tag in tags.iter().skip(1) {
                let Some(there) = site.destination.resolve(tag).await? else {
                    continue;
                };
                let index = serde_json::from_slice::<Index>(&there.bytes);
                if !index.is_ok_and(|index| digests(&index.manifests) == ours) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Puts the index over the images and points every tag at it, everywhere; or only says
    /// which it would be. `on_tag` is told each reference that clients take from then on.
    ///
    /// # Errors
    /// A destination refuses; a tag that was not reached points where it did.
    pub async fn tag(
        &self,
        images: &[Pushed],
        inputs: &Inputs,
        on_tag: impl FnMut(String),
    ) -> Result<Descriptor, DestinationError> {
        let (manifests, annotations) = (manifests(images), &inputs.annotations.index);
        if inputs.rehearse {
            return Ok(index(&manifests, annotations).0);
        }
        let places = self.destinations();
        tag(&places, &manifests, annotations, &inputs.tags, on_tag).await
    }

    /// What clients take an image by that has no tag, everywhere.
    pub fn by_digest(&self, images: &[Pushed]) -> Vec<String> {
        let places = self.destinations();
        let each = places.iter().flat_map(|place| {
            let digests = images.iter().map(|image| image.manifest.digest);
            digests.map(move |digest| format!("{place}@{digest}"))
        });
        each.collect()
    }

    /// The registries among the destinations.
    pub fn repositories(&self) -> Vec<Repository> {
        let places = self.destinations().into_iter();
        places
            .filter_map(Destination::repository)
            .cloned()
            .collect()
    }

    /// Sees to it that this user may push to every destination, before hours of building
    /// are spent on what could not be published. A token of the run is kept for later.
    ///
    /// # Errors
    /// One does not let us.
    pub async fn may_push(&self) -> Result<(), DestinationError> {
        let places = self.destinations();
        let asked = places.iter().map(|place| place.may_push());
        // To the end, also where another refuses: what was opened there is to be closed.
        join_all(asked).await.into_iter().collect()
    }

    /// Registries that a rehearsal could not read, and why.
    pub fn unknown(&self) -> Vec<String> {
        let places = self.destinations().into_iter();
        let told = places.filter_map(|place| {
            let why = place.trouble()?;
            Some(format!(
                "what {place} has is not known, so all layers count as new: {why}"
            ))
        });
        told.collect()
    }

    /// Why [`Places::baseline`] has found nothing, if that is because a rehearsal could not
    /// read there. On one line.
    pub fn baseline_unknown(&self) -> Option<String> {
        let place = &self.sites.first()?.destination;
        let why = format!("{place} could not be read: {}", place.trouble()?);
        Some(why.replace(char::is_control, " "))
    }

    fn destinations(&self) -> Vec<&Destination> {
        self.sites.iter().map(|site| &site.destination).collect()
    }

    /// Lets this machine remember what it has made, for its next push. What it has only
    /// read of layers stays believed where it was read.
    pub fn note(&self, images: &[Pushed], inputs: &Inputs) {
        let Some(directory) = inputs.state_dir.as_ref().filter(|_| !inputs.rehearse) else {
            return;
        };
        let each = images
            .iter()
            .flat_map(|image| image.layers.iter().zip(&image.descriptors));
        let made = each.filter(|(layer, _)| layer.how != How::Described);
        let layers: Vec<Descriptor> = made.map(|(_, descriptor)| descriptor.clone()).collect();
        if layers.is_empty() {
            return;
        }
        for site in &self.sites {
            if let Some(repository) = site.destination.repository() {
                // To have forgotten costs time at most.
                let _ = Ledger::note(directory, repository, &layers, inputs.now);
            }
        }
    }

    /// The layout among the destinations, if there is one.
    fn layout(&self) -> Option<&Layout> {
        self.sites.iter().find_map(|site| match &site.destination {
            Destination::Layout(layout) => Some(layout),
            Destination::Registry(_) | Destination::Rehearsal(_) => None,
        })
    }

    /// Reads one more tag everywhere; `false` if there is none.
    async fn read_further(&mut self) -> Result<bool, DestinationError> {
        if self.unread.is_empty() {
            return Ok(false);
        }
        let tag = self.unread.remove(0);
        self.baselines.knows(&tag);
        for Site {
            destination, prior, ..
        } in &mut self.sites
        {
            prior.read_also(destination, &tag, &self.platforms).await?;
        }
        Ok(true)
    }

    fn publisher<'a>(
        &'a self,
        on_layer: &'a dyn Fn(nixpy_oci::publish::LayerEvent),
    ) -> Publisher<'a> {
        Publisher {
            sites: &self.sites,
            options: &self.options,
            on_layer,
            making: true,
        }
    }
}

fn digests(manifests: &[Descriptor]) -> BTreeSet<Digest> {
    manifests.iter().map(|manifest| manifest.digest).collect()
}

fn manifests(images: &[Pushed]) -> Vec<Descriptor> {
    images.iter().map(|image| image.manifest.clone()).collect()
}

fn options(inputs: &Inputs, sites: &[Site]) -> Options {
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    Options {
        compression: inputs.compression,
        // More would wait for the compressors, and each holds some megabytes.
        makers: processors.min(8),
        uploads: inputs.uploads,
        spool_dir: spool_dir(inputs, sites).to_owned(),
    }
}

/// Beside the blobs of a layout, where there must be room for them anyway.
fn spool_dir<'a>(inputs: &'a Inputs, sites: &'a [Site]) -> &'a Path {
    match sites.first().map(|site| &site.destination) {
        Some(Destination::Layout(layout)) => layout.path(),
        _ => &inputs.temp_dir,
    }
}
