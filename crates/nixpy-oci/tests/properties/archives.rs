//! Docker-archives that are read back as what went in.

use std::io::Write as _;

use nixpy_oci::archive::{Archive, ArchiveError, read};
use nixpy_oci::digest::Digest;
use nixpy_testkit::archive::{DockerArchive, layer_tar};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::json;
use tar::{Builder, EntryType, Header};

use crate::cases;

#[derive(Clone, Copy, Debug)]
enum Packing {
    None,
    Gzip,
    Zstd,
    Xz,
}

impl Packing {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            Just(Self::None),
            Just(Self::Gzip),
            Just(Self::Zstd),
            Just(Self::Xz),
        ]
    }

    fn pack(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::None => bytes.to_vec(),
            Self::Gzip => {
                let level = flate2::Compression::fast();
                let mut out = flate2::write::GzEncoder::new(Vec::new(), level);
                out.write_all(bytes).unwrap();
                out.finish().unwrap()
            }
            Self::Zstd => zstd::encode_all(bytes, 1).unwrap(),
            Self::Xz => {
                let mut out = liblzma::write::XzEncoder::new(Vec::new(), 0);
                out.write_all(bytes).unwrap();
                out.finish().unwrap()
            }
        }
    }
}

fn layers(most: usize) -> impl Strategy<Value = Vec<Vec<u8>>> {
    let files = btree_map("[a-z]{1,8}", vec(any::<u8>(), 0..700), 0..4);
    let layer = files.prop_map(|files| {
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
            .collect();
        layer_tar(&files)
    });
    vec(layer, 0..most)
}

/// With the bytes of each layer.
fn read_all(archive: &[u8]) -> Result<Archive<Vec<u8>>, ArchiveError> {
    read(archive, &std::env::temp_dir(), |_, tar| {
        let mut bytes = Vec::new();
        tar.read_to_end(&mut bytes).map_err(ArchiveError::Tar)?;
        Ok(bytes)
    })
}

fn in_order(archive: &Archive<Vec<u8>>) -> Vec<&[u8]> {
    let names = archive.layers.iter();
    names.map(|name| archive.made[name].as_slice()).collect()
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn what_dockertools_packs_is_read_as_it_was(
        layers in layers(6), again in any::<bool>(), first in any::<bool>(), packing in Packing::any(),
    ) {
        let twice = layers.iter().take(usize::from(again));
        let built = layers.iter().chain(twice).cloned();
        let built = built.fold(DockerArchive::of("api:1"), DockerArchive::layer_bytes);
        let built = if first { built.manifest_first() } else { built };

        let read = read_all(&packing.pack(&built.build())).unwrap();
        prop_assert_eq!(&read.config, &built.config_bytes());
        let expected: Vec<&[u8]> = layers.iter().chain(layers.iter().take(usize::from(again))).map(Vec::as_slice).collect();
        prop_assert_eq!(in_order(&read), expected);
        let diff_ids: Vec<String> = read.diff_ids.iter().map(ToString::to_string).collect();
        prop_assert_eq!(diff_ids, built.diff_ids());
    }

    /// Any order of entries, any names, each layer packed by itself or not at all.
    #[test]
    fn whatever_the_files_are_called_and_in_whatever_order_they_come(
        files in vec((layers(2), "[a-zü ]{0,60}(/[a-zü]{1,60})?", Packing::any()), 0..5),
        order in any::<prop::sample::Index>(), packing in Packing::any(),
    ) {
        let files = files.iter().enumerate().filter_map(|(at, (layers, name, packing))| {
            Some((format!("f{at}{name}/x.tar"), layers.first()?, packing))
        });
        let files: Vec<_> = files.collect();
        let names: Vec<&String> = files.iter().map(|(name, ..)| name).collect();
        let diff_ids: Vec<Digest> = files.iter().map(|(_, tar, _)| Digest::of(tar)).collect();
        let config = json!({ "architecture": "amd64", "os": "linux", "rootfs": { "diff_ids": diff_ids } }).to_string();
        let manifest = json!([{ "Config": "c", "Layers": names }]).to_string();
        let mut entries: Vec<(&str, Vec<u8>)> = files.iter().map(|(name, tar, packing)| (name.as_str(), packing.pack(tar))).collect();
        entries.push(("c", config.clone().into()));
        entries.push(("manifest.json", manifest.into()));
        let middle = order.index(entries.len());
        entries.rotate_left(middle);

        let read = read_all(&packing.pack(&packed(&entries))).unwrap();
        prop_assert_eq!(&read.config, config.as_bytes());
        let expected: Vec<&[u8]> = files.iter().map(|(_, tar, _)| tar.as_slice()).collect();
        prop_assert_eq!(in_order(&read), expected);
        prop_assert_eq!(read.names.iter().collect::<Vec<_>>(), names);
    }
}

fn packed(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, bytes.as_slice())
            .unwrap();
    }
    tar.into_inner().unwrap()
}
