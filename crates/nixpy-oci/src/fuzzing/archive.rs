//! Docker-archives ([`crate::archive`]).

use std::io::{self, Read};

use super::is_told;
use super::mended::mended;
use crate::archive::{self, Archive, ArchiveError, Kind, MAX_LAYERS, kind, limit};
use crate::config::Config;
use crate::digest::{Digest, Hashing};

/// Larger inputs take longer, and tell nothing more.
const MOST: usize = 256 << 10;
/// What is unpacked of one layer here.
const LARGEST_LAYER: u64 = 16 << 20;

/// An archive that is read has what an image needs, however its bytes come.
pub fn archive(input: &[u8]) -> bool {
    if input.len() > MOST {
        return false;
    }
    let mended = mended(input).is_some_and(|mended| holds(&mended));
    holds(input) || mended
}

/// Of each layer its digest and its size.
type Passed = Archive<(Digest, u64)>;

fn holds(input: &[u8]) -> bool {
    let read = match read(input) {
        Ok(read) => read,
        Err(error) => {
            is_told(&error);
            return false;
        }
    };
    assert!(read.layers.len() <= MAX_LAYERS);
    assert_eq!(read.layers.len(), read.diff_ids.len());
    assert_eq!(read.layers.len(), read.names.len());
    for layer in &read.layers {
        assert!(
            read.made.contains_key(layer),
            "{layer:?} was not handed out"
        );
    }
    for (name, _) in &read.repeated {
        assert!(read.made.contains_key(name), "{name:?} occurs once");
    }
    let config: Config = serde_json::from_slice(&read.config).expect("the config was read");
    assert_eq!(config.platform, read.platform);
    assert_eq!(config.rootfs.diff_ids, read.diff_ids);

    let slowly = self::read(Slow(input)).expect("the same bytes, a few at a time");
    assert_eq!(slowly.layers, read.layers);
    assert_eq!(slowly.made, read.made);
    assert_eq!(slowly.repeated, read.repeated);
    assert_eq!(slowly.config, read.config);

    let file = tempfile::NamedTempFile::new().expect("there is room");
    std::fs::write(file.path(), input).expect("there is room");
    let told = kind(file.path()).expect("the file is there");
    assert_eq!(told, Kind::DockerArchive);
    true
}

fn read(input: impl Read) -> Result<Passed, ArchiveError> {
    archive::read(input, &std::env::temp_dir(), |_, tar| {
        let mut hashing = Hashing::new(io::sink());
        let mut bounded = tar.take(LARGEST_LAYER + 1);
        io::copy(&mut bounded, &mut hashing).map_err(ArchiveError::Tar)?;
        let (_, digest, size) = hashing.finish();
        if size > LARGEST_LAYER {
            return Err(limit("bytes in a layer", LARGEST_LAYER));
        }
        Ok((digest, size))
    })
}

/// Gives seven bytes at a time, as a pipe may.
struct Slow<'a>(&'a [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = buf.len().min(7);
        self.0.read(&mut buf[..most])
    }
}
