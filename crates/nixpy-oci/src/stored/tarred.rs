//! A layout in a tar: where in which file the content of each entry is.
//!
//! Blobs in a plain tar stay where they are. Those in a compressed one are unpacked,
//! in the one pass in which its names are read, one after the other into an unlinked
//! file: which of them are wanted stands in `index.json`, which skopeo writes last.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tar::EntryType;

use super::StoredError;
use super::error::limit;
use super::place::Bytes;
use crate::archive::{
    self, ArchiveError, Entries, Entry, MAX_ENTRIES, PlainFile, Source, leads_out, plain,
};
use crate::layer::LayerError;

/// Of what a compressed tar may be unpacked to: what is declared is believed only so far.
const MAX_UNPACKED: u64 = 64 << 30;

/// Where the content of each entry begins, and how many bytes it has, by name.
type Spans = Vec<(String, (u64, u64))>;

/// The regular files of a tar, by name.
pub(super) fn read(tar: &Path, spool_dir: &Path) -> Result<BTreeMap<String, Bytes>, StoredError> {
    let unreadable = |e| StoredError::Tar(ArchiveError::Tar(e));
    let mut file = File::open(tar).map_err(unreadable)?;
    let (file, entries) = if archive::begins_compressed(&mut file).map_err(unreadable)? {
        let stream = archive::decompress(file).map_err(unreadable)?;
        unpack(Entries::of(stream), spool_dir)?
    } else {
        let file = Arc::new(file);
        let stream = PlainFile::of(Arc::clone(&file)).map_err(unreadable)?;
        let entries = walk(Entries::of(stream), |entries, _| {
            Ok(entries.source().position())
        })?;
        (file, entries)
    };
    let mut files = BTreeMap::new();
    for (name, (start, size)) in entries {
        let file = Arc::clone(&file);
        let bytes = Bytes::Section { file, start, size };
        match files.entry(name) {
            Slot::Vacant(slot) => _ = slot.insert(bytes),
            Slot::Occupied(slot) => {
                if !same(slot.get(), &bytes).map_err(unreadable)? {
                    return Err(ArchiveError::Twice(slot.key().clone()).into());
                }
            }
        }
    }
    Ok(files)
}

fn unpack<R: Source>(
    entries: Entries<R>,
    spool_dir: &Path,
) -> Result<(Arc<File>, Spans), StoredError> {
    let blame = |e| LayerError::Write(e).blame_full_disk(spool_dir);
    let mut spool = tempfile::tempfile_in(spool_dir).map_err(blame)?;
    let mut end = 0_u64;
    let entries = walk(entries, |entries, entry| {
        let start = end;
        end = start.saturating_add(entry.size);
        if end > MAX_UNPACKED {
            return Err(limit("bytes of blobs in a compressed tar", MAX_UNPACKED));
        }
        // Only writing can fill a disk; everything else is the tar's.
        match io::copy(entries, &mut spool) {
            Ok(_) => Ok(start),
            Err(e) if e.kind() == io::ErrorKind::StorageFull => Err(blame(e).into()),
            Err(e) => Err(ArchiveError::Tar(e).into()),
        }
    })?;
    Ok((Arc::new(spool), entries))
}

/// The regular files, in their order; `place` tells where the content of one begins.
fn walk<R: Source>(
    mut entries: Entries<R>,
    mut place: impl FnMut(&mut Entries<R>, &Entry) -> Result<u64, StoredError>,
) -> Result<Spans, StoredError> {
    let mut found = Vec::new();
    while let Some(entry) = entries.next()? {
        if found.len() >= MAX_ENTRIES {
            return Err(limit("entries", MAX_ENTRIES as u64));
        }
        let name = plain(&entry.name).to_owned();
        if leads_out(&name) {
            return Err(ArchiveError::Escape(name).into());
        }
        match entry.kind {
            EntryType::Regular => {
                let start = place(&mut entries, &entry)?;
                found.push((name, (start, entry.size)));
            }
            EntryType::Directory => {}
            _ => return Err(StoredError::NotAFile(name)),
        }
    }
    Ok(found)
}

fn same(one: &Bytes, other: &Bytes) -> io::Result<bool> {
    Ok(one.len() == other.len() && one.digest()? == other.digest()?)
}
