//! An archive on its way from a cache to Nix: as it is stored, or unpacked. A few pieces are
//! in memory at a time; whoever is slow on one side makes the other wait, and who is silent
//! for too long ends it.

use std::io::{self, Read as _};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::answer::Body;
use super::shelf::Shelf;
use crate::error::{CacheError, CacheErrorKind};
use crate::source::Source;

/// Of what is unpacked.
const PIECE: usize = 64 * 1024;
/// Between those who read and those who send.
const PIECES: usize = 2;
/// A cache that sends nothing for so long has broken off; before Nix thinks so of us.
const SILENCE: Duration = Duration::from_secs(20);
/// Nix may write to a slow disk meanwhile; it itself gives up after five minutes.
const SLOWEST_READER: Duration = Duration::from_secs(300);
/// What unpacking may need: all that zstd's levels up to 19 ask for, and no more.
const LARGEST_WINDOW: u32 = 23;
/// Opening one, from the first request to the first byte's promise.
const FOR_OPENING: Duration = Duration::from_secs(15);

/// What is wanted of an archive.
pub(super) struct Wanted {
    /// The path's.
    pub(super) hash_part: String,
    /// Where the cache has it.
    pub(super) url: String,
    pub(super) unpack: bool,
    /// Of the whole, as it is sent.
    pub(super) size: u64,
    pub(super) bytes: Range<u64>,
}

/// Begins to send it; nothing if the cache does not have it.
pub(super) async fn open(
    shelf: &Arc<Shelf>,
    source: &Arc<dyn Source>,
    wanted: Wanted,
) -> Result<Option<Body>, CacheError> {
    let seat =
        match wanted.unpack {
            true => Some(shelf.seat_to_unpack().await.ok_or_else(|| {
                broken(source.name(), "others that are read do not come to an end")
            })?),
            false => None,
        };
    let whole = wanted.bytes == (0..wanted.size);
    let range = (!wanted.unpack && !whole).then(|| wanted.bytes.clone());
    let opened = tokio::time::timeout(FOR_OPENING, source.nar(&wanted.url, range));
    let silent = || broken(source.name(), "it does not begin to send it");
    let Some(nar) = opened.await.map_err(|_| silent())?? else {
        return Ok(None);
    };
    let way = Way {
        shelf: Arc::clone(shelf),
        cache: source.name().to_owned(),
        hash_part: wanted.hash_part.clone(),
        left: wanted.bytes.end - wanted.bytes.start,
        before: match wanted.unpack {
            true => wanted.bytes.start,
            false => 0,
        },
    };
    let (send, received) = channel(PIECES);
    match wanted.unpack {
        false => {
            tokio::spawn(way.pass(nar.bytes, send));
        }
        true => {
            let (packed, unpacking) = channel(PIECES);
            tokio::spawn(feed(way.cache.clone(), nar.bytes, packed));
            tokio::task::spawn_blocking(move || {
                way.unpack(unpacking, &send);
                drop(seat);
            });
        }
    }
    let (shelf, cache) = (Arc::clone(shelf), source.name().to_owned());
    let waiting = (received, shelf, cache, wanted.hash_part);
    let frames = futures_util::stream::unfold(waiting, |mut waiting| async move {
        let (received, shelf, cache, hash_part) = &mut waiting;
        // A cache may go on sending, a byte with every new attempt, and yet nothing come of it.
        let piece = match tokio::time::timeout(SILENCE, received.recv()).await {
            Ok(piece) => piece?,
            Err(_) => {
                let error = silent_for(cache);
                shelf.has_lost(hash_part, &error);
                Err(error)
            }
        };
        Some((piece.map(Frame::data), waiting))
    });
    Ok(Some(StreamBody::new(frames).boxed_unsync()))
}

fn broken(cache: &str, problem: impl Into<String>) -> CacheError {
    CacheError::new(
        cache,
        "give an archive",
        CacheErrorKind::Unreachable(problem.into()),
    )
}

type Pieces = BoxStream<'static, Result<Bytes, CacheError>>;

/// The next piece, if it comes in time.
async fn next(cache: &str, pieces: &mut Pieces) -> Option<Result<Bytes, CacheError>> {
    match tokio::time::timeout(SILENCE, pieces.next()).await {
        Ok(piece) => piece,
        Err(_) => Some(Err(silent_for(cache))),
    }
}

fn silent_for(cache: &str) -> CacheError {
    let seconds = SILENCE.as_secs();
    broken(cache, format!("it broke off: nothing came in {seconds} s"))
}

/// What a cache sends, to be unpacked. Whoever unpacks may have gone.
async fn feed(cache: String, mut pieces: Pieces, packed: Sender<Result<Bytes, CacheError>>) {
    while let Some(piece) = next(&cache, &mut pieces).await {
        let is_end = piece.is_err();
        if packed.send(piece).await.is_err() || is_end {
            return;
        }
    }
}

/// One archive's way.
struct Way {
    shelf: Arc<Shelf>,
    cache: String,
    hash_part: String,
    /// To be sent still.
    left: u64,
    /// Not to be sent, before anything is.
    before: u64,
}

impl Way {
    async fn pass(mut self, mut pieces: Pieces, send: Sender<Result<Bytes, CacheError>>) {
        while self.left > 0 {
            let piece = match next(&self.cache, &mut pieces).await {
                Some(Ok(piece)) => Ok(self.cut(piece)),
                Some(Err(error)) => Err(error),
                None => Err(broken(&self.cache, self.short())),
            };
            let is_end = piece.is_err();
            if let Err(error) = &piece {
                self.shelf.has_lost(&self.hash_part, error);
            }
            let sent = tokio::time::timeout(SLOWEST_READER, send.send(piece)).await;
            if is_end || !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
        self.shelf.has_given(&self.cache);
    }

    /// On a thread of its own: zstd takes time.
    fn unpack(
        mut self,
        packed: Receiver<Result<Bytes, CacheError>>,
        send: &Sender<Result<Bytes, CacheError>>,
    ) {
        let mut reader = Packed {
            packed,
            piece: Bytes::new(),
            error: None,
        };
        if let Err(error) = self.unpack_from(&mut reader, send) {
            let unpacking = || broken(&self.cache, format!("it cannot be unpacked: {error}"));
            let error = reader.error.take().unwrap_or_else(unpacking);
            self.shelf.has_lost(&self.hash_part, &error);
            let _ = send.blocking_send(Err(error));
        }
    }

    fn unpack_from(
        &mut self,
        reader: &mut Packed,
        send: &Sender<Result<Bytes, CacheError>>,
    ) -> io::Result<()> {
        let reader = io::BufReader::with_capacity(PIECE, reader);
        let mut decoder = zstd::stream::read::Decoder::with_buffer(reader)?;
        decoder.window_log_max(LARGEST_WINDOW)?;
        while self.left > 0 {
            let mut piece = vec![0; PIECE];
            let count = decoder.read(&mut piece)?;
            if count == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, self.short()));
            }
            piece.truncate(count);
            let piece = self.cut(piece.into());
            if !piece.is_empty() && send.blocking_send(Ok(piece)).is_err() {
                return Ok(());
            }
        }
        self.shelf.has_given(&self.cache);
        Ok(())
    }

    /// What is wanted of a piece.
    fn cut(&mut self, mut piece: Bytes) -> Bytes {
        let length = |bytes: &Bytes| bytes.len() as u64;
        let skipped = self.before.min(length(&piece));
        self.before -= skipped;
        piece.advance(usize::try_from(skipped).unwrap_or(usize::MAX));
        piece.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= length(&piece);
        self.shelf.sent(piece.len());
        piece
    }

    fn short(&self) -> String {
        format!("it broke off: {} bytes are missing", self.left)
    }
}

/// What a cache sends, for a reader that blocks.
struct Packed {
    packed: Receiver<Result<Bytes, CacheError>>,
    piece: Bytes,
    /// Why it ended early.
    error: Option<CacheError>,
}

impl io::Read for Packed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.packed.blocking_recv() {
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(error)) => {
                    self.error = Some(error);
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                None => return Ok(0),
            }
        }
        let count = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
