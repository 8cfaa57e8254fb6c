//! What lies in the repository: documents, and the tags that they are found under.
//!
//! | tag | manifest's config | layers |
//! |---|---|---|
//! | `pack-<written>-<hash>` | [`Pack`]: narinfos, and where their archives are | the archives |
//! | `catalog` | its version | the packs' documents, a [`Part`] each, zstd |
//! | `reached-<day>-<hash>` | [`Reached`]: what a run had in hand at its end | |
//! | `leaving-<written>-<hash>` | [`Leaving`]: packs that are about to be deleted | |
//!
//! Times are seconds and days since 1970, hashes the beginning of a SHA-256, so that the
//! list of tags tells age and identity, and the content of a tag never changes; only that of
//! `catalog` does. All of it may have been written by anybody who may push: sizes are
//! bounded here, and a path counts only by its signature (`index`).

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nixpy_oci::digest::Digest;
use nixpy_oci::manifest::{Annotations, Descriptor, Manifest, to_bytes};
use nixpy_oci::name::Tag;
use serde::{Deserialize, Serialize};

/// Of a config that is a [`Pack`].
pub(super) const PACK: &str = "application/vnd.nixpy-ci.cache.pack.v1+json";
/// Of a config beside a catalog's parts.
pub(super) const CATALOG: &str = "application/vnd.nixpy-ci.cache.catalog.v1+json";
/// Of a catalog's part.
pub(super) const PART: &str = "application/vnd.nixpy-ci.cache.catalog.part.v1+zstd";
/// Of a config that is a [`Reached`].
pub(super) const REACHED: &str = "application/vnd.nixpy-ci.cache.reached.v1+json";
/// Of a config that is a [`Leaving`].
pub(super) const LEAVING: &str = "application/vnd.nixpy-ci.cache.leaving.v1+json";
/// Of a layer: archives, each in zstd frames of its own.
pub(super) const ARCHIVES: &str = "application/vnd.nixpy-ci.cache.nar.v1+zstd";

/// The only one there is; documents of another are passed over.
pub(super) const VERSION: u32 = 1;
/// No document is longer, as JSON: packs are closed, and parts of the catalog, long before.
pub(super) const LONGEST: u64 = 8 << 20;
/// On a catalog: the digests of those that it took the place of, for who deletes.
pub(super) const REPLACED: &str = "dev.nixpy-ci.cache.replaced";
/// On every manifest: its tag.
const TAG: &str = "dev.nixpy-ci.cache.tag";
const DAY: u64 = 86_400;

/// What one push has stored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pack {
    pub(super) version: u32,
    /// The layers.
    pub(super) blobs: Vec<Archives>,
    pub(super) paths: Vec<Held>,
}

/// A blob of archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Archives {
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// A path, and where its archive is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Held {
    /// As `nix` reads it, signatures included.
    pub(super) narinfo: String,
    /// Which of the pack's blobs.
    pub(super) blob: usize,
    /// Where in it the archive begins; it is as long as the narinfo says.
    pub(super) offset: u64,
    /// Whether it counts; found out when it is first asked for.
    #[serde(skip)]
    pub(super) counts: OnceLock<bool>,
    /// Its archive was read, and was another one.
    #[serde(skip)]
    pub(super) damaged: AtomicBool,
}

/// Packs as they lie in the catalog.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) version: u32,
    pub(super) packs: Vec<Listed>,
}

/// A pack, and where it came from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) tag: Tag,
    pub(super) manifest: Digest,
    #[serde(with = "shared")]
    pub(super) pack: Arc<Pack>,
}

/// A pack is written as if nobody shared it.
mod shared {
    use super::{Arc, Pack};
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(pack: &Arc<Pack>, to: S) -> Result<S::Ok, S::Error> {
        pack.as_ref().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Pack>, D::Error> {
        Pack::deserialize(from).map(Arc::new)
    }
}

/// What a run had in hand at its end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reached {
    pub(super) version: u32,
    pub(super) paths: Vec<String>,
}

/// Packs that are about to be deleted.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Leaving {
    pub(super) version: u32,
    pub(super) packs: Vec<Tag>,
}

/// What a tag says by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// With its age.
    Pack(SystemTime),
    /// With the end of its day.
    Reached(SystemTime),
    /// With its age.
    Leaving(SystemTime),
}

impl Kind {
    pub(super) fn of(tag: &Tag) -> Option<Self> {
        let mut parts = tag.as_ref().split('-');
        let (kind, when, hash) = (parts.next()?, parts.next()?, parts.next()?);
        let when: u64 = when.parse().ok().filter(|it| *it < 1 << 40)?;
        if parts.next().is_some() || hash.is_empty() {
            return None;
        }
        let at = |seconds: u64| UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        match kind {
            "pack" => at(when).map(Self::Pack),
            "reached" => at(when.saturating_add(1).saturating_mul(DAY)).map(Self::Reached),
            "leaving" => at(when).map(Self::Leaving),
            _ => None,
        }
    }
}

/// The tag that holds the catalog.
pub(super) fn catalog_tag() -> Tag {
    tag("catalog".to_owned())
}

/// The tag of a pack that was written then.
pub(super) fn pack_tag(written: SystemTime, config: Digest) -> Tag {
    tag(format!(
        "pack-{:010}-{}",
        seconds(written),
        &config.hex()[..32]
    ))
}

/// The tag of what was reached on that day.
pub(super) fn reached_tag(now: SystemTime, config: Digest) -> Tag {
    let day = seconds(now) / DAY;
    tag(format!("reached-{day:06}-{}", &config.hex()[..32]))
}

/// The tag of packs that leave.
pub(super) fn leaving_tag(now: SystemTime, config: Digest) -> Tag {
    tag(format!(
        "leaving-{:010}-{}",
        seconds(now),
        &config.hex()[..32]
    ))
}

/// The manifest of these. The tag is written in it too, so that no two tags lead to the same
/// manifest: deleting one would delete both.
pub(super) fn manifest(
    tag: &Tag,
    config: Descriptor,
    layers: Vec<Descriptor>,
    replaced: &[Digest],
) -> Vec<u8> {
    let mut annotations: Annotations = BTreeMap::from([(TAG.to_owned(), tag.to_string())]);
    if !replaced.is_empty() {
        let replaced: Vec<String> = replaced.iter().map(Digest::to_string).collect();
        annotations.insert(REPLACED.to_owned(), replaced.join(" "));
    }
    to_bytes(&Manifest::new(config, layers, annotations))
}

impl Pack {
    /// As it lies in the repository.
    pub(super) fn to_json(&self) -> Vec<u8> {
        to_bytes(self)
    }

    /// All of its layers.
    pub(super) fn layers(&self) -> Vec<Descriptor> {
        let layer = |archives: &Archives| Descriptor {
            media_type: ARCHIVES.to_owned(),
            digest: archives.digest,
            size: archives.size,
            platform: None,
            annotations: Annotations::new(),
        };
        self.blobs.iter().map(layer).collect()
    }
}

impl Held {
    pub(super) fn new(narinfo: String, blob: usize, offset: u64) -> Self {
        Self {
            narinfo,
            blob,
            offset,
            counts: OnceLock::new(),
            damaged: AtomicBool::new(false),
        }
    }

    /// The 32 characters that identify the path, if there are any.
    pub(super) fn hash_part(&self) -> Option<&str> {
        let line = self.narinfo.strip_prefix("StorePath: ")?.lines().next()?;
        let hash = line.rsplit('/').next()?.split('-').next()?;
        (hash.len() == 32).then_some(hash)
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[expect(clippy::expect_used, reason = "made of letters, digits and hyphens")]
fn tag(text: String) -> Tag {
    text.parse()
        .expect("it is made of letters, digits and hyphens")
}

/// A catalog's config.
pub(super) fn catalog_config() -> Vec<u8> {
    format!("{{\"version\":{VERSION}}}").into_bytes()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_tells_what_it_is_and_when_it_was_set() {
        let (now, hash) = (
            UNIX_EPOCH + Duration::from_secs(3 * DAY + 7),
            Digest::of(b""),
        );
        assert_eq!(Kind::of(&pack_tag(now, hash)), Some(Kind::Pack(now)));
        assert_eq!(Kind::of(&leaving_tag(now, hash)), Some(Kind::Leaving(now)));
        let end = UNIX_EPOCH + Duration::from_secs(4 * DAY);
        assert_eq!(Kind::of(&reached_tag(now, hash)), Some(Kind::Reached(end)));
        for other in [
            "catalog",
            "latest",
            "pack-",
            "pack-1",
            "pack-x-y",
            "pack-1-a-b",
            "v1-2-3",
        ] {
            assert_eq!(Kind::of(&other.parse().unwrap()), None, "{other}");
        }
        let never = format!("pack-{}-a", u64::MAX);
        assert_eq!(Kind::of(&never.parse().unwrap()), None);
    }

    #[test]
    fn documents_of_this_form_are_read_for_ever() {
        let json = r#"{"version":1,"blobs":[{"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":9}],"paths":[{"narinfo":"StorePath: /nix/store/0c1rh5b9ky9wwkqh1csqjnwsqhdsm9zz-hello\n","blob":0,"offset":3}]}"#;
        let pack: Pack = serde_json::from_str(json).unwrap();
        assert_eq!(
            pack.paths[0].hash_part(),
            Some("0c1rh5b9ky9wwkqh1csqjnwsqhdsm9zz")
        );
        assert_eq!(String::from_utf8(pack.to_json()).unwrap(), json);
    }
}
