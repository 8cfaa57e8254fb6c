//! Archives that are a thousand times as large as they look. A target of its own: the
//! most memory that the process has had is that of all tests in it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

#[path = "archives/bytes.rs"]
#[allow(dead_code, reason = "shared with the tests of archives")]
mod bytes;
#[path = "archives/place.rs"]
#[allow(dead_code, reason = "shared with the tests of archives")]
mod place;

use std::fs;

use nixpy_oci::archive::ArchiveError;
use nixpy_oci::publish::PublishError;

use bytes::{gzip, header, many_layers};
use place::{Place, promptly};

/// A gigabyte in a megabyte: the header, and sixty-four times the same member.
fn bomb(kind: tar::EntryType) -> Vec<u8> {
    const MEMBER: usize = 16 << 20;
    let mut bytes = gzip(header("bomb", kind, 64 * MEMBER as u64).as_bytes());
    bytes.extend(gzip(&vec![b'x'; MEMBER]).repeat(64));
    bytes.extend(gzip(&many_layers(1).build()));
    bytes
}

/// The most memory this process has had: nextest gives each test its own.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() << 10
}

#[test]
fn a_gigabyte_of_name_is_refused_before_it_is_in_memory() {
    for kind in [
        tar::EntryType::GNULongName,
        tar::EntryType::GNULongLink,
        tar::EntryType::XHeader,
    ] {
        let archive = bomb(kind);
        let error = promptly(|| async move { Place::layout().publish(&archive).await });
        let PublishError::Archive { source, path } = error.unwrap_err() else {
            panic!("{kind:?} is another error")
        };
        assert!(matches!(source, ArchiveError::Limit { .. }), "{source}");
        assert!(!path.as_os_str().is_empty());
    }
    assert!(peak() < 300 << 20, "{}", peak());
}

#[test]
fn what_is_large_and_no_layer_is_passed_over() {
    for kind in [tar::EntryType::XGlobalHeader, tar::EntryType::Regular] {
        let archive = bomb(kind);
        let pushed = promptly(|| async move { Place::layout().publish(&archive).await });
        assert_eq!(pushed.unwrap().layers.len(), 1, "{kind:?}");
    }
    assert!(peak() < 300 << 20, "{}", peak());
}
