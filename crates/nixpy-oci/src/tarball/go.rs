//! One entry's header blocks as Go's `archive/tar` writes them when its user
//! names no format: ustar if every field fits it, else pax.
//!
//! A name over 100 bytes fits if it can be cut at a slash, the front of it going
//! into the prefix. In a pax header's company the block holds what is ASCII of
//! each text, and zero for each number that does not fit. Times of access and
//! change are not written, for nobody has named a format that has them.
//!
//! Source: the documentation of Go's `archive/tar`, and what it writes:
//! `tests/layer_tars_are_gos.rs` compares the two.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::ustar::{Entry, Fields, fits_octal, pax_header, record};

const NAME: usize = 100;
const PREFIX: usize = 155;

/// The pax header, if one is needed, and the ustar header.
pub(super) fn header(entry: &Entry<'_>) -> Vec<u8> {
    let stamp = entry.stamp;
    let (uname, gname) = (stamp.uname.as_bytes(), stamp.gname.as_bytes());
    let mut pax = Pax::default();
    let split = split(entry.name);
    pax.text("path", entry.name, NAME);
    // A name that can be split goes into a record only beside others.
    pax.needed = pax.needed && split.is_none();
    pax.text("linkpath", entry.target, NAME);
    pax.text("uname", uname, 32);
    pax.text("gname", gname, 32);
    let uid = pax.number("uid", i128::from(stamp.uid), 8);
    let gid = pax.number("gid", i128::from(stamp.gid), 8);
    let size = pax.number("size", i128::from(entry.size), 12);
    let mtime = pax.number("mtime", i128::from(stamp.mtime), 12);
    let numbers = Fields {
        mode: entry.mode,
        uid,
        gid,
        size,
        mtime,
        flag: entry.kind.flag(),
        devices: true,
        ..Fields::default()
    };
    if !pax.needed {
        let (prefix, name) = split.unwrap_or((b"", entry.name));
        let fields = Fields {
            name,
            prefix,
            target: entry.target,
            uname,
            gname,
            ..numbers
        };
        return fields.block().to_vec();
    }
    let mut blocks = pax.blocks(entry.name);
    let fields = Fields {
        name: &cut(entry.name, NAME),
        target: &cut(entry.target, NAME),
        uname: &cut(uname, 32),
        gname: &cut(gname, 32),
        ..numbers
    };
    blocks.extend_from_slice(&fields.block());
    blocks
}

/// Records of a pax header, sorted by key, as Go writes them.
#[derive(Default)]
struct Pax {
    records: BTreeMap<&'static str, Vec<u8>>,
    needed: bool,
}

impl Pax {
    fn text(&mut self, key: &'static str, value: &[u8], length: usize) {
        if !value.is_ascii() || value.len() > length {
            self.put(key, value.to_vec());
        }
    }

    /// The value for the ustar field: zero when it goes into a record.
    fn number(&mut self, key: &'static str, value: i128, length: u32) -> u64 {
        match u64::try_from(value) {
            Ok(fits) if fits_octal(fits, length) => fits,
            _ => {
                self.put(key, value.to_string().into_bytes());
                0
            }
        }
    }

    fn put(&mut self, key: &'static str, value: Vec<u8>) {
        self.records.insert(key, value);
        self.needed = true;
    }

    fn blocks(&self, name: &[u8]) -> Vec<u8> {
        let records = self.records.iter();
        let body: Vec<u8> = records
            .flat_map(|(key, value)| record(key, value))
            .collect();
        let own_name = own_name(name);
        let fields = Fields {
            name: &own_name,
            ..Fields::default()
        };
        pax_header(fields, &body)
    }
}

/// What goes into the prefix, and what into the name.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= NAME || !name.is_ascii() {
        return None;
    }
    let front = &name[..name.len().min(PREFIX + 1)];
    let slash = front.iter().rposition(|byte| *byte == b'/')?;
    let rest = &name[slash + 1..];
    (slash > 0 && !rest.is_empty() && rest.len() <= NAME).then_some((&name[..slash], rest))
}

/// The pax header's own name: that of the entry, in a directory that is not there.
fn own_name(name: &[u8]) -> Vec<u8> {
    let file = name.iter().rposition(|byte| *byte == b'/');
    let (directory, file) = name.split_at(file.map_or(0, |slash| slash + 1));
    let mut own = ascii(&[directory, b"PaxHeaders.0/", file].concat()).into_owned();
    own.truncate(NAME);
    while own.last() == Some(&b'/') {
        own.pop();
    }
    own
}

/// What of a text stands in a field beside a record. One that would be cut behind a
/// slash, and so look like a directory's name, ends before it.
fn cut(text: &[u8], length: usize) -> Cow<'_, [u8]> {
    let text = ascii(text);
    if text.len() <= length || text[length - 1] != b'/' {
        return text;
    }
    let mut text = text.into_owned();
    text.truncate(length);
    let end = text.iter().rposition(|byte| *byte != b'/');
    text[end.map_or(0, |last| last + 1)] = 0;
    Cow::Owned(text)
}

/// Without what is not ASCII.
fn ascii(text: &[u8]) -> Cow<'_, [u8]> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.iter().copied().filter(u8::is_ascii).collect())
}
