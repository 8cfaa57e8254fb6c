//! An image's file system in a folder: its layers, one over the other.
//!
//! The one place where names out of an archive become files. Whatever they say, nothing
//! is written outside of the folder: the kernel resolves every directory below it as if
//! it were the root (`openat2` with `RESOLVE_IN_ROOT`), links included, and the last part
//! of a name is never followed. What a later layer removes (`.wh.`, by the image
//! specification's `layer.md`) is removed. Device files are left out, and owners where
//! this user may not set them: who runs the image brings a `/dev`, and is root in it.
//!
//! Times are kept, because Python trusts a compiled module by the time of its source.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid,
};
use rustix::io::Errno;
use tar::EntryType;

use crate::archive::compressed::decompress;
use crate::image::Pushed;
use crate::layout::Layout;

/// An image could not be unpacked.
#[derive(Debug, thiserror::Error)]
#[error("cannot unpack {what} of the image")]
pub struct UnpackError {
    /// A layer, or a file of one.
    what: String,
    /// Why.
    source: io::Error,
}

/// Unpacks an image of a layout into a folder that is there and empty.
///
/// # Errors
/// A layer is damaged, names something outside of the folder, or the disk is full.
pub fn unpack(layout: &Layout, image: &Pushed, into: &Path) -> Result<(), UnpackError> {
    let root = Root::open(into)?;
    for layer in &image.layers {
        let blame = |source| UnpackError {
            what: format!("the layer {}", layer.digest),
            source,
        };
        let file = File::open(layout.blob_path(layer.digest)).map_err(blame)?;
        root.layer(decompress(file).map_err(blame)?)?;
    }
    Ok(())
}

/// The folder, held open.
struct Root(OwnedFd);

/// A name of an entry: the directories, and its last part.
struct Name {
    directory: PathBuf,
    last: Vec<u8>,
}

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

impl Root {
    fn open(path: &Path) -> Result<Self, UnpackError> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty());
        opened.map(Self).map_err(|e| UnpackError {
            what: path.display().to_string(),
            source: e.into(),
        })
    }

    fn layer(&self, tar: impl Read) -> Result<(), UnpackError> {
        let blame = |what: &Path| {
            let what = what.display().to_string();
            |source| UnpackError { what, source }
        };
        let mut archive = tar::Archive::new(tar);
        let mut written = HashSet::new();
        for entry in archive.entries().map_err(blame(Path::new("a layer")))? {
            let mut entry = entry.map_err(blame(Path::new("a layer")))?;
            let path = PathBuf::from(OsStr::from_bytes(&entry.path_bytes()));
            let Some(name) = split(&path).map_err(blame(&path))? else {
                continue;
            };
            self.entry(&name, &mut entry, &mut written)
                .map_err(blame(&path))?;
        }
        Ok(())
    }

    fn entry(
        &self,
        name: &Name,
        entry: &mut tar::Entry<'_, impl Read>,
        written: &mut HashSet<PathBuf>,
    ) -> io::Result<()> {
        let parent = self.make_directory(&name.directory)?;
        let last = name.last.as_slice();
        if last == OPAQUE {
            return empty(&parent, |found| {
                written.contains(&name.directory.join(found))
            });
        }
        if let Some(gone) = last.strip_prefix(WHITEOUT) {
            // What is left of the name is a name again, and none that leads out.
            return match gone {
                b"" | b"." | b".." => Err(Errno::INVAL.into()),
                gone => remove(&parent, gone),
            };
        }
        let header = entry.header().clone();
        let mode = Mode::from_raw_mode(header.mode()? & 0o7777);
        let kind = header.entry_type();
        written.insert(name.directory.join(OsStr::from_bytes(last)));
        let is_directory = kind == EntryType::Directory;
        let merges = is_directory && file_type(&parent, last)? == Some(FileType::Directory);
        if !merges {
            remove(&parent, last)?;
        }
        match kind {
            EntryType::Directory if merges => {}
            EntryType::Directory => rustix::fs::mkdirat(&parent, last, Mode::RWXU)?,
            EntryType::Symlink => {
                let target = entry.link_name_bytes().ok_or(Errno::INVAL)?;
                rustix::fs::symlinkat(target.as_ref(), &parent, last)?;
            }
            EntryType::Link => return self.link(entry, &parent, last),
            EntryType::Fifo => {
                rustix::fs::mknodat(&parent, last, FileType::Fifo, mode, 0)?;
            }
            EntryType::Char | EntryType::Block | EntryType::XGlobalHeader => return Ok(()),
            EntryType::Regular | EntryType::Continuous => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&parent, last, flags, Mode::RUSR | Mode::WUSR)?;
                io::copy(entry, &mut File::from(file))?;
            }
            _ => return Err(io::Error::other("a kind of entry that is not known")),
        }
        finish(&parent, last, &header, mode)
    }

    fn link(
        &self,
        entry: &tar::Entry<'_, impl Read>,
        parent: &OwnedFd,
        last: &[u8],
    ) -> io::Result<()> {
        let target = entry.link_name_bytes().ok_or(Errno::INVAL)?;
        let target = PathBuf::from(OsStr::from_bytes(&target));
        let target = split(&target)?.ok_or(Errno::INVAL)?;
        let from = self.directory(&target.directory)?;
        let flags = AtFlags::empty();
        Ok(rustix::fs::linkat(
            &from,
            target.last.as_slice(),
            parent,
            last,
            flags,
        )?)
    }

    /// A directory below the root, wherever its links lead within it.
    fn directory(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let path = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.0, path, flags, Mode::empty(), within)
    }

    /// The same, made where it is missing: tars need not name every directory.
    fn make_directory(&self, path: &Path) -> io::Result<OwnedFd> {
        match self.directory(path) {
            Err(Errno::NOENT) => {}
            opened => return Ok(opened?),
        }
        let parent = self.make_directory(path.parent().ok_or(Errno::NOENT)?)?;
        let last = path.file_name().ok_or(Errno::NOENT)?;
        rustix::fs::mkdirat(&parent, last, Mode::from_raw_mode(0o755))?;
        Ok(self.directory(path)?)
    }
}

/// `None` for the root itself.
fn split(path: &Path) -> io::Result<Option<Name>> {
    use std::path::Component;
    let mut parts: Vec<&OsStr> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => parts.push(part),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(io::Error::other("its name leads out of the image"));
            }
        }
    }
    let last = parts.pop();
    Ok(last.map(|last| Name {
        directory: parts.into_iter().collect(),
        last: last.as_bytes().to_vec(),
    }))
}

/// Owner, mode and time, in this order: a new owner takes away what runs as the owner.
fn finish(parent: &OwnedFd, name: &[u8], header: &tar::Header, mode: Mode) -> io::Result<()> {
    let id = |id: u64| u32::try_from(id).map_err(|_| io::Error::from(Errno::INVAL));
    let (uid, gid) = (
        Uid::from_raw(id(header.uid()?)?),
        Gid::from_raw(id(header.gid()?)?),
    );
    match rustix::fs::chownat(
        parent,
        name,
        Some(uid),
        Some(gid),
        AtFlags::SYMLINK_NOFOLLOW,
    ) {
        Err(Errno::PERM | Errno::INVAL) => {}
        owned => owned?,
    }
    let kind = header.entry_type();
    // Directories that their owner may not write to would take no further layer, and could
    // not be removed by anybody but root.
    let mode = match kind {
        EntryType::Directory => mode | Mode::RWXU,
        _ => mode,
    };
    if kind != EntryType::Symlink {
        rustix::fs::chmodat(parent, name, mode, AtFlags::empty())?;
    }
    if kind != EntryType::Directory {
        let seconds = i64::try_from(header.mtime()?).unwrap_or(0);
        let time = Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

fn file_type(parent: impl AsFd, name: &[u8]) -> io::Result<Option<FileType>> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok(Some(FileType::from_raw_mode(found.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Removes a file, or a directory with all that is in it; that it is not there is no error.
fn remove(parent: impl AsFd, name: &[u8]) -> io::Result<()> {
    let parent = parent.as_fd();
    match file_type(parent, name)? {
        None => Ok(()),
        Some(FileType::Directory) => {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let directory = rustix::fs::openat(parent, name, flags, Mode::empty())?;
            empty(&directory, |_| false)?;
            Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
        }
        Some(_) => Ok(rustix::fs::unlinkat(parent, name, AtFlags::empty())?),
    }
}

/// Removes what is in a directory, but for what shall stay.
fn empty(directory: &OwnedFd, stays: impl Fn(&OsStr) -> bool) -> io::Result<()> {
    let names: Vec<Vec<u8>> = Dir::read_from(directory)?
        .map(|entry| Ok(entry?.file_name().to_bytes().to_vec()))
        .collect::<rustix::io::Result<_>>()?;
    let inside = names
        .iter()
        .filter(|name| !matches!(name.as_slice(), b"." | b".."));
    for name in inside.filter(|name| !stays(OsStr::from_bytes(name))) {
        remove(directory, name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
