//! What has to hold of the images that descriptions come to ([`crate::fuzzing`]):
//! `streamLayeredImage`'s CONF and nix2container's JSON.
//!
//! A small store is laid out for them; `/nix/store` in an input stands for it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

use nixpy_nix::path_info::PathInfo;
use nixpy_nix::{NarHash, StorePath};
use nixpy_oci::compress::Compression;
use nixpy_oci::config::Config;
use nixpy_oci::digest::Digest;
use nixpy_oci::image::{Body, Image};
use nixpy_oci::layer::{Layer, Source};
use nixpy_oci::manifest::Annotations;

use super::{Closure, Fetched, Files, ImageErrorKind, conf, nix2container};
use crate::fuzzing::MOST;

/// More clients cannot start, and more are not made of a description.
const MAX_LAYERS: usize = 1024;
/// Of a layer that is written here; a rewrite may make long names of short ones.
const MOST_WRITTEN: usize = 4 << 20;
/// Writing more takes longer, and tells nothing more.
const MOST_TREES: usize = 16;

/// What is in the store; the last is the description.
const NAMES: [&str; 5] = [
    "00000000000000000000000000000000-python3-3.11.2",
    "11111111111111111111111111111111-base-api",
    "22222222222222222222222222222222-customisation",
    "33333333333333333333333333333333-base.tar",
    "44444444444444444444444444444444-base-api-conf.json",
];

/// A CONF that is understood gives layers of known paths, and no more than can be.
pub fn conf(input: &[u8]) -> bool {
    with_description(input, |path, closure, files| {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let making = conf::Making {
            now,
            store_mode: 0o755,
        };
        Ok(match conf::body(path, closure, files, &making)? {
            conf::Described::Body(body) => Some(*body),
            conf::Described::ForTheScript { .. } => None,
        })
    })
}

/// The same of nix2container's JSON.
pub fn nix2container(input: &[u8]) -> bool {
    with_description(input, nix2container::body)
}

fn with_description(
    input: &[u8],
    read: impl Fn(&Path, &Closure, &Files) -> Result<Option<Body>, ImageErrorKind>,
) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    if text.len() > MOST {
        return false;
    }
    STORE.with(|store| store.describe(text, read))
}

fn identity(body: &Body) -> String {
    let image = Image {
        platform: nixpy_oci::platform::Platform::linux("amd64"),
        body: body.clone(),
        annotations: Annotations::new(),
    };
    image.identity(Compression::None).to_string()
}

fn holds(body: &Body, closure: &Closure) {
    let Body::Layers {
        base,
        layers,
        config,
    } = body
    else {
        unreachable!("descriptions are of layers");
    };
    assert!(layers.len() <= MAX_LAYERS, "{} layers", layers.len());
    if let Some(base) = base {
        assert!(is_known(base.archive.name(), closure));
    }
    for layer in layers {
        is_of_known_paths(layer, closure);
        is_written(layer);
    }
    let made: Vec<(Digest, String)> = layers
        .iter()
        .map(|layer| {
            let stated = layer.stated_diff_id.unwrap_or(Digest::of(b"made"));
            (stated, layer.comment.clone())
        })
        .collect();
    for config in [
        config.clone(),
        config.over(br#"{"config":{"Env":["A=1","A=2"]}}"#),
    ] {
        let written: Config =
            serde_json::from_slice(&config.finish(&made)).expect("a config that others read");
        assert_eq!(&written.platform, config.platform());
        let diff_ids = made.iter().map(|(diff_id, _)| diff_id);
        assert!(written.rootfs.diff_ids.iter().eq(diff_ids));
    }
}

fn is_of_known_paths(layer: &Layer, closure: &Closure) {
    let known = |path: &Path| assert!(is_known(path, closure), "{}", path.display());
    match &layer.source {
        Source::Trees { trees, .. } => trees.iter().for_each(|tree| known(tree)),
        Source::Mapped(trees) => trees.iter().for_each(|tree| known(&tree.root)),
        Source::Tar(path) => known(path),
        Source::Blob(finished) => known(&finished.path),
        Source::Entries { .. } => {}
    }
    for content in &layer.contents {
        let mut known = closure.values();
        assert!(known.any(|info| {
            info.path.base_name() == content.name && info.nar_size == content.size
        }));
    }
}

/// Whether it is a path of the closure or in one, and no detour leads out again.
fn is_known(path: &Path, closure: &Closure) -> bool {
    let plain = path
        .components()
        .all(|part| part != std::path::Component::ParentDir);
    plain
        && closure
            .keys()
            .any(|known| path.starts_with(known.as_path()))
}

/// That the tar is one, or is not made for a reason.
fn is_written(layer: &Layer) {
    let trees = match &layer.source {
        Source::Trees { trees, .. } => trees.len(),
        Source::Mapped(trees) => trees.len(),
        Source::Tar(_) | Source::Blob(_) | Source::Entries { .. } => return,
    };
    if trees > MOST_TREES {
        return;
    }
    let mut tar = Bounded(Vec::new());
    match layer.source.write_tar(&mut tar) {
        Ok(()) => assert_eq!(tar.0.len() % 512, 0),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.0.len() + buf.len() > MOST_WRITTEN {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

thread_local! {
    static STORE: Store = Store::lay_out().expect("there is room");
}

struct Store {
    /// Of all paths.
    dir: String,
    closure: Closure,
    _files: tempfile::TempDir,
}

impl Store {
    fn path(&self, which: usize) -> StorePath {
        StorePath::in_store(&self.dir, NAMES[which]).expect("a name of a path")
    }

    fn describe(
        &self,
        text: &str,
        read: impl Fn(&Path, &Closure, &Files) -> Result<Option<Body>, ImageErrorKind>,
    ) -> bool {
        let path = self.path(4);
        let files = Files::Fetched(BTreeMap::from([
            (
                path.as_path().to_owned(),
                Fetched::Text(text.replace("/nix/store", &self.dir)),
            ),
            (
                self.path(2).as_path().join("checksum"),
                Fetched::Text(Digest::of(b"").hex()),
            ),
        ]));
        let described = || read(path.as_path(), &self.closure, &files);
        match described() {
            Err(error) => {
                assert!(!error.to_string().is_empty());
                false
            }
            Ok(None) => false,
            Ok(Some(body)) => {
                let again = described().ok().flatten().expect("it was read before");
                assert_eq!(identity(&again), identity(&body));
                holds(&body, &self.closure);
                true
            }
        }
    }

    fn lay_out() -> io::Result<Self> {
        let files = tempfile::tempdir()?;
        let mut store = Self {
            dir: files.path().display().to_string(),
            closure: Closure::new(),
            _files: files,
        };
        for (which, number) in (0..NAMES.len()).zip(1_u8..) {
            let path = store.path(which);
            let info = PathInfo {
                path: path.clone(),
                nar_hash: NarHash::from_bytes([number; 32]),
                // What a cache states may be anything.
                nar_size: u64::MAX - u64::from(number),
                references: Vec::new(),
                deriver: None,
                ca: None,
                is_own: false,
                signatures: Vec::new(),
            };
            store.closure.insert(path, info);
        }
        let [python, app, top] = [0, 1, 2].map(|which| store.path(which));
        fs::create_dir_all(python.as_path().join("bin"))?;
        fs::write(python.as_path().join("bin/python3"), "#!python")?;
        symlink("python3", python.as_path().join("bin/python"))?;
        fs::create_dir_all(app.as_path().join("empty"))?;
        fs::write(app.as_path().join("gr\u{fc}\u{df}e"), "hello")?;
        fs::create_dir(top.as_path())?;
        fs::write(top.as_path().join("layer.tar"), [0; 1024])?;
        Ok(store)
    }
}
