//! Which request gets what. The paths of archives hold the path's hash and the archive's:
//! whoever has kept a narinfo, as Nix does for weeks, is never given another archive.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{
    ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HOST, HeaderValue, RANGE,
};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use nixpy_nix::narinfo::NarInfo;

use super::Given;
use super::archive::{self, Wanted};
use super::range::{Part, part};
use super::shelf::{Found, Shelf};
use crate::error::{CacheError, CacheErrorKind};

/// Of the paths that are served.
pub(super) const STORE_DIR: &str = "/nix/store";
/// Before cache.nixos.org, which says 40: this one is near.
const PRIORITY: u8 = 30;

pub(super) type Body = UnsyncBoxBody<Bytes, CacheError>;

/// Never fails: whatever goes wrong is an answer, or the end of a connection.
pub(super) async fn answer<B>(shelf: &Arc<Shelf>, request: &Request<B>) -> Response<Body> {
    if !is_called_rightly(request.headers()) {
        return plain(
            StatusCode::FORBIDDEN,
            "this cache answers only who calls it 127.0.0.1 or localhost\n",
        );
    }
    let only_head = match *request.method() {
        Method::GET => false,
        Method::HEAD => true,
        _ => {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n");
            let allow = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(ALLOW, allow);
            return response;
        }
    };
    let path = request.uri().path();
    let mut response = if path == "/nix-cache-info" {
        let info = format!("StoreDir: {STORE_DIR}\nWantMassQuery: 1\nPriority: {PRIORITY}\n");
        text("text/x-nix-cache-info", info)
    } else if let Some(hash_part) = narinfo_of(path) {
        narinfo(shelf, hash_part).await
    } else if let Some(name) = ArchiveName::parse(path) {
        let range = request.headers().get(RANGE);
        let range = range.and_then(|value| value.to_str().ok());
        archive(shelf, &name, range, only_head).await
    } else {
        missing()
    };
    if only_head {
        // The length stays what GET would send.
        let length = response.headers().get(CONTENT_LENGTH).cloned();
        *response.body_mut() = empty();
        if let Some(length) = length {
            response.headers_mut().insert(CONTENT_LENGTH, length);
        }
    }
    response
}

/// One name, and a loopback one, with whatever port.
fn is_called_rightly(headers: &HeaderMap) -> bool {
    let mut names = headers.get_all(HOST).iter();
    let (Some(name), None) = (names.next(), names.next()) else {
        return false;
    };
    let name = name.to_str().unwrap_or_default();
    let bare = match name.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => name,
    };
    let bare = bare.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = |address: IpAddr| address.is_loopback();
    bare.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(is_loopback)
}

fn is_hash(text: &str, length: usize) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
    text.len() == length && text.bytes().all(digit)
}

/// `/<hash>.narinfo`.
fn narinfo_of(path: &str) -> Option<&str> {
    let hash_part = path.strip_prefix('/')?.strip_suffix(".narinfo")?;
    is_hash(hash_part, 32).then_some(hash_part)
}

async fn narinfo(shelf: &Shelf, hash_part: &str) -> Response<Body> {
    let Some(found) = shelf.find(hash_part).await else {
        shelf.miss();
        return missing();
    };
    shelf.hit();
    let given = given(found.info, shelf.given);
    text("text/x-nix-narinfo", given.to_string())
}

/// As this server has it.
fn given(mut info: NarInfo, given: Given) -> NarInfo {
    let packed = is_packed(&info);
    if packed && given == Given::Unpacked {
        info.compression = "none".to_owned();
        info.file_hash = Some(info.info.nar_hash);
        info.file_size = Some(info.info.nar_size);
    }
    info.url = ArchiveName::of(&info).to_string();
    info
}

/// Whether it can be unpacked here.
fn is_packed(info: &NarInfo) -> bool {
    info.compression == "zstd"
}

/// `/nar/<path's hash>-<archive's hash>.nar`, and what it is compressed with.
#[derive(Debug, PartialEq, Eq)]
struct ArchiveName {
    hash_part: String,
    nar_hash: String,
    /// As a narinfo calls it.
    compression: String,
}

/// Endings of files by what they are compressed with, as Nix writes them.
const ENDINGS: [(&str, &str); 8] = [
    ("none", ""),
    ("zstd", ".zst"),
    ("xz", ".xz"),
    ("bzip2", ".bz2"),
    ("gzip", ".gz"),
    ("br", ".br"),
    ("lz4", ".lz4"),
    ("lzip", ".lzip"),
];

impl ArchiveName {
    fn of(info: &NarInfo) -> Self {
        let nar_hash = info.info.nar_hash.to_nix_base32();
        Self {
            hash_part: info.info.path.hash_part().to_owned(),
            nar_hash: nar_hash.trim_start_matches("sha256:").to_owned(),
            compression: info.compression.clone(),
        }
    }

    fn parse(path: &str) -> Option<Self> {
        let name = path.strip_prefix("/nar/")?;
        let (hash_part, rest) = name.split_once('-')?;
        let (nar_hash, ending) = rest.split_once(".nar")?;
        let (compression, _) = ENDINGS.iter().find(|(_, known)| *known == ending)?;
        (is_hash(hash_part, 32) && is_hash(nar_hash, 52)).then(|| Self {
            hash_part: hash_part.to_owned(),
            nar_hash: nar_hash.to_owned(),
            compression: (*compression).to_owned(),
        })
    }
}

impl std::fmt::Display for ArchiveName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut known = ENDINGS.iter();
        let ending = known.find(|(compression, _)| *compression == self.compression);
        let ending = ending.map_or("", |(_, ending)| ending);
        let (hash_part, nar_hash) = (&self.hash_part, &self.nar_hash);
        write!(f, "nar/{hash_part}-{nar_hash}.nar{ending}")
    }
}

async fn archive(
    shelf: &Arc<Shelf>,
    name: &ArchiveName,
    range: Option<&str>,
    only_head: bool,
) -> Response<Body> {
    let Some(Found { info, source }) = shelf.find(&name.hash_part).await else {
        return missing();
    };
    let stored = ArchiveName::of(&info);
    let unpack = is_packed(&info) && name.compression == "none";
    if stored.nar_hash != name.nar_hash || (stored.compression != name.compression && !unpack) {
        return missing();
    }
    let size = match unpack {
        true => Some(info.info.nar_size),
        false => info.file_size,
    };
    let size = match size {
        Some(size) => size,
        // Old caches do not say it: the archive does.
        None => match source.nar(&info.url, None).await {
            Ok(Some(nar)) => nar.size,
            Ok(None) => return missing(),
            Err(error) => return failed(shelf, &name.hash_part, &error),
        },
    };
    let (status, bytes) = match part(range, size) {
        Part::Whole => (StatusCode::OK, 0..size),
        Part::Of(bytes) => (StatusCode::PARTIAL_CONTENT, bytes),
        Part::Nothing => {
            let mut response = plain(StatusCode::RANGE_NOT_SATISFIABLE, "");
            insert(&mut response, CONTENT_RANGE, format!("bytes */{size}"));
            return response;
        }
    };
    let body = if only_head {
        empty()
    } else {
        let wanted = Wanted {
            hash_part: name.hash_part.clone(),
            url: info.url.clone(),
            unpack,
            size,
            bytes: bytes.clone(),
        };
        match archive::open(shelf, &source, wanted).await {
            Ok(Some(body)) => body,
            Ok(None) => {
                let lost = CacheErrorKind::Broken(format!(
                    "it has no archive of {}, which it says that it has",
                    info.info.path
                ));
                let act = format!("give {}", info.info.path);
                let error = CacheError::new(source.name(), act, lost);
                return failed(shelf, &name.hash_part, &error);
            }
            Err(error) => return failed(shelf, &name.hash_part, &error),
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {}-{}/{size}", bytes.start, bytes.end - 1);
        insert(&mut response, CONTENT_RANGE, range);
    }
    let length = bytes.end - bytes.start;
    insert(&mut response, CONTENT_LENGTH, length.to_string());
    insert(&mut response, ACCEPT_RANGES, "bytes".to_owned());
    insert(
        &mut response,
        CONTENT_TYPE,
        "application/x-nix-nar".to_owned(),
    );
    response
}

/// As if it were not there: see `shelf` for what Nix makes of any other failure.
fn failed(shelf: &Shelf, hash_part: &str, error: &CacheError) -> Response<Body> {
    shelf.has_lost(hash_part, error);
    missing()
}

fn missing() -> Response<Body> {
    plain(StatusCode::NOT_FOUND, "404\n")
}

fn plain(status: StatusCode, words: impl Into<String>) -> Response<Body> {
    let mut response = text("text/plain; charset=utf-8", words.into());
    *response.status_mut() = status;
    response
}

fn text(kind: &'static str, text: String) -> Response<Body> {
    let length = text.len();
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    insert(&mut response, CONTENT_LENGTH, length.to_string());
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn insert(response: &mut Response<Body>, name: hyper::header::HeaderName, value: String) {
    if let Ok(value) = HeaderValue::from_str(&value) {
        response.headers_mut().insert(name, value);
    }
}

fn empty() -> Body {
    let body = http_body_util::Empty::new().map_err(|never| match never {});
    body.boxed_unsync()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_answered() {
        let called = |names: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for name in names {
                headers.append(HOST, HeaderValue::from_static(name));
            }
            is_called_rightly(&headers)
        };
        for name in [
            "127.0.0.1",
            "127.0.0.1:80",
            "localhost:1234",
            "LOCALHOST",
            "[::1]:80",
            "[::1]",
            "127.8.9.1",
        ] {
            assert!(called(&[name]), "{name}");
        }
        for name in [
            "",
            "example.org",
            "127.0.0.1.example.org",
            "localhost.example.org:80",
            "10.0.0.1:80",
            "127.0.0.1:80@example.org",
        ] {
            assert!(!called(&[name]), "{name}");
        }
        assert!(!called(&[]));
        assert!(!called(&["localhost", "localhost"]));
    }

    #[test]
    fn names_of_archives_are_read_as_they_are_written() {
        let name = ArchiveName {
            hash_part: "0c1rh5b9ky9wwkqh1csqjnwsqhdsm9zz".to_owned(),
            nar_hash: "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73".to_owned(),
            compression: "zstd".to_owned(),
        };
        let written = format!("/{name}");
        assert!(written.ends_with(".nar.zst"), "{written}");
        assert_eq!(ArchiveName::parse(&written).unwrap(), name);
        for wrong in [
            "/nar/",
            "/nar/../../etc/passwd",
            "/nar/a-b.nar",
            &format!("{written}/"),
            &written.replace(".zst", ".exe"),
        ] {
            assert_eq!(ArchiveName::parse(wrong), None, "{wrong}");
        }
    }
}
