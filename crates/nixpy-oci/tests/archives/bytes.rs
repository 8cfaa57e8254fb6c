//! Archives and tars, made entry by entry.

use std::io::Write as _;

use nixpy_testkit::archive::DockerArchive;

pub fn many_layers(count: usize) -> DockerArchive {
    (0..count).fold(DockerArchive::of("api:latest"), |archive, n| {
        archive.layer(&[(&format!("layer-{n}"), b"content")])
    })
}

pub fn header(name: &str, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

/// A sound archive with more at its end.
pub fn archive_of(more: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut bytes = many_layers(1).build();
    bytes.truncate(bytes.len() - 1024);
    let mut tar = tar::Builder::new(bytes);
    more(&mut tar);
    tar.into_inner().unwrap()
}

/// An entry, whatever its name is.
pub fn named(tar: &mut tar::Builder<Vec<u8>>, name: &str, kind: tar::EntryType, bytes: &[u8]) {
    let mut header = header("x", kind, bytes.len() as u64);
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    tar.append(&header, bytes).unwrap();
}

/// A symbolic link, whatever it leads to.
pub fn link(tar: &mut tar::Builder<Vec<u8>>, name: &str, target: &str) {
    let mut header = header(name, tar::EntryType::Symlink, 0);
    header.set_link_name_literal(target).unwrap();
    header.set_cksum();
    tar.append(&header, std::io::empty()).unwrap();
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

pub fn packed(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let header = header(name, tar::EntryType::Regular, bytes.len() as u64);
        archive.append(&header, bytes.as_slice()).unwrap();
    }
    archive.into_inner().unwrap()
}
