//! Digests as registries write them: `sha256:<hex>`, `sha512:<hex>`.

use sha2::{Digest, Sha256, Sha512};

/// The digest a registry gives these bytes: `sha256:` and 64 hex digits.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Whether the text is a digest in an algorithm that the registry double has.
pub(crate) fn is_digest(text: &str) -> bool {
    let (hex, length) = match text.split_once(':') {
        Some(("sha256", hex)) => (hex, 64),
        Some(("sha512", hex)) => (hex, 128),
        _ => return false,
    };
    hex.len() == length && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether the bytes have this digest, in the algorithm that it names.
pub(crate) fn matches(claimed: &str, bytes: &[u8]) -> bool {
    match claimed.split_once(':') {
        Some(("sha256", _)) => claimed == digest(bytes),
        Some(("sha512", hex)) => hex == hex::encode(Sha512::digest(bytes)),
        _ => false,
    }
}
