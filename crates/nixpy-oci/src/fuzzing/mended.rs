//! A tar whose headers have the checksums that they should have. Random changes never
//! hit a checksum, so without this nothing behind the first changed header is reached.

use tar::Header;

const BLOCK: usize = 512;
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// `None` if nothing had to be mended.
pub(super) fn mended(tar: &[u8]) -> Option<Vec<u8>> {
    let mut mended = tar.to_vec();
    let mut at = 0;
    while let Some(block) = mended.get_mut(at..at + BLOCK) {
        if block.iter().all(|byte| *byte == 0) {
            break;
        }
        block[CHECKSUM].fill(b' ');
        let sum: u32 = block.iter().copied().map(u32::from).sum();
        block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let size = Header::from_byte_slice(block).entry_size().ok();
        let Some(size) = size.and_then(|size| usize::try_from(size).ok()) else {
            break;
        };
        let next = size
            .checked_next_multiple_of(BLOCK)
            .and_then(|size| size.checked_add(at + BLOCK));
        match next {
            Some(next) if next < mended.len() => at = next,
            _ => break,
        }
    }
    (mended != tar).then_some(mended)
}
