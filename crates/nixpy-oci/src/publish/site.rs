//! One of the places that images are published to, and how a blob comes there.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::blob::Content;
use crate::destination::{Destination, DestinationError};
use crate::digest::Digest;
use crate::image::How;
use crate::manifest::Descriptor;
use crate::name::Repository;
use crate::prior::Prior;

/// A place, and what is known of it.
#[derive(Debug)]
pub struct Site {
    /// Where images go.
    pub destination: Destination,
    /// What was there before.
    pub prior: Prior,
    sending: Sending,
}

/// Blobs on their way. Platforms are published at once, and what two of them
/// have in common is sent by the first; the second waits, and finds it there.
#[derive(Debug, Default)]
struct Sending {
    turns: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
    there: Mutex<HashSet<Digest>>,
}

impl Site {
    /// A place of which this is known.
    pub fn new(destination: Destination, prior: Prior) -> Self {
        Self {
            destination,
            prior,
            sending: Sending::default(),
        }
    }

    /// Brings a blob here unless it is there: from another repository of the same
    /// registry if one of these has it, else from this machine.
    pub(super) async fn send(
        &self,
        blob: &Descriptor,
        content: &Content,
        others: &[Self],
    ) -> Result<How, DestinationError> {
        let digest = blob.digest;
        let turn = self.sending.turn(digest);
        let _turn = turn.lock().await;
        if self.sending.is_there(digest) || self.destination.has_blob(digest).await? {
            self.sending.note(digest);
            return Ok(How::Present);
        }
        let mut how = How::Sent;
        for other in others.iter().filter(|other| other.sending.is_there(digest)) {
            if let Some(from) = other.destination.repository()
                && self.destination.mount(digest, from).await
            {
                how = How::Mounted;
                break;
            }
        }
        if how == How::Sent {
            self.destination.put_blob(blob, content).await?;
        }
        self.sending.note(digest);
        Ok(how)
    }

    /// Whether a blob that was taken for granted is missing after all.
    pub(super) async fn has_lost(&self, digest: Digest) -> Result<bool, DestinationError> {
        let lost = !self.destination.has_blob(digest).await?;
        if lost {
            self.sending.forget(digest);
        }
        Ok(lost)
    }

    /// Has the registry take a blob over from another of its repositories; `false`
    /// if it does not.
    pub(super) async fn mount(&self, digest: Digest, from: &Repository) -> bool {
        let turn = self.sending.turn(digest);
        let _turn = turn.lock().await;
        let mounted = self.sending.is_there(digest) || self.destination.mount(digest, from).await;
        if mounted {
            self.sending.note(digest);
        }
        mounted
    }
}

impl Sending {
    fn turn(&self, digest: Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(digest).or_default())
    }

    fn is_there(&self, digest: Digest) -> bool {
        let there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        there.contains(&digest)
    }

    fn forget(&self, digest: Digest) {
        let mut there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        there.remove(&digest);
    }

    fn note(&self, digest: Digest) {
        let mut there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        there.insert(digest);
    }
}
