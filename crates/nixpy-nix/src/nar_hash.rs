//! `NarHash`: the SHA-256 of an object's archive (NAR), however Nix spelt it:
//! `sha256-<base 64>=`, `sha256:<52 digits of Nix's base 32>`, `sha256:<hex>`, or
//! either of the last two bare. Shown in the first form, which every version reads.

use std::fmt;
use std::str::FromStr;

use crate::as_text::as_text;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::base32;

/// The SHA-256 of a NAR.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NarHash([u8; 32]);

/// A text that is no SHA-256 in any of the forms Nix writes.
#[derive(Debug, thiserror::Error)]
#[error(
    "'{0}' is not a SHA-256 that Nix would write (expected sha256-<base 64> or sha256:<base 32>)"
)]
pub struct NarHashError(pub String);

impl NarHash {
    /// The hash with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// `sha256:<52 digits>`, the form that narinfo files have.
    pub fn to_nix_base32(self) -> String {
        format!("sha256:{}", base32::encode(&self.0))
    }

    /// 64 hexadecimal digits.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

impl FromStr for NarHash {
    type Err = NarHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = if let Some(sri) = text.strip_prefix("sha256-") {
            STANDARD
                .decode(sri)
                .ok()
                .and_then(|bytes| bytes.try_into().ok())
        } else {
            let digits = text.strip_prefix("sha256:").unwrap_or(text);
            match digits.len() {
                64 => hex::decode(digits)
                    .ok()
                    .and_then(|bytes| bytes.try_into().ok()),
                _ => base32::decode_32(digits),
            }
        };
        bytes.map(Self).ok_or_else(|| NarHashError(text.to_owned()))
    }
}

impl fmt::Display for NarHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sha256-{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for NarHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

as_text!(NarHash);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    // The SHA-256 of "", as `nix hash to-base32` and `to-sri` spell it.
    const SRI: &str = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    const NIX32: &str = "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn all_spellings_of_one_hash_are_equal() {
        let hash: NarHash = SRI.parse().unwrap();
        for spelling in [NIX32, &NIX32[7..], HEX, &format!("sha256:{HEX}")] {
            assert_eq!(spelling.parse::<NarHash>().unwrap(), hash, "{spelling}");
        }
        assert_eq!(hash.to_string(), SRI);
        assert_eq!(hash.to_nix_base32(), NIX32);
        assert_eq!(hash.to_hex(), HEX);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "sha256-",
            "sha256-AAAA",
            "sha512-47DEQ",
            "sha256:e",
            &NIX32.replace('q', "e"),
            &HEX[2..],
        ] {
            assert!(text.parse::<NarHash>().is_err(), "{text}");
        }
        // 52 digits hold 260 bits: the four on top must be clear.
        assert!("z".repeat(52).parse::<NarHash>().is_err());
    }
}
