//! The files of a cache in a folder of this machine, or of a network file system that several
//! machines write to.
//!
//! A file gets its name when it is whole. What a push that was killed has left under a
//! name of its own is swept a day later by another push.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use nixpy_oci::blob::Content;

use crate::error::{CacheError, CacheErrorKind};
use crate::source::Nar;

/// What a file is called until it is whole.
const UNFINISHED: &str = ".nixpy-ci-";
const LEFT_BEHIND: Duration = Duration::from_secs(24 * 3600);
/// Read at once.
const PIECE: usize = 256 << 10;

/// A folder.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    swept: Arc<Once>,
}

impl Folder {
    /// From what stands behind `file://`, where Nix's own parameters may follow.
    pub(super) fn at(rest: &str) -> Result<Self, CacheErrorKind> {
        let path = rest.split('?').next().unwrap_or_default();
        if !path.starts_with('/') {
            let problem = format!("\"file://{rest}\" is not absolute: write file:///srv/cache");
            return Err(CacheErrorKind::Broken(problem));
        }
        Ok(Self {
            root: PathBuf::from(path),
            swept: Arc::new(Once::new()),
        })
    }

    pub(super) async fn has(&self, name: &str) -> Result<bool, CacheErrorKind> {
        let file = self.root.join(name);
        blocking(move || match fs::metadata(&file) {
            Ok(found) => Ok(found.is_file()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(CacheErrorKind::of_folder(&error, &file)),
        })
        .await
    }

    pub(super) async fn put(
        &self,
        name: &str,
        content: Arc<Content>,
    ) -> Result<(), CacheErrorKind> {
        let (file, swept) = (self.root.join(name), Arc::clone(&self.swept));
        let archives = self.root.join("nar");
        blocking(move || {
            swept.call_once(|| sweep(&archives));
            write(&file, &content).map_err(|error| CacheErrorKind::of_folder(&error, &file))
        })
        .await
    }

    /// A file as a whole, if it is there and not longer than that.
    pub(super) async fn text(
        &self,
        name: &str,
        limit: u64,
    ) -> Result<Option<Bytes>, CacheErrorKind> {
        let file = self.root.join(name);
        blocking(move || {
            let mut text = Vec::new();
            let read = File::open(&file).and_then(|it| it.take(limit + 1).read_to_end(&mut text));
            match read {
                Ok(_) if text.len() as u64 > limit => Err(CacheErrorKind::Broken(format!(
                    "{} is longer than {limit} bytes",
                    file.display()
                ))),
                Ok(_) => Ok(Some(text.into())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(CacheErrorKind::of_folder(&error, &file)),
            }
        })
        .await
    }

    /// A file as a stream, or these of its bytes.
    pub(super) async fn nar(
        &self,
        cache: &str,
        name: &str,
        range: Option<Range<u64>>,
    ) -> Result<Option<Nar>, CacheErrorKind> {
        let path = self.root.join(name);
        let opened = blocking({
            let (path, range) = (path.clone(), range);
            move || open(&path, range).map_err(|error| CacheErrorKind::of_folder(&error, &path))
        });
        let Some((file, size, left)) = opened.await? else {
            return Ok(None);
        };
        let (cache, act) = (cache.to_owned(), format!("give {name}"));
        let pieces = stream::unfold((file, left), |(file, left)| async move {
            if left == 0 {
                return None;
            }
            let read = blocking(move || Ok(piece(file, left))).await;
            match read {
                Ok(Ok((file, bytes))) => {
                    let left = left - bytes.len() as u64;
                    Some((Ok(bytes), (file, left)))
                }
                // Told, and then it is over.
                Ok(Err((file, error))) => Some((Err(CacheErrorKind::Broken(error)), (file, 0))),
                Err(_) => None,
            }
        });
        let bytes = pieces.map(move |piece| {
            piece.map_err(|kind| CacheError::new(cache.clone(), act.clone(), kind))
        });
        Ok(Some(Nar {
            size,
            bytes: bytes.boxed(),
        }))
    }
}

fn open(path: &Path, range: Option<Range<u64>>) -> io::Result<Option<(File, u64, u64)>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let size = file.metadata()?.len();
    let range = range.unwrap_or(0..size);
    file.seek(SeekFrom::Start(range.start.min(size)))?;
    Ok(Some((
        file,
        size,
        range.end.min(size).saturating_sub(range.start),
    )))
}

fn piece(mut file: File, left: u64) -> Result<(File, Bytes), (File, String)> {
    let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
    let mut bytes = vec![0; length];
    match file.read_exact(&mut bytes) {
        Ok(()) => Ok((file, bytes.into())),
        Err(error) => Err((file, format!("it breaks off: {error}"))),
    }
}

/// Writes a file under another name in its folder, which is made, and gives it its own.
fn write(file: &Path, content: &Content) -> io::Result<()> {
    let folder = file.parent().unwrap_or(file);
    fs::create_dir_all(folder)?;
    // Readable by whoever may read the folder: what is in a cache is no secret of its writer.
    let mut unfinished = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    content.copy_to(unfinished.as_file_mut())?;
    unfinished.persist(file).map_err(|error| error.error)?;
    Ok(())
}

fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let ours = entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(UNFINISHED.as_bytes());
        let modified = || entry.metadata().and_then(|it| it.modified()).ok();
        let is_old = || modified()?.elapsed().ok().map(|age| age > LEFT_BEHIND);
        if ours && is_old() == Some(true) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, CacheErrorKind> + Send + 'static,
) -> Result<T, CacheErrorKind> {
    let done = tokio::task::spawn_blocking(act).await;
    done.map_err(|error| CacheErrorKind::Here(error.to_string()))?
}
