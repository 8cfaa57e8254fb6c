//! Reading an archive, and making its layers meanwhile, each on a thread of its
//! own that is fed in pieces.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::stop::{Stop, Stoppable, stopped};
use super::{Passed, described};
use crate::archive::{self, Archive, ArchiveError};
use crate::blob::{self, Blob};
use crate::digest::{Digest, Hashing};
use crate::image;
use crate::layer::LayerError;
use crate::manifest::Descriptor;
use crate::publish::Options;

/// A piece of a layer on its way from the reader to a maker.
const PIECE: usize = 1 << 18;
/// Pieces that wait for one maker.
const WAITING: usize = 8;

/// Its end is empty when it has failed; then [`Stop`] has the reason.
type Maker = std::thread::JoinHandle<Option<Passed>>;

/// The thread that reads, with all it needs.
pub(super) struct Reader {
    pub options: Options,
    /// Layers that need not be made, by diff ID.
    pub known: HashMap<Digest, Descriptor>,
    /// Takes what is made.
    pub finished: mpsc::Sender<Blob>,
    pub stop: Arc<Stop>,
}

impl Reader {
    /// Reads the archive to its end, and waits until all layers are made.
    pub(super) fn read(self, source: &image::Archive) -> Result<Archive<Passed>, ArchiveError> {
        let result = self.read_and_make(source);
        if result.is_err() {
            self.stop.set();
        }
        // If a maker has failed, the reader was only told to stop.
        self.stop.reason().map_or(result, |error| Err(error.into()))
    }

    fn read_and_make(&self, source: &image::Archive) -> Result<Archive<Passed>, ArchiveError> {
        let file = Stoppable {
            source: source.open().map_err(ArchiveError::Tar)?,
            stop: &self.stop,
        };
        let turns = Turns::new(self.options.makers);
        let mut archive = archive::read(file, &self.options.spool_dir, |name, tar| {
            self.pass_on(name, tar, &turns)
        })?;
        let made = std::mem::take(&mut archive.made);
        let mut passed = BTreeMap::new();
        for (name, maker) in made
            .into_iter()
            .chain(std::mem::take(&mut archive.repeated))
        {
            let layer = join(maker).ok_or_else(|| ArchiveError::Tar(stopped()))?;
            let diff_id = layer.diff_id;
            let first = passed.entry(name.clone()).or_insert(layer);
            if first.diff_id != diff_id {
                return Err(ArchiveError::Twice(name));
            }
        }
        Ok(archive.with(passed))
    }

    /// Gives a layer to a thread of its own, and feeds it.
    fn pass_on(
        &self,
        name: &str,
        tar: &mut dyn Read,
        turns: &Turns,
    ) -> Result<Maker, ArchiveError> {
        let (pieces, queue) = sync_channel::<Bytes>(WAITING);
        let known = expected_diff_id(name).and_then(|diff_id| self.known.get(&diff_id).cloned());
        let options = self.options.clone();
        let finished = self.finished.clone();
        let stop = self.stop.clone();
        let turn = turns.take();
        let maker = std::thread::spawn(move || {
            let pieces = Pieces::new(queue, &stop);
            let result = make(pieces, known, &options, &finished);
            drop(turn);
            result.map_err(|error| stop.because(error)).ok()
        });
        let fed = feed(tar, &pieces);
        if fed.is_err() {
            // Before the queue ends: half a layer is not to be taken for one.
            self.stop.set();
        }
        drop(pieces);
        if fed.map_err(ArchiveError::Tar)? {
            return Ok(maker);
        }
        // The maker has stopped before the end, and said why.
        join(maker);
        Err(ArchiveError::Tar(stopped()))
    }
}

/// dockerTools names a layer's file after its diff ID, as newer `docker save`
/// does if it is not compressed. It is only a hint: the bytes are hashed all the
/// same.
fn expected_diff_id(name: &str) -> Option<Digest> {
    let name = name.strip_prefix("blobs/sha256/").unwrap_or(name);
    let hex = name.split('/').next()?;
    Digest::from_hex(hex.strip_suffix(".tar").unwrap_or(hex)).ok()
}

/// Whether the maker took everything.
fn feed(tar: &mut dyn Read, pieces: &SyncSender<Bytes>) -> io::Result<bool> {
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        tar.take(PIECE as u64).read_to_end(&mut piece)?;
        if piece.is_empty() {
            return Ok(true);
        }
        if pieces.send(piece.into()).is_err() {
            return Ok(false);
        }
    }
}

fn make(
    mut tar: Pieces<'_>,
    known: Option<Descriptor>,
    options: &Options,
    finished: &mpsc::Sender<Blob>,
) -> Result<Passed, LayerError> {
    if let Some(descriptor) = known {
        let mut hashing = Hashing::new(&mut tar);
        io::copy(&mut hashing, &mut io::sink())?;
        return Ok(Passed {
            diff_id: hashing.finish().1,
            descriptor,
        });
    }
    let mut blob = blob::make_from(&mut tar, options.compression, &options.spool_dir)?;
    blob.descriptor = described(blob.diff_id, blob.descriptor, options.compression);
    let passed = Passed {
        diff_id: blob.diff_id,
        descriptor: blob.descriptor.clone(),
    };
    finished.blocking_send(blob).map_err(|_| stopped())?;
    Ok(passed)
}

fn join(maker: Maker) -> Option<Passed> {
    maker
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The reading end of a queue of pieces.
struct Pieces<'a> {
    queue: Receiver<Bytes>,
    current: Bytes,
    stop: &'a Stop,
}

impl<'a> Pieces<'a> {
    fn new(queue: Receiver<Bytes>, stop: &'a Stop) -> Self {
        Self {
            queue,
            current: Bytes::new(),
            stop,
        }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.current.is_empty() {
            match self.queue.recv() {
                Ok(piece) => self.current = piece,
                Err(_) if self.stop.is_set() => return Err(stopped()),
                Err(_) => return Ok(0),
            }
        }
        let n = buf.len().min(self.current.len());
        buf[..n].copy_from_slice(&self.current.split_to(n));
        Ok(n)
    }
}

/// Bounds how many makers run at once.
struct Turns {
    give: SyncSender<()>,
    take: Arc<Mutex<Receiver<()>>>,
}

/// Given back when it is dropped.
struct Turn(Arc<Mutex<Receiver<()>>>);

impl Turns {
    fn new(count: usize) -> Self {
        let (give, take) = sync_channel(count.max(1));
        Self {
            give,
            take: Arc::new(Mutex::new(take)),
        }
    }

    fn take(&self) -> Turn {
        // The receiver lives as long as this sender does.
        let _ = self.give.send(());
        Turn(self.take.clone())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Ok(queue) = self.0.lock() {
            let _ = queue.try_recv();
        }
    }
}
