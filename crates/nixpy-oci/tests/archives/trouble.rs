//! Destinations that refuse, and people who do not wait.

use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nixpy_oci::archive::ArchiveError;
use nixpy_oci::digest::Digest;
use nixpy_oci::image::{Archive, How};
use nixpy_oci::layer::LayerError;
use nixpy_oci::publish::PublishError;
use nixpy_testkit::archive::DockerArchive;
use nixpy_testkit::registry::{Fault, Method, Registry as Double};

use crate::bytes::{header, many_layers};
use crate::place::{Place, promptly};

#[test]
fn a_registry_that_refuses_ends_the_publishing_of_an_archive() {
    let double = Double::start();
    double.fail(Fault::status(403).on(Method::POST, "").always());
    let place = Place::registry(&double);
    let error = promptly(|| async move { place.publish(&many_layers(40).build()).await });
    let error = error.unwrap_err();
    assert!(matches!(error, PublishError::Destination(_)), "{error}");
}

#[test]
fn a_layout_that_cannot_be_written_ends_the_publishing_of_an_archive() {
    let place = Place::layout();
    fs::remove_dir_all(place.dir.path().join("layout/blobs")).unwrap();
    let error = promptly(|| async move { place.publish(&many_layers(40).build()).await });
    let error = error.unwrap_err();
    assert!(matches!(error, PublishError::Destination(_)), "{error}");
}

/// What `build` has without its end, and then a file of this size.
fn endless(build: &[u8], size: u64) -> (Archive, Arc<AtomicU64>) {
    // Of a kind that nobody has a use for.
    let header = header("something-else", tar::EntryType::XGlobalHeader, size);
    let mut start = build[..build.len() - 1024].to_vec();
    start.extend_from_slice(header.as_bytes());
    let count = Arc::new(AtomicU64::new(0));
    let counting = count.clone();
    let open = move || -> io::Result<Box<dyn Read + Send>> {
        let stream = io::Cursor::new(start.clone()).chain(io::repeat(b'x').take(size));
        Ok(Box::new(Counting(stream, counting.clone())))
    };
    let archive = Archive::Stream {
        name: PathBuf::from("endless"),
        open: Arc::new(open),
    };
    (archive, count)
}

struct Counting<R>(R, Arc<AtomicU64>);

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.0.read(buf)?;
        self.1.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

const ENORMOUS: u64 = 1 << 40;

#[test]
fn when_a_layer_cannot_be_made_the_rest_of_the_archive_is_not_read() {
    let noise: Vec<u8> = (0..60_000_u32)
        .flat_map(|n| hex_bytes(Digest::of(&n.to_be_bytes())))
        .collect();
    let archive = DockerArchive::of("api:latest").layer(&[("noise", &noise)]);
    let (archive, read) = endless(&archive.build(), ENORMOUS);
    let mut place = Place::layout();
    place.options.spool_dir = place.dir.path().join("nowhere");
    let error = promptly(|| async move { place.publish_from(archive).await }).unwrap_err();
    let PublishError::Archive { source, .. } = error else {
        panic!("{error}")
    };
    let reason = ArchiveError::Layer(LayerError::Write(io::ErrorKind::NotFound.into()));
    assert_eq!(source.to_string(), reason.to_string());
    assert!(read.load(Ordering::Relaxed) < ENORMOUS);
}

fn hex_bytes(digest: Digest) -> Vec<u8> {
    let hex = digest.hex();
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn when_sending_fails_the_rest_of_the_archive_is_not_read() {
    let (archive, read) = endless(&many_layers(1).build(), ENORMOUS);
    let place = Place::layout();
    fs::remove_dir_all(place.dir.path().join("layout/blobs")).unwrap();
    let error = promptly(|| async move { place.publish_from(archive).await }).unwrap_err();
    assert!(matches!(error, PublishError::Destination(_)), "{error}");
    assert!(read.load(Ordering::Relaxed) < ENORMOUS);
}

#[test]
fn when_nobody_waits_for_it_any_more_the_rest_of_the_archive_is_not_read() {
    let (archive, read) = endless(&many_layers(1).build(), ENORMOUS);
    let interrupted = promptly(|| async move {
        let place = Place::layout();
        let publishing = place.publish_from(archive);
        tokio::time::timeout(Duration::from_millis(100), publishing)
            .await
            .is_err()
    });
    assert!(interrupted);
    // Whoever reads has the one other end of it.
    let begun = Instant::now();
    while Arc::strong_count(&read) > 1 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is read");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn layers_of_an_archive_are_sent_and_looked_for_at_the_same_time() {
    const LAYERS: u32 = 8;
    const EACH: Duration = Duration::from_secs(1);
    let double = Double::start();
    let mut place = Place::registry(&double);
    place.options.uploads = LAYERS as usize;
    place.options.makers = LAYERS as usize;
    promptly(move || async move {
        double.fail(Fault::hang(EACH).on(Method::POST, "/blobs/").always());
        let layers = many_layers(LAYERS as usize);
        let start = Instant::now();
        place.publish(&layers.build()).await.unwrap();
        assert!(start.elapsed() < EACH * LAYERS, "one after the other");

        double.heal();
        double.fail(Fault::hang(EACH).on(Method::HEAD, "/blobs/").always());
        let more = layers.layer(&[("one", b"more")]).build();
        let start = Instant::now();
        let pushed = place.publish(&more).await.unwrap();
        assert!(start.elapsed() < EACH * LAYERS, "one after the other");
        let described = pushed.layers.iter().filter(|l| l.how == How::Described);
        assert_eq!(described.count(), LAYERS as usize);
    });
}
