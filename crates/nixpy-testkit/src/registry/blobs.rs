//! `/v2/<name>/blobs/<digest>`: GET (also of a range), HEAD and DELETE.

use std::ops::Range;

use axum::body::Body;
use axum::http::header::RANGE;
use axum::http::{HeaderMap, Method, Response};

use super::refusal::Refusal;
use super::respond;
use super::storage::Storage;

pub(super) fn blob(
    storage: &mut Storage,
    method: &Method,
    headers: &HeaderMap,
    name: &str,
    digest: &str,
) -> Result<Response<Body>, Refusal> {
    let unknown = || {
        Refusal::new(
            404,
            "BLOB_UNKNOWN",
            format!("blob {digest} unknown to {name}"),
        )
    };
    match *method {
        Method::GET | Method::HEAD => {
            let bytes = storage.blob(name, digest).ok_or_else(unknown)?;
            let about = [
                ("docker-content-digest", digest),
                ("content-type", "application/octet-stream"),
                ("accept-ranges", "bytes"),
            ];
            if *method == Method::HEAD {
                return Ok(respond::head(&about, bytes.len()));
            }
            let Some(range) = headers.get(RANGE).and_then(|value| value.to_str().ok()) else {
                return Ok(respond::body(200, &about, bytes));
            };
            let Some(range) = parse_range(range, bytes.len()) else {
                let refusal = Refusal::new(
                    416,
                    "SIZE_INVALID",
                    format!("no {range} in {} bytes", bytes.len()),
                );
                return Err(refusal.header("content-range", format!("bytes */{}", bytes.len())));
            };
            let place = format!("bytes {}-{}/{}", range.start, range.end - 1, bytes.len());
            let about = [about.as_slice(), &[("content-range", &place)]].concat();
            Ok(respond::body(206, &about, bytes.slice(range)))
        }
        Method::DELETE if storage.remove_blob(name, digest) => Ok(respond::empty(202, &[])),
        Method::DELETE => Err(unknown()),
        _ => Err(Refusal::no_such_method()),
    }
}

/// One range of RFC 9110: `bytes=0-9`, `bytes=10-`, `bytes=-5`. Lists of ranges
/// are refused, which the RFC lets a server do.
fn parse_range(text: &str, length: usize) -> Option<Range<usize>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (first, last) {
        ("", count) => length.saturating_sub(count.parse().ok()?)..length,
        (first, "") => first.parse().ok()?..length,
        (first, last) => {
            first.parse().ok()?..length.min(last.parse::<usize>().ok()?.checked_add(1)?)
        }
    };
    (!range.is_empty()).then_some(range)
}
