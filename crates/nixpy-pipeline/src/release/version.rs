//! Versions of releases: by <https://semver.org>, or as Python's projects have them by
//! PEP 440 (<https://packaging.python.org/specifications/version-specifiers/>).
//!
//! A word that is a version by both counts as the first, which is stricter. What has no
//! place in a tag of a registry is no version of a release: build metadata, local parts,
//! epochs.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use nixpy_oci::name::Tag;
use serde::Serialize;

/// The version of a release, without a `v`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct Version {
    text: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Semver(semver::Version),
    Python(pep440_rs::Version),
}

/// A text that is no version of a release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no version that can be released: {cure}")]
pub struct InvalidVersion {
    text: String,
    cure: &'static str,
}

impl Version {
    /// Whether it only leads to a release: `-rc.1`, `a1`, `.dev3`.
    pub fn is_pre_release(&self) -> bool {
        match &self.kind {
            Kind::Semver(version) => !version.pre.is_empty(),
            Kind::Python(version) => version.any_prerelease(),
        }
    }

    /// How many of its numbers were written: of 1.2.3 three.
    pub fn numbers(&self) -> usize {
        match &self.kind {
            Kind::Semver(_) => 3,
            Kind::Python(version) => version.release().len(),
        }
    }

    /// The first number.
    pub fn major(&self) -> u64 {
        self.number(0)
    }

    /// The second; 0 if there is none.
    pub fn minor(&self) -> u64 {
        self.number(1)
    }

    fn number(&self, place: usize) -> u64 {
        match &self.kind {
            Kind::Semver(version) => [version.major, version.minor, version.patch][place],
            Kind::Python(version) => version.release().get(place).copied().unwrap_or(0),
        }
    }

    /// Which of two is released first. Where one is of another kind, both are read as
    /// Python's if they can be; a pre-release that cannot is before everything of its
    /// numbers.
    pub fn precedence(&self, other: &Self) -> Ordering {
        match (&self.kind, &other.kind) {
            (Kind::Semver(one), Kind::Semver(other)) => one.cmp_precedence(other),
            _ => match (self.as_python(), other.as_python()) {
                (Some(one), Some(other)) => one.cmp(&other),
                (ours, theirs) => {
                    let numbers = |version: &Self| [0, 1, 2].map(|place| version.number(place));
                    let by_numbers = numbers(self).cmp(&numbers(other));
                    by_numbers.then(ours.is_some().cmp(&theirs.is_some()))
                }
            },
        }
    }

    /// Whether it is released after another.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        self.precedence(other) == Ordering::Greater
    }

    fn as_python(&self) -> Option<pep440_rs::Version> {
        match &self.kind {
            Kind::Semver(_) => self.text.parse().ok(),
            Kind::Python(version) => Some(version.clone()),
        }
    }

    /// The tag of this version alone.
    pub fn tag(&self) -> Option<Tag> {
        self.text.parse().ok()
    }

    /// Tags that go on to the next release, and what they stand for; none for a pre-release.
    /// There is no tag `0`: before 1.0 a minor version may break what it likes.
    pub fn moving(&self) -> Vec<(Tag, Line)> {
        if self.is_pre_release() {
            return Vec::new();
        }
        let (major, minor) = (self.major(), self.minor());
        let mut names = Vec::new();
        if self.numbers() > 2 {
            names.push((format!("{major}.{minor}"), Line::Minor));
        }
        if self.numbers() > 1 && major > 0 {
            names.push((major.to_string(), Line::Major));
        }
        names.push(("latest".to_owned(), Line::All));
        let tags = names.into_iter();
        tags.filter_map(|(name, line)| Some((name.parse().ok()?, line)))
            .collect()
    }

    /// Whether another is of this one's line.
    pub fn shares(&self, line: Line, other: &Self) -> bool {
        match line {
            Line::All => true,
            Line::Major => self.major() == other.major(),
            Line::Minor => self.major() == other.major() && self.minor() == other.minor(),
        }
    }
}

/// Which releases a tag goes along with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// `1.2`
    Minor,
    /// `1`
    Major,
    /// `latest`
    All,
}

const HOW: &str = "write it as in v1.2.3, v1.2.3-rc.1 or 1.2.3rc1";

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let invalid = |cure| InvalidVersion {
            text: text.to_owned(),
            cure,
        };
        let bare = text.strip_prefix(['v', 'V']).unwrap_or(text);
        if !bare.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(invalid(HOW));
        }
        let kind = if let Ok(version) = semver::Version::parse(bare) {
            if !version.build.is_empty() {
                return Err(invalid("leave the part from the + on out"));
            }
            Kind::Semver(version)
        } else {
            let version: pep440_rs::Version = bare.parse().map_err(|_| invalid(HOW))?;
            if version.is_local() || version.epoch() > 0 {
                return Err(invalid("leave its epoch and the part from the + on out"));
            }
            Kind::Python(version)
        };
        let version = Self {
            text: bare.to_owned(),
            kind,
        };
        match version.tag() {
            Some(_) => Ok(version),
            None => Err(invalid("no registry takes it for a tag")),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.text
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn moving(text: &str) -> Vec<String> {
        let tags = version(text).moving();
        tags.iter().map(|(tag, _)| tag.to_string()).collect()
    }

    #[test]
    fn a_release_moves_the_tags_of_its_lines() {
        for (text, tags) in [
            ("v1.2.3", &["1.2", "1", "latest"][..]),
            ("1.2.3", &["1.2", "1", "latest"]),
            ("v0.4.1", &["0.4", "latest"]),
            ("1.4", &["1", "latest"]),
            ("2026", &["latest"]),
            ("2026.01.5", &["2026.1", "2026", "latest"]),
            ("1.2.3.post1", &["1.2", "1", "latest"]),
        ] {
            assert_eq!(moving(text), tags, "{text}");
        }
    }

    #[test]
    fn a_pre_release_moves_none() {
        for text in [
            "v1.2.3-rc.1",
            "1.2.3rc1",
            "v2.0.0a1",
            "1.0.dev3",
            "1.0.0-0",
            "1.2.3.post1.dev2",
        ] {
            assert!(version(text).is_pre_release(), "{text}");
            assert!(moving(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn versions_follow_each_other_also_where_they_are_of_two_kinds() {
        let order = [
            "0.9.10",
            "1.0.0.dev1",
            "1.0.0a1",
            "1.0.0-beta.2",
            "1.0.0-rc.1",
            "1.0.0rc2",
            "v1.0.0",
            "1.0.0.post1",
            "1.0.1",
            "1.2",
            "1.10.0",
            "2026.1.5",
        ];
        for pair in order.windows(2) {
            let (one, other) = (version(pair[0]), version(pair[1]));
            assert!(other.is_newer_than(&one), "{pair:?}");
            assert!(!one.is_newer_than(&other), "{pair:?}");
        }
        assert!(!version("1.0").is_newer_than(&version("v1.0.0")));
        assert!(version("1.0.0.post1").is_newer_than(&version("1.0.0-x.y")));
    }

    #[test]
    fn what_is_no_version_says_how_to_write_one() {
        for (text, cure) in [
            ("main", "as in v1.2.3"),
            ("", "as in v1.2.3"),
            ("release-1.2.3", "as in v1.2.3"),
            ("1.2.3+linux", "from the + on"),
            ("1!2.0", "epoch"),
            ("1.0+local", "from the + on"),
            ("v", "as in v1.2.3"),
        ] {
            let error = text.parse::<Version>().unwrap_err().to_string();
            assert!(error.contains(cure), "{text}: {error}");
        }
    }
}
