//! A git tag that is a version, by semver or by PEP 440.

use std::str::FromStr as _;

/// A version, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// As it was given.
    pub raw: String,
    /// Without what only decorates it.
    pub version: String,
    pub major: u64,
    pub minor: u64,
    pub patch: u64,
    /// A release for everybody: nothing before, after or beside one.
    pub is_plain: bool,
}

impl Version {
    /// `1.2.3`, `v1.2.3-beta.1`.
    pub fn semver(raw: &str) -> Option<Self> {
        let text = raw.trim();
        let bare = text.strip_prefix('v').unwrap_or(text);
        let parsed = semver::Version::parse(bare).ok()?;
        let version = semver::Version {
            build: semver::BuildMetadata::EMPTY,
            ..parsed.clone()
        };
        Some(Self {
            raw: text.to_owned(),
            version: version.to_string(),
            major: parsed.major,
            minor: parsed.minor,
            patch: parsed.patch,
            is_plain: parsed.pre.is_empty(),
        })
    }

    /// `1.2.3`, `v1.2rc1`, `1!2.0.post1`.
    pub fn pep440(raw: &str) -> Option<Self> {
        let parsed = pep440_rs::Version::from_str(raw).ok()?;
        let release = parsed.release().to_vec();
        let part = |n: usize| release.get(n).copied().unwrap_or_default();
        Some(Self {
            raw: raw.trim().to_owned(),
            version: parsed.to_string(),
            major: part(0),
            minor: part(1),
            patch: part(2),
            // A local version is somebody's own, beside the release of that number. What semver writes after
            // a plus is no part of the version.
            is_plain: !(parsed.any_prerelease() || parsed.is_post() || parsed.is_local()),
        })
    }
}
