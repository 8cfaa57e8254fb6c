//! A binary cache in a folder, as `nix copy --to file://…` leaves it, read for others. Nix
//! reads such a folder itself: this is for a laptop that lends its folder to others.

use std::io;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use bytes::BytesMut;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use nixpy_nix::narinfo::NarInfo;
use nixpy_nix::signing::PublicKey;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::error::{CacheError, CacheErrorKind};
use crate::source::{Nar, Source};

/// Read at once.
const PIECE: usize = 128 * 1024;

/// A binary cache in a folder.
#[derive(Debug)]
pub struct Folder {
    name: String,
    root: PathBuf,
    trusted: Vec<PublicKey>,
}

impl Folder {
    /// What lies here and is signed by one of these keys.
    pub fn new(name: String, root: PathBuf, trusted: Vec<PublicKey>) -> Self {
        Self {
            name,
            root,
            trusted,
        }
    }

    fn broken(&self, act: impl Into<String>, problem: impl ToString) -> CacheError {
        CacheError::new(&self.name, act, CacheErrorKind::Broken(problem.to_string()))
    }

    async fn read(&self, hash_part: &str) -> Result<Option<NarInfo>, CacheError> {
        let act = || format!("say what it has of {hash_part}");
        let file = self.root.join(format!("{hash_part}.narinfo"));
        let text = match tokio::fs::read_to_string(file).await {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.broken(act(), error)),
        };
        let info: NarInfo = text.parse().map_err(|error| self.broken(act(), error))?;
        let is_trusted = self.trusted.iter().any(|key| key.has_signed(&info.info));
        if !is_trusted {
            let path = &info.info.path;
            let problem = match info.info.signatures.as_slice() {
                [] => format!("{path} is not signed"),
                _ => format!("{path} is not as a trusted key has signed it"),
            };
            return Err(self.broken(act(), problem));
        }
        Ok(Some(info))
    }

    async fn open(&self, url: &str, range: Option<Range<u64>>) -> Result<Option<Nar>, CacheError> {
        let act = || format!("give {url}");
        let below = Path::new(url);
        if !below
            .components()
            .all(|it| matches!(it, Component::Normal(_)))
        {
            return Err(self.broken(act(), "the address is not below it"));
        }
        let mut file = match File::open(self.root.join(below)).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.broken(act(), error)),
        };
        let metadata = file.metadata().await;
        let size = metadata.map_err(|error| self.broken(act(), error))?.len();
        let range = range.unwrap_or(0..size);
        if range.start > 0 {
            let sought = file.seek(io::SeekFrom::Start(range.start)).await;
            sought.map_err(|error| self.broken(act(), error))?;
        }
        let left = range.end.min(size).saturating_sub(range.start);
        let name = self.name.clone();
        let bytes = pieces(file.take(left)).map(move |piece| {
            let broken = |error: io::Error| {
                let kind = CacheErrorKind::Broken(error.to_string());
                CacheError::new(&name, "give an archive", kind)
            };
            piece.map_err(broken)
        });
        let bytes = bytes.boxed();
        Ok(Some(Nar { size, bytes }))
    }
}

fn pieces(file: tokio::io::Take<File>) -> BoxStream<'static, io::Result<bytes::Bytes>> {
    let pieces = futures_util::stream::unfold(file, |mut file| async move {
        let mut piece = BytesMut::with_capacity(PIECE);
        match file.read_buf(&mut piece).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(piece.freeze()), file)),
            Err(error) => Some((Err(error), file)),
        }
    });
    pieces.boxed()
}

impl Source for Folder {
    fn name(&self) -> &str {
        &self.name
    }

    fn narinfo<'a>(
        &'a self,
        hash_part: &'a str,
    ) -> BoxFuture<'a, Result<Option<NarInfo>, CacheError>> {
        Box::pin(self.read(hash_part))
    }

    fn nar<'a>(
        &'a self,
        url: &'a str,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Option<Nar>, CacheError>> {
        Box::pin(self.open(url, range))
    }
}
