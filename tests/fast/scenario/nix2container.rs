//! The service as `nix2container.buildImage` describes it: a JSON file that names
//! store paths and states the digests of the layers that are in them.
//!
//! The tars that the digests are of are written by the `tar` crate, field by field as
//! nix2container's have them; the product's own writer has no part in it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use nixpy_testkit::archive::layer_tar;
use nixpy_testkit::digest;
use nixpy_testkit::store::{FakePath, FakeStore, Item};
use serde_json::{Value, json};
use tar::{EntryType, Header};

const TAR: &str = "application/vnd.oci.image.layer.v1.tar";

/// The layers that an image of the service has, from the bottom up.
pub struct Layers<'a> {
    /// Under their own names, though these begin with a temporary directory here.
    pub stores: [&'a [&'a FakePath]; 2],
    /// At the root, with a mode of its own.
    pub root: &'a FakePath,
}

impl Layers<'_> {
    /// The description, after a change of it.
    pub fn describe(
        &self,
        store: &mut FakeStore,
        name: &str,
        architecture: &str,
        change: &impl Fn(&mut Value),
    ) -> FakePath {
        let base = gzipped(&layer_tar(&[("etc/base-image", b"gzip\n")]));
        let base_tar = layer_tar(&[("etc/base-image", b"gzip\n")]);
        let ready = layer_tar(&[("etc/ready", b"tar\n")]);
        let file = |bytes: &[u8]| format!("{}.tar", digest(bytes).replace("sha256:", ""));
        let files = store.add(
            Item::named(&format!("{name}-layers"))
                .file(&file(&base), &base)
                .file(&file(&ready), &ready),
        );
        let layer = |blob: &[u8], tar: &[u8], size: usize, rest: Value| {
            let mut layer = json!({
                "digest": digest(blob),
                "size": size,
                "diff_ids": digest(tar),
                "mediatype": TAR,
                "History": { "created_by": "nix2container" },
            });
            layer
                .as_object_mut()
                .unwrap()
                .extend(rest.as_object().unwrap().clone());
            layer
        };
        let of_file = |bytes: &[u8]| json!({ "layer-path": format!("{files}/{}", file(bytes)) });
        let mut below = of_file(&base);
        below["mediatype"] = json!(format!("{TAR}+gzip"));
        let mut layers = vec![
            layer(&base, &base_tar, 0, below),
            layer(&ready, &ready, ready.len(), of_file(&ready)),
        ];
        let dir = store.dir();
        let dir = dir.to_str().unwrap();
        for paths in self.stores {
            let mut tar = GoTar::beginning_with(&["/", "/nix", "/nix/store"]);
            let mut sorted = paths.to_vec();
            sorted.sort_by_key(|path| path.text().to_owned());
            for path in sorted {
                let name = path.text().replace(dir, "/nix/store");
                tar.tree(path.on_disk(), &name, None);
            }
            let tar = tar.end();
            let paths: Value = paths
                .iter()
                .map(|path| {
                    let rewrite = json!({ "regex": format!("^{dir}"), "repl": "/nix/store" });
                    json!({ "path": path.text(), "options": { "rewrite": rewrite } })
                })
                .collect();
            layers.push(layer(&tar, &tar, tar.len(), json!({ "paths": paths })));
        }
        let mut tar = GoTar::beginning_with(&["/"]);
        tar.below(self.root.on_disk(), "", Some(0o700));
        let tar = tar.end();
        let options = json!({
            "rewrite": { "regex": format!("^{}", self.root), "repl": "" },
            "perms": [{ "regex": ".*", "mode": "0700", "uid": 0, "gid": 0, "uname": "", "gname": "" }],
        });
        let paths = json!([{ "path": self.root.text(), "options": options }]);
        layers.push(layer(&tar, &tar, tar.len(), json!({ "paths": paths })));

        let mut description = json!({
            "version": 1,
            "image-config": { "Entrypoint": ["/bin/base-api"], "Env": ["GREETING=<hello>"] },
            "layers": layers,
            "arch": architecture,
            "created": "0001-01-01T00:00:00Z",
        });
        change(&mut description);
        let text = match description {
            // What is no JSON, or other JSON.
            Value::String(text) => text,
            description => format!("{description:#}"),
        };
        let [one, two] = self.stores;
        let all = one.iter().chain(two).copied();
        store.add(
            Item::named(&format!("image-{name}.json"))
                .file("", text)
                .references(all.chain([self.root, &files])),
        )
    }
}

/// A tar whose fields Go fills: everything of root's, one second after the epoch.
struct GoTar(Vec<u8>);

impl GoTar {
    fn beginning_with(directories: &[&str]) -> Self {
        let mut tar = Self(Vec::new());
        for directory in directories {
            tar.header(directory, EntryType::Directory, 0o755, 0, "");
        }
        tar
    }

    fn tree(&mut self, path: &Path, name: &str, mode: Option<u32>) {
        let found = fs::symlink_metadata(path).unwrap();
        let mode_or = mode.unwrap_or(found.permissions().mode() & 0o7777);
        if found.is_symlink() {
            let target = fs::read_link(path).unwrap();
            let target = target.to_str().unwrap();
            self.header(name, EntryType::Symlink, mode_or, 0, target);
        } else if found.is_dir() {
            self.header(name, EntryType::Directory, mode_or, 0, "");
            self.below(path, name, mode);
        } else {
            let content = fs::read(path).unwrap();
            let size = content.len() as u64;
            self.header(name, EntryType::Regular, mode_or, size, "");
            self.0.extend(content);
            self.0.resize(self.0.len().next_multiple_of(512), 0);
        }
    }

    fn below(&mut self, directory: &Path, name: &str, mode: Option<u32>) {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        for child in names {
            self.tree(&directory.join(&child), &format!("{name}/{child}"), mode);
        }
    }

    fn header(&mut self, name: &str, kind: EntryType, mode: u32, size: u64, target: &str) {
        assert!(name.len() <= 100 && target.len() <= 100, "no records here");
        let mut header = Header::new_ustar();
        let fields = header.as_ustar_mut().unwrap();
        fields.name[..name.len()].copy_from_slice(name.as_bytes());
        fields.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_username("root").unwrap();
        header.set_groupname("root").unwrap();
        header.set_device_major(0).unwrap();
        header.set_device_minor(0).unwrap();
        header.set_cksum();
        // Six digits, a NUL and a space, where `tar` has seven digits and a NUL.
        let checksum = header.cksum().unwrap();
        let ustar = header.as_ustar_mut().unwrap();
        let text = format!("{checksum:06o}\0 ");
        ustar.cksum.copy_from_slice(text.as_bytes());
        self.0.extend(header.as_bytes());
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
