//! Archives that are compressed, told by their first bytes and not by their names: in
//! a store an archive may be called anything, and so may a layer in an archive.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek as _};

/// Of a decompressor: `xz -9` needs 65 MiB.
const MAX_DICTIONARY: u64 = 256 << 20;
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z'];

/// Whether these are the first bytes of something compressed.
pub(super) fn is_compressed(head: &[u8]) -> bool {
    [GZIP, ZSTD, XZ].iter().any(|magic| head.starts_with(magic))
}

/// Whether a file has to be decompressed; it is at its beginning afterwards.
pub(crate) fn begins_compressed(file: &mut File) -> io::Result<bool> {
    let mut head = Vec::new();
    file.take(XZ.len() as u64).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(is_compressed(&head))
}

/// What is in it; a source that is not compressed, as it is.
pub(crate) fn decompress<'a>(source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut source = BufReader::with_capacity(1 << 17, source);
    let head = source.fill_buf()?;
    Ok(if head.starts_with(GZIP) {
        Box::new(flate2::bufread::MultiGzDecoder::new(source))
    } else if head.starts_with(ZSTD) {
        Box::new(zstd::Decoder::with_buffer(source)?)
    } else if head.starts_with(XZ) {
        let flags = liblzma::stream::CONCATENATED;
        let stream = liblzma::stream::Stream::new_stream_decoder(MAX_DICTIONARY, flags)?;
        Box::new(liblzma::bufread::XzDecoder::new_stream(source, stream))
    } else {
        Box::new(source)
    })
}
