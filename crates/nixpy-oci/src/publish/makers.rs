//! The threads that make layers: few, and the same from the first layer to the last.
//!
//! Every thread keeps what it once had of memory. On the runtime's threads for blocking
//! work, of which there are as many as blobs are being sent, each would have made a layer
//! at some time, and a push would take several times the memory that it needs at once.
//! They are no pool of `rayon`'s, whose threads would be given the compressing as well,
//! and wait for themselves.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::oneshot;

use super::PublishError;

type Work = Box<dyn FnOnce() + Send>;

/// As many as were asked for first: a process publishes in one way.
static MAKERS: OnceLock<Sender<Work>> = OnceLock::new();

/// Does something on one of the threads, of which there are `count`.
pub(super) async fn make<T: Send + 'static>(
    count: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PublishError> {
    let makers = MAKERS.get_or_init(|| start(count.max(1)));
    let (done, result) = oneshot::channel();
    let work = Box::new(move || {
        // Nobody waits any more when the image was given up.
        if !done.is_closed() {
            let _ = done.send(work());
        }
    });
    makers.send(work).map_err(|_| PublishError::Stopped)?;
    result.await.map_err(|_| PublishError::Stopped)
}

fn start(count: usize) -> Sender<Work> {
    let (give, take) = channel();
    let take = Arc::new(Mutex::new(take));
    for _ in 0..count {
        let take = Arc::clone(&take);
        std::thread::spawn(move || work_on(&take));
    }
    give
}

fn work_on(queue: &Mutex<Receiver<Work>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        // Whoever waits for it is told by the channel that nothing comes.
        let _ = catch_unwind(AssertUnwindSafe(work));
    }
}
