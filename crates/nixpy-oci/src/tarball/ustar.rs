//! What all dialects have in common: the 512-byte ustar block, and the records
//! of a pax header. Which field holds what, and when a record is needed, is the
//! dialect's affair.
//!
//! Source: POSIX.1-2017, `pax`, "ustar Interchange Format" and "pax Header Block".

use super::Stamp;

pub(super) const BLOCK: usize = 512;

/// The types of entry a store path can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Regular,
    Symlink,
    Directory,
}

impl Kind {
    pub(super) fn flag(self) -> u8 {
        match self {
            Self::Regular => b'0',
            Self::Symlink => b'2',
            Self::Directory => b'5',
        }
    }
}

/// What the header of an entry is to say.
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) target: &'a [u8],
    pub(super) stamp: &'a Stamp,
}

/// What is in the fields of a block. Texts that are too long are cut; numbers
/// must fit ([`fits_octal`]).
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) name: &'a [u8],
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) size: u64,
    pub(super) mtime: u64,
    pub(super) flag: u8,
    pub(super) target: &'a [u8],
    pub(super) uname: &'a [u8],
    pub(super) gname: &'a [u8],
    /// Device numbers, both zero, rather than nothing.
    pub(super) devices: bool,
    pub(super) prefix: &'a [u8],
}

impl Fields<'_> {
    pub(super) fn block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        put_text(&mut block[0..100], self.name);
        put_number(&mut block[100..108], u64::from(self.mode));
        put_number(&mut block[108..116], self.uid);
        put_number(&mut block[116..124], self.gid);
        put_number(&mut block[124..136], self.size);
        put_number(&mut block[136..148], self.mtime);
        block[148..156].fill(b' ');
        block[156] = self.flag;
        put_text(&mut block[157..257], self.target);
        block[257..265].copy_from_slice(b"ustar\x0000");
        put_text(&mut block[265..297], self.uname);
        put_text(&mut block[297..329], self.gname);
        if self.devices {
            put_number(&mut block[329..337], 0);
            put_number(&mut block[337..345], 0);
        }
        put_text(&mut block[345..500], self.prefix);
        let checksum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{checksum:06o}\0").as_bytes());
        block
    }
}

/// Whether a number can be written into a field of this length.
pub(super) fn fits_octal(value: u64, length: u32) -> bool {
    value < 8u64.pow(length - 1)
}

/// Octal digits with leading zeroes and a final NUL.
fn put_number(field: &mut [u8], value: u64) {
    let width = field.len() - 1;
    field[..width].copy_from_slice(format!("{value:0width$o}").as_bytes());
}

fn put_text(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

/// A pax header: its own block, made from `fields`, and the records behind it.
/// Nothing if there is no record.
pub(super) fn pax_header(fields: Fields<'_>, records: &[u8]) -> Vec<u8> {
    if records.is_empty() {
        return Vec::new();
    }
    let fields = Fields {
        size: records.len() as u64,
        flag: b'x',
        ..fields
    };
    let mut blocks = fields.block().to_vec();
    blocks.extend_from_slice(records);
    blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
    blocks
}

/// `LENGTH KEY=VALUE\n`, where LENGTH counts its own digits.
pub(super) fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    let mut bytes = format!("{length} {key}=").into_bytes();
    bytes.extend_from_slice(value);
    bytes.push(b'\n');
    bytes
}
