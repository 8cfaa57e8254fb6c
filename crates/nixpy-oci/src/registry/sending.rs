//! A blob as the body of a request: read piece by piece as the connection takes
//! it, and watched, so that an upload may last as long as it has to and is still
//! given up when it stands still.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::blob::Content;

/// How much is read at once; what one upload holds in memory is a few of these.
const PIECE: usize = 256 << 10;
/// A registry hashes and stores what it got before it answers, at no less than
/// this many bytes a second.
const SLOWEST_REGISTRY: u64 = 16 << 20;

/// How far a body has been taken.
pub struct Progress {
    moved: watch::Receiver<Moved>,
    size: u64,
}

#[derive(Clone, Copy)]
enum Moved {
    Bytes(u64),
    Unreadable,
}

/// The body, with these bytes before it, and the means to watch it.
pub fn body(first: Bytes, content: Arc<Content>) -> (reqwest::Body, Progress) {
    let size = content.len();
    let (note, moved) = watch::channel(Moved::Bytes(0));
    let pieces = stream::unfold(0, move |offset| {
        let content = Arc::clone(&content);
        let note = note.clone();
        async move {
            if offset >= content.len() {
                return None;
            }
            let piece = read(content, offset, PIECE).await;
            let end = offset + piece.as_ref().map_or(0, |piece| piece.len() as u64);
            note.send_replace(if piece.is_ok() {
                Moved::Bytes(end)
            } else {
                Moved::Unreadable
            });
            Some((piece, end))
        }
    });
    let first = stream::iter((!first.is_empty()).then_some(Ok(first)));
    let body = reqwest::Body::wrap_stream(first.chain(pieces));
    (body, Progress { moved, size })
}

/// At most `length` bytes from `offset` on, read where blocking is allowed.
pub(super) async fn read(content: Arc<Content>, offset: u64, length: usize) -> io::Result<Bytes> {
    if let Content::Memory(_) = *content {
        return content.read(offset, length);
    }
    tokio::task::spawn_blocking(move || content.read(offset, length))
        .await
        .map_err(io::Error::other)?
}

/// The same bytes, owned: a request outlives any borrow.
pub(super) fn share(content: &Content) -> io::Result<Arc<Content>> {
    Ok(Arc::new(match content {
        Content::Memory(bytes) => Content::Memory(bytes.clone()),
        Content::File(file, size) => Content::File(file.try_clone()?, *size),
        Content::Section { file, start, size } => Content::Section {
            file: Arc::clone(file),
            start: *start,
            size: *size,
        },
    }))
}

impl Progress {
    /// Returns once nothing has moved for `stall`, or, after the last byte, once
    /// the registry has had its time as well.
    pub async fn stalled(&mut self, stall: Duration) {
        loop {
            let patience = match *self.moved.borrow_and_update() {
                Moved::Bytes(n) if n >= self.size => {
                    stall + Duration::from_secs(self.size / SLOWEST_REGISTRY)
                }
                _ => stall,
            };
            match timeout(patience, self.moved.changed()).await {
                Ok(Ok(())) => {}
                Err(_) => return,
                // The body is gone, and only the answer is awaited.
                Ok(Err(_)) => return tokio::time::sleep(patience).await,
            }
        }
    }

    /// Whether sending ended because this machine could not read the blob.
    pub fn unreadable(&self) -> bool {
        matches!(*self.moved.borrow(), Moved::Unreadable)
    }
}
