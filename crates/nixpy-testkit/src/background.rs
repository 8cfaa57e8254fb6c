//! A server on a thread and a runtime of its own, so that a blocking test and an
//! async one can use it alike, and so that stopping it ends every connection it
//! holds, as the end of a real process would.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::thread::JoinHandle;

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::ports::listener;

/// A running server; dropping it stops it.
pub(crate) struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Serves on this listener until stopped.
    pub(crate) fn serve<S, F>(listener: StdListener, server: S) -> Self
    where
        S: FnOnce(TcpListener) -> F + Send + 'static,
        F: Future<Output = ()>,
    {
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            // Two workers: a double that hashes one upload must still answer another.
            let runtime = Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    _ = stopped => {}
                    () = server(listener) => {}
                }
            });
            // The runtime goes out of scope here, and with it each connection's task and socket.
        });
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Stops the server, and returns when its sockets are closed.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic on that thread was printed where it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A listener on a loopback port that nobody else is given, even when it is stopped.
pub(crate) fn listen() -> StdListener {
    asynchronous(listener())
}

/// The listener on the same port, after it was stopped.
pub(crate) fn listen_again(address: SocketAddr) -> StdListener {
    asynchronous(StdListener::bind(address).unwrap())
}

fn asynchronous(listener: StdListener) -> StdListener {
    listener.set_nonblocking(true).unwrap();
    listener
}
