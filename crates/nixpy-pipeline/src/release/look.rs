//! What is in the repositories before a release: the image of its commit, whole or not,
//! and what the tags point to that the release would set.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use nixpy_nix::Revision;
use nixpy_oci::destination::{Destination, Stored};
use nixpy_oci::digest::Digest;
use nixpy_oci::manifest::{Descriptor, Index, Manifest, media_type};
use nixpy_oci::name::{Repository, Tag};
use nixpy_oci::platform::Platform;
use nixpy_oci::registry::{Registry, RemoteError};
use serde_json::{Value, json};

use super::problem::{Lack, ReleaseProblem};
use super::version::Version;
use crate::inputs::Target;
use crate::publish;

/// Which image is to be released, and as what.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The version.
    pub version: Version,
    /// The commit that is released.
    pub commit: Option<Revision>,
    /// The image, where it is not the one under its commit's tag.
    pub image: Option<Named>,
    /// What it must be for; whatever there is if empty.
    pub platforms: Vec<Platform>,
}

/// An image by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// Whatever this points to.
    Tag(Tag),
    /// This one.
    Digest(Digest),
}

impl Wanted {
    /// Under which names the image is looked for, one after another: every push leaves
    /// the first, docker's action the second.
    pub fn names(&self) -> Vec<Named> {
        match (&self.image, &self.commit) {
            (Some(named), _) => vec![named.clone()],
            (None, Some(commit)) => {
                let commit = commit.to_string();
                let names = [commit.as_str(), &commit[..7]].map(|hex| format!("sha-{hex}"));
                let tags = names.into_iter().filter_map(|name| name.parse().ok());
                tags.map(Named::Tag).collect()
            }
            (None, None) => Vec::new(),
        }
    }
}

/// What is in one repository.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which.
    pub repository: Repository,
    /// References that were looked for.
    pub looked_for: Vec<String>,
    /// What was found under the first of them that is there.
    pub image: Option<ReleasedImage>,
    /// All tags.
    pub tags: BTreeSet<Tag>,
    /// What those that the release would set point to now.
    pub pointed: BTreeMap<Tag, Pointed>,
}

/// What a tag points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointed {
    /// The index, or manifest.
    pub digest: Digest,
    /// Of which version it says it is, if that is one.
    pub version: Option<Version>,
}

/// An image that may be released.
#[derive(Clone, Debug)]
pub struct ReleasedImage {
    /// The reference that it was found under.
    pub reference: String,
    /// As it is stored.
    pub stored: Stored,
    /// Whether it has the version's own tag.
    pub is_released: bool,
    /// Of which commit it says it is.
    pub revision: Option<String>,
    /// Sorted as in the index; of what is no index there are none.
    pub platforms: Vec<ReleasedPlatform>,
    /// What of it is not there.
    pub lacks: Vec<Lack>,
}

/// One platform's image.
#[derive(Clone, Debug)]
pub struct ReleasedPlatform {
    /// What it runs on.
    pub platform: Platform,
    /// Of its manifest.
    pub digest: Digest,
    /// What a client downloads that has none of it, in bytes.
    pub size: u64,
    /// Its manifest.
    pub manifest: Manifest,
}

/// On an index, by the image specification: the commit.
const REVISION: &str = "org.opencontainers.image.revision";
/// The version.
const VERSION: &str = "org.opencontainers.image.version";
/// Blobs that are asked for at once.
const AT_ONCE: usize = 8;

/// The repositories among the targets, ready to be asked.
///
/// # Errors
/// One cannot be used, or is no registry.
pub fn open(targets: &[Target]) -> Result<Vec<Registry>, ReleaseProblem> {
    let opened = targets.iter().map(|target| match target {
        Target::Layout(_) => Err(ReleaseProblem::NoRegistry(target.name())),
        Target::Registry { .. } => match publish::place(target) {
            Ok(Destination::Registry(registry)) => Ok(registry),
            Ok(_) => Err(ReleaseProblem::NoRegistry(target.name())),
            Err(error) => Err(ReleaseProblem::Destination(error)),
        },
    });
    opened.collect()
}

/// Looks at every repository.
///
/// # Errors
/// One cannot be read.
pub async fn look(registries: &[Registry], wanted: &Wanted) -> Result<Vec<Seen>, RemoteError> {
    let mut seen = try_join_all(registries.iter().map(|registry| seen(registry, wanted))).await?;
    agree(&mut seen);
    Ok(seen)
}

/// Where all repositories have the same images under indexes that differ in what they say of
/// themselves, one of these is for all: the one that is released somewhere already.
fn agree(seen: &mut [Seen]) {
    let images = || seen.iter().filter_map(|place| place.image.as_ref());
    let one = images().find(|image| image.is_released);
    let Some(one) = one.or_else(|| images().next()).cloned() else {
        return;
    };
    let Some(entries) = entries(&one.stored).filter(|entries| !entries.is_empty()) else {
        return;
    };
    for image in seen.iter_mut().filter_map(|place| place.image.as_mut()) {
        if self::entries(&image.stored).as_ref() == Some(&entries) {
            image.stored = one.stored.clone();
            image.revision.clone_from(&one.revision);
        }
    }
}

async fn seen(registry: &Registry, wanted: &Wanted) -> Result<Seen, RemoteError> {
    let repository = registry.repository().clone();
    let mut looked_for = Vec::new();
    let mut image = None;
    for named in wanted.names() {
        let (reference, stored) = match &named {
            Named::Tag(tag) => (format!("{repository}:{tag}"), registry.resolve(tag).await?),
            Named::Digest(digest) => {
                let stored = registry.manifest(*digest).await?;
                (format!("{repository}@{digest}"), stored)
            }
        };
        looked_for.push(reference.clone());
        if let Some(stored) = stored {
            image = Some(read(registry, reference, stored).await?);
            break;
        }
    }
    let tags = registry.tags().await?;
    let ours = wanted.version.tag().into_iter();
    let ours = ours.chain(wanted.version.moving().into_iter().map(|(tag, _)| tag));
    let there = try_join_all(ours.map(async |tag| {
        let stored = registry.resolve(&tag).await?;
        Ok::<_, RemoteError>(stored.map(|stored| (tag, stored)))
    }));
    let there: Vec<(Tag, Stored)> = there.await?.into_iter().flatten().collect();
    if let Some(image) = &mut image {
        let own = wanted.version.tag();
        let mut there = there.iter();
        let released = there.find(|(tag, _)| Some(tag) == own.as_ref());
        if let Some((tag, stored)) = released {
            image.is_released_as(format!("{repository}:{tag}"), stored);
        }
    }
    Ok(Seen {
        repository,
        looked_for,
        image,
        tags,
        pointed: there
            .into_iter()
            .map(|(tag, stored)| (tag, pointed(&stored)))
            .collect(),
    })
}

impl ReleasedImage {
    /// The same images may have got another index since they were released: what it says of
    /// itself changes with the branch that a commit is pushed to. A version keeps the one
    /// that it has.
    fn is_released_as(&mut self, reference: String, stored: &Stored) {
        let ours = entries(&self.stored).filter(|entries| !entries.is_empty());
        if ours.is_some() && ours == entries(stored) {
            self.revision = annotation(&stored.bytes, REVISION);
            self.stored = stored.clone();
            self.reference = reference;
            self.is_released = true;
        }
    }
}

/// The platforms of an index and their manifests, in its order.
fn entries(stored: &Stored) -> Option<Vec<(Option<Platform>, Digest)>> {
    let entries = index(stored)?.manifests.into_iter();
    Some(
        entries
            .map(|entry| (entry.platform, entry.digest))
            .collect(),
    )
}

fn pointed(stored: &Stored) -> Pointed {
    let version = annotation(&stored.bytes, VERSION);
    Pointed {
        digest: stored.descriptor.digest,
        version: version.and_then(|text| text.parse().ok()),
    }
}

/// The images of all platforms under a tag; `None` if there is no index.
///
/// # Errors
/// The registry cannot be read.
pub async fn images_of(
    registry: &Registry,
    tag: &Tag,
) -> Result<Option<Vec<ReleasedPlatform>>, RemoteError> {
    let Some(stored) = registry.resolve(tag).await? else {
        return Ok(None);
    };
    let mut lacks = Vec::new();
    let platforms = platforms(registry, &stored, &mut lacks).await?;
    Ok((!platforms.is_empty()).then_some(platforms))
}

async fn read(
    registry: &Registry,
    reference: String,
    stored: Stored,
) -> Result<ReleasedImage, RemoteError> {
    let mut lacks = Vec::new();
    let platforms = platforms(registry, &stored, &mut lacks).await?;
    lacks.extend(lacking(registry, &platforms).await?);
    Ok(ReleasedImage {
        reference,
        is_released: false,
        revision: annotation(&stored.bytes, REVISION),
        stored,
        platforms,
        lacks,
    })
}

async fn platforms(
    registry: &Registry,
    stored: &Stored,
    lacks: &mut Vec<Lack>,
) -> Result<Vec<ReleasedPlatform>, RemoteError> {
    let Some(index) = index(stored) else {
        return Ok(Vec::new());
    };
    let entries = index.manifests.into_iter().filter_map(|entry| {
        let platform = entry.platform.clone()?;
        // What docker's builder says about images stands among them as if it were one.
        (platform.os != "unknown").then_some((platform, entry.digest))
    });
    let read = entries.map(async |(platform, digest)| {
        let manifest = registry.manifest(digest).await?;
        let manifest = manifest.and_then(|stored| manifest_of(&stored.bytes));
        Ok::<_, RemoteError>((platform, digest, manifest))
    });
    let mut images = Vec::new();
    for (platform, digest, manifest) in try_join_all(read).await? {
        match manifest {
            Some(manifest) => images.push(ReleasedPlatform {
                size: downloaded(&manifest),
                platform,
                digest,
                manifest,
            }),
            None => lacks.push(Lack { platform, digest }),
        }
    }
    Ok(images)
}

/// Every blob that is not there, asked for once.
async fn lacking(
    registry: &Registry,
    platforms: &[ReleasedPlatform],
) -> Result<Vec<Lack>, RemoteError> {
    let mut blobs: BTreeMap<Digest, &Platform> = BTreeMap::new();
    for image in platforms {
        for blob in blobs_of(&image.manifest) {
            blobs.entry(blob.digest).or_insert(&image.platform);
        }
    }
    let asked = blobs.into_iter().map(async |(digest, platform)| {
        let there = registry.has_blob(digest).await?;
        Ok::<_, RemoteError>((!there).then(|| Lack {
            platform: platform.clone(),
            digest,
        }))
    });
    let lacks: Vec<Option<Lack>> = stream::iter(asked)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let mut lacks: Vec<Lack> = lacks.into_iter().flatten().collect();
    lacks.sort_by_key(|lack| lack.digest);
    Ok(lacks)
}

fn blobs_of(manifest: &Manifest) -> impl Iterator<Item = &Descriptor> {
    std::iter::once(&manifest.config).chain(&manifest.layers)
}

fn downloaded(manifest: &Manifest) -> u64 {
    let layers = manifest.layers.iter();
    let distinct: BTreeMap<Digest, u64> = layers.map(|layer| (layer.digest, layer.size)).collect();
    distinct.into_values().fold(0, u64::saturating_add)
}

fn index(stored: &Stored) -> Option<Index> {
    let kinds = [media_type::INDEX, media_type::DOCKER_MANIFEST_LIST];
    let is_index = kinds.contains(&stored.descriptor.media_type.as_str());
    let index = is_index.then(|| serde_json::from_slice(&stored.bytes));
    index?.ok()
}

/// Other tools may leave out of a manifest what it is.
fn manifest_of(bytes: &[u8]) -> Option<Manifest> {
    let mut document: Value = serde_json::from_slice(bytes).ok()?;
    let fields = document.as_object_mut()?;
    fields
        .entry("mediaType")
        .or_insert_with(|| json!(media_type::MANIFEST));
    serde_json::from_value(document).ok()
}

fn annotation(bytes: &[u8], name: &str) -> Option<String> {
    let document: Value = serde_json::from_slice(bytes).ok()?;
    Some(document.get("annotations")?.get(name)?.as_str()?.to_owned())
}
