#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Range;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use nixpy_nix::StorePath;
use nixpy_nix::nar_hash::NarHash;
use nixpy_nix::narinfo::NarInfo;
use nixpy_nix::path_info::PathInfo;
use nixpy_nix::signing::SecretKey;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::error::{CacheError, CacheErrorKind};
use crate::source::{Nar, Source};

/// What it has, and how it fails.
#[derive(Debug, Default)]
struct Fixed {
    infos: BTreeMap<String, NarInfo>,
    archives: BTreeMap<String, Vec<u8>>,
    /// It answers nothing.
    is_down: bool,
    /// Its archives break off after so many bytes.
    breaks_after: Option<usize>,
}

impl Source for Fixed {
    fn name(&self) -> &str {
        "fixed"
    }

    fn narinfo<'a>(
        &'a self,
        hash_part: &'a str,
    ) -> BoxFuture<'a, Result<Option<NarInfo>, CacheError>> {
        let down = CacheErrorKind::Unreachable("it is down".to_owned());
        let answer = match self.is_down {
            true => Err(CacheError::new("fixed", "answer", down)),
            false => Ok(self.infos.get(hash_part).cloned()),
        };
        Box::pin(async move { answer })
    }

    fn nar<'a>(
        &'a self,
        url: &'a str,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Option<Nar>, CacheError>> {
        let nar = self.archives.get(url).map(|archive| {
            let size = archive.len() as u64;
            let range = range.unwrap_or(0..size);
            let (start, end) = (range.start as usize, range.end as usize);
            let mut part = archive[start..end].to_vec();
            part.truncate(self.breaks_after.unwrap_or(usize::MAX));
            // Many pieces, none of which ends where a block does.
            let pieces: Vec<_> = part.chunks(777).map(Bytes::copy_from_slice).collect();
            let bytes = futures_util::stream::iter(pieces.into_iter().map(Ok)).boxed();
            Nar { size, bytes }
        });
        Box::pin(async move { Ok(nar) })
    }
}

impl Fixed {
    /// With one archive, zstd, of a path with this hash part.
    fn with(mut self, hash_part: &str, archive: &[u8], is_signed: bool) -> Self {
        let path: StorePath = format!("/nix/store/{hash_part}-thing").parse().unwrap();
        let packed = zstd::encode_all(archive, 1).unwrap();
        let mut info = PathInfo {
            path,
            nar_hash: NarHash::from_bytes(Sha256::digest(archive).into()),
            nar_size: archive.len() as u64,
            references: Vec::new(),
            deriver: None,
            ca: None,
            is_own: false,
            signatures: Vec::new(),
        };
        if is_signed {
            info.signatures = vec![SecretKey::generate("t-1").unwrap().sign(&info)];
        }
        let url = format!("somewhere/{hash_part}");
        let info = NarInfo {
            info,
            url: url.clone(),
            compression: "zstd".to_owned(),
            file_hash: Some(NarHash::from_bytes(Sha256::digest(&packed).into())),
            file_size: Some(packed.len() as u64),
        };
        self.infos.insert(hash_part.to_owned(), info);
        self.archives.insert(url, packed);
        self
    }

    fn served(self, given: Given) -> Server {
        Server::start_giving(vec![Arc::new(self)], None, given).unwrap()
    }
}

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn archive() -> Vec<u8> {
    let numbers = (0_u32..200_000).flat_map(|number| (number / 3).to_le_bytes());
    numbers.collect()
}

struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// Whether it is as long as it says.
    fn is_whole(&self) -> bool {
        self.header("content-length") == Some(&self.body.len().to_string())
    }
}

/// What comes back until the server closes.
fn raw(server: &Server, request: &str) -> Answer {
    let address = server.url().replace("http://", "");
    let mut stream = TcpStream::connect(address).unwrap();
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let headers = String::from_utf8(all[..end].to_vec()).unwrap();
    let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
    let body = all[end + 4..].to_vec();
    Answer {
        status,
        headers,
        body,
    }
}

fn ask(server: &Server, method: &str, path: &str, more: &str) -> Answer {
    let rest = format!("host: localhost\r\nconnection: close\r\n{more}\r\n");
    raw(server, &format!("{method} {path} HTTP/1.1\r\n{rest}"))
}

fn get(server: &Server, path: &str) -> Answer {
    ask(server, "GET", path, "")
}

fn narinfo(server: &Server, hash_part: &str) -> NarInfo {
    let answer = get(server, &format!("/{hash_part}.narinfo"));
    assert_eq!(answer.status, 200);
    answer.text().parse().unwrap()
}

#[test]
fn a_path_is_told_and_given_as_an_ordinary_cache_does() {
    for given in [Given::Packed, Given::Unpacked] {
        let server = Fixed::default().with(A, &archive(), true).served(given);
        let info = get(&server, "/nix-cache-info").text();
        assert_eq!(
            info,
            "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n"
        );
        let told = narinfo(&server, A);
        let got = get(&server, &format!("/{}", told.url));
        assert!(got.status == 200 && got.is_whole(), "{}", got.headers);
        assert_eq!(told.file_size, Some(got.body.len() as u64));
        let hash = NarHash::from_bytes(Sha256::digest(&got.body).into());
        assert_eq!(told.file_hash, Some(hash));
        let unpacked = match told.compression.as_str() {
            "zstd" => zstd::decode_all(got.body.as_slice()).unwrap(),
            _ => got.body,
        };
        assert!(unpacked == archive(), "{given:?}");
        assert_eq!(
            told.info.signatures.len(),
            1,
            "the signature goes with the path"
        );
    }
}

#[test]
fn a_part_is_the_same_bytes_packed_or_not() {
    for given in [Given::Packed, Given::Unpacked] {
        let server = Fixed::default().with(A, &archive(), true).served(given);
        let path = format!("/{}", narinfo(&server, A).url);
        let whole = get(&server, &path).body;
        let size = whole.len();
        for (header, wanted) in [
            ("bytes=100-", 100..size),
            ("bytes=5-1999", 5..2000),
            ("bytes=-7", size - 7..size),
        ] {
            let part = ask(&server, "GET", &path, &format!("range: {header}\r\n"));
            assert_eq!(part.status, 206, "{header}");
            assert!(
                part.is_whole() && part.body == whole[wanted.clone()],
                "{header}"
            );
            let range = format!("bytes {}-{}/{size}", wanted.start, wanted.end - 1);
            assert_eq!(part.header("content-range"), Some(range.as_str()));
        }
        let behind = format!("range: bytes={size}-\r\n");
        assert_eq!(ask(&server, "GET", &path, &behind).status, 416);
    }
}

#[test]
fn head_is_get_without_a_body() {
    let server = Fixed::default()
        .with(A, &archive(), true)
        .served(Given::Unpacked);
    let url = narinfo(&server, A).url;
    for path in [
        "/nix-cache-info".to_owned(),
        format!("/{A}.narinfo"),
        format!("/{url}"),
    ] {
        let (head, get) = (ask(&server, "HEAD", &path, ""), get(&server, &path));
        assert_eq!((head.status, get.status), (200, 200), "{path}");
        let length = head.header("content-length");
        assert_eq!(length, Some(get.body.len().to_string().as_str()), "{path}");
        assert!(head.body.is_empty(), "{path}");
    }
}

#[test]
fn what_is_not_there_not_signed_or_another_is_a_miss() {
    let server = Fixed::default()
        .with(A, &archive(), true)
        .with(B, b"b", false)
        .served(Given::Packed);
    let nowhere = "c".repeat(32);
    for path in [
        format!("/{nowhere}.narinfo"),
        format!("/{B}.narinfo"),
        // Of an archive that the path had once.
        format!("/nar/{A}-{}.nar.zst", "0".repeat(52)),
        // Another compression than the one that it has.
        format!("/{}", narinfo(&server, A).url.replace(".zst", ".xz")),
        "/".to_owned(),
        "/log/x".to_owned(),
        format!("/nar/../{A}.narinfo"),
        "/../../etc/passwd".to_owned(),
    ] {
        assert_eq!(get(&server, &path).status, 404, "{path}");
    }
    let told = server.stop();
    assert_eq!((told.hits, told.misses, told.troubles), (1, 2, 0));
}

#[test]
fn other_methods_and_other_names_are_refused() {
    let server = Fixed::default().served(Given::Packed);
    for method in ["PUT", "POST", "DELETE", "OPTIONS", "CONNECT"] {
        assert_eq!(
            ask(&server, method, "/nix-cache-info", "").status,
            405,
            "{method}"
        );
    }
    let rebound =
        "GET /nix-cache-info HTTP/1.1\r\nhost: evil.example.org\r\nconnection: close\r\n\r\n";
    assert_eq!(raw(&server, rebound).status, 403);
    let nameless = "GET /nix-cache-info HTTP/1.0\r\n\r\n";
    assert_eq!(raw(&server, nameless).status, 403);
    let long = format!("x: {}\r\n", "y".repeat(100_000));
    let status = ask(&server, "GET", "/nix-cache-info", &long).status;
    assert_eq!(status, 431);
}

#[test]
fn a_cache_that_is_down_is_a_miss_and_told_once() {
    let down = Fixed {
        is_down: true,
        ..Fixed::default()
    };
    let well = Fixed::default().with(A, b"a", true);
    let server = Server::start(vec![Arc::new(down), Arc::new(well)], None).unwrap();
    for _ in 0..20 {
        assert_eq!(get(&server, &format!("/{B}.narinfo")).status, 404);
    }
    // The other one is asked all the same.
    narinfo(&server, A);
    let told = server.stop();
    assert_eq!(
        told.troubles, 3,
        "after three failures it is left alone: {told:?}"
    );
    let words: Vec<_> = told
        .words
        .iter()
        .map(|word| word.problem.as_str())
        .collect();
    assert_eq!(words, ["it is down"]);
}

#[test]
fn an_archive_that_breaks_off_breaks_the_connection() {
    for given in [Given::Packed, Given::Unpacked] {
        let breaking = Fixed {
            breaks_after: Some(2000),
            ..Fixed::default()
        };
        let server = breaking.with(A, &archive(), true).served(given);
        let got = get(&server, &format!("/{}", narinfo(&server, A).url));
        assert!(!got.is_whole(), "{given:?}");
        let told = server.stop();
        assert_eq!(told.troubles, 1, "{told:?}");
        assert!(
            ["missing", "incomplete"]
                .iter()
                .any(|word| told.words[0].problem.contains(word)),
            "{:?}",
            told.words
        );
    }
}

#[test]
fn a_cache_whose_archives_do_not_come_is_left_alone_though_it_knows_paths() {
    let mut breaking = Fixed {
        breaks_after: Some(2000),
        ..Fixed::default()
    };
    let paths = ["a", "b", "c"].map(|letter| letter.repeat(32));
    for path in &paths {
        breaking = breaking.with(path, &archive(), true);
    }
    let server = breaking.served(Given::Unpacked);
    for path in &paths[..2] {
        let url = format!("/{}", narinfo(&server, path).url);
        assert!(!get(&server, &url).is_whole());
        // The end of a connection is seen a moment before the reason is noted.
        let begun = std::time::Instant::now();
        while get(&server, &format!("/{path}.narinfo")).status != 404 {
            assert!(begun.elapsed() < Duration::from_secs(60), "it is not noted");
            std::thread::sleep(Duration::from_millis(10));
        }
        // Who asks once more, as Nix does, is told that it is not there.
        assert_eq!(get(&server, &url).status, 404);
    }
    // So Nix builds, rather than wait for each path.
    let last = &paths[2];
    assert_eq!(get(&server, &format!("/{last}.narinfo")).status, 404);
}

#[test]
fn a_port_that_is_taken_is_named_with_the_cure() {
    let first = Server::start(Vec::new(), None).unwrap();
    let port = first.url().rsplit_once(':').unwrap().1.parse().unwrap();
    let error = Server::start(Vec::new(), Some(port))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&port.to_string()) && error.contains("another port"),
        "{error}"
    );
    drop(first);
    let again = Server::start(Vec::new(), Some(port)).unwrap();
    assert_eq!(again.url(), format!("http://127.0.0.1:{port}"));
}
