//! An archive cut into sections, for servers that take large ones in parts.

use std::fs::File;
use std::io;
use std::sync::Arc;

use nixpy_oci::blob::Content;

/// The same bytes, in sections of this size.
pub(crate) fn sections(content: &Content, size: u64) -> io::Result<Vec<Content>> {
    let starts = (0..content.len()).step_by(usize::try_from(size).unwrap_or(usize::MAX).max(1));
    let of_file = |file: Arc<File>, from: u64| {
        let section = starts.clone().map(move |start| Content::Section {
            file: Arc::clone(&file),
            start: from + start,
            size: size.min(content.len() - start),
        });
        section.collect()
    };
    Ok(match content {
        Content::Memory(bytes) => {
            let size = usize::try_from(size).unwrap_or(usize::MAX).max(1);
            let chunks = bytes
                .chunks(size)
                .map(|chunk| Content::Memory(bytes.slice_ref(chunk)));
            chunks.collect()
        }
        Content::File(file, _) => of_file(Arc::new(file.try_clone()?), 0),
        Content::Section { file, start, .. } => of_file(Arc::clone(file), *start),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn sections_are_the_whole_in_order() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let section = Content::Section {
            file: Arc::new(file.try_clone().unwrap()),
            start: 0,
            size: 1000,
        };
        for content in [
            Content::Memory(bytes.clone().into()),
            Content::File(file, 1000),
            section,
        ] {
            for size in [1, 300, 999, 1000, 1001] {
                let sections = sections(&content, size).unwrap();
                assert_eq!(sections.len() as u64, 1000_u64.div_ceil(size));
                let mut read = Vec::new();
                sections
                    .iter()
                    .for_each(|it| it.copy_to(&mut read).unwrap());
                assert!(read == bytes, "{size}");
            }
        }
    }
}
