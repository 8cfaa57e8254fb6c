//! One entry's header blocks as Python's `tarfile` writes them in its default
//! format, POSIX.1-2001 ("pax") with the fields it leaves empty left empty.
//!
//! Python holds names as text and writes ASCII into the ustar header, with `?`
//! for what is not ASCII; the true value goes into a pax record. Bytes that are
//! not UTF-8 are kept by `surrogateescape`, which turns each into one `?` here
//! and marks the records with `hdrcharset=BINARY`.
//!
//! Source: Python's documentation of `tarfile.PAX_FORMAT`, and POSIX `pax`.

use std::borrow::Cow;

use super::ustar::{Entry, Fields, Kind, fits_octal, pax_header, record};

/// The pax header, if one is needed, and the ustar header.
pub(super) fn header(entry: &Entry<'_>) -> Vec<u8> {
    let stamp = entry.stamp;
    let mut name = Cow::Borrowed(entry.name);
    if entry.kind == Kind::Directory && !name.ends_with(b"/") {
        name.to_mut().push(b'/');
    }
    let mut pax = Pax::default();
    pax.text("path", &name, 100);
    pax.text("linkpath", entry.target, 100);
    pax.text("uname", stamp.uname.as_bytes(), 32);
    pax.text("gname", stamp.gname.as_bytes(), 32);
    let uid = pax.number("uid", i128::from(stamp.uid), 8);
    let gid = pax.number("gid", i128::from(stamp.gid), 8);
    let size = pax.number("size", i128::from(entry.size), 12);
    let mtime = pax.number("mtime", i128::from(stamp.mtime), 12);

    let mut blocks = pax.blocks();
    let fields = Fields {
        name: &ascii(&name),
        mode: entry.mode & 0o7777,
        uid,
        gid,
        size,
        mtime,
        flag: entry.kind.flag(),
        target: &ascii(entry.target),
        uname: &ascii(stamp.uname.as_bytes()),
        gname: &ascii(stamp.gname.as_bytes()),
        ..Fields::default()
    };
    blocks.extend_from_slice(&fields.block());
    blocks
}

/// Records of a pax header, in the order in which `tarfile` finds them needed.
#[derive(Default)]
struct Pax {
    records: Vec<(&'static str, Vec<u8>)>,
}

impl Pax {
    fn text(&mut self, key: &'static str, value: &[u8], length: usize) {
        if !value.is_ascii() || value.len() > length {
            self.records.push((key, value.to_vec()));
        }
    }

    /// The value for the ustar field: zero when it goes into a record.
    fn number(&mut self, key: &'static str, value: i128, length: u32) -> u64 {
        match u64::try_from(value) {
            Ok(fits) if fits_octal(fits, length) => fits,
            _ => {
                self.records.push((key, value.to_string().into_bytes()));
                0
            }
        }
    }

    fn blocks(&self) -> Vec<u8> {
        let mut body = Vec::new();
        if self
            .records
            .iter()
            .any(|(_, value)| std::str::from_utf8(value).is_err())
        {
            body.extend_from_slice(b"21 hdrcharset=BINARY\n");
        }
        for (key, value) in &self.records {
            body.extend_from_slice(&record(key, value));
        }
        let fields = Fields {
            name: b"././@PaxHeader",
            ..Fields::default()
        };
        pax_header(fields, &body)
    }
}

/// A `?` for each character (or stray byte) that is not ASCII.
fn ascii(text: &[u8]) -> Cow<'_, [u8]> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let ascii = text.utf8_chunks().flat_map(|chunk| {
        let valid = chunk
            .valid()
            .chars()
            .map(|c| u8::try_from(c).ok().filter(u8::is_ascii).unwrap_or(b'?'));
        valid.chain(chunk.invalid().iter().map(|_| b'?'))
    });
    Cow::Owned(ascii.collect())
}
