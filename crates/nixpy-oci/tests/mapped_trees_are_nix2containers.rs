//! Merged trees against nix2container itself.
//!
//! What nix2container made of these trees is recorded as digests. To make it again,
//! build `recorded/nix2container.go` and name the program in `NIX2CONTAINER_SUM`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nixpy_oci::digest::Digest;
use nixpy_oci::layer::{LayerError, Source};
use nixpy_oci::tarball::mapped::{MapError, MappedTree, Pattern, Permission, Rewrite};
use serde_json::{Value, json};

/// Trees in a directory that has another name in every run, and is `/nix/store` in
/// the tars.
struct Trees {
    dir: tempfile::TempDir,
    mapped: Vec<Value>,
}

impl Trees {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            mapped: Vec::new(),
        }
    }

    fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.dir.path().join(name.as_ref())
    }

    fn file(self, name: impl AsRef<OsStr>, content: &str, mode: u32) -> Self {
        let path = self.path(name);
        make_directory(path.parent().unwrap());
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn directory(self, name: &str, mode: u32) -> Self {
        let path = self.path(name);
        make_directory(&path);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn link(self, name: &str, target: impl AsRef<OsStr>) -> Self {
        make_directory(self.path(name).parent().unwrap());
        symlink(target.as_ref(), self.path(name)).unwrap();
        self
    }

    /// A small program, its library, and a configuration.
    fn service() -> Self {
        Self::new()
            .file("app/bin/serve", "#!/bin/sh\n", 0o555)
            .file("app/etc/app.conf", "port = 8000\n", 0o444)
            .file("app/etc/secret", "x", 0o444)
            .directory("app/var/empty", 0o555)
            .link("app/current", "../lib/lib")
            .file("lib/lib/a.py", "pass\n", 0o444)
            .file("lib/lib-1.py", "", 0o444)
            .file("lib/etc/lib.conf", "", 0o444)
    }

    /// Puts a tree into the layer.
    fn map(mut self, tree: &str, pattern: &str, replacement: &str, permissions: Value) -> Self {
        let dir = self.dir.path().to_str().unwrap();
        self.mapped.push(json!({
            "path": self.path(tree).to_str().unwrap(),
            "options": {
                "rewrite": { "regex": pattern.replace("STORE", dir), "repl": replacement },
                "perms": permissions,
            }
        }));
        self
    }

    fn source(&self) -> Source {
        Source::Mapped(self.mapped.iter().map(mapped).collect())
    }

    /// The tar is the one that nix2container made.
    #[track_caller]
    fn make(&self, recorded: &str) {
        let mut tar = Vec::new();
        self.source().write_tar(&mut tar).unwrap();
        assert_eq!(Digest::of(&tar).hex(), recorded);
        self.nix2container_makes(recorded);
    }

    #[track_caller]
    fn are_refused(&self) -> MapError {
        self.nix2container_makes("refused");
        match self.source().write_tar(&mut std::io::sink()).unwrap_err() {
            LayerError::Map(error) => error,
            other => panic!("{other}"),
        }
    }

    #[track_caller]
    fn nix2container_makes(&self, recorded: &str) {
        let Some(program) = std::env::var_os("NIX2CONTAINER_SUM") else {
            return;
        };
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin
            .write_all(json!(self.mapped).to_string().as_bytes())
            .unwrap();
        drop(stdin);
        let printed = child.wait_with_output().unwrap().stdout;
        assert_eq!(String::from_utf8(printed).unwrap().trim(), recorded);
    }
}

/// With the mode of everybody's umask.
fn make_directory(path: &Path) {
    if !path.exists() {
        make_directory(path.parent().unwrap());
        fs::create_dir(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn mapped(path: &Value) -> MappedTree {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let options = &path["options"];
    let permissions = options["perms"].as_array().unwrap().iter();
    MappedTree {
        root: text(&path["path"]).into(),
        rewrite: Some(Rewrite {
            pattern: Pattern::new(&text(&options["rewrite"]["regex"])).unwrap(),
            replacement: text(&options["rewrite"]["repl"]),
        }),
        permissions: permissions
            .map(|permission| Permission {
                pattern: Pattern::new(&text(&permission["regex"])).unwrap(),
                mode: permission["mode"]
                    .as_str()
                    .map(|mode| u32::from_str_radix(mode, 8).unwrap()),
                uid: permission["uid"].as_u64().unwrap_or(0),
                gid: permission["gid"].as_u64().unwrap_or(0),
                uname: permission["uname"].as_str().map(str::to_owned),
                gname: permission["gname"].as_str().map(str::to_owned),
            })
            .collect(),
    }
}

#[test]
fn what_is_copied_to_the_root_shares_its_directories() {
    Trees::service()
        .map("app", "^STORE/app", "", json!([]))
        .map("lib", "^STORE/lib", "", json!([]))
        .make("12715ab28268fc0d488cdb875762ba812ecfb96d7ad872428578c11fac025370");
}

#[test]
fn modes_and_owners_follow_the_path_in_the_tree() {
    let permissions = json!([
        { "regex": ".*", "mode": "0755", "uid": 1000, "gid": 100 },
        { "regex": "/app/etc/.*", "mode": "0640", "uname": "app" },
        { "regex": "secret$", "mode": "4600", "uid": 3_000_000, "gname": "größe" },
        { "regex": "^/srv", "mode": "0777" },
    ]);
    Trees::service()
        .map("app", "^STORE/app", "/srv/app", permissions)
        .make("a89c361bbd2513cd102f746dd03457c953ac62a7b3b65a22acb4d0adf0181e1c");
}

#[test]
fn a_rewrite_has_groups_and_may_leave_files_out() {
    Trees::service()
        .map(
            "app",
            "^STORE/(app)(?:/(?P<kind>[a-z]+)(?:/.*(....))?)?$",
            "/${kind}/$1/$3",
            json!([]),
        )
        .map("lib", "^STORE/lib(/etc.*)?", "", json!([]))
        .make("72549fdcc102803a090b8a3c3eef07a1a6738a10385b73afe512f3b6dcd3f399");
}

#[test]
fn a_tree_may_be_one_file_or_one_link() {
    Trees::service()
        .map("app/etc/secret", "^STORE", "/run", json!([]))
        .map("app/current", "^STORE/app", "", json!([]))
        .make("33dd91b5d5016b0a74ed6c8e40560bb180daec3e3cdd0fb529250d4c8d06886b");
}

#[test]
fn names_are_sorted_in_each_directory_and_cleaned() {
    Trees::new()
        .file("a/b", "1", 0o644)
        .file("a-b", "2", 0o644)
        .file("a.b", "3", 0o644)
        .file("grüße/λ", "4", 0o644)
        .file(OsStr::from_bytes(b"z/\xff"), "5", 0o644)
        .file(format!("{0}/{0}/{0}", "n".repeat(120)), "6", 0o644)
        .link("far", "t".repeat(150))
        .map("", "^STORE/?", "/x/../y//./", json!([]))
        .make("d5a13f51f006d55c4908b38c9726977374dc8d54872f7623f3ed5b61bbfdeb7d");
}

/// The digests are those that nix2container's own tests expect.
#[test]
fn the_tars_of_nix2containers_tests() {
    Trees::new()
        .file("tar-directory/file1", "content file1", 0o644)
        .link("tar-directory/symlink", "file1")
        .map("tar-directory", "^STORE", "../data", json!([]))
        .make("1ea63d00b937dc24c711265b80444cc9e7e63751fb7f349b160be61d31381983");
    let file = || Trees::new().file("layer1/file1", "", 0o644);
    file()
        .map("layer1/file1", "^STORE", "../data", json!([]))
        .make("cc45bd46eca903b0900ebb997dffd5778904dca9ec02e7375dd1e653dfb61e2e");
    let permissions = json!([{ "regex": ".*file1", "mode": "0641" }]);
    file()
        .map("layer1/file1", "^STORE", "../data", permissions)
        .make("adf74a52f9e1bcd7dab77193455fa06743b979cf5955148010e5becedba4f72d");
}

#[test]
fn the_same_file_twice_is_one() {
    let trees = || {
        Trees::new()
            .file("one/same", "abc", 0o444)
            .file("two/same", "xyz", 0o444)
    };
    let last = trees().map("one", "^STORE/one", "/opt", json!([])).map(
        "two",
        "^STORE/two",
        "/opt",
        json!([]),
    );
    last.make("18356f091441e0021d70218dbd27b1a881a7f90d1757feaade21c9f9e2885936");
}

#[test]
fn files_of_one_name_that_differ_are_refused() {
    for (mode, content, permissions, what) in [
        (0o555, "abc", json!([]), "mode"),
        (0o444, "longer", json!([]), "size"),
        (
            0o444,
            "abc",
            json!([{ "regex": "x" }]),
            "set of permissions",
        ),
    ] {
        let error = Trees::new()
            .file("one/same", "abc", 0o444)
            .file("two/same", content, mode)
            .map("one", "^STORE/one", "/opt", json!([]))
            .map("two", "^STORE/two", "/opt", permissions)
            .are_refused()
            .to_string();
        for said in ["one", "two", "/opt", what] {
            assert!(error.contains(said), "{said}: {error}");
        }
    }
}

#[test]
fn a_tree_that_is_not_there_is_named() {
    let error = Trees::new()
        .map("absent", "^STORE", "", json!([]))
        .are_refused();
    assert!(error.to_string().contains("absent"), "{error}");
}

#[test]
fn a_rewrite_does_not_make_names_without_end() {
    let error = Trees::service()
        .map("app", ".", &"$0".repeat(9000), json!([]))
        .source()
        .write_tar(&mut std::io::sink())
        .unwrap_err();
    let LayerError::Map(error) = error else {
        panic!("{error}")
    };
    assert!(matches!(error, MapError::LongName { .. }), "{error}");
}

/// What keeps its names is read from the disk when it is written; that must not show.
#[test]
fn trees_that_keep_their_names_are_written_as_if_they_were_rewritten() {
    let trees = Trees::service()
        .file("app/var/spool/job", "x", 0o644)
        .map("app", "^never", "", json!([]))
        .map("lib", "^never", "", json!([]))
        .map("lib/etc", "^STORE/lib/etc", "/etc", json!([]))
        .map("lib/lib", "^.*/lib/lib", "PLACE", json!([]));
    let tar = |keeping: bool| {
        let mut each: Vec<MappedTree> = trees.mapped.iter().map(mapped).collect();
        // Into the middle of a tree that keeps its names.
        let inside = trees.path("app/var/spool");
        each[3].rewrite.as_mut().unwrap().replacement = inside.to_str().unwrap().to_owned();
        if keeping {
            each[0].rewrite = None;
            each[1].rewrite = None;
        }
        let mut tar = Vec::new();
        Source::Mapped(each).write_tar(&mut tar).unwrap();
        tar
    };
    assert!(tar(true) == tar(false), "the tars differ");
}
