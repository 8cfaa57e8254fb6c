//! Compressing layers on all processors, with the same bytes whatever their
//! number.
//!
//! A tar is cut into pieces. Each is compressed by itself, as a gzip member or a zstd
//! frame, and the results follow one another: both formats define that as one
//! stream (RFC 1952 section 2.2, RFC 8878 section 3), and every client reads it.
//! Where the cuts are depends on the tar alone.
//!
//! Pieces let gzip be made by libdeflate, which wants its input whole and is
//! several times quicker than what compresses streams. Gzip looks back 32 KiB, zstd a
//! megabyte and more, so that its pieces have to be larger for a cut to cost little.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, sync_channel};

use libdeflater::{CompressionLvl, Compressor};
use zstd::bulk::Compressor as ZstdCompressor;

use crate::manifest::media_type;

/// Bytes of all pieces of one layer that are compressed, or wait to be written, at a
/// time; their compressed forms come on top.
const UNDER_WAY: usize = 4 << 20;

thread_local! {
    /// What compressing takes in memory is made once a thread, not once a piece: pages
    /// that are fresh each time cost as much as the checksums.
    static WORKBENCH: RefCell<Workbench> = RefCell::default();
}

/// A thread's compressors, for the level they were used with last, and room for what
/// they write.
#[derive(Default)]
struct Workbench {
    gzip: Option<(u8, Compressor)>,
    zstd: Option<(u8, ZstdCompressor<'static>)>,
    room: Vec<u8>,
}

/// How layers are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// Every client reads it. Levels 1 to 12, as libdeflate counts them.
    Gzip(u8),
    /// Smaller and quicker; clients of before 2020 do not read it. Levels 1 to 19.
    Zstd(u8),
}

impl Compression {
    /// The media type of a layer compressed like this.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::None => media_type::LAYER_TAR,
            Self::Gzip(_) => media_type::LAYER_GZIP,
            Self::Zstd(_) => media_type::LAYER_ZSTD,
        }
    }

    /// Names everything that the compressed bytes depend on but the tar; a part
    /// of a layer's identity. A change of compressor or of [`Compression::piece`] needs a
    /// new name here.
    pub fn id(self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Gzip(level) => format!("gzip-{level}/libdeflate/512k"),
            Self::Zstd(level) => format!("zstd-{level}/libzstd/1m"),
        }
    }

    /// How large the pieces are: a cut costs less than one part in a hundred.
    fn piece(self) -> usize {
        match self {
            Self::Gzip(_) => 512 << 10,
            Self::Zstd(_) | Self::None => 1 << 20,
        }
    }

    fn compress(self, piece: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::None => Ok(piece.to_vec()),
            Self::Gzip(level) => WORKBENCH.with_borrow_mut(|bench| bench.gzip(level, piece)),
            Self::Zstd(level) => WORKBENCH.with_borrow_mut(|bench| bench.zstd(level, piece)),
        }
    }
}

impl Workbench {
    fn gzip(&mut self, level: u8, piece: &[u8]) -> io::Result<Vec<u8>> {
        let compressor = match self.gzip.take().filter(|(of, _)| *of == level) {
            Some((_, compressor)) => compressor,
            None => {
                let level = CompressionLvl::new(level.into())
                    .map_err(|_| io::Error::other("the gzip level is not from 1 to 12"))?;
                Compressor::new(level)
            }
        };
        let (_, compressor) = self.gzip.insert((level, compressor));
        let room = grown(&mut self.room, compressor.gzip_compress_bound(piece.len()));
        let size = compressor
            .gzip_compress(piece, room)
            .map_err(|_| io::Error::other("libdeflate found its own bound too small"))?;
        Ok(room[..size].to_vec())
    }

    fn zstd(&mut self, level: u8, piece: &[u8]) -> io::Result<Vec<u8>> {
        let compressor = match self.zstd.take().filter(|(of, _)| *of == level) {
            Some((_, compressor)) => compressor,
            None => ZstdCompressor::new(level.into())?,
        };
        let (_, compressor) = self.zstd.insert((level, compressor));
        let room = grown(&mut self.room, zstd::zstd_safe::compress_bound(piece.len()));
        let size = compressor.compress_to_buffer(piece, room)?;
        Ok(room[..size].to_vec())
    }
}

/// At least so much room; what was in it does not matter.
fn grown(room: &mut Vec<u8>, size: usize) -> &mut [u8] {
    if room.len() < size {
        room.resize(size, 0);
    }
    room
}

/// Compresses what is written to it, in order, on the processors' common pool.
pub(crate) struct Encoder<W> {
    out: W,
    compression: Compression,
    piece: Vec<u8>,
    under_way: VecDeque<Receiver<Compressed>>,
    /// Room of pieces that are done, for those to come.
    spare: Vec<Vec<u8>>,
}

/// What became of a piece, and the room that it took.
struct Compressed {
    bytes: io::Result<Vec<u8>>,
    room: Vec<u8>,
}

impl<W: Write> Encoder<W> {
    pub(crate) fn new(out: W, compression: Compression) -> Self {
        Self {
            out,
            compression,
            piece: Vec::new(),
            under_way: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    /// Compresses the rest and gives the stream back.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        if !self.piece.is_empty() {
            self.send_piece()?;
        }
        while !self.under_way.is_empty() {
            self.write_first()?;
        }
        Ok(self.out)
    }

    fn send_piece(&mut self) -> io::Result<()> {
        if self.under_way.len() * self.compression.piece() >= UNDER_WAY {
            self.write_first()?;
        }
        let next = self.spare.pop().unwrap_or_default();
        let mut room = std::mem::replace(&mut self.piece, next);
        let compression = self.compression;
        let (done, result) = sync_channel(1);
        rayon::spawn(move || {
            let bytes = compression.compress(&room);
            room.clear();
            // Nobody waits any more when the layer was given up.
            let _ = done.send(Compressed { bytes, room });
        });
        self.under_way.push_back(result);
        Ok(())
    }

    fn write_first(&mut self) -> io::Result<()> {
        let Some(first) = self.under_way.pop_front() else {
            return Ok(());
        };
        let Compressed { bytes, room } = first
            .recv()
            .map_err(|_| io::Error::other("a compressing thread stopped unexpectedly"))?;
        self.spare.push(room);
        self.out.write_all(&bytes?)
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.compression == Compression::None {
            return self.out.write(buf);
        }
        if self.piece.capacity() == 0 {
            self.piece.reserve_exact(self.compression.piece());
        }
        let taken = buf.len().min(self.compression.piece() - self.piece.len());
        self.piece.extend_from_slice(&buf[..taken]);
        if self.piece.len() == self.compression.piece() {
            self.send_piece()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        // A cut anywhere but at the end of a piece would change the bytes.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Read as _;

    /// Neither all zeroes nor incompressible.
    fn sample(size: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b'a' + (state >> 28) as u8
        };
        (0..size).map(next).collect()
    }

    fn compressed(compression: Compression, data: &[u8], writes: usize) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new(), compression);
        data.chunks(writes)
            .for_each(|part| encoder.write_all(part).unwrap());
        encoder.finish().unwrap()
    }

    const PIECE: usize = 1 << 20;

    #[test]
    fn pieces_read_as_one_stream() {
        for size in [1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE + 17] {
            let data = sample(size);
            let mut read = Vec::new();
            let gzip = compressed(Compression::Gzip(4), &data, 4096);
            let mut decoder = flate2::read::MultiGzDecoder::new(gzip.as_slice());
            decoder.read_to_end(&mut read).unwrap();
            assert!(read == data, "gzip, {size} bytes");
            let zstd = compressed(Compression::Zstd(3), &data, 4096);
            assert!(
                zstd::decode_all(zstd.as_slice()).unwrap() == data,
                "zstd, {size} bytes"
            );
            assert!(compressed(Compression::None, &data, 4096) == data);
        }
    }

    #[test]
    fn how_the_tar_was_written_changes_no_byte() {
        let data = sample(3 * PIECE + 5);
        for compression in [Compression::Gzip(4), Compression::Zstd(3)] {
            let whole = compressed(compression, &data, data.len());
            assert!(compressed(compression, &data, 777) == whole);
        }
    }

    #[test]
    fn the_smallest_gzip_member_has_no_name_and_no_time() {
        let bytes = compressed(Compression::Gzip(1), b"x", 1);
        assert_eq!(&bytes[..8], &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
    }
}
