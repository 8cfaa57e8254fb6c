//! Docker-archives under stress: destinations that refuse, archives that are
//! hostile, and publishing again under other circumstances.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use std::fs;
use std::future::Future;
use std::io::{self, Read, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nixpy_oci::archive::ArchiveError;
use nixpy_oci::compress::Compression;
use nixpy_oci::destination::Destination;
use nixpy_oci::digest::Digest;
use nixpy_oci::image::{Archive, Body, How, Image, Pushed};
use nixpy_oci::layer::{Identity, LayerError};
use nixpy_oci::layout::Layout;
use nixpy_oci::manifest::{Annotations, Index, media_type, to_bytes};
use nixpy_oci::name::Tag;
use nixpy_oci::platform::Platform;
use nixpy_oci::prior::Prior;
use nixpy_oci::publish::{Options, PublishError, Publisher, Site};
use nixpy_oci::registry::{Credentials, Registry, RegistryOptions};
use nixpy_testkit::archive::{DockerArchive, layer_tar};
use nixpy_testkit::registry::{Fault, Method, Registry as Double};
use serde_json::json;

/// Ends, or fails: what hangs in a thread of its own would keep a runtime from
/// being dropped, so everything happens in a thread that can be left behind.
fn promptly<F: Future<Output: Send>>(test: impl FnOnce() -> F + Send + 'static) -> F::Output
where
    F::Output: 'static,
{
    let (told, outcome) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        told.send(runtime.unwrap().block_on(test())).unwrap();
    });
    outcome
        .recv_timeout(Duration::from_secs(30))
        .expect("publishing hangs, or the test failed")
}

struct Place {
    dir: tempfile::TempDir,
    sites: Vec<Site>,
    options: Options,
}

impl Place {
    fn layout() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(&dir.path().join("layout")).unwrap();
        Self::of(dir, Destination::Layout(layout))
    }

    fn registry(double: &Double) -> Self {
        let repository = format!("{}/acme/api", double.host()).parse().unwrap();
        let options = RegistryOptions {
            first_wait: Duration::from_millis(5),
            ..RegistryOptions::default()
        };
        let registry = Registry::new(repository, Credentials::Anonymous, options).unwrap();
        Self::of(
            tempfile::tempdir().unwrap(),
            Destination::Registry(registry),
        )
    }

    fn of(dir: tempfile::TempDir, destination: Destination) -> Self {
        let options = Options {
            compression: Compression::Gzip(1),
            makers: 2,
            uploads: 2,
            spool_dir: dir.path().to_owned(),
        };
        Self {
            dir,
            sites: vec![Site::new(destination, Prior::default())],
            options,
        }
    }

    fn compressing(mut self, compression: Compression) -> Self {
        self.options.compression = compression;
        self
    }

    async fn publish(&mut self, bytes: &[u8]) -> Result<Pushed, PublishError> {
        let content: Arc<[u8]> = bytes.into();
        self.publish_from(Archive::Stream {
            name: Digest::of(bytes).hex().into(),
            open: Arc::new(move || Ok(Box::new(io::Cursor::new(content.clone())))),
        })
        .await
    }

    async fn publish_from(&mut self, archive: Archive) -> Result<Pushed, PublishError> {
        let image = Image {
            platform: Platform::linux("amd64"),
            body: Body::Archive {
                identity: Identity::of("test-archive/1", &archive.name()),
                archive,
            },
            annotations: Annotations::new(),
        };
        let tag: Tag = "latest".parse().unwrap();
        let platforms = [image.platform.clone()];
        let site = &mut self.sites[0];
        site.prior = Prior::read(&site.destination, &tag, &platforms).await?;
        let publisher = Publisher {
            sites: &self.sites,
            options: &self.options,
            on_layer: &|_| (),
        };
        let pushed = publisher.publish(&image).await?;
        let manifests = vec![pushed.manifest.clone()];
        let index = to_bytes(&Index::new(manifests, Annotations::new()));
        self.sites[0]
            .destination
            .tag(&tag, media_type::INDEX, &index)
            .await?;
        Ok(pushed)
    }
}

fn many_layers(count: usize) -> DockerArchive {
    (0..count).fold(DockerArchive::of("api:latest"), |archive, n| {
        archive.layer(&[(&format!("layer-{n}"), b"content")])
    })
}

#[test]
fn a_registry_that_refuses_ends_the_publishing_of_an_archive() {
    let double = Double::start();
    double.fail(Fault::status(403).on(Method::POST, "").always());
    let mut place = Place::registry(&double);
    let error = promptly(|| async move { place.publish(&many_layers(40).build()).await });
    let error = error.unwrap_err();
    assert!(matches!(error, PublishError::Destination(_)), "{error}");
}

#[test]
fn a_layout_that_cannot_be_written_ends_the_publishing_of_an_archive() {
    let mut place = Place::layout();
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
    let mut place = Place::layout();
    fs::remove_dir_all(place.dir.path().join("layout/blobs")).unwrap();
    let error = promptly(|| async move { place.publish_from(archive).await }).unwrap_err();
    assert!(matches!(error, PublishError::Destination(_)), "{error}");
    assert!(read.load(Ordering::Relaxed) < ENORMOUS);
}

#[test]
fn when_nobody_waits_for_it_any_more_the_rest_of_the_archive_is_not_read() {
    let (archive, read) = endless(&many_layers(1).build(), ENORMOUS);
    let interrupted = promptly(|| async move {
        let mut place = Place::layout();
        let publishing = place.publish_from(archive);
        tokio::time::timeout(Duration::from_millis(100), publishing)
            .await
            .is_err()
    });
    assert!(interrupted);
    std::thread::sleep(Duration::from_millis(500));
    let before = read.load(Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(read.load(Ordering::Relaxed), before);
}

#[test]
fn layers_of_an_archive_are_sent_and_looked_for_at_the_same_time() {
    const LAYERS: u32 = 8;
    const EACH: Duration = Duration::from_millis(250);
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

#[test]
fn what_was_published_before_changes_no_byte() {
    let text = "some text that levels compress otherwise, again and again. ";
    let text: String = (0..20_000)
        .map(|n: u32| format!("{text}{}", n * n % 977))
        .collect();
    let archive = DockerArchive::of("api:latest")
        .layer(&[("text", text.as_bytes())])
        .layer(&[("small", b"small")])
        .build();
    promptly(move || async move {
        for history in [
            [Compression::Gzip(1), Compression::Gzip(12)].as_slice(),
            &[Compression::Zstd(1), Compression::Zstd(12)],
            &[
                Compression::Gzip(6),
                Compression::Zstd(3),
                Compression::Gzip(6),
            ],
            &[
                Compression::Gzip(6),
                Compression::Gzip(1),
                Compression::Gzip(6),
            ],
        ] {
            let mut place = Place::layout();
            let mut last = None;
            for compression in history {
                place.options.compression = *compression;
                last = Some(place.publish(&archive).await.unwrap().manifest);
            }
            let mut fresh = Place::layout().compressing(*history.last().unwrap());
            let fresh = fresh.publish(&archive).await.unwrap();
            assert_eq!(last.unwrap(), fresh.manifest, "{history:?}");
        }
    });
}

#[test]
fn a_manifest_is_the_same_whether_its_layers_were_known_or_made() {
    let (short, long) = (many_layers(2).build(), many_layers(3).build());
    promptly(move || async move {
        let (mut grown, mut fresh) = (Place::layout(), Place::layout());
        grown.publish(&short).await.unwrap();
        let grown = grown.publish(&long).await.unwrap();
        assert_eq!(grown.layers[0].how, How::Described);
        let fresh = fresh.publish(&long).await.unwrap();
        assert_eq!(fresh.layers[0].how, How::Sent);
        assert_eq!(grown.manifest, fresh.manifest);
    });
}

fn header(name: &str, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// A gigabyte in a megabyte: the header, and sixty-four times the same member.
fn bomb(kind: tar::EntryType) -> Vec<u8> {
    const MEMBER: usize = 16 << 20;
    let mut bytes = gzip(header("bomb", kind, 64 * MEMBER as u64).as_bytes());
    bytes.extend(gzip(&vec![b'x'; MEMBER]).repeat(64));
    bytes.extend(gzip(&many_layers(1).build()));
    bytes
}

/// The most memory this process has had: nextest gives each test its own.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() << 10
}

#[test]
fn a_gigabyte_of_name_is_refused_before_it_is_in_memory() {
    for kind in [
        tar::EntryType::GNULongName,
        tar::EntryType::GNULongLink,
        tar::EntryType::XHeader,
    ] {
        let archive = bomb(kind);
        let error = promptly(|| async move { Place::layout().publish(&archive).await });
        let PublishError::Archive { source, path } = error.unwrap_err() else {
            panic!("{kind:?} is another error")
        };
        assert!(matches!(source, ArchiveError::Limit { .. }), "{source}");
        assert!(!path.as_os_str().is_empty());
    }
    assert!(peak() < 300 << 20, "{}", peak());
}

#[test]
fn what_is_large_and_no_layer_is_passed_over() {
    for kind in [tar::EntryType::XGlobalHeader, tar::EntryType::Regular] {
        let archive = bomb(kind);
        let pushed = promptly(|| async move { Place::layout().publish(&archive).await });
        assert_eq!(pushed.unwrap().layers.len(), 1, "{kind:?}");
    }
    assert!(peak() < 300 << 20, "{}", peak());
}

fn packed(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let header = header(name, tar::EntryType::Regular, bytes.len() as u64);
        archive.append(&header, bytes.as_slice()).unwrap();
    }
    archive.into_inner().unwrap()
}

/// As `docker save` of Docker 25 and later writes it: an OCI layout that is a
/// docker-archive as well. `stored` is what becomes of a layer's tar.
fn oci_archive(tars: &[Vec<u8>], stored: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {
            "type": "layers",
            "diff_ids": tars.iter().map(|tar| Digest::of(tar)).collect::<Vec<_>>(),
        },
    });
    let config = config.to_string().into_bytes();
    let layers: Vec<Vec<u8>> = tars.iter().map(|tar| stored(tar)).collect();
    let names: Vec<String> = layers.iter().map(|layer| blob(layer)).collect();
    let manifest = json!([{
        "Config": blob(&config), "RepoTags": ["api:latest"], "Layers": names,
    }]);
    let mut entries: Vec<(String, Vec<u8>)> = layers
        .into_iter()
        .chain([config])
        .map(|bytes| (blob(&bytes), bytes))
        .collect();
    entries.push(("index.json".to_owned(), b"{\"manifests\":[]}".to_vec()));
    entries.push(("manifest.json".to_owned(), manifest.to_string().into()));
    entries.push(("oci-layout".to_owned(), b"{}".to_vec()));
    packed(&entries)
}

#[test]
fn what_newer_docker_saves_is_read_whatever_its_layers_are_compressed_with() {
    let tars = [
        layer_tar(&[("a", b"small")]),
        layer_tar(&[("b", &vec![7; 9 << 20])]),
        // An empty layer, which begins like nothing.
        vec![0; 1024],
    ];
    promptly(move || async move {
        let mut manifests = Vec::new();
        for stored in [
            |tar: &[u8]| tar.to_vec(),
            |tar: &[u8]| gzip(tar),
            |tar: &[u8]| zstd::encode_all(tar, 1).unwrap(),
        ] {
            let mut place = Place::layout();
            let archive = oci_archive(&tars, stored);
            let pushed = place.publish(&archive).await.unwrap();
            let found: Vec<Digest> = pushed.layers.iter().map(|layer| layer.diff_id).collect();
            let expected: Vec<Digest> = tars.iter().map(|tar| Digest::of(tar)).collect();
            assert_eq!(found, expected);
            manifests.push(pushed.layers);
        }
        assert!(manifests.windows(2).all(|pair| pair[0] == pair[1]));
    });
}

#[test]
fn an_uncompressed_layer_of_newer_docker_is_known_by_its_name() {
    let tar = |n: u8| layer_tar(&[("file", &[n])]);
    let short = oci_archive(&[tar(1)], <[u8]>::to_vec);
    let long = oci_archive(&[tar(1), tar(2)], <[u8]>::to_vec);
    let pushed = promptly(|| async move {
        let mut place = Place::layout();
        place.publish(&short).await.unwrap();
        place.publish(&long).await.unwrap()
    });
    let ways: Vec<How> = pushed.layers.iter().map(|layer| layer.how).collect();
    assert_eq!(ways, [How::Described, How::Sent]);
}

/// Python's tarfile and Go write the sizes and names that a plain header has no
/// room for into extended headers.
#[test]
fn sizes_and_names_in_extended_headers_hold() {
    let built = many_layers(1);
    let layer = layer_tar(&[("layer-0", b"content")]);
    let name = format!("{}/{}/layer.tar", "d".repeat(120), "e".repeat(120));
    let mut archive = tar::Builder::new(Vec::new());
    let size = layer.len().to_string();
    let records = [("path", name.as_bytes()), ("size", size.as_bytes())];
    archive.append_pax_extensions(records).unwrap();
    let short = header("short", tar::EntryType::Regular, 0);
    let mut bytes = archive.into_inner().unwrap();
    bytes.truncate(bytes.len() - 1024);
    bytes.extend_from_slice(short.as_bytes());
    bytes.extend_from_slice(&layer);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    let manifest = json!([{ "Config": "config.json", "Layers": [name] }]);
    bytes.extend(packed(&[
        ("config.json".to_owned(), built.config_bytes()),
        ("manifest.json".to_owned(), manifest.to_string().into()),
    ]));
    let pushed = promptly(|| async move { Place::layout().publish(&bytes).await });
    assert_eq!(
        pushed.unwrap().layers[0].diff_id.to_string(),
        built.diff_ids()[0]
    );
}
