//! A proxy in front of a real registry that counts what is sent to it.
//!
//! It copies bytes as they are, in both directions, and reads along: nothing is
//! rewritten, least of all the `Host` header, so that a registry which builds its
//! `Location` from that header names the proxy by itself. A registry that is
//! configured with a fixed external address does not, and what goes there directly
//! is not counted. Plain HTTP/1.1 only.

mod wire;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::background::{Background, listen};
use wire::{Event, RequestReader};

/// A running proxy; dropping it stops it.
pub struct CountingProxy {
    address: SocketAddr,
    log: Log,
    server: Mutex<Option<Background>>,
}

/// One request that went through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxied {
    /// The method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The query, undecoded; empty if there was none.
    pub query: String,
    /// Bytes of the body, without the framing of chunks.
    pub body_bytes: u64,
}

type Log = Arc<Mutex<Counted>>;

#[derive(Debug, Default)]
struct Counted {
    requests: Vec<Proxied>,
    response_bytes: u64,
    /// Goes up when the log is cleared: what began before is not counted after.
    era: u64,
}

impl CountingProxy {
    /// Listens on a free port, and passes everything on to this address.
    pub fn start(upstream: SocketAddr) -> Self {
        Self::with(upstream, None)
    }

    /// The same, but what each connection sends goes on at no more than so many bytes a second.
    pub fn with_pace(upstream: SocketAddr, bytes_per_second: u32) -> Self {
        Self::with(upstream, Some(bytes_per_second))
    }

    fn with(upstream: SocketAddr, pace: Option<u32>) -> Self {
        let listener = listen();
        let address = listener.local_addr().unwrap();
        let log = Log::default();
        let shared = Arc::clone(&log);
        let server = Background::serve(listener, move |listener| {
            accept(listener, upstream, pace, shared)
        });
        Self {
            address,
            log,
            server: Mutex::new(Some(server)),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Host and port, as the first part of an image reference.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Every request so far, in order of arrival.
    pub fn requests(&self) -> Vec<Proxied> {
        self.log.lock().unwrap().requests.clone()
    }

    /// How many requests of this method had this text in their path.
    pub fn count(&self, method: Method, path: &str) -> usize {
        self.requests()
            .iter()
            .filter(|request| request.method == method && request.path.contains(path))
            .count()
    }

    /// Bytes of the bodies of requests that had this text in their path.
    pub fn body_bytes(&self, path: &str) -> u64 {
        self.requests()
            .iter()
            .filter(|request| request.path.contains(path))
            .map(|request| request.body_bytes)
            .sum()
    }

    /// Bytes of the bodies of blob uploads.
    pub fn layer_bytes_sent(&self) -> u64 {
        self.body_bytes("/blobs/uploads/")
    }

    /// Bytes of all answers, headers included.
    pub fn response_bytes(&self) -> u64 {
        self.log.lock().unwrap().response_bytes
    }

    /// Forgets what was counted so far.
    pub fn reset_counts(&self) {
        let mut log = self.log.lock().unwrap();
        *log = Counted {
            era: log.era + 1,
            ..Counted::default()
        };
    }

    /// Closes the listener and every connection.
    pub fn stop(&self) {
        drop(self.server.lock().unwrap().take());
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, pace: Option<u32>, log: Log) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let log = Arc::clone(&log);
        connections.spawn(async move {
            // An upstream that cannot be reached shows to the client as a closed connection.
            let Ok(server) = TcpStream::connect(upstream).await else {
                return;
            };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::join!(
                requests(from_client, to_server, pace, &log),
                answers(from_server, to_client, &log)
            );
        });
    }
}

async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, pace: Option<u32>, log: &Log) {
    let mut reader = RequestReader::default();
    let mut current = None;
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        for event in reader.read(&buffer[..length]) {
            note(log, &mut current, event);
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
        if let Some(pace) = pace {
            tokio::time::sleep(Duration::from_secs(length as u64) / pace).await;
        }
    }
    let _ = to.shutdown().await;
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, log: &Log) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        log.lock().unwrap().response_bytes += length as u64;
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

/// `current` is the era and the place of the request that the connection is in.
fn note(log: &Log, current: &mut Option<(u64, usize)>, event: Event) {
    let mut log = log.lock().unwrap();
    match event {
        Event::Request { method, target } => {
            let (path, query) = target.split_once('?').unwrap_or((&target, ""));
            *current = Some((log.era, log.requests.len()));
            log.requests.push(Proxied {
                method,
                path: path.to_owned(),
                query: query.to_owned(),
                body_bytes: 0,
            });
        }
        Event::Body(bytes) => {
            if let Some((era, place)) = *current
                && era == log.era
            {
                log.requests[place].body_bytes += bytes;
            }
        }
    }
}
