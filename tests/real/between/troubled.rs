//! Caches that fail while they are read: what they do not give is built, the run is green,
//! and it says so.

use std::time::{Duration, Instant};

use nixpy_testkit::caches::HttpCache;
use nixpy_testkit::registry::{Fault, Method, Registry};

use super::{Builder, Elsewhere, builds};
use crate::world::chain::Chain;
use crate::world::program::{Ended, run, wait_for};

const CACHE: &str = "acme/cache";
const LARGE: usize = 4 << 20;

/// A registry that has been filled, and the archives in it.
struct Filled {
    registry: Registry,
    builder: Builder,
    first: Ended,
}

impl Filled {
    fn new() -> Self {
        let (registry, builder) = (Registry::start(), Builder::of_a_large_app(LARGE, "true"));
        let cache = format!("oci://{}/{CACHE}", registry.host());
        let first = builder.has_filled(run(&mut builder.filling(&cache)));
        registry.reset_counts();
        Self {
            registry,
            builder,
            first,
        }
    }

    /// The digests of all blobs of archives.
    fn archives(&self) -> Vec<String> {
        let mut archives = Vec::new();
        for tag in self.registry.tags(CACHE) {
            if tag.starts_with("pack-") {
                let manifest = self.registry.manifest(CACHE, &tag).unwrap();
                let layers = manifest["layers"].as_array().unwrap();
                let digests = layers.iter().map(|it| it["digest"].as_str().unwrap());
                archives.extend(digests.map(str::to_owned));
            }
        }
        assert!(!archives.is_empty());
        archives
    }

    /// Lets every archive stop in its middle.
    fn stall(&self) {
        for digest in self.archives() {
            let stall = Fault::stall_after(1).on(Method::GET, &digest).always();
            self.registry.fail(stall);
        }
    }

    fn read(&self) -> Elsewhere {
        let cache = format!(
            "oci://{}/{CACHE} read key={}",
            self.registry.host(),
            self.builder.key()
        );
        self.builder.elsewhere(&cache, |_| {})
    }

    /// Fails the test unless all was built, and that was told.
    fn was_built(&self, read: &Elsewhere, took: Duration) {
        let ended = &read.ended;
        assert!(took < Duration::from_secs(150), "{took:?}: {ended}");
        read.is_the_same_as(&self.first);
        assert_eq!(builds(ended), ["app", "lib", "tool"], "{ended}");
        let cache = format!("the cache oci://{}/{CACHE}", self.registry.host());
        let told = format!("{cache} could not always be read");
        assert!(ended.stderr.contains(&told), "{ended}");
    }
}

#[test]
fn a_registry_that_stops_in_the_middle_of_an_archive_does_not_hold_a_run_up_for_long() {
    let filled = Filled::new();
    filled.stall();
    let begun = Instant::now();
    let read = filled.read();
    filled.was_built(&read, begun.elapsed());
}

#[test]
fn a_registry_that_goes_away_in_the_middle_of_a_run_is_done_without() {
    let filled = Filled::new();
    filled.stall();
    let archives = filled.archives();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| filled.read());
        wait_for("an archive to be read", Duration::from_secs(60), || {
            assert!(!reading.is_finished(), "the run has ended");
            let is_read = |digest: &String| filled.registry.count(Method::GET, digest) > 0;
            archives.iter().any(is_read).then_some(())
        });
        filled.registry.stop();
        let read = reading.join().unwrap();
        filled.was_built(&read, begun.elapsed());
    });
}

#[test]
fn a_server_whose_archives_break_off_is_done_without() {
    let (server, builder) = (HttpCache::start(), Builder::of(Chain::quick()));
    let first = builder.has_filled(run(&mut builder.filling(&server.url())));
    server.fail(Fault::cut_after(1).on(Method::GET, "nar/").always());
    let cache = format!("{} read key={}", server.url(), builder.key());
    let read = builder.elsewhere(&cache, |_| {});
    read.is_the_same_as(&first);
    assert_eq!(
        builds(&read.ended),
        ["app", "lib", "tool"],
        "{}",
        read.ended
    );
}
