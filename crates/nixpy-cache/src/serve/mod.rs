//! Caches served to Nix on this machine, as an ordinary binary cache over HTTP.
//!
//! | module | subject |
//! |---|---|
//! | `answer` | which request gets what |
//! | `shelf` | the caches behind it: who has a path, and who has given up |
//! | `archive` | an archive on its way, as it is stored or unpacked |
//! | `range` | a part of one |
//!
//! It binds the loopback address and answers nobody who calls it by another name, so that a
//! web page cannot reach it through a name that it has resolve to 127.0.0.1. It has
//! `nix-cache-info`, narinfos and archives, for GET and HEAD, and nothing else. What a cache
//! does not tell in time it does not have, and one that fails again and again is left alone
//! for a while: Nix can always build. A failure in the middle of an archive breaks the
//! connection, which Nix cannot take for an end.
//!
//! **Archives are given unpacked.** Nix unpacks an archive on the thread that hashes and writes it, and
//! one thread of its own takes all that comes by HTTP and waits for the slowest of them. Of a closure
//! of 1.3 GB in 161 paths, packed with zstd, Nix 2.8 used 3.9 s of processor time; given unpacked it
//! used 3.4 s, of which more is the kernel's, and the rest was done here beside it. What that
//! brings is in docs/BENCHMARKS.md; with more processors there is more to gain. Few are
//! unpacked at a time, on few threads, which is what bounds memory: 59 MB.
//!
//! Nothing is held in memory but a few pieces of each archive that is on its way. It has a
//! thread and a runtime of its own, so that whatever else this program does, Nix is answered.

mod answer;
mod archive;
mod range;
mod shelf;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot};

use crate::source::Source;
use shelf::{Shelf, UNPACKED_AT_ONCE};

pub use shelf::{Told, Trouble};

/// Nix opens 25, unless `http-connections` says more.
const MOST_CONNECTIONS: usize = 256;
/// What Nix sends is a tenth of it.
const LONGEST_HEADERS: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
/// A connection that says nothing for so long is closed.
const SILENCE: Duration = Duration::from_secs(60);

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    port: u16,
    shelf: Arc<Shelf>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How archives are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// As they are stored.
    Packed,
    /// Without zstd. Who asks for one as it is stored, by its name, gets that.
    Unpacked,
}

/// The server cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Somebody else has the port, or it is not for this user.
    #[error(
        "cannot serve the caches at 127.0.0.1:{port}: {cause}; name another port, or none for one that is free"
    )]
    Port {
        /// Which was asked for; 0 is any.
        port: u16,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The system gives no thread.
    #[error("cannot serve the caches: the system gives no thread: {0}")]
    Thread(std::io::Error),
}

impl Server {
    /// Serves these caches, the first before the others, at this port or at one that is free.
    /// They are woken at once, in the background.
    ///
    /// # Errors
    /// The port cannot be had, or a thread.
    pub fn start(sources: Vec<Arc<dyn Source>>, port: Option<u16>) -> Result<Self, ServeError> {
        Self::start_giving(sources, port, Given::Unpacked)
    }

    /// The same, with archives given in this way.
    ///
    /// # Errors
    /// The port cannot be had, or a thread.
    pub fn start_giving(
        sources: Vec<Arc<dyn Source>>,
        port: Option<u16>,
        given: Given,
    ) -> Result<Self, ServeError> {
        let wanted = port.unwrap_or(0);
        let port = |cause| ServeError::Port {
            port: wanted,
            cause,
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, wanted));
        let listener = StdListener::bind(address).map_err(port)?;
        listener.set_nonblocking(true).map_err(port)?;
        let bound = listener.local_addr().map_err(port)?.port();
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            // Each keeps memory of its own; most unpack, and as many again are left as read
            // the files that some of those wait for.
            .max_blocking_threads(UNPACKED_AT_ONCE + 4)
            .thread_name("cache-server")
            .enable_all()
            .build()
            .map_err(ServeError::Thread)?;
        let shelf = Arc::new(Shelf::new(sources, given));
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&shelf);
        let run = move || run(runtime, listener, &served, stopped);
        let thread = std::thread::Builder::new()
            .name("cache-server".to_owned())
            .spawn(run)
            .map_err(ServeError::Thread)?;
        Ok(Self {
            port: bound,
            shelf,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// `http://127.0.0.1:PORT`, as Nix takes it.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What came of it until now.
    pub fn told(&self) -> Told {
        self.shelf.told()
    }

    /// Ends, and says what came of it.
    pub fn stop(mut self) -> Told {
        self.end();
        self.told()
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(
    runtime: Runtime,
    listener: StdListener,
    shelf: &Arc<Shelf>,
    stopped: oneshot::Receiver<()>,
) {
    runtime.block_on(async {
        let Ok(listener) = TcpListener::from_std(listener) else {
            return;
        };
        tokio::spawn(Arc::clone(shelf).wake());
        tokio::select! {
            _ = stopped => {}
            () = accept(&listener, shelf) => {}
        }
    });
    // Whoever still waits for a cache is not waited for.
    runtime.shutdown_background();
}

async fn accept(listener: &TcpListener, shelf: &Arc<Shelf>) {
    let seats = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let shelf = Arc::clone(shelf);
                tokio::spawn(async move {
                    converse(stream, &shelf).await;
                    drop(seat);
                });
            }
            // Out of files, perhaps: some will be closed.
            Err(error) => {
                tracing::debug!(%error, "no connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, shelf: &Arc<Shelf>) {
    let _ = stream.set_nodelay(true);
    let answer = service_fn(|request| {
        let shelf = Arc::clone(shelf);
        async move { Ok::<_, std::convert::Infallible>(answer::answer(&shelf, &request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SILENCE)
        .max_buf_size(LONGEST_HEADERS)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(stream), answer);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection broke");
    }
}
