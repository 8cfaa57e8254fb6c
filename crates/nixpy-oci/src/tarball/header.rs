//! One entry's header blocks.
//!
//! Python holds names as text and writes ASCII into the ustar header, with `?`
//! for what is not ASCII; the true value goes into a pax record. Bytes that are
//! not UTF-8 are kept by `surrogateescape`, which turns each into one `?` here
//! and marks the records with `hdrcharset=BINARY`.

use super::{BLOCK, Stamp};

/// The types of entry a store path can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Regular,
    Symlink,
    Directory,
}

/// What a header is made from, beside the stamp.
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) target: &'a [u8],
}

impl Entry<'_> {
    /// The pax header, if one is needed, and the ustar header.
    pub(super) fn header(&self, stamp: &Stamp) -> Vec<u8> {
        let mut pax = Pax::default();
        pax.text("path", self.name, 100);
        pax.text("linkpath", self.target, 100);
        pax.text("uname", stamp.uname.as_bytes(), 32);
        pax.text("gname", stamp.gname.as_bytes(), 32);
        let number = i128::from;
        let uid = pax.number("uid", number(stamp.uid), 8);
        let gid = pax.number("gid", number(stamp.gid), 8);
        let size = pax.number("size", number(self.size), 12);
        let mtime = pax.number("mtime", i128::from(stamp.mtime), 12);

        let flag = match self.kind {
            Kind::Regular => b'0',
            Kind::Symlink => b'2',
            Kind::Directory => b'5',
        };
        let mut blocks = pax.blocks();
        blocks.extend_from_slice(&ustar(&Fields {
            name: self.name,
            mode: self.mode & 0o7777,
            uid,
            gid,
            size,
            mtime,
            flag,
            target: self.target,
            uname: stamp.uname.as_bytes(),
            gname: stamp.gname.as_bytes(),
        }));
        blocks
    }
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
    fn number(&mut self, key: &'static str, value: i128, digits: u32) -> u64 {
        match u64::try_from(value) {
            Ok(fits) if fits < 8u64.pow(digits - 1) => fits,
            _ => {
                self.records.push((key, value.to_string().into_bytes()));
                0
            }
        }
    }

    fn blocks(&self) -> Vec<u8> {
        if self.records.is_empty() {
            return Vec::new();
        }
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
        let mut blocks = ustar(&Fields {
            name: b"././@PaxHeader",
            mode: 0,
            uid: 0,
            gid: 0,
            size: body.len() as u64,
            mtime: 0,
            flag: b'x',
            target: b"",
            uname: b"",
            gname: b"",
        })
        .to_vec();
        blocks.extend_from_slice(&body);
        blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
        blocks
    }
}

/// `LENGTH KEY=VALUE\n`, where LENGTH counts its own digits.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
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

struct Fields<'a> {
    name: &'a [u8],
    mode: u32,
    uid: u64,
    gid: u64,
    size: u64,
    mtime: u64,
    flag: u8,
    target: &'a [u8],
    uname: &'a [u8],
    gname: &'a [u8],
}

fn ustar(fields: &Fields<'_>) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    put_text(&mut block[0..100], fields.name);
    put_number(&mut block[100..108], u64::from(fields.mode));
    put_number(&mut block[108..116], fields.uid);
    put_number(&mut block[116..124], fields.gid);
    put_number(&mut block[124..136], fields.size);
    put_number(&mut block[136..148], fields.mtime);
    block[148..156].fill(b' ');
    block[156] = fields.flag;
    put_text(&mut block[157..257], fields.target);
    block[257..265].copy_from_slice(b"ustar\x0000");
    put_text(&mut block[265..297], fields.uname);
    put_text(&mut block[297..329], fields.gname);
    let checksum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{checksum:06o}\0").as_bytes());
    block
}

/// Octal digits with leading zeroes and a final NUL. The caller has seen that it fits.
fn put_number(field: &mut [u8], value: u64) {
    let width = field.len() - 1;
    field[..width].copy_from_slice(format!("{value:0width$o}").as_bytes());
}

/// As much of the text as fits, a `?` for each character (or stray byte) that is not ASCII.
fn put_text(field: &mut [u8], text: &[u8]) {
    let ascii = text.utf8_chunks().flat_map(|chunk| {
        let valid = chunk
            .valid()
            .chars()
            .map(|c| u8::try_from(c).ok().filter(u8::is_ascii).unwrap_or(b'?'));
        valid.chain(chunk.invalid().iter().map(|_| b'?'))
    });
    for (slot, byte) in field.iter_mut().zip(ascii) {
        *slot = byte;
    }
}
