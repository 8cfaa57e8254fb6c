//! Layer tars, byte for byte as Python's `tarfile` writes them in its default
//! format: POSIX.1-2001 ("pax") with the fields it leaves empty left empty.
//!
//! The digest of these bytes is the layer's diff ID. nixpkgs' image scripts
//! write layers with `tarfile`, so that whoever has published with them keeps
//! every diff ID, and with it every layer their users have pulled. This is also
//! why the `tar` crate does not write here: it fills fields in another way.
//!
//! Grammar of an entry: an optional pax header (a header block of type `x`,
//! then its records, padded to 512 bytes) when a field does not fit; a 512-byte
//! ustar header; the content, padded. At the end two zero blocks, padded to a
//! record of 10,240 bytes.
//! Source: Python's documentation of `tarfile.PAX_FORMAT`, and POSIX `pax`.

mod header;
mod tree;

use std::io::{self, Read, Write};

use header::{Entry, Kind};
pub use tree::{TreeError, write_tree};

const BLOCK: usize = 512;
const RECORD: u64 = 20 * BLOCK as u64;

/// What every entry of a layer has in common.
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
    written: u64,
    stamp: Stamp,
    buffer: Vec<u8>,
}

impl<W: Write> TarWriter<W> {
    /// A tar whose entries all bear this stamp.
    pub fn new(out: W, stamp: Stamp) -> Self {
        Self {
            out,
            written: 0,
            stamp,
            buffer: vec![0; 128 * 1024],
        }
    }

    /// A directory; a slash is put behind its name.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn directory(&mut self, name: &[u8], mode: u32) -> io::Result<()> {
        let mut name = name.to_vec();
        if !name.ends_with(b"/") {
            name.push(b'/');
        }
        self.header(&name, Kind::Directory, mode, 0, b"")
    }

    /// A symbolic link.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn symlink(&mut self, name: &[u8], mode: u32, target: &[u8]) -> io::Result<()> {
        self.header(name, Kind::Symlink, mode, 0, target)
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
    ) -> io::Result<()> {
        self.header(name, Kind::Regular, mode, size, b"")?;
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
        self.pad_to(RECORD)?;
        Ok(self.out)
    }

    fn header(
        &mut self,
        name: &[u8],
        kind: Kind,
        mode: u32,
        size: u64,
        target: &[u8],
    ) -> io::Result<()> {
        let bytes = Entry {
            name,
            kind,
            mode,
            size,
            target,
        }
        .header(&self.stamp);
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
