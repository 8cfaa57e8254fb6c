//! The version of the program on the other side, and whose Nix it is.
//!
//! Learnt from `builtins.nixVersion` where an evaluation happens anyway, otherwise
//! from `nix --version`. Only the differences that are used are named here.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A version such as 2.8.0; what follows the numbers is kept as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NixVersion {
    /// 2 in 2.8.0.
    pub major: u32,
    /// 8 in 2.8.0.
    pub minor: u32,
    /// Whose Nix.
    pub flavour: Flavour,
    /// The version as the program wrote it: `2.8.0`, `2.18.3-lix`, `2.34pre20260101_abcdef`.
    pub text: String,
}

/// Whose Nix: they share the language and most of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// The original.
    Nix,
    /// <https://lix.systems>, branched from 2.18.
    Lix,
    /// Determinate Systems' distribution.
    Determinate,
}

impl NixVersion {
    /// Reads `nix --version` (`nix (Nix) 2.8.0`, `nix (Lix, like Nix) 2.91.1`,
    /// `nix (Determinate Nix 3.5.2) 2.28.3`) or the bare version that
    /// `builtins.nixVersion` is.
    pub fn parse(text: &str) -> Option<Self> {
        let line = text.lines().next()?.trim();
        let word = line.rsplit(' ').next()?;
        let mut numbers = word.split(|other: char| !other.is_ascii_digit());
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        let flavour = match line.to_ascii_lowercase() {
            lower if lower.contains("lix") => Flavour::Lix,
            lower if lower.contains("determinate") => Flavour::Determinate,
            _ => Flavour::Nix,
        };
        Some(Self {
            major,
            minor,
            flavour,
            text: word.to_owned(),
        })
    }

    /// Since 2.13 an output of a derivation is written `<drv>^<output>`; since 2.15
    /// a bare `<drv>` no longer stands for its outputs.
    pub(crate) fn names_outputs_with_caret(&self) -> bool {
        (self.major, self.minor) >= (2, 13)
    }

    /// Since 2.16 there is `max-substitution-jobs`: before, paths are fetched as many at once
    /// as may be built at once.
    pub(crate) fn fetches_several(&self) -> bool {
        (self.major, self.minor) >= (2, 16)
    }

    /// `nix show-config` is `nix config show` since 2.20; Lix branched off before that.
    pub(crate) fn shows_config_by_two_words(&self) -> bool {
        self.flavour != Flavour::Lix && (self.major, self.minor) >= (2, 20)
    }

    /// `nix store ping` is `nix store info` since 2.19; Lix branched off before that.
    pub(crate) fn tells_store_info(&self) -> bool {
        self.flavour != Flavour::Lix && (self.major, self.minor) >= (2, 19)
    }

    /// Since 2.31 a store's address may name a port; Lix had not followed by 2.94.
    pub(crate) fn takes_ports(&self) -> bool {
        self.flavour != Flavour::Lix && (self.major, self.minor) >= (2, 31)
    }

    /// Nix from 2.34 wants to be told which JSON it should write; Lix, which has
    /// high minor numbers too, knows no such flag.
    pub(crate) fn has_json_formats(&self) -> bool {
        self.flavour != Flavour::Lix && (self.major, self.minor) >= (2, 34)
    }
}

impl fmt::Display for NixVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.flavour {
            Flavour::Nix => "Nix",
            Flavour::Lix => "Lix",
            Flavour::Determinate => "Determinate Nix",
        };
        write!(formatter, "{name} {}", self.text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_version_is_read() {
        for (text, major, minor, flavour) in [
            ("nix (Nix) 2.8.0\n", 2, 8, Flavour::Nix),
            ("2.34.8", 2, 34, Flavour::Nix),
            ("nix (Nix) 2.34pre20260101_abcdef", 2, 34, Flavour::Nix),
            ("nix (Lix, like Nix) 2.91.1", 2, 91, Flavour::Lix),
            ("2.18.3-lix", 2, 18, Flavour::Lix),
            (
                "nix (Determinate Nix 3.5.2) 2.28.3",
                2,
                28,
                Flavour::Determinate,
            ),
        ] {
            let version = NixVersion::parse(text).unwrap();
            assert_eq!(
                (version.major, version.minor, version.flavour),
                (major, minor, flavour),
                "{text}"
            );
        }
        assert_eq!(NixVersion::parse("zsh: command not found"), None);
        assert_eq!(NixVersion::parse(""), None);
    }
}
