//! Layer tars against Python's `tarfile` itself, which nixpkgs' image scripts
//! write them with. Needs `python3` in PATH, as those scripts do.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nixpy_oci::layer::Source;
use nixpy_oci::tarball::{Dialect, Stamp, TarWriter};

/// Writes a layer as `streamLayeredImage` does: `/nix` and `/nix/store`, then
/// each path and all below it in the order of `pathlib`.
const LAYER: &str = r#"
import itertools, json, pathlib, sys, tarfile
stamp, paths = json.load(sys.stdin)

def add(tar, info, content=None):
    info.mtime, info.uid, info.gid, info.uname, info.gname = stamp
    tar.addfile(info, content)

with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as tar:
    for name in ("/nix", "/nix/store"):
        info = tarfile.TarInfo(name)
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        add(tar, info)
    for path in map(pathlib.Path, paths):
        below = [] if path.is_symlink() else path.rglob("*")
        for file in sorted(itertools.chain([path], below)):
            info = tar.gettarinfo(file)
            info.name = "/" + info.name
            if info.islnk():
                info.type, info.linkname, info.size = tarfile.REGTYPE, "", file.stat().st_size
            if info.isfile():
                with open(file, "rb") as content:
                    add(tar, info, content)
            else:
                add(tar, info)
"#;

struct Tree {
    dir: tempfile::TempDir,
}

impl Tree {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("store/0123-tree")
    }

    fn file(self, name: impl AsRef<OsStr>, content: &str, mode: u32) -> Self {
        let path = self.root().join(Path::new(name.as_ref()));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn directory(self, name: &str, mode: u32) -> Self {
        let path = self.root().join(name);
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn link(self, name: &str, target: &str) -> Self {
        fs::create_dir_all(self.root()).unwrap();
        symlink(target, self.root().join(name)).unwrap();
        self
    }

    fn hard_link(self, name: &str, original: &str) -> Self {
        fs::hard_link(self.root().join(original), self.root().join(name)).unwrap();
        self
    }

    fn assert_same_as_python(&self, stamp: &Stamp) {
        assert_same_as_python(&[self.root()], stamp);
    }
}

fn assert_same_as_python(trees: &[PathBuf], stamp: &Stamp) {
    let source = Source::Trees {
        directories: vec![("/nix".to_owned(), 0o755), ("/nix/store".to_owned(), 0o755)],
        trees: trees.to_vec(),
        stamp: stamp.clone(),
    };
    let mut ours = Vec::new();
    source.write_tar(&mut ours).unwrap();
    let stamp = (
        stamp.mtime,
        stamp.uid,
        stamp.gid,
        &stamp.uname,
        &stamp.gname,
    );
    let paths: Vec<&str> = trees.iter().map(|tree| tree.to_str().unwrap()).collect();
    let theirs = python(LAYER, &serde_json::to_string(&(stamp, paths)).unwrap());
    assert_eq!(ours.len(), theirs.len(), "the tars differ in length");
    let differs = ours.iter().zip(&theirs).position(|(a, b)| a != b);
    assert_eq!(differs, None, "the tars differ from this byte on");
}

fn python(program: &str, input: &str) -> Vec<u8> {
    let mut child = Command::new("python3")
        .args(["-c", program])
        .env("PYTHONUTF8", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs python3 in PATH");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the Python side failed");
    output.stdout
}

#[test]
fn an_ordinary_package() {
    Tree::new()
        .file("bin/api", "#!/bin/sh\n", 0o555)
        .file("lib/a/b.py", "pass\n", 0o444)
        .file(
            "lib/a-b.py",
            "sorts before a/ in ASCII, behind it by component\n",
            0o444,
        )
        .file("lib/a.py", "", 0o444)
        .link("current", "lib/a")
        .directory("share/empty", 0o555)
        .assert_same_as_python(&Stamp::root());
}

#[test]
fn several_trees_and_none() {
    let one = Tree::new().file("a", "a", 0o644);
    let two = Tree::new().file("b", "b", 0o644);
    assert_same_as_python(&[one.root(), two.root()], &Stamp::root());
    assert_same_as_python(&[], &Stamp::root());
}

#[test]
fn a_tree_that_is_a_file_or_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let (file, link) = (dir.path().join("file"), dir.path().join("link"));
    fs::write(&file, "content").unwrap();
    symlink("/nowhere", &link).unwrap();
    assert_same_as_python(&[file, link], &Stamp::root());
}

#[test]
fn names_and_targets_that_do_not_fit_the_header() {
    let long = "n".repeat(120);
    let longer = format!("{long}/{long}/{long}");
    Tree::new()
        .file(format!("{long}.txt"), "long", 0o644)
        .file(&longer, "longer than 255", 0o644)
        .file("grüße/λ.txt", "not ASCII", 0o644)
        .link("far", &format!("/{longer}"))
        .link("ünïcode", "zïel")
        .assert_same_as_python(&Stamp::root());
}

#[test]
fn names_of_every_length_around_the_limits() {
    let tree = (80..=110).fold(Tree::new(), |tree, n| tree.file("x".repeat(n), "", 0o644));
    (90..=110)
        .fold(tree, |tree, n| {
            tree.link(&format!("link{n}"), &"t".repeat(n))
        })
        .assert_same_as_python(&Stamp::root());
}

#[test]
fn names_that_are_not_text() {
    Tree::new()
        .file(OsStr::from_bytes(b"stray-\xff-byte"), "x", 0o644)
        .file(OsStr::from_bytes(b"\xff"), "x", 0o644)
        .file("\u{e000}", "private use", 0o644)
        .file("é", "x", 0o644)
        .assert_same_as_python(&Stamp::root());
}

#[test]
fn hard_links_and_special_bits() {
    Tree::new()
        .file("original", "shared by two names", 0o644)
        .hard_link("another", "original")
        .file("bin/sudo", "set-uid", 0o4555)
        .directory("tmp", 0o1777)
        .assert_same_as_python(&Stamp::root());
}

#[test]
fn files_around_the_size_of_a_block() {
    let sizes = [0, 1, 511, 512, 513, 1023, 1024, 10_239, 10_240, 300_000];
    sizes
        .iter()
        .fold(Tree::new(), |tree, n| {
            tree.file(format!("{n}"), &"z".repeat(*n), 0o644)
        })
        .assert_same_as_python(&Stamp::root());
}

#[test]
fn every_stamp() {
    let tree = Tree::new().file("a", "a", 0o644).directory("d", 0o755);
    let root = Stamp::root();
    for stamp in [
        Stamp {
            mtime: 0,
            ..root.clone()
        },
        Stamp {
            mtime: 1_795_321_800,
            uid: 1000,
            gid: 100,
            ..root.clone()
        },
        Stamp {
            mtime: -1,
            ..root.clone()
        },
        Stamp {
            mtime: 1 << 40,
            uid: 1 << 40,
            gid: 2_097_152,
            ..root.clone()
        },
        Stamp {
            uid: 2_097_151,
            ..root.clone()
        },
        Stamp {
            uname: String::new(),
            gname: "größe".to_owned(),
            ..root.clone()
        },
        Stamp {
            uname: "u".repeat(32),
            gname: "g".repeat(33),
            ..root.clone()
        },
    ] {
        tree.assert_same_as_python(&stamp);
    }
}

/// The content would take long to read; the header is what changes at 8 GiB.
#[test]
fn the_header_of_a_file_of_more_than_8_gib() {
    for size in [(1_u64 << 33) - 1, 1 << 33, 1 << 40] {
        let mut ours = Vec::new();
        let mut tar = TarWriter::new(&mut ours, Dialect::Python);
        let content = &mut std::io::empty();
        tar.file(b"/nix/store/big", 0o444, size, content, &Stamp::root())
            .expect_err("there is no content");
        let program = format!(
            "import sys, tarfile\n\
             info = tarfile.TarInfo('/nix/store/big')\n\
             info.size, info.mode, info.mtime, info.uname, info.gname = {size}, 0o444, 1, 'root', 'root'\n\
             sys.stdout.buffer.write(info.tobuf())\n"
        );
        assert_eq!(ours, python(&program, ""), "{size}");
    }
}
