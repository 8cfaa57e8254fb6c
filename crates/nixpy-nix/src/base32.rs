//! Nix's own base 32: the alphabet lacks `e o t u`, and the digits run from the
//! last bit to the first. Only what store paths and hashes need is here; the
//! format is described at <https://nix.dev/manual/nix/latest/protocols/nix32>.

const ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// Whether `text` consists of digits of this alphabet only.
pub(crate) fn is_base32(text: &str) -> bool {
    text.bytes().all(|byte| ALPHABET.contains(&byte))
}

/// The text for `bytes`, most significant digit first.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let length = (bytes.len() * 8).div_ceil(5);
    (0..length)
        .rev()
        .map(|digit| {
            let bit = digit * 5;
            let (index, shift) = (bit / 8, bit % 8);
            let low = u16::from(bytes[index]);
            let high = bytes.get(index + 1).copied().map_or(0, u16::from);
            let value = ((high << 8 | low) >> shift) & 0x1f;
            char::from(ALPHABET[usize::from(value)])
        })
        .collect()
}

/// The 32 bytes that 52 digits stand for; `None` for any other text.
pub(crate) fn decode_32(text: &str) -> Option<[u8; 32]> {
    if text.len() != 52 {
        return None;
    }
    let mut bytes = [0_u8; 32];
    for (digit, character) in text.bytes().rev().enumerate() {
        let value = ALPHABET.iter().position(|known| *known == character)? as u16;
        let bit = digit * 5;
        let (index, shift) = (bit / 8, bit % 8);
        let spread = value << shift;
        bytes[index] |= (spread & 0xff) as u8;
        let carry = (spread >> 8) as u8;
        match bytes.get_mut(index + 1) {
            Some(next) => *next |= carry,
            None if carry != 0 => return None,
            None => {}
        }
    }
    Some(bytes)
}
