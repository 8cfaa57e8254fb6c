//! Reading an archive out of the blob that it lies in.
//!
//! What was read whole is compared with the hash that the pack states. If it is another one
//! the reader is told by an error at the end, and the entry is not offered again.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use nixpy_oci::digest::Running;
use nixpy_oci::registry::RemoteError;

use super::Inner;
use super::index::{Found, read_url};
use super::known::Since;
use super::trouble::kind_of;
use crate::error::{CacheError, CacheErrorKind};
use crate::source::Nar;

/// The archive at this address, or these of its bytes.
pub(super) async fn nar(
    cache: &Arc<Inner>,
    url: &str,
    range: Option<Range<u64>>,
) -> Result<Option<Nar>, CacheError> {
    let Some((hash, file)) = read_url(url) else {
        return Ok(None);
    };
    let found = {
        let index = cache.index(Since::Ever).await?;
        cache.find(&index, hash).filter(|found| found.hash == file)
    };
    let Some(found) = found else {
        return Ok(None);
    };
    let size = found.size;
    let wanted = range.unwrap_or(0..size);
    let wanted = wanted.start.min(size)..wanted.end.min(size);
    let is_whole = wanted == (0..size);
    let is_alone = is_whole && size == found.archives.size;
    let within = (found.offset + wanted.start)..(found.offset + wanted.end);
    let act = format!("give {}", found.narinfo.info.path);
    let reading = cache
        .registry
        .read_blob(found.archives.digest, (!is_alone).then_some(within))
        .await
        .map_err(|error| cache.remote(&act, &error))?;
    let Some(reading) = reading else {
        damaged(cache, &found, "its blob is not in the registry any more");
        return Ok(None);
    };
    if reading.size != found.archives.size {
        damaged(cache, &found, "its blob has another size than was stated");
        return Ok(None);
    }
    let reader = Reader {
        cache: Arc::clone(cache),
        bytes: reading.bytes,
        left: wanted.end - wanted.start,
        running: is_whole.then(Running::default),
        found,
        act,
    };
    Ok(Some(Nar {
        size,
        bytes: checked(reader),
    }))
}

struct Reader {
    cache: Arc<Inner>,
    bytes: BoxStream<'static, Result<Bytes, RemoteError>>,
    left: u64,
    running: Option<Running>,
    found: Found,
    act: String,
}

fn checked(reader: Reader) -> BoxStream<'static, Result<Bytes, CacheError>> {
    let bytes = stream::unfold(Some(reader), |reader| async move {
        let mut reader = reader?;
        match reader.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some(reader))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    Box::pin(bytes)
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>, CacheError> {
        match self.bytes.next().await {
            Some(Ok(bytes)) => {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                if let Some(running) = &mut self.running {
                    running.update(&bytes);
                }
                // The last bytes are held back until they are known to be right.
                if self.left == 0 {
                    self.check()?;
                }
                Ok(Some(bytes))
            }
            Some(Err(error)) => {
                let kind = kind_of(&error);
                if matches!(kind, CacheErrorKind::Broken(_)) {
                    damaged(&self.cache, &self.found, &error.to_string());
                }
                Err(self.cache.error(&self.act, kind))
            }
            None if self.left > 0 => Err(self.refuse("it ends too early")),
            None => Ok(None),
        }
    }

    fn check(&mut self) -> Result<(), CacheError> {
        match self.running.take().map(Running::finish) {
            Some(hash) if hash != self.found.hash => {
                Err(self.refuse("its archive is not the one that was stored"))
            }
            _ => Ok(()),
        }
    }

    fn refuse(&self, why: &str) -> CacheError {
        damaged(&self.cache, &self.found, why);
        let why = CacheErrorKind::Broken(why.to_owned());
        self.cache.error(&self.act, why)
    }
}

/// It is not offered again, and told.
fn damaged(cache: &Inner, found: &Found, why: &str) {
    let held = &found.pack.paths[found.path];
    if !held.damaged.swap(true, Ordering::Relaxed) {
        let act = format!("serve {}", found.narinfo.info.path);
        cache.note(cache.error(act, CacheErrorKind::Broken(why.to_owned())));
    }
}
