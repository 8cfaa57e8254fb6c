//! The Nix archive format, written only: what a store path's hash is taken of.
//!
//! Every string is its length (64 bits, little-endian), its bytes, and zeros up to
//! a multiple of eight. Grammar: figure 5.2 of
//! <https://edolstra.github.io/pubs/phd-thesis.pdf>. It is kept apart from the
//! reader in the product, so that each can show the other wrong.

use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// The archive of a file, a symlink or a directory.
pub fn nar(path: &Path) -> Vec<u8> {
    let mut archive = Vec::new();
    string(&mut archive, b"nix-archive-1");
    node(&mut archive, path);
    archive
}

/// The hash of the archive as `nix path-info` prints it: `sha256-<base64>`.
pub fn nar_hash(path: &Path) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(nar(path))))
}

fn node(out: &mut Vec<u8>, path: &Path) {
    let metadata = fs::symlink_metadata(path).unwrap();
    string(out, b"(");
    string(out, b"type");
    if metadata.is_symlink() {
        string(out, b"symlink");
        string(out, b"target");
        string(out, fs::read_link(path).unwrap().as_os_str().as_bytes());
    } else if metadata.is_dir() {
        string(out, b"directory");
        let mut names: Vec<Vec<u8>> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_vec())
            .collect();
        names.sort();
        for name in names {
            string(out, b"entry");
            string(out, b"(");
            string(out, b"name");
            string(out, &name);
            string(out, b"node");
            node(out, &path.join(std::ffi::OsStr::from_bytes(&name)));
            string(out, b")");
        }
    } else {
        string(out, b"regular");
        if metadata.permissions().mode() & 0o100 != 0 {
            string(out, b"executable");
            string(out, b"");
        }
        string(out, b"contents");
        string(out, &fs::read(path).unwrap());
    }
    string(out, b")");
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(8), 0);
}
