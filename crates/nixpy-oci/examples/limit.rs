//! What a push costs at the very least: `limit ARCHIVE gzip|zstd LEVEL`.
//!
//! An image cannot be published without hashing its layers, compressing them and
//! hashing the result. This does just that, on all processors, with the hasher,
//! the compressors and the pieces of the library, to the layers of a plain
//! docker-archive that is in memory before the clock starts; and prints the
//! seconds as JSON. It reads no tree, writes no tar, no file and no request:
//! `make bench` compares a whole push with it.

use std::cell::RefCell;
use std::error::Error;
use std::fs;
use std::io::{self, Write as _};
use std::time::Instant;

use libdeflater::{CompressionLvl, Compressor};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

/// Pieces that are compressed between two updates of a layer's digests.
const BATCH: usize = 8;

#[derive(Clone, Copy)]
enum Method {
    Gzip(CompressionLvl),
    Zstd(i32),
}

impl Method {
    /// The size of a piece, as in `compress.rs`.
    fn piece(self) -> usize {
        match self {
            Self::Gzip(_) => 512 << 10,
            Self::Zstd(_) => 1 << 20,
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [archive, method, level] = arguments.as_slice() else {
        return Err("usage: limit ARCHIVE gzip|zstd LEVEL".into());
    };
    let method = match method.as_str() {
        "gzip" => Method::Gzip(
            CompressionLvl::new(level.parse()?).map_err(|_| "libdeflate has no such level")?,
        ),
        "zstd" => Method::Zstd(level.parse()?),
        other => return Err(format!("{other} is neither gzip nor zstd").into()),
    };
    let archive = fs::read(archive)?;
    let mut layers = layers(&archive)?;
    // The largest first, so that no processor ends long before the others.
    layers.sort_by_key(|layer| std::cmp::Reverse(layer.len()));

    let begun = Instant::now();
    let sizes = layers
        .par_iter()
        .with_max_len(1)
        .map(|layer| publishable(layer, method))
        .collect::<io::Result<Vec<usize>>>()?;
    let seconds = begun.elapsed().as_secs_f64();

    let told = serde_json::json!({
        "seconds": seconds,
        "layers": layers.len(),
        "bytes": layers.iter().map(|layer| layer.len()).sum::<usize>(),
        "compressedBytes": sizes.iter().sum::<usize>(),
    });
    writeln!(io::stdout(), "{told}")?;
    Ok(())
}

/// The tars of a docker-archive as dockerTools writes it.
fn layers(archive: &[u8]) -> io::Result<Vec<&[u8]>> {
    let mut layers = Vec::new();
    for entry in tar::Archive::new(archive).entries()? {
        let entry = entry?;
        if entry.path()?.ends_with("layer.tar") {
            let begin = usize::try_from(entry.raw_file_position()).map_err(io::Error::other)?;
            let size = usize::try_from(entry.size()).map_err(io::Error::other)?;
            let layer = archive.get(begin..begin + size);
            layers.push(layer.ok_or(io::ErrorKind::UnexpectedEof)?);
        }
    }
    Ok(layers)
}

/// Makes the diff ID, the blob and its digest, and returns the blob's size.
fn publishable(layer: &[u8], method: Method) -> io::Result<usize> {
    let (mut diff_id, mut digest, mut size) = (Sha256::new(), Sha256::new(), 0);
    let mut room = vec![Vec::new(); BATCH];
    for batch in layer.chunks(BATCH * method.piece()) {
        let pieces: Vec<&[u8]> = batch.chunks(method.piece()).collect();
        let (_, compressed) = rayon::join(
            || diff_id.update(batch),
            || {
                pieces
                    .par_iter()
                    .zip(&mut room)
                    .with_max_len(1)
                    .try_for_each(|(piece, out)| compress(piece, method, out))
            },
        );
        compressed?;
        for blob in &room[..pieces.len()] {
            digest.update(blob);
            size += blob.len();
        }
    }
    std::hint::black_box((diff_id.finalize(), digest.finalize()));
    Ok(size)
}

thread_local! {
    /// Making a compressor costs about as much as compressing a small file.
    static GZIP: RefCell<Option<Compressor>> = const { RefCell::new(None) };
    static ZSTD: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
}

fn compress(piece: &[u8], method: Method, out: &mut Vec<u8>) -> io::Result<()> {
    match method {
        Method::Gzip(level) => GZIP.with_borrow_mut(|kept| {
            let compressor = kept.get_or_insert_with(|| Compressor::new(level));
            out.resize(compressor.gzip_compress_bound(piece.len()), 0);
            let size = compressor
                .gzip_compress(piece, out)
                .map_err(|_| io::Error::other("libdeflate found its own bound too small"))?;
            out.truncate(size);
            Ok(())
        }),
        Method::Zstd(level) => ZSTD.with_borrow_mut(|kept| {
            if kept.is_none() {
                *kept = Some(zstd::bulk::Compressor::new(level)?);
            }
            let Some(compressor) = kept else {
                return Err(io::Error::other("a compressor was not kept"));
            };
            out.clear();
            out.reserve(zstd::zstd_safe::compress_bound(piece.len()));
            compressor.compress_to_buffer(piece, out)?;
            Ok(())
        }),
    }
}
