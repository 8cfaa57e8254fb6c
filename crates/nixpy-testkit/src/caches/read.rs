//! What the doubles of services say to those who read their caches.

use axum::body::Body;
use axum::http::Response;
use serde_json::Value;

use crate::registry::respond;

/// `nix-cache-info`.
pub(super) fn info() -> Response<Body> {
    let info = "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 41\n";
    respond::body(200, &[], info.into())
}

/// Texts of a list, with blanks between.
pub(super) fn words(list: &Value) -> String {
    let words = list.as_array().into_iter().flatten();
    let words: Vec<&str> = words.filter_map(Value::as_str).collect();
    words.join(" ")
}

/// Bytes as Nix writes them: 5 bits a character, the last ones first.
pub(super) fn nix_base32(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";
    let length = (bytes.len() * 8).div_ceil(5);
    let bit = |n: usize| {
        bytes
            .get(n / 8)
            .is_some_and(|byte| byte >> (n % 8) & 1 == 1)
    };
    let digit = |n: usize| {
        let value: usize = (0..5).map(|b| usize::from(bit(5 * n + b)) << b).sum();
        char::from(DIGITS[value])
    };
    (0..length).rev().map(digit).collect()
}
