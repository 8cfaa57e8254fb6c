//! What an image runs on, in the words of the image index: operating system,
//! architecture and variant as Go names them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The `platform` object of an index entry, and the same fields of a config.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `GOARCH`, for instance `amd64`.
    pub architecture: String,
    /// `GOOS`; images of Linux programs say `linux`.
    pub os: String,
    /// The processor's variant where the architecture alone is ambiguous: `v8` for arm64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// A Linux platform with the variant that clients expect of it.
    ///
    /// containerd's platform matching takes arm64 to be `v8` and 32-bit arm to be `v7`
    /// when nothing is said; saying it keeps every client's reading the same.
    pub fn linux(architecture: &str) -> Self {
        let variant = match architecture {
            "arm64" => Some("v8"),
            "arm" => Some("v7"),
            _ => None,
        };
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// Whether two platforms are the same machine, a variant left out meaning the usual one.
    pub fn matches(&self, other: &Self) -> bool {
        let usual = |p: &Self| {
            p.variant
                .clone()
                .or_else(|| Self::linux(&p.architecture).variant)
        };
        self.os == other.os
            && self.architecture == other.architecture
            && usual(self) == usual(other)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arm64_says_its_variant_and_matches_images_that_do_not() {
        let arm64 = Platform::linux("arm64");
        assert_eq!(arm64.to_string(), "linux/arm64/v8");
        let silent = Platform {
            variant: None,
            ..arm64.clone()
        };
        assert!(arm64.matches(&silent));
        assert!(!arm64.matches(&Platform::linux("amd64")));
    }
}
