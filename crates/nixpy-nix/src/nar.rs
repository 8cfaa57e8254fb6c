//! Archives of store objects (NAR): written from a path ([`dump`]), and read where one is
//! wholly in memory.
//!
//! The format is described in Nix's manual, "Nix Archive (NAR) format". A word is its
//! length as 64 bits, little-endian, then its bytes, then zeros up to a multiple of 8:
//!
//! ```text
//! archive   = "nix-archive-1" object
//! object    = "(" "type" ( regular | symlink | directory ) ")"
//! regular   = "regular" [ "executable" "" ] "contents" bytes
//! symlink   = "symlink" "target" bytes
//! directory = "directory" { "entry" "(" "name" bytes "node" object ")" }
//! ```
//!
//! There is one spelling of each object, and no other is read: names are in ascending
//! order, padding is zero, nothing follows. Whoever wants to know that the archive is the
//! right one compares its hash first; the reader is strict and bounded all the same.

use std::path::{Component, Path};

pub use write::dump;

mod write;

/// Directories within directories. Nix itself has no limit; the longest path that Linux
/// takes has room for two thousand, and no package seen has fifty.
const DEEPEST: usize = 200;
/// Objects in one archive, more than the largest packages have.
const MOST_OBJECTS: usize = 500_000;
/// Bytes in a name, as in the file systems that an archive is unpacked to.
const LONGEST_NAME: usize = 255;
/// Bytes in the target of a link, as Linux has it.
const LONGEST_TARGET: usize = 4_095;

/// An object of an archive; its bytes stay where they are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Object<'a> {
    /// A file's content.
    Regular(&'a [u8]),
    /// Where a link leads is of no use here.
    Symlink,
    /// Names and what is under them, in ascending order.
    Directory(Vec<(&'a [u8], Object<'a>)>),
}

/// An archive that Nix would not have written.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a NAR that Nix would write: {what}, {left} bytes before its end")]
pub(crate) struct NarError {
    what: &'static str,
    left: usize,
}

impl<'a> Object<'a> {
    /// Reads a whole archive.
    ///
    /// # Errors
    /// It breaks the grammar or a limit.
    pub(crate) fn of_archive(bytes: &'a [u8]) -> Result<Self, NarError> {
        let mut rest = Rest { bytes, objects: 0 };
        rest.expect(b"nix-archive-1", "it does not begin as one")?;
        let object = rest.object(0)?;
        match rest.bytes.is_empty() {
            true => Ok(object),
            false => Err(rest.fault("something follows it")),
        }
    }

    /// The object at a path below this one; links are not followed.
    pub(crate) fn at(&self, below: &Path) -> Option<&Self> {
        let mut object = self;
        for component in below.components() {
            let (Self::Directory(entries), Component::Normal(name)) = (object, component) else {
                return None;
            };
            let name = name.as_encoded_bytes();
            let entry = entries.binary_search_by(|(other, _)| (*other).cmp(name));
            object = &entries[entry.ok()?].1;
        }
        Some(object)
    }
}

/// What has not been read yet.
struct Rest<'a> {
    bytes: &'a [u8],
    objects: usize,
}

impl<'a> Rest<'a> {
    fn object(&mut self, depth: usize) -> Result<Object<'a>, NarError> {
        self.objects += 1;
        if depth > DEEPEST {
            return Err(self.fault("its directories are too deep"));
        }
        if self.objects > MOST_OBJECTS {
            return Err(self.fault("it has too many files"));
        }
        self.expect(b"(", "an object does not begin")?;
        self.expect(b"type", "an object has no type")?;
        match self.word()? {
            b"regular" => self.regular(),
            b"symlink" => self.symlink(),
            b"directory" => self.directory(depth),
            _ => Err(self.fault("an object has an unknown type")),
        }
    }

    fn regular(&mut self) -> Result<Object<'a>, NarError> {
        let mut field = self.word()?;
        if field == b"executable" {
            self.expect(b"", "the mark of a program has a value")?;
            field = self.word()?;
        }
        if field != b"contents" {
            return Err(self.fault("a file has no contents"));
        }
        let contents = self.word()?;
        self.expect(b")", "a file does not end")?;
        Ok(Object::Regular(contents))
    }

    fn symlink(&mut self) -> Result<Object<'a>, NarError> {
        self.expect(b"target", "a link has no target")?;
        let target = self.word()?;
        if target.is_empty() || target.len() > LONGEST_TARGET || target.contains(&0) {
            return Err(self.fault("a link leads nowhere"));
        }
        self.expect(b")", "a link does not end")?;
        Ok(Object::Symlink)
    }

    fn directory(&mut self, depth: usize) -> Result<Object<'a>, NarError> {
        let mut entries: Vec<(&'a [u8], Object<'a>)> = Vec::new();
        loop {
            match self.word()? {
                b")" => return Ok(Object::Directory(entries)),
                b"entry" => {}
                _ => return Err(self.fault("a directory does not end")),
            }
            self.expect(b"(", "an entry does not begin")?;
            self.expect(b"name", "an entry has no name")?;
            let name = self.word()?;
            if !is_name(name) {
                return Err(self.fault("a file has a name that no file has"));
            }
            if entries.last().is_some_and(|(last, _)| *last >= name) {
                return Err(self.fault("the names are not in order"));
            }
            self.expect(b"node", "an entry has no object")?;
            entries.push((name, self.object(depth + 1)?));
            self.expect(b")", "an entry does not end")?;
        }
    }

    fn expect(&mut self, wanted: &[u8], otherwise: &'static str) -> Result<(), NarError> {
        match self.word()? == wanted {
            true => Ok(()),
            false => Err(self.fault(otherwise)),
        }
    }

    /// A slice of what is there: no length that is told makes anything be allocated.
    fn word(&mut self) -> Result<&'a [u8], NarError> {
        let Some((word, padding, rest)) = split_word(self.bytes) else {
            return Err(self.fault("it is cut off"));
        };
        if padding.iter().any(|byte| *byte != 0) {
            return Err(self.fault("its padding is not zero"));
        }
        self.bytes = rest;
        Ok(word)
    }

    fn fault(&self, what: &'static str) -> NarError {
        let left = self.bytes.len();
        NarError { what, left }
    }
}

/// The first word, its padding, and the rest.
fn split_word(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (padded, rest) = rest.split_at_checked(length.checked_next_multiple_of(8)?)?;
    let (word, padding) = padded.split_at(length);
    Some((word, padding, rest))
}

fn is_name(name: &[u8]) -> bool {
    let is_whole = !name.is_empty() && name.len() <= LONGEST_NAME && name != b"." && name != b"..";
    is_whole && !name.contains(&b'/') && !name.contains(&0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
