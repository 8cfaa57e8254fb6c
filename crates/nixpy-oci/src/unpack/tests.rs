#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use tar::{Builder, Header};
use tempfile::TempDir;

use super::*;

/// Layers on their way into a folder that has something beside it.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        fs::create_dir(dir.path().join("beside")).unwrap();
        fs::write(dir.path().join("beside/file"), "theirs").unwrap();
        Self { dir }
    }

    fn unpack(&self, layer: Tar) -> Result<(), UnpackError> {
        let root = Root::open(&self.dir.path().join("root"))?;
        root.layer(layer.0.into_inner().unwrap().as_slice())
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join("root").join(name)).unwrap()
    }

    fn has(&self, name: &str) -> bool {
        self.dir
            .path()
            .join("root")
            .join(name)
            .symlink_metadata()
            .is_ok()
    }

    fn nothing_happened_beside(&self) {
        let beside = self.dir.path().join("beside");
        assert_eq!(fs::read_dir(&beside).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(beside.join("file")).unwrap(), "theirs");
        assert_eq!(fs::read_dir(self.dir.path()).unwrap().count(), 2);
    }
}

struct Tar(Builder<Vec<u8>>);

impl Tar {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn add(mut self, name: &str, kind: EntryType, target: &str, content: &str) -> Self {
        let mut header = Header::new_gnu();
        // As hostile programs write it: the crate's own setter refuses `..`.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory {
            0o755
        } else {
            0o640
        });
        header.set_mtime(77);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.append(&header, content.as_bytes()).unwrap();
        self
    }

    fn file(self, name: &str, content: &str) -> Self {
        self.add(name, EntryType::Regular, "", content)
    }

    fn directory(self, name: &str) -> Self {
        self.add(name, EntryType::Directory, "", "")
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.add(name, EntryType::Symlink, target, "")
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.add(name, EntryType::Link, target, "")
    }
}

#[test]
fn files_have_their_modes_and_times_and_links_their_targets() {
    let place = Place::new();
    let layer = Tar::new()
        .file("./usr/bin/tool", "tool")
        .symlink("bin", "/usr/bin")
        .link("usr/bin/same", "/usr/bin/tool");
    place.unpack(layer).unwrap();
    let found = fs::metadata(place.dir.path().join("root/usr/bin/tool")).unwrap();
    assert_eq!(found.permissions().mode() & 0o7777, 0o640);
    assert_eq!((found.mtime(), found.nlink()), (77, 2));
    assert_eq!(place.read("usr/bin/same"), "tool");
}

#[test]
fn a_link_to_an_absolute_place_is_one_within_the_image() {
    let place = Place::new();
    place
        .unpack(Tar::new().directory("usr").symlink("bin", "/usr"))
        .unwrap();
    place.unpack(Tar::new().file("bin/tool", "tool")).unwrap();
    assert_eq!(place.read("usr/tool"), "tool");
}

#[test]
fn nothing_is_written_outside() {
    let beside = Place::new();
    let outside = beside.dir.path().join("beside").display().to_string();
    let hostile = [
        Tar::new().file("../beside/new", "x"),
        Tar::new().file("a/../../beside/new", "x"),
        Tar::new().symlink("out", "../beside").file("out/new", "x"),
        Tar::new().symlink("out", &outside).file("out/file", "x"),
        Tar::new().symlink("out", &outside).file("out/new", "x"),
        Tar::new().link("mine", "../beside/file").file("mine", "x"),
        Tar::new().symlink("out", &outside).link("mine", "out/file"),
        Tar::new().symlink("out", &outside).file("out/.wh.file", ""),
        Tar::new()
            .symlink("out", &outside)
            .file("out/.wh..wh..opq", ""),
        Tar::new().file(".wh...", "").file(".wh..", ""),
    ];
    for layer in hostile {
        // Whether it is an error or ends up within: outside is as it was.
        let _ = beside.unpack(layer);
        beside.nothing_happened_beside();
        let root = beside.dir.path().join("root");
        fs::remove_dir_all(&root).unwrap();
        fs::create_dir(&root).unwrap();
    }
}

#[test]
fn a_file_is_not_written_through_a_link_of_its_name() {
    let place = Place::new();
    let layer = Tar::new()
        .file("target", "old")
        .symlink("name", "target")
        .file("name", "new");
    place.unpack(layer).unwrap();
    assert_eq!(place.read("target"), "old");
    assert_eq!(place.read("name"), "new");
}

#[test]
fn what_a_later_layer_removes_is_gone() {
    let place = Place::new();
    let below = Tar::new()
        .file("a/one", "1")
        .file("a/two", "2")
        .file("b/three", "3")
        .file("c", "4");
    place.unpack(below).unwrap();
    let above = Tar::new()
        .file("a/.wh.one", "")
        .file("b/new", "5")
        .file("b/.wh..wh..opq", "")
        .file(".wh.c", "");
    place.unpack(above).unwrap();
    let left = ["a/one", "a/two", "b/three", "b/new", "c", "a/.wh.one"].map(|name| place.has(name));
    assert_eq!(left, [false, true, false, true, false, false]);
}

#[test]
fn a_name_that_leads_out_is_told() {
    let error = Place::new()
        .unpack(Tar::new().file("../x", ""))
        .unwrap_err();
    assert_eq!(error.to_string(), "cannot unpack ../x of the image");
    assert!(error.source.to_string().contains("leads out"));
}
