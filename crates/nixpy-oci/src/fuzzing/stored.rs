//! Image layouts in a tar ([`crate::stored`]).
//!
//! An input is a tar, or else the documents of a layout, one a line: the first is
//! `index.json`, the others are blobs, and a later line is named by `@N` where its
//! digest belongs, and by `#N` where its size does. Random changes of a tar never hit
//! a digest.

use std::fs;
use std::io::{self, Write as _};

use tar::{Builder, EntryType, Header};
use tempfile::NamedTempFile;

use super::is_told;
use super::mended::mended;
use crate::archive::{Kind, MAX_LAYERS, begins_compressed, kind};
use crate::config::Config;
use crate::digest::{Digest, Hashing};
use crate::finished::Packing;
use crate::manifest::{Descriptor, annotation};
use crate::platform::Platform;
use crate::stored::{Source, StoredLayer, read};

/// Larger inputs take longer, and tell nothing more.
const MOST: usize = 256 << 10;
/// Lines that may be named.
const MOST_LINES: usize = 10;

/// An image that is found has what publishing needs, and is found as well when the tar
/// is compressed.
pub fn stored(input: &[u8]) -> bool {
    if input.len() > MOST {
        return false;
    }
    if input.first() == Some(&b'{') {
        return holds(&layout(input));
    }
    let mended = mended(input).is_some_and(|mended| holds(&mended));
    holds(input) || mended
}

fn holds(input: &[u8]) -> bool {
    let plain = found(input);
    let starts_compressed =
        begins_compressed(&mut file_of(input).into_file()).expect("it is there");
    if starts_compressed {
        return plain.is_some();
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    gzip.write_all(input).expect("memory takes it");
    let packed = found(&gzip.finish().expect("memory takes it"));
    assert_eq!(plain, packed, "compressed it reads otherwise");
    plain.is_some()
}

/// What of an image is published: config, and of each layer descriptor, diff ID, and
/// whether the bytes are those of the descriptor.
type Found = (Vec<u8>, Vec<(Descriptor, Digest, bool)>);

fn found(input: &[u8]) -> Option<Found> {
    let file = file_of(input);
    let source = Source {
        path: file.path().to_owned(),
        within: file.path().to_owned(),
    };
    let wanted = Platform::linux("amd64");
    let image = match read(&source, &wanted, &std::env::temp_dir()) {
        Ok(image) => image,
        Err(error) => {
            is_told(&error);
            return None;
        }
    };
    assert!(image.layers.len() <= MAX_LAYERS);
    let config: Config = serde_json::from_slice(&image.config).expect("the config was read");
    assert_eq!(config.platform, image.platform);
    let diff_ids: Vec<Digest> = image.layers.iter().map(|layer| layer.diff_id).collect();
    assert_eq!(config.rootfs.diff_ids, diff_ids);
    let ours = |key: &String| key.starts_with(annotation::OURS);
    assert!(!image.annotations.keys().any(ours));
    assert!(matches!(
        kind(file.path()),
        Ok(Kind::Layout | Kind::DockerArchive)
    ));
    Some((image.config, image.layers.iter().map(layer).collect()))
}

fn layer(layer: &StoredLayer) -> (Descriptor, Digest, bool) {
    let stated = &layer.descriptor;
    let ours = stated.annotations.iter();
    let ours: Vec<_> = ours
        .filter(|(key, _)| key.starts_with(annotation::OURS))
        .collect();
    assert_eq!(
        ours,
        [(&annotation::DIFF_ID.to_owned(), &layer.diff_id.to_string())]
    );
    assert!(Packing::of(&stated.media_type).is_some());
    let is_sound = layer.check().is_ok();
    if is_sound {
        let mut hashing = Hashing::new(io::sink());
        let blob = layer.blob().expect("it has been read");
        blob.content
            .copy_to(&mut hashing)
            .expect("it has been read");
        let (_, digest, size) = hashing.finish();
        assert_eq!((digest, size), (stated.digest, stated.size));
    }
    (stated.clone(), layer.diff_id, is_sound)
}

fn file_of(input: &[u8]) -> NamedTempFile {
    let file = NamedTempFile::new().expect("there is room");
    fs::write(file.path(), input).expect("there is room");
    file
}

/// A tar of the documents, each with the digests and sizes of those below it.
fn layout(input: &[u8]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = input
        .splitn(MOST_LINES, |byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let mut tar = Builder::new(Vec::new());
    for at in (0..lines.len()).rev() {
        let line = lines[at].clone();
        let digest = Digest::of(&line);
        let name = match at {
            0 => "index.json".to_owned(),
            _ => format!("blobs/sha256/{}", digest.hex()),
        };
        add(&mut tar, &name, &line);
        for above in &mut lines[..at] {
            *above = replaced(above, &format!("@{at}"), &digest.to_string());
            *above = replaced(above, &format!("#{at}"), &line.len().to_string());
        }
    }
    add(&mut tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    tar.into_inner().expect("memory takes it")
}

fn add(tar: &mut Builder<Vec<u8>>, name: &str, content: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, name, content)
        .expect("memory takes it");
}

fn replaced(text: &[u8], from: &str, to: &str) -> Vec<u8> {
    let mut replaced = Vec::new();
    let mut rest = text;
    while let Some(byte) = rest.first() {
        if let Some(after) = rest.strip_prefix(from.as_bytes()) {
            replaced.extend_from_slice(to.as_bytes());
            rest = after;
        } else {
            replaced.push(*byte);
            rest = &rest[1..];
        }
    }
    replaced
}
