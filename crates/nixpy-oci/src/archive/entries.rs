//! The entries of a tar that nobody vouches for, one after the other.
//!
//! The `tar` crate reads headers here, but does not walk: it takes the long
//! names of GNU tar (`L`, `K`) and the extended headers of POSIX (`x`) into
//! memory whatever their size, and a gigabyte of them is a megabyte of gzip.
//! Here they are bounded. Sparse files are refused: no program writes a
//! docker-archive with one, and their headers go on outside of the header.
//! Extended headers are taken apart here too: the `tar` crate ends a record at a line
//! end, which values may have, and passes over what it cannot read.
//! Format: <https://www.gnu.org/software/tar/manual/html_node/Standard.html>.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::plain::Source;
use super::{ArchiveError, MAX_ENTRIES, limit};

const BLOCK: u64 = 512;
/// What a header may have in other headers before it.
const MAX_EXTENSION: u64 = 64 << 10;
/// An entry has at most three headers before its own.
const MAX_HEADERS: usize = 4 * MAX_ENTRIES;
/// Names are kept until the end. Those of a docker-archive have about 100 bytes.
const MAX_NAME: usize = 1024;
/// Programs fill their last record; who fills more is not waited for.
const MAX_FILLING: u64 = 1 << 20;

/// A tar on its way.
pub(crate) struct Entries<R> {
    source: R,
    headers: usize,
    /// Of the present entry's content, not read yet.
    left: u64,
    /// From its end to the next header.
    padding: u64,
}

/// What a header says.
pub(crate) struct Entry {
    pub name: String,
    pub kind: EntryType,
    pub size: u64,
    /// Of a link.
    pub target: Option<String>,
}

/// What has been said of the entry to come.
#[derive(Default)]
struct Ahead {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    /// In extended headers. GNU's have precedence, as for the `tar` crate.
    pax_name: Option<Vec<u8>>,
    pax_target: Option<Vec<u8>>,
    size: Option<u64>,
}

impl<R: Source> Entries<R> {
    pub(crate) fn of(source: R) -> Self {
        Self {
            source,
            headers: 0,
            left: 0,
            padding: 0,
        }
    }

    /// What it is read from.
    pub(crate) fn source(&self) -> &R {
        &self.source
    }

    /// Goes on to the next entry, whose content can then be read from here.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, ArchiveError> {
        let mut ahead = Ahead::default();
        loop {
            self.skip().map_err(ArchiveError::Tar)?;
            let Some(header) = self.header().map_err(ArchiveError::Tar)? else {
                self.drain().map_err(ArchiveError::Tar)?;
                return Ok(None);
            };
            self.headers += 1;
            if self.headers > MAX_HEADERS {
                return Err(limit("headers", MAX_HEADERS as u64));
            }
            let kind = header.entry_type();
            self.expect(header.entry_size().map_err(ArchiveError::Tar)?);
            match kind {
                EntryType::GNULongName => ahead.name = Some(self.text()?),
                EntryType::GNULongLink => ahead.target = Some(self.text()?),
                EntryType::XHeader => ahead.note(&self.extension()?)?,
                EntryType::XGlobalHeader => {}
                EntryType::GNUSparse => return Err(damaged(SPARSE)),
                kind => return self.entry(&header, kind, ahead).map(Some),
            }
        }
    }

    fn entry(
        &mut self,
        header: &Header,
        kind: EntryType,
        ahead: Ahead,
    ) -> Result<Entry, ArchiveError> {
        if let Some(size) = ahead.size {
            self.expect(size);
        }
        // As Go reads them, in which docker is written: these have no content,
        // whatever their header says.
        if matches!(
            kind,
            EntryType::Link
                | EntryType::Symlink
                | EntryType::Directory
                | EntryType::Char
                | EntryType::Block
                | EntryType::Fifo
        ) {
            self.expect(0);
        }
        let name = ahead
            .name
            .or(ahead.pax_name)
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let target = ahead
            .target
            .or(ahead.pax_target)
            .or_else(|| Some(header.link_name_bytes()?.into_owned()));
        if name.len().max(target.as_ref().map_or(0, Vec::len)) > MAX_NAME {
            return Err(limit("bytes in a name", MAX_NAME as u64));
        }
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Entry {
            name: text(name),
            kind,
            size: self.left,
            target: target.map(text),
        })
    }

    fn expect(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK - size % BLOCK) % BLOCK;
    }

    fn skip(&mut self) -> io::Result<()> {
        let rest = self.left.saturating_add(self.padding);
        self.expect(0);
        let skipped = self.source.pass(rest)?;
        if skipped < rest {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// `None` at the end of the archive.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut block = Vec::with_capacity(BLOCK as usize);
        self.source.by_ref().take(BLOCK).read_to_end(&mut block)?;
        if block.iter().all(|byte| *byte == 0) && (block.is_empty() || block.len() as u64 == BLOCK)
        {
            return Ok(None);
        }
        if (block.len() as u64) < BLOCK {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !is_header(&block) {
            return Err(io::Error::other("a header's checksum is wrong"));
        }
        Ok(Some(Header::from_byte_slice(&block).clone()))
    }

    /// Reads what follows the last entry: a decompressor has its checksum there,
    /// and a program that writes the archive tells at the end whether it failed.
    fn drain(&mut self) -> io::Result<()> {
        self.source.pass(MAX_FILLING)?;
        Ok(())
    }

    fn extension(&mut self) -> Result<Vec<u8>, ArchiveError> {
        if self.left > MAX_EXTENSION {
            return Err(limit("bytes in an extended header", MAX_EXTENSION));
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).map_err(ArchiveError::Tar)?;
        Ok(bytes)
    }

    /// An extension that ends with a zero.
    fn text(&mut self) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = self.extension()?;
        if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
            bytes.truncate(end);
        }
        Ok(bytes)
    }
}

/// The content of the present entry; that it ends too early is an error.
impl<R: Source> Read for Entries<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = buf
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let n = self.source.read(&mut buf[..most])?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= n as u64;
        Ok(n)
    }
}

impl Ahead {
    /// Of two records with the same key the later one counts, and an empty one says nothing.
    fn note(&mut self, pax: &[u8]) -> Result<(), ArchiveError> {
        let mut rest = pax;
        while !rest.is_empty() {
            let record = record(rest).ok_or_else(|| damaged("an extended header is damaged"))?;
            rest = record.rest;
            let value = record.value;
            match record.key {
                _ if value.is_empty() => {}
                b"path" => self.pax_name = Some(value.to_vec()),
                b"linkpath" => self.pax_target = Some(value.to_vec()),
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
                    self.size = Some(size.ok_or_else(|| damaged("a size is no number"))?);
                }
                key if key.starts_with(b"GNU.sparse.") => return Err(damaged(SPARSE)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// One record of an extended header, and what follows it.
struct Record<'a> {
    key: &'a [u8],
    value: &'a [u8],
    rest: &'a [u8],
}

/// `<length> <key>=<value>` and a line end; the length, in decimal, is of all that.
fn record(pax: &[u8]) -> Option<Record<'_>> {
    let space = pax.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&pax[..space]).ok()?.parse().ok()?;
    let (record, rest) = pax.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&record[..equals], &record[equals + 1..]);
    Some(Record { key, value, rest })
}

const SPARSE: &str = "it holds a sparse file";

fn damaged(how: &'static str) -> ArchiveError {
    ArchiveError::Tar(io::Error::other(how))
}

/// Whether a tar's entry can begin with this block.
pub(super) fn is_header(block: &[u8]) -> bool {
    if block.len() as u64 != BLOCK {
        return false;
    }
    let byte = |at: usize| {
        u32::from(if (148..156).contains(&at) {
            b' '
        } else {
            block[at]
        })
    };
    let sum: u32 = (0..block.len()).map(byte).sum();
    Header::from_byte_slice(block)
        .cksum()
        .is_ok_and(|stated| stated == sum)
}
