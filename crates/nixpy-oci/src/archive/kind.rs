//! Which kind of image a tar holds, told by the names in it.
//!
//! A docker-archive of nixpkgs, podman or skopeo has a name of its own kind at its
//! very beginning. `docker save` from version 25 on begins like an image layout and
//! is both; it has a `manifest.json`, and is read as a docker-archive. Only the end
//! of a tar tells that there is none.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::entries::Entries;
use super::plain::{PlainFile, Source};
use super::{begins_compressed, decompress, plain};
use crate::digest::Digest;

/// The kinds of tar that hold an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// With `manifest.json`; also what is neither, so that its reader tells why not.
    DockerArchive,
    /// An OCI image layout, and nothing else.
    Layout,
}

/// Looks at the names in a tar, compressed or not, as far as is needed.
///
/// # Errors
/// The file cannot be opened. A damaged tar is what it was until then: who reads
/// it tells about the damage.
pub fn kind(path: &Path) -> io::Result<Kind> {
    let mut file = File::open(path)?;
    Ok(if begins_compressed(&mut file)? {
        walk(Entries::of(decompress(file)?))
    } else {
        walk(Entries::of(PlainFile::of(Arc::new(file))?))
    })
}

fn walk<R: Source>(mut entries: Entries<R>) -> Kind {
    let mut found = Kind::DockerArchive;
    while let Ok(Some(entry)) = entries.next() {
        let name = plain(&entry.name).trim_end_matches('/');
        if is_dockers(name) {
            return Kind::DockerArchive;
        }
        if ["oci-layout", "index.json"].contains(&name) || name.starts_with("blobs") {
            found = Kind::Layout;
        }
    }
    found
}

/// `manifest.json`, `repositories`, a folder or a file called by a digest, a layer.
fn is_dockers(name: &str) -> bool {
    let first = name.split(['/', '.']).next().unwrap_or(name);
    let first = first.strip_prefix("sha256:").unwrap_or(first);
    ["manifest.json", "repositories"].contains(&name) || Digest::from_hex(first).is_ok()
}
