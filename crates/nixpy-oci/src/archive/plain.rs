//! What a tar can be read from: a stream, or a file that is one as it is.
//!
//! Content that nobody asks for is not read where the file can be asked for
//! what follows it: the names in a tar of a gigabyte cost a few system calls.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// What a tar is read from.
pub(crate) trait Source: Read {
    /// Goes on by so many bytes, or to the end; tells by how many.
    ///
    /// # Errors
    /// Those of reading.
    fn pass(&mut self, count: u64) -> io::Result<u64>
    where
        Self: Sized,
    {
        io::copy(&mut self.by_ref().take(count), &mut io::sink())
    }
}

impl Source for Box<dyn Read + '_> {}

/// A file that is not compressed.
#[derive(Debug)]
pub(crate) struct PlainFile {
    file: Arc<File>,
    at: u64,
    size: u64,
}

impl PlainFile {
    pub(crate) fn of(file: Arc<File>) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self { file, at: 0, size })
    }

    /// How many bytes lie before what is read next.
    pub(crate) fn position(&self) -> u64 {
        self.at
    }
}

impl Read for PlainFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buf, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Source for PlainFile {
    fn pass(&mut self, count: u64) -> io::Result<u64> {
        let passed = count.min(self.size.saturating_sub(self.at));
        self.at += passed;
        Ok(passed)
    }
}
