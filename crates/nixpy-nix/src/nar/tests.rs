use super::*;

/// What `nix-store --dump` of 2.8 wrote.
fn recorded(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/nar");
    std::fs::read(Path::new(folder).join(name)).unwrap()
}

fn word(bytes: &[u8]) -> Vec<u8> {
    let mut word = (bytes.len() as u64).to_le_bytes().to_vec();
    word.extend(bytes);
    word.resize(word.len().next_multiple_of(8), 0);
    word
}

fn words(words: &[&[u8]]) -> Vec<u8> {
    words.iter().flat_map(|bytes| word(bytes)).collect()
}

const FILE: [&[u8]; 6] = [b"(", b"type", b"regular", b"contents", b"hello", b")"];

/// A directory of files with these names.
fn directory(names: &[&[u8]]) -> Vec<u8> {
    let mut archive = words(&[b"nix-archive-1", b"(", b"type", b"directory"]);
    for name in names {
        archive.extend(words(&[b"entry", b"(", b"name", name, b"node"]));
        archive.extend(words(&FILE));
        archive.extend(word(b")"));
    }
    archive.extend(word(b")"));
    archive
}

fn refusal(archive: &[u8]) -> &'static str {
    Object::of_archive(archive).unwrap_err().what
}

#[test]
fn a_file_is_its_content() {
    let archive = recorded("file.nar");
    let root = Object::of_archive(&archive).unwrap();
    assert_eq!(root, Object::Regular(b"hello\n"));
    assert_eq!(root.at(Path::new("")), Some(&root));
    assert_eq!(root.at(Path::new("bin")), None);
}

#[test]
fn what_is_in_a_tree_is_found_by_its_path() {
    let archive = recorded("tree.nar");
    let root = Object::of_archive(&archive).unwrap();
    let at = |path: &str| root.at(Path::new(path));
    assert_eq!(at("bin/serve"), Some(&Object::Regular(b"#!/bin/sh\n")));
    assert_eq!(at("empty"), Some(&Object::Regular(b"")));
    assert_eq!(at("none"), Some(&Object::Directory(Vec::new())));
    assert_eq!(at("bin/api"), Some(&Object::Symlink));
    for missing in ["bin/api/x", "bin/other", "bin/../empty", "empty/x", "/bin"] {
        assert_eq!(at(missing), None, "{missing}");
    }
    let Some(Object::Directory(entries)) = at("bin") else {
        panic!("{root:?}");
    };
    let names: Vec<&[u8]> = entries.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, [&b"api"[..], b"serve"]);
}

#[test]
fn every_truncation_is_refused_and_so_is_anything_after_the_end() {
    for name in ["file.nar", "tree.nar"] {
        let mut archive = recorded(name);
        for length in 0..archive.len() {
            assert!(Object::of_archive(&archive[..length]).is_err(), "{length}");
        }
        archive.push(0);
        assert_eq!(refusal(&archive), "something follows it");
    }
}

#[test]
fn no_flipped_byte_makes_the_reader_panic() {
    let archive = recorded("tree.nar");
    for place in 0..archive.len() {
        for flip in [1, 0x80, 0xff] {
            let mut other = archive.clone();
            other[place] ^= flip;
            // Within a name or a content, another byte may be as good.
            let _ = Object::of_archive(&other);
        }
    }
}

#[test]
fn names_that_no_file_has_are_refused() {
    assert!(Object::of_archive(&directory(&[b"a", b"b"])).is_ok());
    let long = [b'a'; LONGEST_NAME + 1];
    assert!(Object::of_archive(&directory(&[&long[1..]])).is_ok());
    for name in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0b", &long] {
        let what = refusal(&directory(&[name]));
        assert_eq!(what, "a file has a name that no file has", "{name:?}");
    }
}

#[test]
fn names_out_of_order_and_twice_are_refused() {
    for names in [[b"b", b"a"], [b"a", b"a"]] {
        let names = names.map(|name| &name[..]);
        assert_eq!(refusal(&directory(&names)), "the names are not in order");
    }
}

#[test]
fn padding_and_lengths_are_checked() {
    let mut archive = recorded("file.nar");
    // The magic word has 13 bytes after its length.
    archive[8 + 13] = 1;
    assert_eq!(refusal(&archive), "its padding is not zero");
    for length in [u64::MAX, u64::MAX - 7, 1 << 40] {
        archive[..8].copy_from_slice(&length.to_le_bytes());
        assert_eq!(refusal(&archive), "it is cut off");
    }
}

#[test]
fn too_deep_directories_are_refused() {
    let nested = |depth: usize| {
        let mut archive = word(b"nix-archive-1");
        for _ in 0..depth {
            archive.extend(words(&[b"(", b"type", b"directory"]));
            archive.extend(words(&[b"entry", b"(", b"name", b"a", b"node"]));
        }
        archive.extend(words(&FILE));
        archive.extend(words(&[b")", b")"]).repeat(depth));
        archive
    };
    assert!(Object::of_archive(&nested(DEEPEST)).is_ok());
    assert_eq!(
        refusal(&nested(DEEPEST + 1)),
        "its directories are too deep"
    );
}

#[test]
fn other_spellings_of_an_object_are_refused() {
    for (object, what) in [
        (
            vec![&b"("[..], b"type", b"fifo", b")"],
            "an object has an unknown type",
        ),
        (
            vec![b"(", b"type", b"regular", b")"],
            "a file has no contents",
        ),
        (
            vec![b"(", b"type", b"symlink", b"target", b"", b")"],
            "a link leads nowhere",
        ),
        (vec![b"(", b"kind"], "an object has no type"),
        (
            vec![b"(", b"type", b"regular", b"executable", b"yes"],
            "the mark of a program has a value",
        ),
    ] {
        let archive = [word(b"nix-archive-1"), words(&object)].concat();
        assert_eq!(refusal(&archive), what);
    }
}
