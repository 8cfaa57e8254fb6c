//! Layer tars of any tree, read back by the `tar` crate.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use nixpy_oci::layer::Source;
use nixpy_oci::tarball::Stamp;
use nixpy_oci::tarball::mapped::MappedTree;
use proptest::collection::vec;
use proptest::prelude::*;
use tar::EntryType;

use crate::cases;

/// A part of a name: plain, with spaces, of other alphabets, as long as can be, or
/// bytes that are no text. The `tar` crate ends a pax record at a line end, so none
/// has one here.
fn part() -> impl Strategy<Value = Vec<u8>> {
    let bytes = vec(any::<u8>(), 1..20);
    prop_oneof![
        4 => "[a-z]{1,6}".prop_map(String::into_bytes),
        1 => "[ -~]{1,12}".prop_map(String::into_bytes),
        1 => "[éλ字😀]{1,20}".prop_map(String::into_bytes),
        1 => "[a-z]{90,200}".prop_map(String::into_bytes),
        1 => bytes,
    ]
    .prop_filter("a name of a file", |name| {
        let plain = |byte: &u8| !b"/\0\n".contains(byte);
        name.iter().all(plain) && ![&b"."[..], b".."].contains(&name.as_slice())
    })
}

#[derive(Clone, Debug)]
enum Node {
    File(Vec<u8>, u32),
    Directory(u32),
    Symlink(Vec<u8>),
}

fn node() -> impl Strategy<Value = Node> {
    let target = vec(part(), 1..4).prop_map(|parts| parts.join(&b'/'));
    // What its owner may not read cannot be packed.
    let mode = (0..0o10000_u32).prop_map(|mode| mode | 0o400);
    prop_oneof![
        3 => (vec(any::<u8>(), 0..1500), mode).prop_map(|(content, mode)| Node::File(content, mode)),
        1 => (0..0o10000_u32).prop_map(|mode| Node::Directory(mode | 0o700)),
        1 => target.prop_map(Node::Symlink),
    ]
}

/// By path below the root. Where two want the same name the first has it.
type Tree = BTreeMap<Vec<u8>, Node>;

fn tree() -> impl Strategy<Value = Tree> {
    vec((vec(part(), 1..4), node()), 1..10).prop_map(|files| {
        let mut tree = Tree::new();
        for (parts, node) in files {
            let above = (1..parts.len()).map(|depth| parts[..depth].join(&b'/'));
            let above: Vec<Vec<u8>> = above.collect();
            let free = |path: &Vec<u8>| matches!(tree.get(path), None | Some(Node::Directory(_)));
            let path = parts.join(&b'/');
            if !above.iter().all(free) || tree.contains_key(&path) {
                continue;
            }
            for path in above {
                tree.entry(path).or_insert(Node::Directory(0o755));
            }
            tree.insert(path, node);
        }
        tree
    })
}

fn laid_out(tree: &Tree, root: &Path) {
    fs::create_dir(root).unwrap();
    for (path, node) in tree {
        let path = root.join(OsStr::from_bytes(path));
        match node {
            Node::File(content, _) => fs::write(&path, content).unwrap(),
            Node::Directory(_) => fs::create_dir(&path).unwrap(),
            Node::Symlink(target) => symlink(OsStr::from_bytes(target), &path).unwrap(),
        }
        if let Node::File(_, mode) | Node::Directory(mode) = node {
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
        }
    }
}

/// What a tar has below a root: type, mode, content or target.
type Found = BTreeMap<Vec<u8>, (EntryType, u32, Vec<u8>)>;

fn found(source: &Source, root: &Path) -> Found {
    let mut bytes = Vec::new();
    source.write_tar(&mut bytes).unwrap();
    let mut tar = tar::Archive::new(bytes.as_slice());
    let entries = tar.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = entry.path_bytes().into_owned();
        let header = entry.header();
        let (kind, mode) = (header.entry_type(), header.mode().unwrap());
        assert_eq!((header.uid().unwrap(), header.mtime().unwrap()), (0, 1));
        let mut content = entry.link_name_bytes().unwrap_or_default().into_owned();
        entry.read_to_end(&mut content).unwrap();
        (path, (kind, mode, content))
    });
    let root = [root.as_os_str().as_bytes(), b"/"].concat();
    entries
        .filter_map(|(path, entry)| {
            let path = path.strip_prefix(root.as_slice())?;
            let path = path.strip_suffix(b"/").unwrap_or(path);
            (!path.is_empty()).then(|| (path.to_vec(), entry))
        })
        .collect()
}

fn expected(tree: &Tree) -> Found {
    let entries = tree.iter().map(|(path, node)| {
        let entry = match node.clone() {
            Node::File(content, mode) => (EntryType::Regular, mode, content),
            Node::Directory(mode) => (EntryType::Directory, mode, Vec::new()),
            Node::Symlink(target) => (EntryType::Symlink, 0o777, target),
        };
        (path.clone(), entry)
    });
    entries.collect()
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn a_tree_in_either_dialect_is_read_as_it_is(tree in tree()) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("tree");
        laid_out(&tree, &root);
        let python = Source::Trees {
            directories: vec![("/nix".to_owned(), 0o755)],
            trees: vec![root.clone()],
            stamp: Stamp::root(),
        };
        let go = Source::Mapped(vec![MappedTree { root: root.clone(), rewrite: None, permissions: Vec::new() }]);
        prop_assert_eq!(found(&python, &root), expected(&tree));
        prop_assert_eq!(found(&go, &root), expected(&tree));
    }
}
