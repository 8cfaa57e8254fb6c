//! Files in their places: how each compares with what is there, and writing all that is to be written
//! or nothing.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::render::File;

/// How a file compares with what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is there.
    New,
    /// It is there already.
    Same,
    /// Something else is there.
    Differs,
}

/// Looks.
pub fn state(folder: &Path, file: &File) -> State {
    let place = folder.join(&file.path);
    match fs::symlink_metadata(&place) {
        // Whether a folder can be made in a file's place is seen when it is tried.
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            State::New
        }
        _ if fs::read(&place).is_ok_and(|bytes| bytes == file.text.as_bytes()) => State::Same,
        _ => State::Differs,
    }
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be written, so nothing was")]
pub struct NotWritten {
    path: String,
    #[source]
    source: io::Error,
}

/// Writes new files, and over others, each as a whole; if one fails, everything is as it was.
pub fn write_all(folder: &Path, files: &[(&File, State)]) -> Result<(), NotWritten> {
    let mut undo = Undo::default();
    let mut staged = Vec::new();
    for (file, state) in files {
        let place = folder.join(&file.path);
        let made = stage(&place, &file.text, &mut undo);
        staged.push((
            made.map_err(|source| fail(file, source))?,
            place,
            *file,
            *state,
        ));
    }
    for (temporary, place, file, state) in staged {
        let put = match state {
            // Somebody may have made one meanwhile.
            State::New => temporary
                .persist_noclobber(&place)
                .map(|_| undo.made.push(place)),
            State::Same | State::Differs => {
                let old = fs::read(&place).map_err(|source| fail(file, source))?;
                temporary
                    .persist(&place)
                    .map(|_| undo.replaced.push((place, old)))
            }
        };
        put.map_err(|error| fail(file, error.error))?;
    }
    undo.forget();
    Ok(())
}

fn fail(file: &File, source: io::Error) -> NotWritten {
    NotWritten {
        path: file.path.clone(),
        source,
    }
}

/// The text under a passing name in its folder.
fn stage(place: &Path, text: &str, undo: &mut Undo) -> io::Result<NamedTempFile> {
    let folder = place.parent().unwrap_or(Path::new("."));
    let missing: Vec<&Path> = folder
        .ancestors()
        .take_while(|folder| !folder.exists())
        .collect();
    for folder in missing.into_iter().rev() {
        fs::create_dir(folder)?;
        undo.folders.push(folder.to_owned());
    }
    let mut made = tempfile::Builder::new()
        .prefix(".nixpy-ci-init-")
        // As the user's mask has it.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    made.write_all(text.as_bytes())?;
    made.as_file().sync_all()?;
    Ok(made)
}

/// Takes back what was done, unless it is told to forget.
#[derive(Default)]
struct Undo {
    folders: Vec<PathBuf>,
    made: Vec<PathBuf>,
    replaced: Vec<(PathBuf, Vec<u8>)>,
}

impl Undo {
    fn forget(mut self) {
        self.folders.clear();
        self.made.clear();
        self.replaced.clear();
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        for (place, old) in &self.replaced {
            let _ = fs::write(place, old);
        }
        for place in &self.made {
            let _ = fs::remove_file(place);
        }
        // Only those that are empty; temporary files in them are gone by now.
        for folder in self.folders.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn everything_is_as_it_was_when_one_file_cannot_be_written() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "old").unwrap();
        // A folder cannot be written over.
        fs::create_dir(dir.path().join("z")).unwrap();
        let (a, b, z) = (file("a", "new"), file("b/c/d", "new"), file("z", "new"));
        let all = [(&a, State::Differs), (&b, State::New), (&z, State::Differs)];
        let error = write_all(dir.path(), &all).unwrap_err();
        assert!(
            error.to_string().starts_with("z cannot be written"),
            "{error}"
        );
        assert_eq!(names(dir.path()), ["a", "z"]);
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "old");
    }

    #[test]
    fn what_appeared_meanwhile_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (file("a", "new"), file("b", "new"));
        fs::write(dir.path().join("b"), "of somebody else").unwrap();
        write_all(dir.path(), &[(&a, State::New), (&b, State::New)]).unwrap_err();
        assert_eq!(names(dir.path()), ["b"]);
        assert_eq!(
            fs::read_to_string(dir.path().join("b")).unwrap(),
            "of somebody else"
        );
    }
}
