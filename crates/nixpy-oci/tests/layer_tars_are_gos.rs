//! Layer tars against Go's `archive/tar` itself, which nix2container writes them with.
//!
//! What Go wrote is recorded here as digests, so that this needs no Go. Where there is
//! a `go` in PATH, `recorded/entries.go` writes them again.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]
#![allow(clippy::print_stderr, reason = "a test that is left out says so")]

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nixpy_oci::digest::Digest;
use nixpy_oci::tarball::{Dialect, Stamp, TarWriter};
use serde_json::{Value, json};

#[derive(Clone)]
enum Kind {
    File(u64),
    Link(Vec<u8>),
    Directory,
}

#[derive(Clone)]
struct Entry {
    name: Vec<u8>,
    kind: Kind,
    mode: u32,
    stamp: Stamp,
}

fn entry(name: impl AsRef<[u8]>, kind: Kind) -> Entry {
    Entry {
        name: name.as_ref().to_vec(),
        kind,
        mode: 0o644,
        stamp: Stamp::root(),
    }
}

fn file(name: impl AsRef<[u8]>) -> Entry {
    entry(name, Kind::File(1))
}

fn link(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Entry {
    entry(name, Kind::Link(target.as_ref().to_vec()))
}

fn owned(uid: u64, gid: u64, uname: &str, gname: &str) -> Entry {
    let stamp = Stamp {
        mtime: 1,
        uid,
        gid,
        uname: uname.to_owned(),
        gname: gname.to_owned(),
    };
    Entry {
        stamp,
        ..file("/owned")
    }
}

fn mode(mode: u32, kind: Kind) -> Entry {
    Entry {
        mode,
        ..entry("/mode", kind)
    }
}

/// What is written, and the digest of what go1.19.8 wrote.
fn tars() -> Vec<(&'static str, Vec<Entry>, &'static str)> {
    let n = |length: usize| "n".repeat(length);
    let every = |lengths: std::ops::RangeInclusive<usize>, name: &dyn Fn(usize) -> Entry| {
        lengths.map(name).collect::<Vec<_>>()
    };
    vec![
        (
            "nothing",
            vec![],
            "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
        ),
        (
            "an ordinary package",
            vec![
                entry("/", Kind::Directory),
                entry("/nix", Kind::Directory),
                file("/nix/a"),
                link("/nix/b", "a"),
            ],
            "d8a3e0aeaac7f2ad9ba572ffecc14b9e183e87e3c5cf424e4c8f90d7496bfae8",
        ),
        (
            "names of every length in one part",
            every(1..=300, &|length| file(format!("/{}", n(length)))),
            "cae367e9f6182ca2453d74b6835807617ddc561a48c5d26ecae3c1c5bcbeb7ab",
        ),
        (
            "names of every length behind a prefix",
            every(1..=300, &|length| {
                file(format!("/nix/store/{}/{}", n(60), n(length)))
            }),
            "041006d0380b0e1a252d95055bfa0bb90cb5749efc2a33accdebd91c5c238eaf",
        ),
        (
            "names of every length in front of a file",
            every(1..=300, &|length| file(format!("/{}/{}", n(length), n(50)))),
            "42c730fb461ef92f21f906a7fb968c42f21ddaefd7877bc2e2344cf9fbb0c7a6",
        ),
        (
            "names that could be split in several places",
            every(1..=70, &|count| file("/abcd".repeat(count))),
            "d51a5a2dfe772845f63c68d0b505d1349a3c0e2d0be45d8ce8322e683a3d4ccf",
        ),
        (
            "directories whose names are long",
            every(90..=270, &|length| {
                entry(
                    format!("/d/{}/{}", n(length / 2), n(length / 2)),
                    Kind::Directory,
                )
            }),
            "f3583b708529a3bbe2a6a123c8872f77c23cdb91fd632f366a1840b9746da2cd",
        ),
        (
            "targets of every length",
            every(1..=300, &|length| link("/link", n(length))),
            "40257b5ed50115642765a1ef971f497729e47d028470ffc4ff4e7c2825ff823c",
        ),
        (
            "a long target of a long name",
            vec![link(format!("/{}/{}", n(90), n(90)), n(101))],
            "418cec88da3de6527540b72a2dca280ffe86d5d341067de1c158fb935b134f68",
        ),
        (
            "texts that would be cut behind a slash",
            vec![
                link("/link", format!("{}/x", n(99))),
                link("/link", format!("{}///x", n(97))),
                link("/link", "/".repeat(120)),
                link(format!("{}/x", n(99)), format!("{}ü", n(99))),
                file(format!("{}/é", n(99))),
            ],
            "8b035b8d67b49983485c37cc357570054a6c73930b2054ab3bb38359d5200ecb",
        ),
        (
            "what is not ASCII",
            vec![
                file("/grüße/λ.txt"),
                link("/ünïcode", "zïel"),
                link("/plain", "zïel"),
                file(b"/stray-\xff-byte"),
                file(b"/a\xc3/(b"),
                file(format!("/{}/{}", n(120), "é".repeat(60))),
                owned(0, 0, "größe", "λ"),
            ],
            "349192675488e9b8f67e305f1418a8c21a2b75d52a6f593f2125a6940d8a3f37",
        ),
        (
            "owners around the limits",
            vec![
                owned(2_097_151, 2_097_151, "u", ""),
                owned(2_097_152, 0, &n(32), &n(33)),
                owned(0, 4_294_967_294, &n(33), "g"),
                owned(1 << 40, 1 << 50, "root", "root"),
            ],
            "d0e082947d16f71e49f2842ea29b7c6eb4e3165a79f754a4a99ab3eb6e86d95f",
        ),
        (
            "modes",
            vec![
                mode(0o4755, Kind::File(0)),
                mode(0o1777, Kind::Directory),
                mode(0, Kind::File(0)),
                mode(0o7_777_777, Kind::Link(b"x".to_vec())),
            ],
            "3d35227ac246c964a7d9dd127e36564da885bdcc5b56f3a08afdf3636b0a1823",
        ),
        (
            "sizes around a block",
            [0, 1, 511, 512, 513, 1024, 10_240, 300_000]
                .map(|size| entry("/size", Kind::File(size)))
                .to_vec(),
            "01f28a55a7f6af52a7ba07657e7a37939b732b2fbe87f61dad0ff9960be2d61e",
        ),
        (
            "just below 8 GiB",
            vec![entry("/big", Kind::File((1 << 33) - 1))],
            "9e9e99898c9efb0515845120d7e258a5a810c0202f34ff3bba5864fc5e93a4be",
        ),
        (
            "8 GiB",
            vec![entry("/big", Kind::File(1 << 33))],
            "be3420f60ea47c7722af1d014882ebfca2f960aaa81cda2822f62fea87c6663c",
        ),
    ]
}

fn ours(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut tar = TarWriter::new(&mut bytes, Dialect::Go);
    for Entry {
        name,
        kind,
        mode,
        stamp,
    } in entries
    {
        match kind {
            Kind::Directory => tar.directory(name, *mode, stamp).unwrap(),
            Kind::Link(target) => tar.symlink(name, *mode, target, stamp).unwrap(),
            // Its content would take long to read.
            Kind::File(size) if *size > 1 << 30 => {
                tar.file(name, *mode, *size, &mut std::io::empty(), stamp)
                    .expect_err("there is no content");
                return bytes;
            }
            Kind::File(size) => {
                let mut content = std::io::repeat(b'z').take(*size);
                tar.file(name, *mode, *size, &mut content, stamp).unwrap();
            }
        }
    }
    tar.finish().unwrap();
    bytes
}

#[test]
fn every_tar_is_what_go_wrote() {
    for (what, entries, recorded) in tars() {
        assert_eq!(Digest::of(&ours(&entries)).hex(), recorded, "{what}");
    }
}

#[test]
fn the_records_are_what_go_writes() {
    let tars = tars();
    let input: Vec<Vec<Value>> = tars
        .iter()
        .map(|(_, entries, _)| entries.iter().map(as_json).collect())
        .collect();
    let Some(written) = go(&json!(input).to_string()) else {
        eprintln!("left out: there is no `go` in PATH to compare the records with");
        return;
    };
    let written: Vec<&str> = written.lines().collect();
    let recorded: Vec<&str> = tars.iter().map(|(_, _, recorded)| *recorded).collect();
    assert_eq!(written, recorded);
}

fn as_json(entry: &Entry) -> Value {
    let (kind, size, target) = match &entry.kind {
        Kind::File(size) => ("file", *size, &[][..]),
        Kind::Link(target) => ("link", 0, target.as_slice()),
        Kind::Directory => ("directory", 0, &[][..]),
    };
    json!({
        "kind": kind,
        "name": STANDARD.encode(&entry.name),
        "target": STANDARD.encode(target),
        "mode": entry.mode,
        "size": size,
        "uid": entry.stamp.uid,
        "gid": entry.stamp.gid,
        "uname": entry.stamp.uname,
        "gname": entry.stamp.gname,
    })
}

/// What `entries.go` prints; `None` where there is no Go.
fn go(input: &str) -> Option<String> {
    let cache = tempfile::tempdir().unwrap();
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded/entries.go");
    let mut child = Command::new("go")
        .args(["run", program])
        .env("GO111MODULE", "off")
        .env("GOCACHE", cache.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the Go side failed");
    Some(String::from_utf8(output.stdout).unwrap())
}
