//! The word that reader, makers and sender of one archive give each other when
//! something has failed: a maker waits for the reader, the reader for makers, and
//! both for the sender, so that none may simply go away.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::layer::LayerError;

/// Tells reader, makers and sender that one of them has failed.
#[derive(Default)]
pub(super) struct Stop(Mutex<Stopped>);

#[derive(Default)]
struct Stopped {
    stopped: bool,
    /// Of the maker that was the first to fail, before anybody else.
    reason: Option<LayerError>,
}

impl Stop {
    /// The reason is known to who says it.
    pub(super) fn set(&self) {
        self.lock().stopped = true;
    }

    /// A maker has failed; of no interest if that was because of this.
    pub(super) fn because(&self, error: LayerError) {
        let mut state = self.lock();
        if !state.stopped {
            *state = Stopped {
                stopped: true,
                reason: Some(error),
            };
        }
    }

    pub(super) fn is_set(&self) -> bool {
        self.lock().stopped
    }

    pub(super) fn reason(&self) -> Option<LayerError> {
        self.lock().reason.take()
    }

    fn lock(&self) -> MutexGuard<'_, Stopped> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever waits for the end may go away before it: a user interrupts, or
/// another platform has failed.
pub(super) struct StopWhenDropped(pub Arc<Stop>);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// Nobody is shown this: there is a reason, and that is shown.
pub(super) fn stopped() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

/// The archive, until something fails: much of it may be left then.
pub(super) struct Stoppable<'a> {
    pub source: Box<dyn Read + Send>,
    pub stop: &'a Stop,
}

impl Read for Stoppable<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_set() {
            return Err(stopped());
        }
        self.source.read(buf)
    }
}
