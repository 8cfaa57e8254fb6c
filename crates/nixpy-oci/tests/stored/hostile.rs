//! Tars that claim to be layouts: told in a line, and nothing is published.

use tar::EntryType;

use crate::layout::{Files, Image, blob, entry, gzip};
use crate::place::{Place, promptly, told};

/// As it is, and compressed: two readers.
#[track_caller]
fn refused(tar: &[u8], texts: &[&str]) {
    for tar in [tar.to_vec(), gzip(tar)] {
        told_and_refused(tar, texts);
    }
}

#[track_caller]
fn told_and_refused(tar: Vec<u8>, texts: &[&str]) {
    let (error, published, left) = promptly(move || async move {
        let place = Place::layout();
        let error = place.take_tar(&tar).await.unwrap_err();
        let left = std::fs::read_dir(place.dir.path()).unwrap().count();
        (error, place.published(), left)
    });
    assert_eq!(published, 0, "something was published");
    assert_eq!(left, 2, "more is left than the layout and the tar");
    let told = told(&error);
    for text in ["image.tar"].iter().chain(texts) {
        assert!(told.contains(text), "{text:?} is not in: {told}");
    }
}

fn small() -> Files {
    Files::of(&Image::small())
}

#[test]
fn names_that_lead_out_are_refused() {
    for name in [
        "../outside",
        "blobs/sha256/../../../outside",
        "/etc/outside",
    ] {
        let tar = small().tar_and(|tar| entry(tar, name, EntryType::Regular, b"x"));
        refused(&tar, &["leads out of it", name]);
    }
}

#[test]
fn links_and_devices_are_refused() {
    let first = blob(Image::small().layer_digests()[0]);
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Char,
        EntryType::Fifo,
    ] {
        let mut files = small();
        files.0.remove(&first);
        let tar = files.tar_and(|tar| entry(tar, &first, kind, &[]));
        refused(&tar, &[&first, "not a regular file"]);
    }
}

#[test]
fn two_contents_under_one_name_are_refused_and_one_content_twice_is_not() {
    let files = small();
    let index = &files.0["index.json"];
    let mut other = index.clone();
    other[0] = b' ';
    for bytes in [other.as_slice(), b"{}"] {
        let tar = files.tar_and(|tar| entry(tar, "index.json", EntryType::Regular, bytes));
        refused(&tar, &["two entries \"index.json\" that differ"]);
    }
    let tar = files.tar_and(|tar| entry(tar, "./index.json", EntryType::Regular, index));
    promptly(move || async move {
        for tar in [gzip(&tar), tar] {
            Place::layout().take_tar(&tar).await.unwrap();
        }
    });
}

#[test]
fn a_tar_that_is_cut_short_is_refused() {
    let tar = small().tar();
    // In the middle of a header, of a file, and between them, where the rest is missing.
    for length in [700, 1024 + 512 + 3, 1024 + 512 + 512] {
        told_and_refused(tar[..length].to_vec(), &["cut short"]);
    }
    let whole = gzip(&tar);
    for length in [whole.len() / 2, whole.len() - 5] {
        told_and_refused(whole[..length].to_vec(), &["cut short"]);
    }
}

#[test]
fn a_size_that_is_only_declared_is_not_believed() {
    let mut bytes = small().tar();
    bytes.truncate(bytes.len() - 1024);
    let mut header = tar::Header::new_gnu();
    header
        .set_path(format!("blobs/sha256/{}", "0".repeat(64)))
        .unwrap();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    for (size, compressed, text) in [
        (60 << 30, false, "cut short"),
        (60 << 30, true, "cut short"),
        (1 << 40, true, "more than 68719476736 bytes of blobs"),
        (u64::MAX - 511, false, "cut short"),
        (u64::MAX - 511, true, "more than 68719476736 bytes of blobs"),
    ] {
        header.set_size(size);
        header.set_cksum();
        let mut tar = bytes.clone();
        tar.extend_from_slice(header.as_bytes());
        let tar = if compressed { gzip(&tar) } else { tar };
        told_and_refused(tar, &[text]);
    }
}

#[test]
fn a_blob_with_other_bytes_is_named() {
    let image = Image::small();
    let last = image.layer_digests()[1];
    let mut files = Files::of(&image);
    let mut bytes = files.0[&blob(last)].clone();
    bytes[600] ^= 1;
    files.put(&blob(last), bytes);
    refused(&files.tar(), &[&last.to_string(), "damaged or was changed"]);
}

#[test]
fn twenty_thousand_entries_are_refused() {
    let tar = small().tar_and(|tar| {
        for n in 0..20_000 {
            entry(tar, &format!("blobs/sha256/{n}"), EntryType::Regular, b"");
        }
    });
    refused(&tar, &["more than 16384 entries"]);
}
