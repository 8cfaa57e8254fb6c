//! Images that come as a docker-archive.
//!
//! One thread reads the archive from its beginning to its end and hands each
//! layer, in pieces, to a thread that hashes and compresses it; finished layers
//! are sent meanwhile. Every queue between them is bounded, so memory does not
//! depend on the archive's size.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::{Options, PublishError, Publisher};
use crate::archive::{self, Archive, ArchiveError};
use crate::blob::{self, Blob};
use crate::digest::{Digest, Hashing};
use crate::image::{self, How, Image, Pushed};
use crate::layer::{Identity, LayerError};
use crate::manifest::Descriptor;

/// A piece of a layer on its way from the reader to a maker.
const PIECE: usize = 1 << 18;
/// Pieces that wait for one maker.
const WAITING: usize = 8;

/// What became of one layer of the archive.
struct Passed {
    diff_id: Digest,
    descriptor: Descriptor,
}

type Maker = std::thread::JoinHandle<Result<Passed, LayerError>>;

impl Publisher<'_> {
    pub(super) async fn publish_archive(
        &self,
        image: &Image,
        identity: Identity,
        source: &image::Archive,
    ) -> Result<Pushed, PublishError> {
        let (finished, mut to_send) = mpsc::channel::<Blob>(self.options.uploads);
        let reader = Reader {
            options: self.options.clone(),
            known: self.known_layers().await?,
            finished,
        };
        let opener = source.clone();
        let reading = spawn_blocking(move || reader.read(&opener));
        let sending = async {
            let mut how = HashMap::new();
            while let Some(blob) = to_send.recv().await {
                let outcome = self.send(&blob).await?;
                how.insert(blob.descriptor.digest, outcome);
            }
            Ok::<_, PublishError>(how)
        };
        let (archive, how) = tokio::join!(reading, sending);
        // When sending fails the reader is told by its closed channel; the
        // reason is the sender's.
        let how = how?;
        let archive = archive?.map_err(|error| PublishError::Archive {
            path: source.name().to_owned(),
            source: error,
        })?;
        self.finish_archive(image, identity, source.name(), &archive, &how)
            .await
    }

    /// Layers of the image before, by diff ID, that are still there: an archive
    /// is read once, so what is missing cannot be made afterwards.
    async fn known_layers(&self) -> Result<HashMap<Digest, Descriptor>, PublishError> {
        let media_type = self.options.compression.media_type();
        let mut known = self.prior.by_diff_id();
        known.retain(|_, layer| layer.media_type == media_type);
        let mut there = HashMap::new();
        for (diff_id, layer) in known {
            if self.destination.has_blob(layer.digest).await? {
                there.insert(diff_id, layer);
            }
        }
        Ok(there)
    }

    async fn finish_archive(
        &self,
        image: &Image,
        identity: Identity,
        file: &Path,
        archive: &Archive<Passed>,
        how: &HashMap<Digest, How>,
    ) -> Result<Pushed, PublishError> {
        if !archive.platform.matches(&image.platform) {
            return Err(PublishError::Platform {
                wanted: image.platform.clone(),
                found: archive.platform.clone(),
            });
        }
        let mut descriptors = Vec::new();
        let mut facts = Vec::new();
        for (name, stated) in archive.layers.iter().zip(&archive.diff_ids) {
            let layer = &archive.made[name];
            // A layer that was recognised by its file's name must be what the
            // name says as well as what the config says.
            let named = crate::prior::diff_id(&layer.descriptor).unwrap_or(*stated);
            if let Some(stated) = [*stated, named].into_iter().find(|d| *d != layer.diff_id) {
                return Err(PublishError::DiffId {
                    what: format!("the layer {name:?} of the image archive {}", file.display()),
                    stated,
                    found: layer.diff_id,
                });
            }
            let how = how
                .get(&layer.descriptor.digest)
                .copied()
                .unwrap_or(How::Described);
            facts.push(self.fact(&image.platform, &layer.descriptor, how, String::new()));
            descriptors.push(layer.descriptor.clone());
        }
        let manifest = self
            .put_image(image, identity, &archive.config, &descriptors)
            .await?;
        Ok(Pushed {
            platform: image.platform.clone(),
            manifest: self.entry(&image.platform, &manifest),
            image_id: Digest::of(&archive.config),
            layers: facts,
        })
    }
}

struct Reader {
    options: Options,
    known: HashMap<Digest, Descriptor>,
    finished: mpsc::Sender<Blob>,
}

impl Reader {
    fn read(self, source: &image::Archive) -> Result<Archive<Passed>, ArchiveError> {
        let file = source.open().map_err(ArchiveError::Tar)?;
        let turns = Turns::new(self.options.makers);
        let mut archive = archive::read(file, |name, tar| self.pass_on(name, tar, &turns))?;
        let made = std::mem::take(&mut archive.made);
        let mut passed = BTreeMap::new();
        for (name, maker) in made {
            passed.insert(name, join(maker)?);
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
        let turn = turns.take();
        let maker = std::thread::spawn(move || {
            let result = make(Pieces::new(queue), known, &options, &finished);
            drop(turn);
            result
        });
        if feed(tar, &pieces).map_err(ArchiveError::Tar)? {
            drop(pieces);
            return Ok(maker);
        }
        // The maker has stopped before the end: its reason is the true one.
        drop(pieces);
        match join(maker) {
            Err(error) => Err(error.into()),
            Ok(_) => Err(ArchiveError::Tar(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

/// dockerTools names a layer's file after its diff ID. It is only a hint: the
/// bytes are hashed all the same.
fn expected_diff_id(name: &str) -> Option<Digest> {
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
    mut tar: Pieces,
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
    let blob = blob::make_from(&mut tar, options.compression, &options.spool_dir)?;
    let passed = Passed {
        diff_id: blob.diff_id,
        descriptor: blob.descriptor.clone(),
    };
    finished
        .blocking_send(blob)
        .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
    Ok(passed)
}

fn join(maker: Maker) -> Result<Passed, LayerError> {
    match maker.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// The reading end of a queue of pieces.
struct Pieces {
    queue: Receiver<Bytes>,
    current: Bytes,
}

impl Pieces {
    fn new(queue: Receiver<Bytes>) -> Self {
        Self {
            queue,
            current: Bytes::new(),
        }
    }
}

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.current.is_empty() {
            match self.queue.recv() {
                Ok(piece) => self.current = piece,
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
    take: std::sync::Arc<std::sync::Mutex<Receiver<()>>>,
}

/// Given back when it is dropped.
struct Turn(std::sync::Arc<std::sync::Mutex<Receiver<()>>>);

impl Turns {
    fn new(count: usize) -> Self {
        let (give, take) = sync_channel(count.max(1));
        Self {
            give,
            take: std::sync::Arc::new(std::sync::Mutex::new(take)),
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
