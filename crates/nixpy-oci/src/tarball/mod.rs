//! Layer tars, byte for byte as the tools write them whose images come to us.
//!
//! The digest of these bytes is the layer's diff ID. nixpkgs' image scripts
//! write layers with Python's `tarfile`, nix2container with Go's `archive/tar`:
//! each is a [`Dialect`], so that whoever has published with them keeps every
//! diff ID, and with it every layer their users have pulled. This is also why
//! the `tar` crate does not write here: it fills fields in a way of its own.
//!
//! Grammar of an entry: an optional pax header (a header block of type `x`,
//! then its records, padded to 512 bytes) when a field does not fit; a 512-byte
//! ustar header; the content, padded. At the end two zero blocks, and what the
//! dialect pads the whole with.
//!
//! [`write_tree`] writes a tree of files under its own name, [`mapped`] several trees
//! merged under other names.

mod go;
pub mod mapped;
mod python;
mod tree;
mod ustar;

use std::io::{self, Read, Write};

pub use tree::{TreeError, write_tree};
use ustar::{BLOCK, Entry, Kind};

/// Whose bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Those of `tarfile` in its default format.
    Python,
    /// Those of `archive/tar` for headers without a format.
    Go,
}

impl Dialect {
    fn header(self, entry: &Entry<'_>) -> Vec<u8> {
        match self {
            Self::Python => python::header(entry),
            Self::Go => go::header(entry),
        }
    }

    /// A tar's length is a multiple of this.
    fn record(self) -> u64 {
        match self {
            Self::Python => 20 * BLOCK as u64,
            Self::Go => BLOCK as u64,
        }
    }
}

/// Who owns an entry, and when it was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Seconds since the epoch.
    pub mtime: i64,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Owner's name, may be empty.
    pub uname: String,
    /// Group's name, may be empty.
    pub gname: String,
}

impl Stamp {
    /// Owned by root, one second after the epoch: what dockerTools does.
    pub fn root() -> Self {
        Self {
            mtime: 1,
            uid: 0,
            gid: 0,
            uname: "root".to_owned(),
            gname: "root".to_owned(),
        }
    }
}

/// Writes one tar. Call [`TarWriter::finish`], or the end is missing.
pub struct TarWriter<W> {
    out: W,
    dialect: Dialect,
    written: u64,
    buffer: Vec<u8>,
}

impl<W: Write> TarWriter<W> {
    /// An empty tar.
    pub fn new(out: W, dialect: Dialect) -> Self {
        Self {
            out,
            dialect,
            written: 0,
            buffer: vec![0; 128 * 1024],
        }
    }

    /// A directory.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn directory(&mut self, name: &[u8], mode: u32, stamp: &Stamp) -> io::Result<()> {
        self.header(&Entry {
            name,
            kind: Kind::Directory,
            mode,
            size: 0,
            target: b"",
            stamp,
        })
    }

    /// A symbolic link.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn symlink(
        &mut self,
        name: &[u8],
        mode: u32,
        target: &[u8],
        stamp: &Stamp,
    ) -> io::Result<()> {
        self.header(&Entry {
            name,
            kind: Kind::Symlink,
            mode,
            size: 0,
            target,
            stamp,
        })
    }

    /// A regular file of exactly `size` bytes.
    ///
    /// # Errors
    /// Those of either stream; [`io::ErrorKind::UnexpectedEof`] when `content`
    /// has fewer bytes than were announced.
    pub fn file(
        &mut self,
        name: &[u8],
        mode: u32,
        size: u64,
        content: &mut impl Read,
        stamp: &Stamp,
    ) -> io::Result<()> {
        self.header(&Entry {
            name,
            kind: Kind::Regular,
            mode,
            size,
            target: b"",
            stamp,
        })?;
        let mut left = size;
        while left > 0 {
            let wanted = self
                .buffer
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = content.read(&mut self.buffer[..wanted])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.out.write_all(&self.buffer[..read])?;
            left -= read as u64;
        }
        self.written += size;
        self.pad_to(BLOCK as u64)
    }

    /// Writes the end and gives the stream back.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.written += 2 * BLOCK as u64;
        self.pad_to(self.dialect.record())?;
        Ok(self.out)
    }

    fn header(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let bytes = self.dialect.header(entry);
        self.written += bytes.len() as u64;
        self.out.write_all(&bytes)
    }

    fn pad_to(&mut self, unit: u64) -> io::Result<()> {
        let over = self.written % unit;
        if over > 0 {
            let missing = unit - over;
            io::copy(&mut io::repeat(0).take(missing), &mut self.out)?;
            self.written += missing;
        }
        Ok(())
    }
}
