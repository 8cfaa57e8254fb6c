//! Writes the archive of what lies at a path, as `nix-store --dump` does: the bytes that
//! [`crate::NarHash`] is taken of. The grammar is in the module above.
//!
//! Memory does not depend on the size of files; names within one directory are sorted there.

use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Between reading a file and writing it out.
const BUFFER: usize = 1 << 17;

/// Writes the archive of a file, a symlink or a directory.
///
/// # Errors
/// Those of reading and writing; `InvalidData` for what is none of the three, and for a
/// file that changes its size meanwhile.
pub fn dump(path: &Path, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = Writer {
        out,
        buffer: vec![0; BUFFER],
    };
    writer.word(b"nix-archive-1")?;
    writer.object(path, fs::symlink_metadata(path)?.file_type())
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    buffer: Vec<u8>,
}

impl Writer<'_> {
    fn object(&mut self, path: &Path, kind: fs::FileType) -> io::Result<()> {
        self.words(&[b"(", b"type"])?;
        if kind.is_symlink() {
            let target = fs::read_link(path)?;
            self.words(&[b"symlink", b"target", target.as_os_str().as_bytes()])?;
        } else if kind.is_dir() {
            self.directory(path)?;
        } else if kind.is_file() {
            self.regular(path)?;
        } else {
            let what = format!("{} is no file, directory or symlink", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        self.word(b")")
    }

    fn directory(&mut self, path: &Path) -> io::Result<()> {
        self.word(b"directory")?;
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            entries.push((
                entry.file_name().into_vec(),
                entry.file_type()?,
                entry.path(),
            ));
        }
        entries.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        for (name, kind, path) in entries {
            self.words(&[b"entry", b"(", b"name", &name, b"node"])?;
            self.object(&path, kind)?;
            self.word(b")")?;
        }
        Ok(())
    }

    fn regular(&mut self, path: &Path) -> io::Result<()> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        self.word(b"regular")?;
        if metadata.permissions().mode() & 0o100 != 0 {
            self.words(&[b"executable", b""])?;
        }
        self.word(b"contents")?;
        self.out.write_all(&metadata.len().to_le_bytes())?;
        let mut left = metadata.len();
        loop {
            let got = file.read(&mut self.buffer)?;
            let counted = got as u64;
            if counted > left || (got == 0 && left > 0) {
                let what = format!("{} changes while it is read", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            if got == 0 {
                break;
            }
            self.out.write_all(&self.buffer[..got])?;
            left -= counted;
        }
        self.pad(metadata.len())
    }

    fn words(&mut self, words: &[&[u8]]) -> io::Result<()> {
        words.iter().try_for_each(|word| self.word(word))
    }

    fn word(&mut self, word: &[u8]) -> io::Result<()> {
        let length = word.len() as u64;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(word)?;
        self.pad(length)
    }

    fn pad(&mut self, length: u64) -> io::Result<()> {
        let short = usize::try_from(length.next_multiple_of(8) - length).unwrap_or(0);
        self.out.write_all(&[0; 8][..short])
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn dumped(path: &Path) -> Vec<u8> {
        let mut bytes = Vec::new();
        dump(path, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn an_archive_is_what_the_testkit_writes_and_the_reader_reads() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("b/empty")).unwrap();
        fs::write(root.join("b/large"), vec![7; 2 * BUFFER + 3]).unwrap();
        fs::write(root.join("b.c"), "sorts before b/").unwrap();
        fs::write(root.join("nothing"), "").unwrap();
        fs::set_permissions(root.join("b.c"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("../elsewhere", root.join("a")).unwrap();
        for path in [
            root.clone(),
            root.join("b.c"),
            root.join("a"),
            root.join("b/empty"),
        ] {
            let bytes = dumped(&path);
            assert_eq!(bytes, nixpy_testkit::nar(&path), "{}", path.display());
            super::super::Object::of_archive(&bytes).unwrap();
        }
    }

    #[test]
    fn what_is_no_store_object_is_refused() {
        let error = dump(Path::new("/dev/null"), &mut Vec::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/dev/null is no file, directory or symlink"
        );
    }
}
