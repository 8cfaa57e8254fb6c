//! The image that a new one is held against, as its repository has it before the run
//! moves a tag.

use nixpy_oci::destination::DestinationError;
use nixpy_oci::digest::Digest;
use nixpy_oci::manifest::Descriptor;
use nixpy_oci::name::Tag;
use nixpy_oci::platform::Platform;
use nixpy_oci::prior::{Prior, PriorImage};

use super::Places;
use crate::changes::Seen;

/// One platform's image.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// What people call it: `ghcr.io/acme/api:main`.
    pub name: String,
    /// Of its manifest.
    pub digest: Digest,
    /// As its manifest describes them.
    pub layers: Vec<Descriptor>,
}

impl Baseline {
    /// For [`crate::changes::between`].
    pub fn seen(&self) -> Seen<'_> {
        Seen {
            digest: self.digest,
            layers: &self.layers,
        }
    }
}

/// What was read for this and nothing else.
#[derive(Debug, Default)]
pub(super) struct Baselines {
    prior: Prior,
    /// Also what the site's own prior has read.
    read: Vec<Tag>,
}

impl Baselines {
    /// Where these were read already.
    pub(super) fn knowing(read: Vec<Tag>) -> Self {
        let prior = Prior::default();
        Self { prior, read }
    }

    pub(super) fn knows(&mut self, tag: &Tag) {
        self.read.push(tag.clone());
    }
}

impl Places {
    /// The image of this platform under the first of these tags that has one, at the first
    /// destination. Costs no request where the tag was read before.
    ///
    /// # Errors
    /// The destination cannot be read.
    pub async fn baseline(
        &mut self,
        platform: &Platform,
        tags: &[Tag],
    ) -> Result<Option<Baseline>, DestinationError> {
        let Some(site) = self.sites.first() else {
            return Ok(None);
        };
        for tag in tags {
            let named = |image: &PriorImage| Baseline {
                name: site.destination.reference(tag),
                digest: Digest::of(&image.bytes),
                layers: image.manifest.layers.clone(),
            };
            if let Some(image) = site.prior.image_under(tag, platform) {
                return Ok(Some(named(image)));
            }
            let Baselines { prior, read } = &mut self.baselines;
            if !read.contains(tag) {
                read.push(tag.clone());
                prior
                    .read_also(&site.destination, tag, &self.platforms)
                    .await?;
            }
            if let Some(image) = prior.image_under(tag, platform) {
                return Ok(Some(named(image)));
            }
        }
        Ok(None)
    }
}
